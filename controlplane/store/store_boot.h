/*
 * store_boot — makes the rows that must exist before the first request: policy head, default org,
 * team and pool, the installation's keys. Idempotent, under a lock.
 *
 * Owns     the two secrets it gives; the caller drops them.
 * Fails    as tx.h; ERR_INVALID when the stored keys do not open under this master key.
 * Threads  main, at start.
 */
#pragma once

#include "common/base/id.h"
#include "common/base/seal.h"
#include "common/base/secret.h"
#include "controlplane/store/tx.h"

struct boot {
    char org_id[ID_MAX];
    struct secret *key_hmac;   /* for virtual keys; planes get it with policy */
    struct secret *token_hmac; /* for admin tokens; stays here */
};

MUST_USE enum err store_boot(struct db *db, const struct seal *seal, struct boot *ret);
