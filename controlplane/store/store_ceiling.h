/*
 * store_ceiling — what each data plane holds of the ceilings of credentials: a row for each plane,
 * credential and limit.
 *
 * Owns     nothing; store_ceiling_read's rows are the caller's, for mem_free.
 * Fails    as tx.h.
 * Threads  one at a time; TX_LOCK_CEILINGS is held from the read to the end of the transaction.
 */
#pragma once

#include "common/base/id.h"
#include "common/ledger/ceiling_share.h"
#include "controlplane/store/array.h"
#include "controlplane/store/tx.h"

struct ceiling_row {
    char credential[ID_MAX], dataplane[ID_MAX];
    bool of_tokens;
    struct ceiling_holder holder;
};

/* Of these credentials of one org. */
MUST_USE enum err store_ceiling_read(struct tx *tx, struct slice org, struct array *credentials,
                                     struct ceiling_row **ret, size_t *count);
/* One plane's. */
MUST_USE enum err store_ceiling_save(struct tx *tx, struct slice org, struct slice dataplane,
                                     const struct ceiling_row *rows, size_t count);
/* Rows of planes that have not asked since; a chore. */
MUST_USE enum err store_ceiling_forget(struct tx *tx, int64_t before, size_t *ret);
