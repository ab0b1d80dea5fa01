/*
 * store_secret — values that a reader of the database must not see: sealed rows.
 *
 * Two tables: `secrets`, whose rows belong to an object (a provider's credential, an injected
 * header), and `installation`, made once at first start (key_hmac, session_seal, the CA).
 * Sealed with purpose "row-secret", and the row's own name as scope, so that a row copied
 * to another place does not open.
 *
 * Owns     nothing. What is opened is appended to the caller's buf; wipe it.
 * Fails    as tx.h; ERR_NOT_FOUND: no such row; ERR_INVALID: does not open under this master.
 * Threads  any, with a transaction of their own.
 */
#pragma once

#include "common/base/seal.h"
#include "controlplane/store/tx.h"

/* slot: a provider's credential id, or "credential" */
MUST_USE enum err store_secret_put(struct tx *tx, const struct seal *seal, struct slice org_id,
                                   struct slice owner_id, struct slice slot, struct slice plain);
MUST_USE enum err store_secret_open(struct tx *tx, const struct seal *seal, struct slice owner_id,
                                    struct slice slot, struct buf *plain);
/* not an error when there is none */
MUST_USE enum err store_secret_drop(struct tx *tx, struct slice owner_id, struct slice slot);
/* an owner's every slot, when it is deleted */
MUST_USE enum err store_secret_drop_all(struct tx *tx, struct slice owner_id);

/* names: lower case, e.g. "key_hmac". put is for first start: an existing row is ERR_EXISTS. */
MUST_USE enum err store_installation_put(struct tx *tx, const struct seal *seal, const char *name,
                                         struct slice plain, bool sealed);
/* ret_revision may be NULL */
MUST_USE enum err store_installation_get(struct tx *tx, const struct seal *seal, const char *name,
                                         struct buf *plain, uint64_t *ret_revision);
/* Gets it, or under a lock makes `len` random bytes of it first: sealed. */
MUST_USE enum err store_installation_make(struct tx *tx, const struct seal *seal, const char *name,
                                          size_t len, struct buf *plain, uint64_t *ret_revision);
