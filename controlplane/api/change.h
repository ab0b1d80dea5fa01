/*
 * change — one write of one object from beginning to end: the write lock, the stored document, the
 * new one checked and settled, row, links, secrets, change log, audit, kept response, commit.
 *
 * api_object, api_keys and api_dataplanes call the steps in this order:
 *   change_begin (change_open but on create) → change_document → change_store → change_end
 * A step that has set a problem as the response returns ERR_CANCELLED; change_result turns that
 * into ERR_OK for the listener and rolls back.
 *
 * Owns     its transaction, trees and secrets; change_fini ends what is open.
 * Threads  one job thread.
 */
#pragma once

#include "controlplane/api/admin_call.h"
#include "controlplane/store/store_idempotency.h"
#include "controlplane/store/store_object.h"
#include "controlplane/store/store_write.h"

struct change {
    struct call *c;
    const struct noun *n;
    struct write w;
    struct lookup lookup;
    struct reading reading;
    bool has_old;
    struct object old;
    struct object now;
    json_t *before; /* as shown to administrators, for audit */
    json_t *after;
    json_t *extra; /* members that only this response has: a new key */
    enum err (*show)(struct tx *tx, json_t *views); /* computed members of the response; NULL */
    struct noun_secrets secrets;
    bool keeps_response; /* an Idempotency-Key came */
    struct idempotency idempotency;
};

void change_init(struct change *x, struct call *c);
void change_fini(struct change *x);
#define CHANGE_AUTO __attribute__((cleanup(change_fini)))

/* Takes the write lock. A repeated POST gets the kept response: ERR_CANCELLED. */
MUST_USE enum err change_begin(struct change *x);
/* The same, and the object the path names, by If-Match. */
MUST_USE enum err change_open(struct change *x);
/* x->now becomes a copy of the stored object, for a handler that changes few members. */
void change_keep(struct change *x);
/* Reads `body` (a whole document) into x->now. */
MUST_USE enum err change_document(struct change *x, const json_t *body);
/* Row, links, secrets, change log; 422 for what no data plane could be sent. */
MUST_USE enum err change_store(struct change *x);
/* Audit, the response (`status`), the kept response, commit. action: create, replace, patch, … */
MUST_USE enum err change_end(struct change *x, const char *action, unsigned status);
/* Nothing differs: the response is the stored object, and no version is made. */
MUST_USE enum err change_nothing(struct change *x, unsigned status);
/* For the listener: ERR_CANCELLED, a problem as the response, becomes ERR_OK. */
enum err change_result(enum err e);
