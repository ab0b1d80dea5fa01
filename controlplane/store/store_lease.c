/* store_lease — reading under locks, writing back what changed. */
#include "controlplane/store/store_lease.h"

#include <stdio.h>

#include "common/base/mem.h"

static const char *const state_names[] = {"open", "suspense", "closed"};

static enum lease_state state_parse(struct slice text)
{
    for (size_t i = 0; i < ARRAY_LEN(state_names); i++)
        if (slice_eq(text, slice_str(state_names[i])))
            return (enum lease_state)i;
    return LEASE_CLOSED;
}

void lease_client_fini(struct lease_client *d)
{
    for (size_t i = 0; i < d->lease_count; i++)
        mem_free(d->leases[i]);
    mem_free(d->accounts);
    mem_free(d->leases);
    map_free(d->accounts_by_key);
    map_free(d->leases_by_id);
    *d = (struct lease_client){0};
}

static struct slice account_key(char out[static ACCOUNT_MAX + 24], struct slice name,
                                int64_t period_start)
{
    struct slice cut = slice_first(name, ACCOUNT_MAX - 1);
    int n = snprintf(out, ACCOUNT_MAX + 24, "%.*s@%lld", SLICE_ARG(cut), (long long)period_start);
    return slice_of(out, (size_t)n);
}

struct account *lease_client_account(const struct lease_client *d, struct slice name,
                                     int64_t period_start)
{
    char key[ACCOUNT_MAX + 24];
    return d->accounts_by_key ? map_find(d->accounts_by_key, account_key(key, name, period_start))
                              : NULL;
}

struct lease *lease_client_lease(const struct lease_client *d, struct slice id)
{
    return d->leases_by_id ? map_find(d->leases_by_id, id) : NULL;
}

static bool room(struct lease_client *d)
{
    if (!d->leases_by_id && !(d->leases_by_id = map_new()))
        return false;
    if (d->lease_count < d->lease_cap)
        return true;
    size_t cap = d->lease_cap * 2 + 16;
    struct lease **grown = mem_realloc(d->leases, cap * sizeof(*grown));
    if (!grown)
        return false;
    d->leases = grown;
    d->lease_cap = cap;
    return true;
}

static struct lease *lease_add(struct lease_client *d, struct account *a, struct slice id)
{
    struct lease *l = room(d) ? mem_zalloc(sizeof(*l)) : NULL;
    if (!l)
        return NULL;
    l->account = a;
    snprintf(l->id, sizeof(l->id), "%.*s", SLICE_ARG(id));
    if (map_put(d->leases_by_id, slice_str(l->id), l, NULL) != ERR_OK) {
        mem_free(l);
        return NULL;
    }
    d->leases[d->lease_count++] = l;
    return l;
}

struct lease *lease_client_lease_new(struct lease_client *d, struct account *a, struct slice id)
{
    struct lease *l = lease_add(d, a, id);
    if (l)
        l->fresh = true;
    return l;
}

/* "key:<id>" -> its table and id; NULL: no such kind of account */
static const char *budget_table(struct slice account, struct slice *id)
{
    static const struct {
        struct slice prefix;
        const char *sql;
    } kinds[] = {
        {{"key:", 4},
         "select org_id, spec #>> '{budget,limit_usd}', spec #>> '{budget,period}'"
         " from keys where id = $1 and deleted_at is null"},
        {{"team:", 5},
         "select org_id, spec #>> '{budget,limit_usd}', spec #>> '{budget,period}'"
         " from teams where id = $1 and deleted_at is null"},
    };
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (!slice_starts(account, kinds[i].prefix))
            continue;
        *id = slice_from(account, kinds[i].prefix.len);
        return kinds[i].sql;
    }
    return NULL;
}

enum err store_budget(struct tx *tx, struct slice account, struct budget_row *ret)
{
    DB_AUTO struct db_result *r = NULL;
    struct slice id;
    const char *sql = budget_table(account, &id);
    if (!sql || account.len >= ACCOUNT_MAX)
        return ERR_NOT_FOUND;
    enum err e = tx_query(tx, sql, DB_PARAMS(DB_TEXT(id)), &r);
    if (e != ERR_OK)
        return e;
    if (db_rows(r) == 0 || db_is_null(r, 0, 1))
        return ERR_NOT_FOUND;
    db_copy(r, 0, 0, ret->org, sizeof(ret->org));
    db_copy(r, 0, 2, ret->period, sizeof(ret->period));
    return money_parse(db_text(r, 0, 1), &ret->limit);
}

enum err store_lease_account(struct tx *tx, struct slice lease_id, char account[static ACCOUNT_MAX],
                             int64_t *ret_period_start)
{
    DB_AUTO struct db_result *r = NULL;
    enum err e = tx_query(tx, "select account, period_start from leases where id = $1",
                          DB_PARAMS(DB_TEXT(lease_id)), &r);
    if (e != ERR_OK)
        return e;
    if (db_rows(r) == 0)
        return ERR_NOT_FOUND;
    db_copy(r, 0, 0, account, ACCOUNT_MAX);
    *ret_period_start = db_time(r, 0, 1);
    return ERR_OK;
}

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

static enum err account_from_row(const struct db_result *r, size_t i, struct lease_client *d)
{
    struct account *a = &d->accounts[d->account_count++];
    db_copy(r, i, 0, a->name, sizeof(a->name));
    db_copy(r, i, 2, a->org, sizeof(a->org));
    a->period_start = db_time(r, i, 1);
    a->limit = db_int(r, i, 3);
    a->spent = db_int(r, i, 4);
    a->leased = db_int(r, i, 5);
    a->suspense = db_int(r, i, 6);
    return map_put(d->accounts_by_key, account_key(a->key, slice_str(a->name), a->period_start), a,
                   NULL);
}

enum err store_accounts_lock(struct tx *tx, struct array *names, struct array *starts,
                             struct lease_client *d)
{
    DB_AUTO struct db_result *r = NULL;
    const struct db_param params[] = {array_param(names), array_param(starts)};
    enum err e = tx_query(tx,
                          "select account, period_start, org_id, limit_nano, spent_nano,"
                          " leased_nano, suspense_nano from budget_accounts"
                          " where (account, period_start) in"
                          " (select * from unnest($1::text[], $2::timestamptz[]))"
                          " order by account, period_start for update",
                          params, ARRAY_LEN(params), &r);
    if (e != ERR_OK)
        return e;
    MUST(d->accounts == NULL);
    if (db_rows(r) == 0)
        return ERR_OK;
    d->accounts = mem_array(db_rows(r), sizeof(*d->accounts));
    d->accounts_by_key = map_new();
    if (!d->accounts || !d->accounts_by_key)
        return ERR_NOMEM;
    for (size_t i = 0; i < db_rows(r) && e == ERR_OK; i++)
        e = account_from_row(r, i, d);
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

static void lease_from_row(const struct db_result *r, size_t i, struct lease *l)
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

enum err store_leases_read(struct tx *tx, struct array *ids, struct lease_client *d)
{
    DB_AUTO struct db_result *r = NULL;
    enum err e = tx_query(tx,
                          "select id, account, period_start, dataplane_id, epoch, state,"
                          " granted_nano, settled_nano, final_nano, written_off_nano, expires_at,"
                          " asked_number, asked_granted_nano"
                          " from leases where id = any($1::text[]) order by id",
                          DB_PARAMS(array_param(ids)), &r);
    if (e != ERR_OK)
        return e;
    for (size_t i = 0; i < db_rows(r); i++) {
        struct account *a = lease_client_account(d, db_text(r, i, 1), db_time(r, i, 2));
        if (!a || lease_client_lease(d, db_text(r, i, 0)))
            continue;
        struct lease *l = lease_add(d, a, db_text(r, i, 0));
        if (!l)
            return ERR_NOMEM;
        lease_from_row(r, i, l);
    }
    return ERR_OK;
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

enum err store_leases_expired(struct tx *tx, struct slice name, int64_t period_start, int64_t now,
                              unsigned max, struct array *ids)
{
    const struct db_param params[] = {DB_TEXT(name), DB_TIME(period_start), DB_TIME(now),
                                      DB_INT(max)};
    return ids_of(tx,
                  "select id from leases where state = 'open' and expires_at <= $3"
                  " and ($1::text is null or (account = $1 and period_start = $2))"
                  " order by expires_at limit $4",
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

static enum err save_account(struct tx *tx, const struct account *a)
{
    const struct db_param params[] = {
        DB_TEXT(slice_str(a->name)), DB_TIME(a->period_start), DB_INT(a->limit), DB_INT(a->spent),
        DB_INT(a->leased),           DB_INT(a->suspense)};
    return tx_query(tx,
                    "update budget_accounts set limit_nano = $3, spent_nano = $4,"
                    " leased_nano = $5, suspense_nano = $6"
                    " where account = $1 and period_start = $2",
                    params, ARRAY_LEN(params), NULL);
}

static enum err save_lease(struct tx *tx, const struct lease *l)
{
    const struct db_param params[] = {DB_TEXT(slice_str(l->id)),
                                      DB_TEXT(slice_str(l->account->org)),
                                      DB_TEXT(slice_str(l->account->name)),
                                      DB_TIME(l->account->period_start),
                                      DB_TEXT(slice_str(l->dataplane)),
                                      DB_INT((int64_t)l->epoch),
                                      DB_TEXT(slice_str(state_names[l->state])),
                                      DB_INT(l->granted),
                                      DB_INT(l->settled),
                                      l->ending ? DB_INT(l->final) : DB_NULL,
                                      DB_INT(l->written_off),
                                      DB_TIME(l->expires_at),
                                      DB_INT((int64_t)l->asked_number),
                                      DB_INT(l->asked_granted)};
    return tx_query(tx,
                    "insert into leases (id, org_id, account, period_start, dataplane_id, epoch,"
                    " state, granted_nano, settled_nano, final_nano, written_off_nano, expires_at,"
                    " asked_number, asked_granted_nano)"
                    " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)"
                    " on conflict (id) do update set state = excluded.state,"
                    " granted_nano = excluded.granted_nano, settled_nano = excluded.settled_nano,"
                    " final_nano = excluded.final_nano, expires_at = excluded.expires_at,"
                    " written_off_nano = excluded.written_off_nano,"
                    " asked_number = excluded.asked_number,"
                    " asked_granted_nano = excluded.asked_granted_nano, updated_at = now()",
                    params, ARRAY_LEN(params), NULL);
}

enum err store_lease_save(struct tx *tx, struct lease_client *d)
{
    enum err e = ERR_OK;
    for (size_t i = 0; e == ERR_OK && i < d->account_count; i++)
        if (d->accounts[i].dirty)
            e = save_account(tx, &d->accounts[i]);
    for (size_t i = 0; e == ERR_OK && i < d->lease_count; i++)
        if (d->leases[i]->dirty || d->leases[i]->fresh)
            e = save_lease(tx, d->leases[i]);
    return e;
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
