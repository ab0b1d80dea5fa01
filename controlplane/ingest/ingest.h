/*
 * ingest — a plane's usage batches become rows, each exactly once.
 *
 * One transaction: the cursor of (plane, epoch, worker) is locked and moved, records up to where it
 * was are skipped, spans, session sums, spend and charges of the rest go in, commit. So a batch may
 * be repeated, overlap, arrive late or be cut off by a crash: what is committed is counted once,
 * and what is not is sent again. A batch that begins behind a gap adds nothing; the reply names
 * what is committed, and the plane sends from there.
 *
 * A transaction costs the same however few records it takes. So batches of one plane that come
 * within a few milliseconds of each other, as those of its workers do, are taken in by one.
 *
 * Owns     an ingest: its queue.
 * Fails    as tx.h (nothing happened then); ERR_INVALID for numbers no plane has.
 * Threads  any.
 */
#pragma once

#include "controlplane/ledger/lease_server.h"
#include "proto/usage.pb-c.h"

struct ingest;

MUST_USE enum err ingest_new(struct db *db, struct ingest **ret);
void ingest_free(struct ingest *in); /* NULL is fine; no thread is in it */

/* asker: plane and org; its epoch is the batch's own. *ret_committed: highest sequence that is in.
 * Waits a few milliseconds for other batches of the plane. */
MUST_USE enum err ingest_take(struct ingest *in, const struct ledger_asker *asker,
                              const Gatehouse__UsageBatch *batch, uint64_t *ret_committed);
/* The same for one batch alone, at once. */
MUST_USE enum err ingest_batch(struct db *db, const struct ledger_asker *asker,
                               const Gatehouse__UsageBatch *batch, uint64_t *ret_committed);

struct ingest_counts {
    uint64_t records, batches, transactions, failed;
    int64_t lag_us; /* between the newest call of the last batch and its arrival */
};
void ingest_counts(struct ingest *in, struct ingest_counts *ret);
