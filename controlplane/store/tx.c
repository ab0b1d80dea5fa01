/*
 * tx — begin under an org, end in commit or rollback.
 */
#include "controlplane/store/tx.h"

#include <stdio.h>

#include "common/base/log.h"

static const struct log_ctx tx_log = {.component = "tx"};

static enum err begin_on(struct db_conn *c, struct slice org_id)
{
    enum err e = db_query(c, "BEGIN", DB_NO_PARAMS, NULL);
    if (e != ERR_OK)
        return e;
    char timeout[16];
    snprintf(timeout, sizeof(timeout), "%d", TX_STATEMENT_MS);
    return db_query(c,
                    "SELECT set_config('gatehouse.org_id', $1, true),"
                    " set_config('statement_timeout', $2, true)",
                    DB_PARAMS(DB_TEXT(org_id), DB_TEXT(slice_str(timeout))), NULL);
}

/* All idle connections of the pool may be lost without notice (the server was restarted). So, as
 * long as the failure is a lost connection, the next one is tried, and at last a new one. */
enum err tx_begin(struct db *db, struct slice org_id, struct tx *ret)
{
    return tx_begin_within(db, org_id, TX_TAKE_MS, ret);
}

enum err tx_begin_within(struct db *db, struct slice org_id, unsigned wait_ms, struct tx *ret)
{
    enum err e = ERR_DATABASE;
    for (int tries = 0; tries < TX_BEGIN_TRIES; tries++) {
        struct db_conn *c = NULL;
        e = db_take(db, wait_ms, &c);
        if (e != ERR_OK)
            return e;
        e = begin_on(c, org_id);
        if (e == ERR_OK) {
            *ret = (struct tx){.db = db, .conn = c};
            return ERR_OK;
        }
        bool lost = !db_conn_alive(c);
        db_give(db, &c);
        if (!lost)
            return e;
    }
    return e;
}

static enum err end(struct tx *tx, const char *word)
{
    enum err e = db_query(tx->conn, word, DB_NO_PARAMS, NULL);
    if (e != ERR_OK)
        tx->error = *db_conn_error(tx->conn);
    db_give(tx->db, &tx->conn);
    return e;
}

enum err tx_commit(struct tx *tx)
{
    MUST(tx->conn != NULL);
    enum err e = end(tx, "COMMIT");
    if (e != ERR_OK)
        log_warn(&tx_log, "commit_failed", "sqlstate=%s why=%s", tx->error.sqlstate,
                 tx->error.text);
    return e;
}

void tx_rollback(struct tx *tx)
{
    if (tx->conn == NULL)
        return;
    /* a failed rollback is a lost connection, and the server rolls back by itself */
    enum err e = end(tx, "ROLLBACK");
    if (e != ERR_OK)
        log_debug(&tx_log, "rollback_failed", "why=%s", tx->error.text);
}

enum err tx_query(struct tx *tx, const char *sql, const struct db_param *params, size_t n,
                  struct db_result **ret)
{
    MUST(tx->conn != NULL);
    enum err e = db_query(tx->conn, sql, params, n, ret);
    if (e != ERR_OK)
        tx->error = *db_conn_error(tx->conn);
    return e;
}

enum err tx_lock(struct tx *tx, int64_t advisory)
{
    return tx_query(tx, "SELECT pg_advisory_xact_lock($1)", DB_PARAMS(DB_INT(advisory)), NULL);
}

enum err tx_try_lock(struct tx *tx, int64_t advisory)
{
    DB_AUTO struct db_result *r = NULL;
    enum err e =
        tx_query(tx, "SELECT pg_try_advisory_xact_lock($1)", DB_PARAMS(DB_INT(advisory)), &r);
    if (e != ERR_OK)
        return e;
    return db_bool(r, 0, 0) ? ERR_OK : ERR_AGAIN;
}
