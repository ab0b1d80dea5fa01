/* lease_charge — what calls cost, taken from the lease it was set aside in. */
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/period.h"
#include "controlplane/ledger/lease_server_private.h"
#include "controlplane/ledger/ledger.h"
#include "controlplane/store/clean.h"

static const struct log_ctx charge_log = {.component = "lease_server"};

/* Where a charge without a lease of ours belongs: the account in the period the call began. */
static enum err bare_period(struct tx *tx, const struct lease_charge *c, struct slice org,
                            struct budget_row *budget, int64_t *ret)
{
    enum period period = PERIOD_TOTAL;
    enum err e = store_budget(tx, c->account, budget);
    if (e == ERR_OK)
        e = period_parse(slice_str(budget->period), &period);
    if (e == ERR_NOT_FOUND) { /* the budget is gone; what was spent is not */
        *budget = (struct budget_row){0};
        struct slice cut = slice_first(org, sizeof(budget->org) - 1);
        memcpy(budget->org, cut.ptr, cut.len);
        e = ERR_OK;
    }
    *ret = period_start(period, clean_time(c->at));
    return e;
}

/* Adds the accounts of charges that no lease of ours stands behind. */
static enum err add_bare(struct tx *tx, const struct lease_charge *charges, const bool *known,
                         int64_t *periods, size_t count, struct slice org, struct lease_pairs *make)
{
    enum err e = ERR_OK;
    for (size_t i = 0; i < count && e == ERR_OK; i++) {
        struct budget_row budget;
        if (known[i] || charges[i].account.len == 0 || charges[i].account.len >= ACCOUNT_MAX)
            continue;
        e = bare_period(tx, &charges[i], org, &budget, &periods[i]);
        if (e == ERR_OK)
            lease_pairs_add(make, charges[i].account, periods[i], &budget);
    }
    return e;
}

static enum err lock_for_charges(struct tx *tx, const struct lease_charge *charges,
                                 const bool *known, int64_t *periods, size_t count,
                                 struct slice org, struct array *ids, struct lease_client *desk)
{
    PAIRS_AUTO struct lease_pairs make, lock;
    lease_pairs_init(&make);
    lease_pairs_init(&lock);
    enum err e = add_bare(tx, charges, known, periods, count, org, &make);
    for (size_t i = 0; i < count && e == ERR_OK; i++) {
        if (known[i] || charges[i].account.len == 0 || charges[i].account.len >= ACCOUNT_MAX)
            continue;
        array_text(&lock.names, charges[i].account);
        array_time(&lock.starts, periods[i]);
    }
    if (e == ERR_OK && make.names.count > 0)
        e = store_accounts_make(tx, &make.names, &make.starts, &make.orgs, &make.limits);
    if (e == ERR_OK)
        e = store_accounts_of_leases(tx, ids, &lock.names, &lock.starts);
    if (e == ERR_OK)
        e = store_accounts_lock(tx, &lock.names, &lock.starts, desk);
    return e == ERR_OK ? store_leases_read(tx, ids, desk) : e;
}

static void apply_charges(const struct lease_charge *charges, const bool *known,
                          const int64_t *periods, size_t count, const struct lease_client *desk)
{
    for (size_t i = 0; i < count; i++) {
        const struct lease_charge *c = &charges[i];
        struct lease *l = known[i] ? lease_client_lease(desk, c->lease_id) : NULL;
        struct account *a = l ? NULL : lease_client_account(desk, c->account, periods[i]);
        if (l)
            ledger_charge(l, c->amount);
        else if (a)
            ledger_charge_bare(a, c->amount);
        else
            log_error(&charge_log, "charge_unbooked", "account=%.*s nano=%lld",
                      SLICE_ARG(slice_first(c->account, ACCOUNT_MAX)), (long long)c->amount);
    }
}

static enum err charge_all(struct tx *tx, const struct lease_asker *who,
                           const struct lease_charge *charges, size_t count, bool *known,
                           int64_t *periods)
{
    ARRAY_AUTO struct array ids, pair_ids, pair_accounts;
    DESK_AUTO struct lease_client desk = {0};

    array_init(&ids);
    array_init(&pair_ids);
    array_init(&pair_accounts);
    for (size_t i = 0; i < count; i++) {
        array_text(&pair_ids, charges[i].lease_id);
        array_text(&pair_accounts, charges[i].account);
    }
    enum err e = store_leases_known(tx, who->dataplane, &pair_ids, &pair_accounts, known, count);
    for (size_t i = 0; i < count && e == ERR_OK; i++)
        if (known[i])
            array_text(&ids, charges[i].lease_id);
    if (e == ERR_OK)
        e = lock_for_charges(tx, charges, known, periods, count, who->org, &ids, &desk);
    if (e != ERR_OK)
        return e;
    apply_charges(charges, known, periods, count, &desk);
    return store_lease_save(tx, &desk);
}

enum err lease_server_charge(struct tx *tx, const struct lease_asker *who,
                             const struct lease_charge *charges, size_t count)
{
    if (count == 0)
        return ERR_OK;
    bool *known = mem_array(count, sizeof(*known));
    int64_t *periods = mem_array(count, sizeof(*periods));
    enum err e = known && periods ? charge_all(tx, who, charges, count, known, periods) : ERR_NOMEM;
    mem_free(known);
    mem_free(periods);
    return e;
}
