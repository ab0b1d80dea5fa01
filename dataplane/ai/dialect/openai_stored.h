/*
 * openai_stored — ids and encrypted contents of the Responses API, which carry marks (ai_mark.h) on
 * the client's side.
 *
 * OpenAI keeps responses unless `store` is false, and their items; a client that names an id may
 * read what it stands for. So ids of kept things go out marked, and come in so; what is not kept
 * goes out as it came. Encrypted contents are always marked: only the account that made one can
 * read it (litellm#18094). That of a provider with another protocol is its signature of the
 * reasoning, or the reasoning that only it can read.
 *
 * Threads  any; pure.
 */
#pragma once

#include "dataplane/ai/dialect/dialect.h"

/* ---- towards the client ---- */

/* One event as it came, with its marks. */
MUST_USE enum err openai_stored_mark_event(const struct ai_context *to, struct slice raw,
                                           struct buf *out);
/* A whole response, or a list of items, as it came, with its marks. */
MUST_USE enum err openai_stored_mark_body(const struct ai_context *to, struct slice body,
                                          struct buf *out);
/* ,"encrypted_content":"…" where there is something to say; both may be empty */
MUST_USE enum err openai_signature_write(const struct ai_context *to, struct slice signature,
                                         struct slice redacted, struct buf *out);

/* ---- from the client ---- */

/* What of an encrypted content is another protocol's. All empty: it is OpenAI's own, or unknown. */
struct openai_signature {
    struct slice signature, redacted;
    struct slice maker; /* the account, in the arena */
};
MUST_USE enum err openai_signature_read(const struct ai_marker *m, struct slice text,
                                        struct arena *a, struct openai_signature *ret);

/* What a body says of accounts. */
struct openai_bound {
    struct ai_account stays;   /* of a stored thing: no other account has it */
    struct ai_account prefers; /* of the last encrypted content: others go without it */
    bool marked;               /* some value carries a mark: it must be taken off */
};
/* `input`: the array as it stands, or empty. */
void openai_stored_look(const struct ai_marker *m, struct slice previous, struct slice conversation,
                        struct slice input, struct openai_bound *ret);

/* Taking the marks off for one target. */
struct openai_unmarking {
    const struct ai_marker *marker;
    const struct ai_account *account; /* the target's */
    struct arena *arena;
    struct buf *out;
    const char *unknown; /* ERR_NOT_FOUND: the member whose id was not given to this owner */
    bool left_out;       /* items that only another account can read */
};
/* A stored id that stands alone in a body or a path. ERR_NOT_FOUND. */
MUST_USE enum err openai_unmark_id(const struct ai_marker *m, struct slice text,
                                   struct slice *value, struct ai_account *account);
/* Would they be appended as they stand? */
bool openai_items_are_plain(struct openai_unmarking *u, struct slice items);
/* Appends the array of items without marks. */
MUST_USE enum err openai_unmark_items(struct openai_unmarking *u, struct slice items);
/* The same for the messages of a chat, which name files alone. */
MUST_USE enum err openai_unmark_messages(struct openai_unmarking *u, struct slice messages);
