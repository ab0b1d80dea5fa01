/*
 * store_chore — the times of runs of chores, and the statements that delete old rows.
 *
 * Each statement deletes a bounded number of rows and returns it; the chore repeats it. A
 * row's age is compared with a time of the caller's clock.
 *
 * Owns     nothing.
 * Fails    as tx.h.
 * Threads  any, with a transaction of their own.
 */
#pragma once

#include "controlplane/store/tx.h"

#define STORE_CHORE_ROWS 5000 /* of one statement: some tens of milliseconds */

/* Notes that the chore runs now, in its caller's transaction. ERR_AGAIN: it ran after `due`, or
 * another transaction runs it. */
MUST_USE enum err store_chore_take(struct tx *tx, struct slice name, int64_t due, int64_t now);

/* What is in the database, for the metrics. */
struct observed {
    int64_t leases_open, leases_suspense;
    int64_t leased_nano, suspense_nano; /* granted and not settled */
    int64_t first_plane_certificate;    /* when the first one of a plane ends; wall, 0: none */
};
MUST_USE enum err store_observe(struct tx *tx, struct observed *ret);

/* The oldest day of spans that ended before; *ret: whether there was one. ERR_AGAIN: the table was
 * busy for two seconds. */
MUST_USE enum err store_spans_drop_day(struct tx *tx, int64_t before, bool *ret);
/* Sessions that ended and whose last span is older. */
MUST_USE enum err store_sessions_drop(struct tx *tx, int64_t before, size_t *ret);
MUST_USE enum err store_spend_drop(struct tx *tx, int64_t before, size_t *ret);
/* Accounts of periods that began before, of which no lease is left; those without a period stay. */
MUST_USE enum err store_budget_periods_drop(struct tx *tx, int64_t before, size_t *ret);
/* Changes that were made before, from the oldest on; the newest version stays whatever its age: a
 * control plane or data plane that is behind the first one left sees the gap, and takes a whole
 * policy. */
MUST_USE enum err store_changes_trim(struct tx *tx, int64_t before, size_t *ret);
/* Cursors not moved since, of epochs that a later one of the same plane replaced, and of planes
 * that were deleted: nothing can come in behind them. */
MUST_USE enum err store_cursors_forget(struct tx *tx, int64_t before, size_t *ret);
/* Replies kept for an Idempotency-Key. */
MUST_USE enum err store_replies_forget(struct tx *tx, int64_t before, size_t *ret);
