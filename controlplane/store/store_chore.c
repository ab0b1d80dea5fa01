/* store_chore — one statement each. */
#include "controlplane/store/store_chore.h"

enum err store_chore_take(struct tx *tx, struct slice name, int64_t due, int64_t now)
{
    DB_AUTO struct db_result *r = NULL;
    enum err e = tx_query(tx,
                          "insert into chores as c (name, ran_at) values ($1, $3)"
                          " on conflict (name) do update set ran_at = excluded.ran_at"
                          " where c.ran_at <= $2 or c.ran_at > excluded.ran_at returning 1",
                          DB_PARAMS(DB_TEXT(name), DB_TIME(due), DB_TIME(now)), &r);
    return e == ERR_OK && db_rows(r) == 0 ? ERR_AGAIN : e;
}

enum err store_observe(struct tx *tx, struct observed *ret)
{
    DB_AUTO struct db_result *r = NULL;
    enum err e = tx_query(
        tx,
        "select count(*) filter (where state = 'open'), count(*) filter (where state = 'suspense'),"
        " coalesce(sum(greatest(granted_nano - settled_nano, 0)) filter (where state = 'open'), 0)"
        "::bigint, coalesce(sum(greatest(granted_nano - settled_nano, 0))"
        " filter (where state = 'suspense'), 0)::bigint, (select min(cert_not_after) from "
        "dataplanes"
        " where deleted_at is null) from leases where state <> 'closed'",
        DB_NO_PARAMS, &r);
    if (e == ERR_OK)
        *ret = (struct observed){.leases_open = db_int(r, 0, 0),
                                 .leases_suspense = db_int(r, 0, 1),
                                 .leased_nano = db_int(r, 0, 2),
                                 .suspense_nano = db_int(r, 0, 3),
                                 .first_plane_certificate = db_time(r, 0, 4)};
    return e;
}

enum err store_spans_drop_day(struct tx *tx, int64_t before, bool *ret)
{
    DB_AUTO struct db_result *r = NULL;
    enum err e =
        tx_query(tx, "select gatehouse_drop_span_day(($1::timestamptz at time zone 'UTC')::date)",
                 DB_PARAMS(DB_TIME(before)), &r);
    if (e == ERR_OK)
        *ret = db_bool(r, 0, 0);
    return e;
}

/* $1: the age; $2: how many rows at most */
static enum err drop(struct tx *tx, const char *sql, int64_t before, size_t *ret)
{
    DB_AUTO struct db_result *r = NULL;
    enum err e = tx_query(tx, sql, DB_PARAMS(DB_TIME(before), DB_INT(STORE_CHORE_ROWS)), &r);
    if (e == ERR_OK)
        *ret = db_affected(r);
    return e;
}

enum err store_sessions_drop(struct tx *tx, int64_t before, size_t *ret)
{
    return drop(tx,
                "delete from sessions where id in (select id from sessions"
                " where last_day <= ($1::timestamptz at time zone 'UTC')::date and last_at < $1"
                " and ended_at is not null limit $2)",
                before, ret);
}

enum err store_spend_drop(struct tx *tx, int64_t before, size_t *ret)
{
    return drop(tx,
                "delete from spend_hours where ctid = any (array (select ctid from spend_hours"
                " where hour < $1 limit $2))",
                before, ret);
}

enum err store_budget_periods_drop(struct tx *tx, int64_t before, size_t *ret)
{
    return drop(tx,
                "delete from budget_accounts where (account, period_start) in"
                " (select a.account, a.period_start from budget_accounts a"
                " where a.period_start < $1 and a.period_start > '1971-01-01'"
                " and not exists (select 1 from leases l where l.account = a.account"
                " and l.period_start = a.period_start) limit $2)",
                before, ret);
}

enum err store_changes_trim(struct tx *tx, int64_t before, size_t *ret)
{
    return drop(tx,
                "delete from change_log where (version, kind, id) in (select version, kind, id"
                " from change_log where version < (select max(version) from change_log)"
                " and version <= (select max(version) from change_log where at < $1)"
                " order by version, kind, id limit $2)",
                before, ret);
}

enum err store_cursors_forget(struct tx *tx, int64_t before, size_t *ret)
{
    return drop(tx,
                "delete from ingest_cursor where ctid = any (array (select c.ctid"
                " from ingest_cursor c where c.updated_at < $1"
                " and (exists (select 1 from ingest_cursor n where n.dataplane_id = c.dataplane_id"
                " and n.epoch <> c.epoch and n.updated_at > c.updated_at)"
                " or not exists (select 1 from dataplanes d where d.id = c.dataplane_id"
                " and d.deleted_at is null)) limit $2))",
                before, ret);
}

enum err store_replies_forget(struct tx *tx, int64_t before, size_t *ret)
{
    return drop(tx,
                "delete from idempotency where ctid = any (array (select ctid from idempotency"
                " where created_at < $1 limit $2))",
                before, ret);
}
