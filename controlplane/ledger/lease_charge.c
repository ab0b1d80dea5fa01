/* lease_charge — charges the cost of calls to the leases in which they were reserved. */
#include "common/base/log.h"
#include "common/base/mem.h"
#include "controlplane/ledger/lease_rows.h"
#include "controlplane/store/clean.h"

static const struct log_ctx charge_log = {.component = "lease_server"};

/* The charges of one batch. */
struct charging {
    struct tx *tx;
    const struct ledger_asker *asker;
    const struct lease_charge *charges;
    size_t count;
    bool *known;      /* it names a lease of this plane and account */
    bool *foreign;    /* the account is another organisation's */
    int64_t *periods; /* else: the account's period in which it counts */
};

static bool is_bare(const struct charging *k, size_t i)
{
    const struct slice account = k->charges[i].account;
    return !k->known[i] && !k->foreign[i] && account.len > 0 && account.len < LEDGER_ACCOUNT_MAX;
}

static const struct ledger_budget *find_budget(const struct ledger_budget *list, size_t count,
                                               struct slice account)
{
    for (size_t i = 0; i < count; i++)
        if (slice_eq(slice_str(list[i].account), account))
            return &list[i];
    return NULL;
}

/* An account is another organisation's where its budget is; what a plane says of such a one is not
 * booked. Budgets of any organisation are looked at only where the plane's own has none. */
static enum err forget_foreign(struct charging *k, const struct ledger_budget *own,
                               size_t own_count)
{
    ARRAY_AUTO struct array accounts = {0};
    struct ledger_budget *any = NULL;
    size_t any_count = 0;
    array_init(&accounts);
    for (size_t i = 0; i < k->count; i++)
        if (is_bare(k, i) && !find_budget(own, own_count, k->charges[i].account))
            array_text(&accounts, k->charges[i].account);
    if (accounts.count == 0)
        return ERR_OK;
    enum err e = store_budgets_now(k->tx, SLICE_NONE, &accounts, &any, &any_count);
    for (size_t i = 0; i < k->count && e == ERR_OK; i++) {
        const struct ledger_budget *b = find_budget(any, any_count, k->charges[i].account);
        k->foreign[i] = is_bare(k, i) && b && !slice_eq(slice_str(b->org), k->asker->org);
    }
    mem_free(any);
    return e;
}

/* A charge without a known lease counts for its account in the period in which the call began.
 * Where the budget was deleted, it counts in the period "in all", because the money was spent. */
static void add_bare(struct charging *k, size_t i, const struct ledger_budget *budget,
                     struct lease_rows *make)
{
    struct ledger_budget gone = {.period = PERIOD_TOTAL};
    if (!budget) {
        struct slice org = slice_first(k->asker->org, sizeof(gone.org) - 1);
        memcpy(gone.org, org.ptr, org.len);
        budget = &gone;
    }
    k->periods[i] = period_start(budget->period, clean_time(k->charges[i].at));
    lease_rows_add(make, k->charges[i].account, k->periods[i], budget);
}

static enum err make_bare(struct charging *k, struct lease_rows *make)
{
    ARRAY_AUTO struct array accounts = {0};
    struct ledger_budget *budgets = NULL;
    size_t budget_count = 0;
    array_init(&accounts);
    for (size_t i = 0; i < k->count; i++)
        if (is_bare(k, i))
            array_text(&accounts, k->charges[i].account);
    if (accounts.count == 0)
        return ERR_OK;
    enum err e = store_budgets_now(k->tx, k->asker->org, &accounts, &budgets, &budget_count);
    if (e == ERR_OK)
        e = forget_foreign(k, budgets, budget_count);
    for (size_t i = 0; i < k->count && e == ERR_OK; i++)
        if (is_bare(k, i))
            add_bare(k, i, find_budget(budgets, budget_count, k->charges[i].account), make);
    mem_free(budgets);
    return e == ERR_OK
               ? store_accounts_make(k->tx, &make->names, &make->starts, &make->orgs, &make->limits)
               : e;
}

static enum err lock_rows(struct charging *k, struct array *ids, struct ledger_sheet *sheet)
{
    ROWS_AUTO struct lease_rows make, lock;
    lease_rows_init(&make);
    lease_rows_init(&lock);
    enum err e = make_bare(k, &make);
    for (size_t i = 0; i < k->count && e == ERR_OK; i++) {
        if (!is_bare(k, i))
            continue;
        array_text(&lock.names, k->charges[i].account);
        array_time(&lock.starts, k->periods[i]);
    }
    if (e == ERR_OK)
        e = store_accounts_of_leases(k->tx, ids, &lock.names, &lock.starts);
    if (e == ERR_OK)
        e = store_accounts_lock(k->tx, &lock.names, &lock.starts, sheet);
    return e == ERR_OK ? store_leases_read(k->tx, ids, sheet) : e;
}

static void apply(const struct charging *k, const struct ledger_sheet *sheet)
{
    for (size_t i = 0; i < k->count; i++) {
        const struct lease_charge *c = &k->charges[i];
        struct ledger_lease *l = k->known[i] ? ledger_sheet_lease(sheet, c->lease_id) : NULL;
        struct ledger_account *a =
            l ? l->account : ledger_sheet_account(sheet, c->account, k->periods[i]);
        if (a && !slice_eq(slice_str(a->org), k->asker->org)) /* its budget may be deleted */
            a = NULL, l = NULL;
        if (l)
            ledger_charge(l, c->amount);
        else if (a)
            ledger_charge_bare(a, c->amount);
        else
            log_error(&charge_log, "charge_unbooked", "account=%.*s nano=%lld",
                      SLICE_ARG(slice_first(c->account, LEDGER_ACCOUNT_MAX)), (long long)c->amount);
    }
}

static enum err charge_all(struct charging *k)
{
    ARRAY_AUTO struct array ids, pair_ids, pair_accounts;
    SHEET_AUTO struct ledger_sheet sheet = {0};

    array_init(&ids);
    array_init(&pair_ids);
    array_init(&pair_accounts);
    for (size_t i = 0; i < k->count; i++) {
        array_text(&pair_ids, k->charges[i].lease_id);
        array_text(&pair_accounts, k->charges[i].account);
    }
    enum err e = store_leases_known(k->tx, k->asker->dataplane, &pair_ids, &pair_accounts, k->known,
                                    k->count);
    for (size_t i = 0; i < k->count && e == ERR_OK; i++)
        if (k->known[i])
            array_text(&ids, k->charges[i].lease_id);
    if (e == ERR_OK)
        e = lock_rows(k, &ids, &sheet);
    if (e != ERR_OK)
        return e;
    apply(k, &sheet);
    return store_ledger_save(k->tx, &sheet);
}

enum err lease_server_charge(struct tx *tx, const struct ledger_asker *asker,
                             const struct lease_charge *charges, size_t count)
{
    if (count == 0)
        return ERR_OK;
    struct charging k = {.tx = tx,
                         .asker = asker,
                         .charges = charges,
                         .count = count,
                         .known = mem_array(count, sizeof(*k.known)),
                         .foreign = mem_array(count, sizeof(*k.foreign)),
                         .periods = mem_array(count, sizeof(*k.periods))};
    enum err e = k.known && k.foreign && k.periods ? charge_all(&k) : ERR_NOMEM;
    mem_free(k.known);
    mem_free(k.foreign);
    mem_free(k.periods);
    return e;
}
