/*
 * store_write — version, change log, notification. The audit chain is store_audit.c.
 */
#include "controlplane/store/store_write.h"

#include <stdio.h>

enum err write_begin(struct db *db, struct slice org_id, struct write *ret)
{
    *ret = (struct write){0};
    snprintf(ret->org_id, sizeof(ret->org_id), "%.*s", SLICE_ARG(org_id));
    enum err e = tx_begin(db, org_id, &ret->tx);
    if (e != ERR_OK)
        return e;
    DB_AUTO struct db_result *r = NULL;
    e = tx_query(&ret->tx,
                 "UPDATE policy_head SET version = version + 1, updated_at = clock_timestamp()"
                 " WHERE one RETURNING version",
                 DB_NO_PARAMS, &r);
    if (e == ERR_OK && db_rows(r) != 1)
        e = ERR_DATABASE;
    if (e == ERR_OK)
        ret->version = (uint64_t)db_int(r, 0, 0);
    else
        tx_rollback(&ret->tx);
    return e;
}

enum err write_change(struct write *w, int kind, struct slice id, bool deleted)
{
    if (kind == 0)
        return ERR_OK;
    return tx_query(&w->tx,
                    "INSERT INTO change_log (version, kind, id, op, org_id)"
                    " VALUES ($1, $2, $3, $4, $5) ON CONFLICT"
                    " DO NOTHING",
                    DB_PARAMS(DB_INT((int64_t)w->version), DB_INT(kind), DB_TEXT(id),
                              DB_TEXT(deleted ? SLICE("delete") : SLICE("put")),
                              DB_TEXT(slice_str(w->org_id))),
                    NULL);
}

enum err write_commit(struct write *w)
{
    char version[24];
    snprintf(version, sizeof(version), "%llu", (unsigned long long)w->version);
    enum err e = tx_query(&w->tx, "SELECT pg_notify('gatehouse_policy', $1)",
                          DB_PARAMS(DB_TEXT(slice_str(version))), NULL);
    if (e != ERR_OK) {
        tx_rollback(&w->tx);
        return e;
    }
    return tx_commit(&w->tx);
}

void write_cancel(struct write *w)
{
    tx_rollback(&w->tx);
}
