/*
 * store_idempotency — answers kept for a day under (actor, Idempotency-Key), in the same
 * transaction as what they answered, so that a repeated POST does nothing twice.
 *
 * Answers may show a secret once, so they lie sealed.
 *
 * Fails    as tx.h; find: ERR_NOT_FOUND; ERR_CONFLICT: the key came with another request.
 * Threads  any; under a write's turn, so two equal POSTs cannot pass each other.
 */
#pragma once

#include "common/base/digest.h"
#include "common/base/seal.h"
#include "controlplane/store/tx.h"

#define IDEMPOTENCY_KEY_MAX 255

struct idempotency {
    struct slice org_id;
    struct slice actor;
    struct slice key;
    struct digest request; /* of method, path and body */
};

MUST_USE enum err store_idempotency_find(struct tx *tx, const struct seal *seal,
                                         const struct idempotency *i, unsigned *ret_status,
                                         struct buf *answer);
MUST_USE enum err store_idempotency_put(struct tx *tx, const struct seal *seal,
                                        const struct idempotency *i, unsigned status,
                                        struct slice answer);
