/*
 * object_hook — what some nouns do beyond storing and showing a document: a row each.
 *
 * before_insert may complete x->now.spec, after_insert has the row; both may add members to
 * x->extra, which the response shows once. ERR_CANCELLED: the response is a problem. after_delete
 * runs in the delete's transaction. show adds computed members to an array of views that are
 * read; what is written is shown and recorded without them.
 */
#pragma once

#include "controlplane/api/change.h"

struct object_hook {
    const struct noun *noun;
    enum err (*before_insert)(struct change *x);
    enum err (*after_insert)(struct change *x);
    enum err (*after_delete)(struct change *x);
    enum err (*show)(struct tx *tx, json_t *views);
    bool shows_written;  /* also in the response to a write, though not in its record */
    const char *once[3]; /* members of x->extra, for OpenAPI */
};

const struct object_hook *object_hook_find(const struct noun *n); /* NULL: nothing special */
