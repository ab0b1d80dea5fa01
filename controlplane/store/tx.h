/*
 * tx — one transaction under one org: every other module of the control plane uses the database
 * through it.
 *
 * tx_begin takes a connection, begins, and sets `gatehouse.org_id` and a statement timeout
 * for this transaction; row-level security shows rows of that org only. TX_EVERY_ORG is for
 * jobs that serve all of them: compile, ingest, leases, housekeeping.
 *
 *   TX_AUTO struct tx tx = {0};
 *   enum err e = tx_begin(db, org, &tx);
 *   …
 *   return tx_commit(&tx);
 *
 * Owns     its connection until commit or rollback. TX_AUTO rolls back what was left open.
 * Fails    as db.h; ERR_TIMEOUT when no connection became free. A commit that fails has
 *          ERR_DATABASE, and the outcome is unknown: the caller must be idempotent.
 * Threads  one at a time.
 */
#pragma once

#include "controlplane/store/db.h"

#define TX_EVERY_ORG SLICE("*") /* no org has this id: ids have a prefix and an underscore */
#define TX_TAKE_MS 5000         /* wait for a free connection; then the response is a 503 */
#define TX_STATEMENT_MS 15000   /* no admin statement is meant to run longer */
#define TX_BEGIN_TRIES 40       /* above the size of any pool, whose connections may all be lost */

struct tx {
    struct db *db;
    struct db_conn *conn;
    struct db_error error; /* of the last failed statement; outlives the connection */
};

MUST_USE enum err tx_begin(struct db *db, struct slice org_id, struct tx *ret);
/* The same, which waits so long for a free connection: ERR_TIMEOUT then. */
MUST_USE enum err tx_begin_within(struct db *db, struct slice org_id, unsigned wait_ms,
                                  struct tx *ret);
MUST_USE enum err tx_commit(struct tx *tx);
void tx_rollback(struct tx *tx); /* fine when nothing is open */

/* as db_query; copies the server's error into tx->error */
MUST_USE enum err tx_query(struct tx *tx, const char *sql, const struct db_param *params, size_t n,
                           struct db_result **ret);
/* held to the end of the transaction; waits */
MUST_USE enum err tx_lock(struct tx *tx, int64_t advisory);
/* ERR_AGAIN: another transaction holds it */
MUST_USE enum err tx_try_lock(struct tx *tx, int64_t advisory);

#define TX_AUTO __attribute__((cleanup(tx_rollback)))

/* advisory locks, one row each, so that no two uses share a number */
enum tx_advisory {
    TX_LOCK_MIGRATE = 0x67617465, /* "gate" */
    TX_LOCK_BOOT,                 /* first org, key, token */
    TX_LOCK_TIMETABLE,
    TX_LOCK_INGEST,
    TX_LOCK_LEASES,
    TX_LOCK_CEILINGS,
};
