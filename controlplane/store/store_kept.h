/*
 * store_kept — files and batches that owners have at providers.
 *
 * Rows are noted in the transaction that takes in the record of the call which made, saw or deleted
 * the thing. One that is gone is listed no more; its row stays for some days, so that a list can be
 * gone on with from it.
 *
 * Fails    as tx.h.
 * Threads  one at a time.
 */
#pragma once

#include "controlplane/store/store_chore.h"
#include "proto/channel.pb-c.h"

#define KEPT_ID_MAX 256   /* bytes of an object's id at its provider */
#define KEPT_PAGE_MAX 100 /* objects of one reply */

/* One that a plane reports in a form that no row has is logged and left out: it must not hold up
 * the journal. */
MUST_USE enum err store_kept_note(struct tx *tx, struct slice org, int64_t at,
                                  const Gatehouse__KeptObject *m);

/* Of one reply; texts lie in it. */
struct kept_page {
    Gatehouse__KeptReply reply;
    Gatehouse__KeptObject objects[KEPT_PAGE_MAX], *list[KEPT_PAGE_MAX];
    struct db_result *rows;
};
MUST_USE enum err store_kept_list(struct tx *tx, struct slice org, const Gatehouse__KeptAsk *m,
                                  struct kept_page *ret);
void kept_page_fini(struct kept_page *p);

/* Rows of what was gone before that time, and of owners that are no more. */
MUST_USE enum err store_kept_drop(struct tx *tx, int64_t before, size_t *ret);
