/*
 * store_token — admin tokens by their digests.
 *
 * Fails    as tx.h; ERR_NOT_FOUND for an unknown or revoked one.
 * Threads  any, with a transaction of their own (TX_EVERY_ORG: a token says its org).
 */
#pragma once

#include "common/base/digest.h"
#include "common/base/id.h"
#include "controlplane/domain/role.h"
#include "controlplane/store/tx.h"

struct admin_token {
    char id[ID_MAX];
    char org_id[ID_MAX];
    char name[80];
    enum role role;
};

MUST_USE enum err store_token_find(struct tx *tx, const struct digest *digest,
                                   struct admin_token *ret);
MUST_USE enum err store_token_put(struct tx *tx, const struct admin_token *token,
                                  const struct digest *digest);
MUST_USE enum err store_token_count(struct tx *tx, size_t *ret);
