/* store_lease — reading under locks, writing back what changed. */
#include "controlplane/store/store_lease.h"

#include "common/base/mem.h"

static const char *const state_names[] = {"open", "suspense", "closed"};

static enum ledger_state state_parse(struct slice text)
{
    for (size_t i = 0; i < ARRAY_LEN(state_names); i++)
        if (slice_eq(text, slice_str(state_names[i])))
            return (enum ledger_state)i;
    return LEDGER_CLOSED;
}

/* ---- budgets ---- */

/* An account's name is its kind, a colon, and the id of the object that has the budget. A kind of
 * scope that gets budgets is one row more. */
#define BUDGETS_IN(table, kind)                                                                    \
    "select a.name, o.org_id, o.spec #>> '{budget,limit_usd}', o.spec #>> '{budget,period}',"      \
    " o.spec #>> '{budget,on_disconnect}' from unnest($1::text[]) a (name) join " table            \
    " o on o.id = substr(a.name, length('" kind ":') + 1) where starts_with(a.name, '" kind        \
    ":') and o.deleted_at is null and o.spec #>> '{budget,limit_usd}' is not null"                 \
    " and ($2::text is null or o.org_id = $2)"
#define BUDGETS                                                                                    \
    BUDGETS_IN("keys", "key")                                                                      \
    " union all " BUDGETS_IN("teams", "team") " union all " BUDGETS_IN("agents", "agent")

static enum err budget_from_row(const struct db_result *r, size_t i, struct ledger_budget *b)
{
    db_copy(r, i, 0, b->account, sizeof(b->account));
    db_copy(r, i, 1, b->org, sizeof(b->org));
    b->reserve = !slice_eq(db_text(r, i, 4), SLICE("stop"));
    enum err e = money_parse(db_text(r, i, 2), &b->limit);
    return e == ERR_OK ? period_parse(db_text(r, i, 3), &b->period) : e;
}

enum err store_budgets_now(struct tx *tx, struct slice org, struct array *accounts,
                           struct ledger_budget **ret, size_t *count)
{
    DB_AUTO struct db_result *r = NULL;
    *ret = NULL;
    *count = 0;
    enum err e = tx_query(tx, BUDGETS,
                          DB_PARAMS(array_param(accounts), org.ptr ? DB_TEXT(org) : DB_NULL), &r);
    if (e != ERR_OK)
        return e;
    struct ledger_budget *list = mem_array(db_rows(r) + 1, sizeof(*list));
    if (!list)
        return ERR_NOMEM;
    for (size_t i = 0; i < db_rows(r) && e == ERR_OK; i++)
        e = budget_from_row(r, i, &list[i]);
    if (e != ERR_OK) {
        mem_free(list);
        return e;
    }
    *ret = list;
    *count = db_rows(r);
    return ERR_OK;
}

/* ---- reading ---- */

enum err store_leases_known(struct tx *tx, struct slice dataplane, struct array *ids,
                            struct array *accounts, bool *known, size_t count)
{
    DB_AUTO struct db_result *r = NULL;
    const struct db_param params[] = {DB_TEXT(dataplane), array_param(ids), array_param(accounts)};
    enum err e = tx_query(tx,
                          "select c.n from unnest($2::text[], $3::text[]) with ordinality"
                          " c (id, account, n) join leases l on l.id = c.id"
                          " and l.account = c.account and l.dataplane_id = $1",
                          params, ARRAY_LEN(params), &r);
    for (size_t i = 0; e == ERR_OK && i < db_rows(r); i++)
        if (db_int(r, i, 0) >= 1 && (uint64_t)db_int(r, i, 0) <= count)
            known[db_int(r, i, 0) - 1] = true;
    return e;
}

enum err store_accounts_make(struct tx *tx, struct array *names, struct array *starts,
                             struct array *orgs, struct array *limits)
{
    const struct db_param params[] = {array_param(names), array_param(starts), array_param(orgs),
                                      array_param(limits)};
    return tx_query(tx,
                    "insert into budget_accounts (account, period_start, org_id, limit_nano)"
                    " select * from unnest($1::text[], $2::timestamptz[], $3::text[], $4::bigint[])"
                    " order by 1, 2 on conflict (account, period_start) do nothing",
                    params, ARRAY_LEN(params), NULL);
}

static enum err account_from_row(const struct db_result *r, size_t i, struct ledger_sheet *s)
{
    struct ledger_account *a = ledger_sheet_add_account(s, db_text(r, i, 0), db_time(r, i, 1));
    if (!a)
        return ERR_NOMEM;
    db_copy(r, i, 2, a->org, sizeof(a->org));
    a->limit = db_int(r, i, 3);
    a->spent = db_int(r, i, 4);
    a->leased = db_int(r, i, 5);
    a->suspense = db_int(r, i, 6);
    return ERR_OK;
}

enum err store_accounts_lock(struct tx *tx, struct array *names, struct array *starts,
                             struct ledger_sheet *s)
{
    DB_AUTO struct db_result *r = NULL;
    const struct db_param params[] = {array_param(names), array_param(starts)};
    MUST(s->account_count == 0);
    enum err e = tx_query(tx,
                          "select account, period_start, org_id, limit_nano, spent_nano,"
                          " leased_nano, suspense_nano from budget_accounts"
                          " where (account, period_start) in"
                          " (select * from unnest($1::text[], $2::timestamptz[]))"
                          " order by account, period_start for update",
                          params, ARRAY_LEN(params), &r);
    for (size_t i = 0; e == ERR_OK && i < db_rows(r); i++)
        e = account_from_row(r, i, s);
    return e;
}

enum err store_accounts_of_leases(struct tx *tx, struct array *ids, struct array *names,
                                  struct array *starts)
{
    DB_AUTO struct db_result *r = NULL;
    enum err e = tx_query(tx,
                          "select distinct account, period_start from leases"
                          " where id = any($1::text[])",
                          DB_PARAMS(array_param(ids)), &r);
    for (size_t i = 0; e == ERR_OK && i < db_rows(r); i++) {
        array_text(names, db_text(r, i, 0));
        array_time(starts, db_time(r, i, 1));
    }
    return e;
}

static void lease_from_row(const struct db_result *r, size_t i, struct ledger_lease *l)
{
    db_copy(r, i, 3, l->dataplane, sizeof(l->dataplane));
    l->epoch = (uint64_t)db_int(r, i, 4);
    l->state = state_parse(db_text(r, i, 5));
    l->granted = db_int(r, i, 6);
    l->settled = db_int(r, i, 7);
    l->ending = !db_is_null(r, i, 8);
    l->final = db_int(r, i, 8);
    l->written_off = db_int(r, i, 9);
    l->expires_at = db_time(r, i, 10);
    l->asked_number = (uint64_t)db_int(r, i, 11);
    l->asked_granted = db_int(r, i, 12);
}

static enum err leases_from_rows(const struct db_result *r, struct ledger_sheet *s)
{
    for (size_t i = 0; i < db_rows(r); i++) {
        struct ledger_account *a = ledger_sheet_account(s, db_text(r, i, 1), db_time(r, i, 2));
        if (!a || ledger_sheet_lease(s, db_text(r, i, 0)))
            continue;
        struct ledger_lease *l = ledger_sheet_add_lease(s, a, db_text(r, i, 0), true);
        if (!l)
            return ERR_NOMEM;
        lease_from_row(r, i, l);
    }
    return ERR_OK;
}

#define LEASES                                                                                     \
    "select id, account, period_start, dataplane_id, epoch, state, granted_nano, settled_nano,"    \
    " final_nano, written_off_nano, expires_at, asked_number, asked_granted_nano from leases"

enum err store_leases_read(struct tx *tx, struct array *ids, struct ledger_sheet *s)
{
    DB_AUTO struct db_result *r = NULL;
    enum err e = tx_query(tx, LEASES " where id = any($1::text[]) order by id",
                          DB_PARAMS(array_param(ids)), &r);
    return e == ERR_OK ? leases_from_rows(r, s) : e;
}

enum err store_leases_open(struct tx *tx, struct array *ids, struct array *names,
                           struct array *starts, struct ledger_sheet *s)
{
    DB_AUTO struct db_result *r = NULL;
    enum err e =
        tx_query(tx,
                 LEASES " where id = any($1::text[]) union " LEASES
                        " where (account, period_start) in (select * from unnest($2::text[],"
                        " $3::timestamptz[])) and state = 'open' order by id",
                 DB_PARAMS(array_param(ids), array_param(names), array_param(starts)), &r);
    return e == ERR_OK ? leases_from_rows(r, s) : e;
}

static enum err ids_of(struct tx *tx, const char *sql, const struct db_param *params, size_t n,
                       struct array *ids)
{
    DB_AUTO struct db_result *r = NULL;
    enum err e = tx_query(tx, sql, params, n, &r);
    for (size_t i = 0; e == ERR_OK && i < db_rows(r); i++)
        array_text(ids, db_text(r, i, 0));
    return e;
}

enum err store_leases_expired(struct tx *tx, int64_t now, unsigned max, struct array *ids)
{
    const struct db_param params[] = {DB_TIME(now), DB_INT(max)};
    return ids_of(tx,
                  "select id from leases where state = 'open' and expires_at <= $1"
                  " order by expires_at limit $2",
                  params, ARRAY_LEN(params), ids);
}

enum err store_leases_of_epoch(struct tx *tx, struct slice dataplane, uint64_t epoch, unsigned max,
                               struct array *ids)
{
    const struct db_param params[] = {DB_TEXT(dataplane), DB_INT((int64_t)epoch), DB_INT(max)};
    return ids_of(tx,
                  "select id from leases where dataplane_id = $1 and epoch = $2"
                  " and state <> 'closed' limit $3",
                  params, ARRAY_LEN(params), ids);
}

enum err store_leases_suspended(struct tx *tx, struct slice dataplane, unsigned max,
                                struct array *ids)
{
    const struct db_param params[] = {DB_TEXT(dataplane), DB_INT(max)};
    return ids_of(tx,
                  "select id from leases where dataplane_id = $1 and state = 'suspense' limit $2",
                  params, ARRAY_LEN(params), ids);
}

/* ---- writing ---- */

static enum err save_accounts(struct tx *tx, const struct ledger_sheet *s)
{
    ARRAY_AUTO struct array names, starts, limits, spent, leased, suspense;
    struct array *const all[] = {&names, &starts, &limits, &spent, &leased, &suspense};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        array_init(all[i]);
    for (size_t i = 0; i < s->account_count; i++) {
        const struct ledger_account *a = s->accounts[i];
        if (!a->dirty)
            continue;
        array_text(&names, slice_str(a->name));
        array_time(&starts, a->period_start);
        array_int(&limits, a->limit);
        array_int(&spent, a->spent);
        array_int(&leased, a->leased);
        array_int(&suspense, a->suspense);
    }
    if (names.count == 0)
        return ERR_OK;
    const struct db_param params[] = {array_param(&names),  array_param(&starts),
                                      array_param(&limits), array_param(&spent),
                                      array_param(&leased), array_param(&suspense)};
    return tx_query(tx,
                    "update budget_accounts b set limit_nano = v.l, spent_nano = v.s,"
                    " leased_nano = v.h, suspense_nano = v.u from unnest($1::text[],"
                    " $2::timestamptz[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])"
                    " v (account, period_start, l, s, h, u)"
                    " where b.account = v.account and b.period_start = v.period_start",
                    params, ARRAY_LEN(params), NULL);
}

/* The columns of a lease's row, in the statement's order. */
enum {
    L_ID,
    L_ORG,
    L_ACCOUNT,
    L_START,
    L_PLANE,
    L_EPOCH,
    L_STATE,
    L_GRANTED,
    L_SETTLED,
    L_FINAL,
    L_OFF,
    L_EXPIRES,
    L_NUMBER,
    L_ADDED,
    L_COLUMNS
};

static void add_lease(struct array *to, const struct ledger_lease *l)
{
    array_text(&to[L_ID], slice_str(l->id));
    array_text(&to[L_ORG], slice_str(l->account->org));
    array_text(&to[L_ACCOUNT], slice_str(l->account->name));
    array_time(&to[L_START], l->account->period_start);
    array_text(&to[L_PLANE], slice_str(l->dataplane));
    array_int(&to[L_EPOCH], (int64_t)l->epoch);
    array_text(&to[L_STATE], slice_str(state_names[l->state]));
    array_int(&to[L_GRANTED], l->granted);
    array_int(&to[L_SETTLED], l->settled);
    if (l->ending)
        array_int(&to[L_FINAL], l->final);
    else
        array_null(&to[L_FINAL]);
    array_int(&to[L_OFF], l->written_off);
    array_time(&to[L_EXPIRES], l->expires_at);
    array_int(&to[L_NUMBER], (int64_t)l->asked_number);
    array_int(&to[L_ADDED], l->asked_granted);
}

static enum err put_leases(struct tx *tx, struct array *columns)
{
    struct db_param params[L_COLUMNS];
    for (size_t i = 0; i < L_COLUMNS; i++)
        params[i] = array_param(&columns[i]);
    return tx_query(tx,
                    "insert into leases (id, org_id, account, period_start, dataplane_id, epoch,"
                    " state, granted_nano, settled_nano, final_nano, written_off_nano, expires_at,"
                    " asked_number, asked_granted_nano)"
                    " select * from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[],"
                    " $5::text[], $6::bigint[], $7::text[], $8::bigint[], $9::bigint[],"
                    " $10::bigint[], $11::bigint[], $12::timestamptz[], $13::bigint[],"
                    " $14::bigint[])"
                    " on conflict (id) do update set state = excluded.state,"
                    " granted_nano = excluded.granted_nano, settled_nano = excluded.settled_nano,"
                    " final_nano = excluded.final_nano, expires_at = excluded.expires_at,"
                    " written_off_nano = excluded.written_off_nano,"
                    " asked_number = excluded.asked_number,"
                    " asked_granted_nano = excluded.asked_granted_nano, updated_at = now()",
                    params, L_COLUMNS, NULL);
}

static enum err save_leases(struct tx *tx, const struct ledger_sheet *s)
{
    struct array columns[L_COLUMNS];
    enum err e = ERR_OK;
    for (size_t i = 0; i < L_COLUMNS; i++)
        array_init(&columns[i]);
    for (size_t i = 0; i < s->lease_count; i++)
        if (s->leases[i]->dirty || s->leases[i]->fresh)
            add_lease(columns, s->leases[i]);
    if (columns[L_ID].count > 0)
        e = put_leases(tx, columns);
    for (size_t i = 0; i < L_COLUMNS; i++)
        array_fini(&columns[i]);
    return e;
}

enum err store_ledger_save(struct tx *tx, const struct ledger_sheet *s)
{
    enum err e = save_accounts(tx, s);
    return e == ERR_OK ? save_leases(tx, s) : e;
}

enum err store_leases_forget(struct tx *tx, int64_t before, size_t *ret)
{
    DB_AUTO struct db_result *r = NULL;
    enum err e = tx_query(tx, "delete from leases where state = 'closed' and updated_at < $1",
                          DB_PARAMS(DB_TIME(before)), &r);
    if (e == ERR_OK)
        *ret = db_affected(r);
    return e;
}
