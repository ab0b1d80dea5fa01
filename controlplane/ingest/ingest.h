/*
 * ingest — a plane's usage batch becomes rows, exactly once.
 *
 * One transaction: the cursor of (plane, epoch, worker) is locked, records up to it are skipped,
 * spans and session sums and charges of the rest go in, the cursor moves, commit. So a batch may
 * be repeated, overlap, arrive late or be cut off by a crash: what is committed is counted once,
 * and what is not is sent again. A batch that begins behind a gap adds nothing; the answer names
 * what is committed, and the plane sends from there.
 *
 * Owns     nothing.
 * Fails    as tx.h (nothing happened then); ERR_INVALID for numbers no plane has.
 * Threads  any.
 */
#pragma once

#include "controlplane/ledger/lease_server.h"
#include "proto/usage.pb-c.h"

/* who: plane and org; its epoch is the batch's own. *ret_committed: highest sequence that is in. */
MUST_USE enum err ingest_batch(struct db *db, const struct ledger_asker *who,
                               const Gatehouse__UsageBatch *batch, uint64_t *ret_committed);
