/* store_policy — reads what data planes are to know. */
#include "controlplane/store/store_policy.h"

#include <stdio.h>

#define SQL_MAX 320

enum err store_policy_begin(struct tx *tx)
{
    enum err e =
        tx_query(tx, "begin isolation level repeatable read read only", DB_NO_PARAMS, NULL);
    if (e != ERR_OK)
        return e;
    return tx_query(tx,
                    "select set_config('gatehouse.org_id', '*', true),"
                    " set_config('statement_timeout', '60000', true)",
                    DB_NO_PARAMS, NULL);
}

enum err store_policy_end(struct tx *tx, enum err e)
{
    enum err ended = db_conn_alive(tx->conn)
                         ? tx_query(tx, e == ERR_OK ? "commit" : "rollback", DB_NO_PARAMS, NULL)
                         : e;
    return e == ERR_OK ? ended : e;
}

enum err store_policy_head(struct tx *tx, uint64_t *ret_version, char *lineage)
{
    DB_AUTO struct db_result *r = NULL;
    enum err e = tx_query(tx, "select version, lineage from policy_head", DB_NO_PARAMS, &r);
    if (e == ERR_OK && db_rows(r) != 1)
        e = ERR_NOT_FOUND;
    if (e != ERR_OK)
        return e;
    *ret_version = (uint64_t)db_int(r, 0, 0);
    if (lineage != NULL)
        db_copy(r, 0, 1, lineage, POLICY_LINEAGE_MAX);
    return ERR_OK;
}

enum err store_policy_oldest(struct tx *tx, uint64_t *ret)
{
    DB_AUTO struct db_result *r = NULL;
    enum err e = tx_query(tx, "select min(version) from change_log", DB_NO_PARAMS, &r);
    if (e == ERR_OK)
        *ret = (uint64_t)db_int(r, 0, 0);
    return e;
}

enum err store_policy_changes(struct tx *tx, uint64_t from, uint64_t to, struct db_result **ret)
{
    return tx_query(tx,
                    "select distinct on (kind, id) kind, id, op = 'put', version from change_log"
                    " where version > $1 and version <= $2 order by kind, id, version desc",
                    DB_PARAMS(DB_INT((int64_t)from), DB_INT((int64_t)to)), ret);
}

enum err store_policy_rows(struct tx *tx, const char *table, struct array *ids,
                           struct db_result **ret)
{
    char sql[SQL_MAX];
    int len = snprintf(sql, sizeof(sql),
                       "select id, org_id, name, revision, spec,"
                       " (extract(epoch from created_at) * 1000000)::bigint from %s"
                       " where deleted_at is null%s",
                       table, ids ? " and id = any($1::text[])" : "");
    MUST(len > 0 && len < SQL_MAX);
    return ids ? tx_query(tx, sql, DB_PARAMS(array_param(ids)), ret)
               : tx_query(tx, sql, DB_NO_PARAMS, ret);
}
