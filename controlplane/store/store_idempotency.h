/*
 * store_idempotency — responses kept for a day under (actor, Idempotency-Key), in the same
 * transaction as the write, so that a repeated POST does nothing twice.
 *
 * A response may show a secret once, so it is stored sealed.
 *
 * Fails    as tx.h; find: ERR_NOT_FOUND; ERR_CONFLICT: the key came with another request.
 * Threads  any; under the write lock, so two equal POSTs run one after the other.
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
                                         struct buf *response);
MUST_USE enum err store_idempotency_put(struct tx *tx, const struct seal *seal,
                                        const struct idempotency *i, unsigned status,
                                        struct slice response);
