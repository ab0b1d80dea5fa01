/* lease_server — a transaction around the ledger's decisions. */
#include "controlplane/ledger/lease_server.h"

#include <stdatomic.h>
#include <stdio.h>

#include "common/base/limits.h"
#include "common/base/mem.h"
#include "controlplane/ledger/lease_rows.h"

#define HOLDERS_MAX 64 /* planes that get a recall for one account */

static atomic_uint reserve_s = LEASE_RESERVE_S;

void lease_server_reserve_for(uint32_t seconds)
{
    atomic_store(&reserve_s, seconds);
}

/* One item of the request, and its outcome. */
struct lease_grant {
    Gatehouse__LeaseGrant message;
    struct ledger_ask ask;
    const struct ledger_budget *budget; /* NULL: the plane's org has none */
    struct ledger_reply reply;
};

/* What one request works with. */
struct ask_batch {
    struct tx *tx;
    const struct ledger_asker *asker;
    int64_t now;
    struct lease_grant *g;
    size_t count;
    struct ledger_budget *budgets;
    size_t budget_count;
    struct ledger_sheet sheet;
};

static enum err look_up_budgets(struct ask_batch *k)
{
    ARRAY_AUTO struct array accounts = {0};
    array_init(&accounts);
    for (size_t i = 0; i < k->count; i++)
        array_text(&accounts, k->g[i].ask.account);
    enum err e = store_budgets_now(k->tx, k->asker->org, &accounts, &k->budgets, &k->budget_count);
    if (e != ERR_OK)
        return e;
    struct map *by_account = map_new();
    if (!by_account)
        return ERR_NOMEM;
    for (size_t i = 0; i < k->budget_count && e == ERR_OK; i++)
        e = map_put(by_account, slice_str(k->budgets[i].account), &k->budgets[i], NULL);
    for (size_t i = 0; i < k->count; i++)
        k->g[i].budget = map_find(by_account, k->g[i].ask.account);
    map_free(by_account);
    return e;
}

/* Accounts are made and locked; then the leases that this request renews, those that it may have
 * made before, and all open ones beside them are read. */
static enum err read_rows(struct ask_batch *k)
{
    ROWS_AUTO struct lease_rows accounts = {0};
    ARRAY_AUTO struct array ids = {0};
    lease_rows_init(&accounts);
    array_init(&ids);
    for (size_t i = 0; i < k->count; i++) {
        const struct lease_grant *g = &k->g[i];
        char id[ID_MAX];
        if (!g->budget)
            continue;
        int64_t start = period_start(g->budget->period, k->now);
        lease_rows_add(&accounts, g->ask.account, start, g->budget);
        ledger_lease_id(k->asker, &g->ask, start, id);
        array_text(&ids, slice_str(id));
        if (g->ask.renew.len > 0)
            array_text(&ids, g->ask.renew);
    }
    if (accounts.names.count == 0)
        return ERR_OK;
    enum err e = store_accounts_make(k->tx, &accounts.names, &accounts.starts, &accounts.orgs,
                                     &accounts.limits);
    if (e == ERR_OK)
        e = store_accounts_lock(k->tx, &accounts.names, &accounts.starts, &k->sheet);
    return e == ERR_OK
               ? store_leases_open(k->tx, &ids, &accounts.names, &accounts.starts, &k->sheet)
               : e;
}

static enum err decide_all(struct ask_batch *k)
{
    int64_t reserve_us = (int64_t)atomic_load(&reserve_s) * 1000000;
    enum err e = ERR_OK;
    for (size_t i = 0; i < k->count && e == ERR_OK; i++) {
        struct lease_grant *g = &k->g[i];
        if (g->budget)
            e = ledger_decide(&k->sheet, k->asker, &g->ask, g->budget, k->now, reserve_us,
                              &g->reply);
        ledger_reply_write(g->budget ? &g->reply : NULL, &g->ask, &g->message);
    }
    return e == ERR_NOT_FOUND ? ERR_DATABASE : e; /* its account was made and locked just now */
}

/* ---- recalls ---- */

static enum err note_recalls(const struct ask_batch *k, struct lease_reply *ret)
{
    ret->recalls = mem_array(k->sheet.lease_count + 1, sizeof(*ret->recalls));
    if (!ret->recalls)
        return ERR_NOMEM;
    for (size_t i = 0; i < k->count; i++) {
        const struct lease_grant *g = &k->g[i];
        if (!g->budget || g->reply.short_of == 0)
            continue;
        const struct ledger_account *a = ledger_sheet_account(
            &k->sheet, g->ask.account, period_start(g->budget->period, k->now));
        const char *planes[HOLDERS_MAX];
        size_t n = ledger_holders(a, k->asker, planes, HOLDERS_MAX);
        for (size_t h = 0; h < n && ret->recall_count < k->sheet.lease_count; h++) {
            struct lease_recall *to = &ret->recalls[ret->recall_count++];
            snprintf(to->dataplane, sizeof(to->dataplane), "%s", planes[h]);
            snprintf(to->account, sizeof(to->account), "%s", a->name);
            to->short_of = g->reply.short_of;
        }
    }
    return ERR_OK;
}

/* ---- the request ---- */

static enum err ask_all(struct ask_batch *k, struct lease_reply *ret)
{
    enum err e = look_up_budgets(k);
    if (e == ERR_OK)
        e = read_rows(k);
    if (e == ERR_OK)
        e = decide_all(k);
    if (e == ERR_OK)
        e = store_ledger_save(k->tx, &k->sheet);
    return e == ERR_OK ? note_recalls(k, ret) : e;
}

static enum err in_transaction(struct db *db, struct ask_batch *k, struct lease_reply *ret)
{
    TX_AUTO struct tx tx = {0};
    enum err e = tx_begin(db, TX_EVERY_ORG, &tx);
    k->tx = &tx;
    if (e == ERR_OK)
        e = ask_all(k, ret);
    return e == ERR_OK ? tx_commit(&tx) : e;
}

static enum err fill_asks(struct ask_batch *k, const Gatehouse__LeaseRequest *q,
                          struct lease_reply *ret)
{
    ret->rows = k->g = mem_array(q->n_asks + 1, sizeof(*k->g));
    ret->reply.grants = mem_array(q->n_asks + 1, sizeof(Gatehouse__LeaseGrant *));
    if (!k->g || !ret->reply.grants)
        return ERR_NOMEM;
    for (size_t i = 0; i < q->n_asks; i++) {
        k->g[i] = (struct lease_grant){.ask = ledger_ask_read(q->asks[i], i)};
        gatehouse__lease_grant__init(&k->g[i].message);
        k->g[i].message.account = q->asks[i]->account;
        ret->reply.grants[i] = &k->g[i].message;
    }
    ret->reply.n_grants = k->count = q->n_asks;
    return ERR_OK;
}

enum err lease_server_ask(struct db *db, const struct ledger_asker *asker,
                          const Gatehouse__LeaseRequest *q, int64_t now, struct lease_reply *ret)
{
    *ret = (struct lease_reply){.reply = GATEHOUSE__LEASE_REPLY__INIT};
    if (!lease_asker_is_fit(asker) || q->n_asks > LIMIT_LEASE_ASKS)
        return ERR_INVALID;
    for (size_t i = 0; i < q->n_asks; i++)
        if (!q->asks[i]->account || strlen(q->asks[i]->account) >= LEDGER_ACCOUNT_MAX)
            return ERR_INVALID;
    struct ask_batch k = {.asker = asker, .now = now};
    enum err e = fill_asks(&k, q, ret);
    if (e == ERR_OK)
        e = in_transaction(db, &k, ret);
    ledger_sheet_fini(&k.sheet);
    mem_free(k.budgets);
    for (size_t i = 0; i < k.count; i++)
        k.g[i].budget = NULL;
    if (e != ERR_OK)
        lease_server_reply_free(ret);
    return e;
}

void lease_server_reply_free(struct lease_reply *r)
{
    mem_free(r->reply.grants);
    mem_free(r->rows);
    mem_free(r->recalls);
    *r = (struct lease_reply){0};
}
