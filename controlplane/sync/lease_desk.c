/* lease_desk — transactions around the ledger's moves. */
#include "controlplane/sync/lease_desk.h"

#include <stdio.h>

#include "common/base/clock.h"
#include "common/base/digest.h"
#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/period.h"
#include "controlplane/store/clean.h"
#include "controlplane/sync/ledger.h"

#define EXPIRE_BATCH 500 /* leases in one transaction: locks are held for milliseconds */

static const struct log_ctx desk_log = {.component = "lease_desk"};

/* One ask, and what became of it. */
struct lease_grant {
    Gatehouse__LeaseGrant message;
    char lease_id[ID_MAX];
    bool known;
    struct budget_row budget;
    int64_t period_start, period_end;
    bool renews;            /* an existing lease of this plane */
    int64_t renewed_period; /* the period that lease belongs to */
};

/* Names and period starts, side by side, as the store wants them. */
struct pairs {
    struct array names, starts, orgs, limits;
};

static void pairs_init(struct pairs *p)
{
    array_init(&p->names);
    array_init(&p->starts);
    array_init(&p->orgs);
    array_init(&p->limits);
}

static void pairs_fini(struct pairs *p)
{
    array_fini(&p->names);
    array_fini(&p->starts);
    array_fini(&p->orgs);
    array_fini(&p->limits);
}

static void pairs_add(struct pairs *p, struct slice name, int64_t start,
                      const struct budget_row *budget)
{
    array_text(&p->names, name);
    array_time(&p->starts, start);
    array_text(&p->orgs, slice_str(budget->org));
    array_int(&p->limits, budget->limit);
}

#define PAIRS_AUTO __attribute__((cleanup(pairs_fini)))
#define DESK_AUTO __attribute__((cleanup(desk_fini)))

/* ---- asks ---- */

static struct slice text_of(const char *text)
{
    return text ? slice_str(text) : SLICE("");
}

static enum err look_up(struct tx *tx, const Gatehouse__LeaseAsk *ask, int64_t now,
                        struct lease_grant *g)
{
    enum period period;
    enum err e = store_budget(tx, text_of(ask->account), &g->budget);
    if (e == ERR_NOT_FOUND)
        return ERR_OK;
    if (e == ERR_OK)
        e = period_parse(slice_str(g->budget.period), &period);
    if (e != ERR_OK)
        return e;
    g->known = true;
    g->period_start = period_start(period, now);
    g->period_end = period_end(period, now);

    char account[ACCOUNT_MAX];
    if (text_of(ask->renew_lease_id).len == 0)
        return ERR_OK;
    e = store_lease_account(tx, text_of(ask->renew_lease_id), account, &g->renewed_period);
    if (e == ERR_NOT_FOUND)
        return ERR_OK;
    g->renews = e == ERR_OK && slice_eq(slice_str(account), text_of(ask->account));
    return e;
}

/* The same request gives the same id, so that a repeated one finds its lease. */
static void derive_id(const struct lease_asker *who, size_t position, char out[static ID_MAX])
{
    uint64_t numbers[] = {who->epoch, who->number, position};
    const struct slice parts[] = {SLICE("lease"), who->dataplane,
                                  slice_of(numbers, sizeof(numbers))};
    struct digest d;
    digest_sha256_parts(parts, ARRAY_LEN(parts), &d);
    memcpy(out, "l_", 2);
    digest_base62(slice_of(d.bytes, 16), 22, out + 2);
}

/* Leases that this request touches: those it renews, and those it may have made before. */
static enum err read_leases(struct tx *tx, const Gatehouse__LeaseRequest *q, struct lease_grant *g,
                            struct desk *desk)
{
    ARRAY_AUTO struct array ids;
    array_init(&ids);
    for (size_t i = 0; i < q->n_asks; i++) {
        array_text(&ids, slice_str(g[i].lease_id));
        if (g[i].renews)
            array_text(&ids, slice_str(q->asks[i]->renew_lease_id));
    }
    return store_leases_read(tx, &ids, desk);
}

static enum err lock_accounts(struct tx *tx, const Gatehouse__LeaseRequest *q,
                              const struct lease_grant *g, struct desk *desk)
{
    PAIRS_AUTO struct pairs make, lock;
    pairs_init(&make);
    pairs_init(&lock);
    for (size_t i = 0; i < q->n_asks; i++) {
        if (!g[i].known)
            continue;
        pairs_add(&make, slice_str(q->asks[i]->account), g[i].period_start, &g[i].budget);
        pairs_add(&lock, slice_str(q->asks[i]->account), g[i].period_start, &g[i].budget);
        if (g[i].renews)
            pairs_add(&lock, slice_str(q->asks[i]->account), g[i].renewed_period, &g[i].budget);
    }
    enum err e = store_accounts_make(tx, &make.names, &make.starts, &make.orgs, &make.limits);
    return e == ERR_OK ? store_accounts_lock(tx, &lock.names, &lock.starts, desk) : e;
}

/* Before judging what is free, what is overdue is called by its name. */
static enum err expire_overdue(struct tx *tx, const struct account *a, int64_t now,
                               struct slice but_not, struct desk *desk)
{
    ARRAY_AUTO struct array ids;
    array_init(&ids);
    enum err e =
        store_leases_expired(tx, slice_str(a->name), a->period_start, now, EXPIRE_BATCH, &ids);
    if (e == ERR_OK && ids.count > 0)
        e = store_leases_read(tx, &ids, desk);
    for (size_t i = 0; e == ERR_OK && i < desk->lease_count; i++) {
        struct lease *l = desk->leases[i];
        if (l->account == a && l->state == LEASE_OPEN && l->expires_at <= now &&
            !slice_eq(slice_str(l->id), but_not))
            ledger_expire(l);
    }
    return e;
}

static void tell_lease(struct lease_grant *g, const struct lease *l, money granted)
{
    memcpy(g->lease_id, l->id, sizeof(g->lease_id));
    g->message.lease_id = g->lease_id;
    g->message.granted_nano = granted;
    g->message.valid_ms = (uint32_t)(LEDGER_VALID_US / 1000);
}

/* Prolongs, and enlarges where asked to. false: that lease cannot go on. */
static bool renew(const struct lease_asker *who, const Gatehouse__LeaseAsk *ask, struct lease *l,
                  int64_t now, struct lease_grant *g)
{
    if (!l || l->epoch != who->epoch || !slice_eq(slice_str(l->dataplane), who->dataplane) ||
        l->account->period_start != g->period_start || !ledger_renew(l, now))
        return false;
    if (l->asked_number != who->number) {
        l->asked_number = who->number;
        l->asked_granted = ledger_grant(l, ask->want_nano);
    }
    tell_lease(g, l, l->asked_granted);
    return true;
}

static enum err open_lease(const struct lease_asker *who, const Gatehouse__LeaseAsk *ask,
                           struct account *a, int64_t now, struct desk *desk, struct lease_grant *g)
{
    struct lease *l = desk_lease(desk, slice_str(g->lease_id));
    if (l) { /* this very request was answered before, and the answer was lost */
        if (ledger_renew(l, now))
            tell_lease(g, l, l->asked_granted);
        return ERR_OK;
    }
    if (ask->want_nano <= 0 || ledger_free(a) == 0)
        return ERR_OK;
    l = desk_lease_new(desk, a, slice_str(g->lease_id));
    if (!l)
        return ERR_NOMEM;
    struct slice plane = slice_first(who->dataplane, sizeof(l->dataplane) - 1);
    memcpy(l->dataplane, plane.ptr, plane.len);
    l->epoch = who->epoch;
    l->expires_at = now + LEDGER_VALID_US;
    l->asked_number = who->number;
    l->asked_granted = ledger_grant(l, ask->want_nano);
    tell_lease(g, l, l->asked_granted);
    return ERR_OK;
}

static enum err answer(struct tx *tx, const struct lease_asker *who, const Gatehouse__LeaseAsk *ask,
                       int64_t now, struct desk *desk, struct lease_grant *g)
{
    struct account *a = desk_account(desk, slice_str(ask->account), g->period_start);
    if (!a)
        return ERR_DATABASE; /* made and locked a moment ago */
    struct slice renewed = g->renews ? slice_str(ask->renew_lease_id) : SLICE("");
    if (a->limit != g->budget.limit) {
        a->limit = g->budget.limit;
        a->dirty = true;
    }
    enum err e = expire_overdue(tx, a, now, renewed, desk);
    if (e != ERR_OK)
        return e;
    if (!g->renews || !renew(who, ask, desk_lease(desk, renewed), now, g))
        e = open_lease(who, ask, a, now, desk, g);
    g->message.limit_nano = a->limit;
    g->message.spent_nano = money_add(money_add(a->spent, a->leased), a->suspense);
    g->message.period_end_us = g->period_end;
    return e;
}

static void begin_grant(const struct lease_asker *who, const Gatehouse__LeaseAsk *ask,
                        size_t position, struct lease_grant *g)
{
    gatehouse__lease_grant__init(&g->message);
    g->message.account = ask->account;
    g->message.has_granted_nano = true;
    g->message.has_valid_ms = true;
    g->message.has_limit_nano = true;
    g->message.has_spent_nano = true;
    g->message.has_period_end_us = true;
    derive_id(who, position, g->lease_id);
}

static enum err ask_all(struct tx *tx, const struct lease_asker *who,
                        const Gatehouse__LeaseRequest *q, int64_t now, struct lease_grant *g)
{
    DESK_AUTO struct desk desk = {0};
    enum err e = ERR_OK;

    for (size_t i = 0; i < q->n_asks && e == ERR_OK; i++) {
        begin_grant(who, q->asks[i], i, &g[i]);
        e = look_up(tx, q->asks[i], now, &g[i]);
    }
    if (e == ERR_OK)
        e = lock_accounts(tx, q, g, &desk);
    if (e == ERR_OK)
        e = read_leases(tx, q, g, &desk);
    for (size_t i = 0; i < q->n_asks && e == ERR_OK; i++) {
        if (g[i].known)
            e = answer(tx, who, q->asks[i], now, &desk, &g[i]);
        else
            g[i].message.has_unknown = g[i].message.unknown = true;
    }
    return e == ERR_OK ? store_desk_save(tx, &desk) : e;
}

/* Epoch and number become bigint columns. */
static bool is_fit(const struct lease_asker *who)
{
    return who->epoch <= INT64_MAX && who->number <= INT64_MAX && who->dataplane.len > 0 &&
           who->dataplane.len < ID_MAX;
}

enum err lease_desk_ask(struct db *db, const struct lease_asker *who,
                        const Gatehouse__LeaseRequest *q, int64_t now, struct lease_reply *ret)
{
    *ret = (struct lease_reply){.reply = GATEHOUSE__LEASE_REPLY__INIT};
    if (!is_fit(who) || q->n_asks > LIMIT_LEASE_ASKS)
        return ERR_INVALID;
    for (size_t i = 0; i < q->n_asks; i++)
        if (!q->asks[i]->account)
            return ERR_INVALID;
    struct lease_grant *g = mem_array(q->n_asks + 1, sizeof(*g));
    Gatehouse__LeaseGrant **list = mem_array(q->n_asks + 1, sizeof(Gatehouse__LeaseGrant *));
    enum err e = g && list ? ERR_OK : ERR_NOMEM;

    TX_AUTO struct tx tx = {0};
    if (e == ERR_OK)
        e = tx_begin(db, TX_EVERY_ORG, &tx);
    if (e == ERR_OK)
        e = ask_all(&tx, who, q, now, g);
    if (e == ERR_OK)
        e = tx_commit(&tx);
    if (e != ERR_OK) {
        mem_free(g);
        mem_free(list);
        return e;
    }
    for (size_t i = 0; i < q->n_asks; i++)
        list[i] = &g[i].message;
    ret->rows = g;
    ret->reply.n_grants = q->n_asks;
    ret->reply.grants = list;
    return ERR_OK;
}

void lease_desk_reply_free(struct lease_reply *r)
{
    mem_free(r->reply.grants);
    mem_free(r->rows);
    *r = (struct lease_reply){0};
}

/* ---- ends ---- */

/* Locks the accounts of these leases and reads them. */
static enum err take_leases(struct tx *tx, struct array *ids, struct desk *desk)
{
    PAIRS_AUTO struct pairs pairs;
    pairs_init(&pairs);
    enum err e = store_accounts_of_leases(tx, ids, &pairs.names, &pairs.starts);
    if (e == ERR_OK && pairs.names.count > 0)
        e = store_accounts_lock(tx, &pairs.names, &pairs.starts, desk);
    return e == ERR_OK && desk->account_count > 0 ? store_leases_read(tx, ids, desk) : e;
}

static bool is_finished(const struct lease *l, const Gatehouse__LeaseEndRequest *q)
{
    for (size_t i = 0; i < q->n_finished_epochs; i++)
        if (l->epoch == q->finished_epochs[i])
            return true;
    return false;
}

static enum err end_all(struct tx *tx, const struct lease_asker *who,
                        const Gatehouse__LeaseEndRequest *q)
{
    ARRAY_AUTO struct array ids;
    DESK_AUTO struct desk desk = {0};
    enum err e = ERR_OK;

    array_init(&ids);
    for (size_t i = 0; i < q->n_ends; i++)
        array_text(&ids, text_of(q->ends[i]->lease_id));
    for (size_t i = 0; i < q->n_finished_epochs && e == ERR_OK; i++)
        if (q->finished_epochs[i] <= INT64_MAX && q->finished_epochs[i] != who->epoch)
            e = store_leases_of_epoch(tx, who->dataplane, q->finished_epochs[i], INT32_MAX, &ids);
    if (e == ERR_OK && ids.count > 0)
        e = take_leases(tx, &ids, &desk);
    for (size_t i = 0; i < q->n_ends && e == ERR_OK; i++) {
        struct lease *l = desk_lease(&desk, text_of(q->ends[i]->lease_id));
        if (l && slice_eq(slice_str(l->dataplane), who->dataplane))
            ledger_end(l, q->ends[i]->settled_nano);
    }
    for (size_t i = 0; i < desk.lease_count && e == ERR_OK; i++) {
        struct lease *l = desk.leases[i];
        if (l->epoch != who->epoch && slice_eq(slice_str(l->dataplane), who->dataplane) &&
            is_finished(l, q))
            ledger_finish(l);
    }
    return e == ERR_OK ? store_desk_save(tx, &desk) : e;
}

enum err lease_desk_end(struct db *db, const struct lease_asker *who,
                        const Gatehouse__LeaseEndRequest *q)
{
    if (!is_fit(who) || q->n_ends > LIMIT_LEASE_ASKS || q->n_finished_epochs > LIMIT_LEASE_ASKS)
        return ERR_INVALID;
    TX_AUTO struct tx tx = {0};
    enum err e = tx_begin(db, TX_EVERY_ORG, &tx);
    if (e == ERR_OK)
        e = end_all(&tx, who, q);
    return e == ERR_OK ? tx_commit(&tx) : e;
}

/* ---- charges ---- */

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
                         int64_t *periods, size_t count, struct slice org, struct pairs *make)
{
    enum err e = ERR_OK;
    for (size_t i = 0; i < count && e == ERR_OK; i++) {
        struct budget_row budget;
        if (known[i] || charges[i].account.len == 0 || charges[i].account.len >= ACCOUNT_MAX)
            continue;
        e = bare_period(tx, &charges[i], org, &budget, &periods[i]);
        if (e == ERR_OK)
            pairs_add(make, charges[i].account, periods[i], &budget);
    }
    return e;
}

static enum err lock_for_charges(struct tx *tx, const struct lease_charge *charges,
                                 const bool *known, int64_t *periods, size_t count,
                                 struct slice org, struct array *ids, struct desk *desk)
{
    PAIRS_AUTO struct pairs make, lock;
    pairs_init(&make);
    pairs_init(&lock);
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
                          const int64_t *periods, size_t count, const struct desk *desk)
{
    for (size_t i = 0; i < count; i++) {
        const struct lease_charge *c = &charges[i];
        struct lease *l = known[i] ? desk_lease(desk, c->lease_id) : NULL;
        struct account *a = l ? NULL : desk_account(desk, c->account, periods[i]);
        if (l)
            ledger_charge(l, c->amount);
        else if (a)
            ledger_charge_bare(a, c->amount);
        else
            log_error(&desk_log, "charge_unbooked", "account=%.*s nano=%lld",
                      SLICE_ARG(slice_first(c->account, ACCOUNT_MAX)), (long long)c->amount);
    }
}

static enum err charge_all(struct tx *tx, const struct lease_asker *who,
                           const struct lease_charge *charges, size_t count, bool *known,
                           int64_t *periods)
{
    ARRAY_AUTO struct array ids, pair_ids, pair_accounts;
    DESK_AUTO struct desk desk = {0};

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
    return store_desk_save(tx, &desk);
}

enum err lease_desk_charge(struct tx *tx, const struct lease_asker *who,
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

/* ---- what nobody asks for ---- */

enum err lease_desk_expire(struct db *db, int64_t now, size_t *ret)
{
    ARRAY_AUTO struct array ids;
    DESK_AUTO struct desk desk = {0};
    TX_AUTO struct tx tx = {0};

    array_init(&ids);
    *ret = 0;
    enum err e = tx_begin(db, TX_EVERY_ORG, &tx);
    if (e == ERR_OK)
        e = store_leases_expired(&tx, SLICE_NONE, 0, now, EXPIRE_BATCH, &ids);
    if (e == ERR_OK && ids.count > 0)
        e = take_leases(&tx, &ids, &desk);
    for (size_t i = 0; i < desk.lease_count && e == ERR_OK; i++) {
        if (desk.leases[i]->state != LEASE_OPEN || desk.leases[i]->expires_at > now)
            continue; /* renewed while we waited for the lock */
        ledger_expire(desk.leases[i]);
        ++*ret;
    }
    if (e == ERR_OK)
        e = store_desk_save(&tx, &desk);
    return e == ERR_OK ? tx_commit(&tx) : e;
}

enum err lease_desk_write_off(struct db *db, struct slice dataplane, money *ret)
{
    ARRAY_AUTO struct array ids;
    DESK_AUTO struct desk desk = {0};
    TX_AUTO struct tx tx = {0};
    money sum = 0;

    array_init(&ids);
    enum err e = tx_begin(db, TX_EVERY_ORG, &tx);
    if (e == ERR_OK)
        e = store_leases_suspended(&tx, dataplane, INT32_MAX, &ids);
    if (e == ERR_OK && ids.count > 0)
        e = take_leases(&tx, &ids, &desk);
    for (size_t i = 0; i < desk.lease_count && e == ERR_OK; i++) {
        if (desk.leases[i]->state != LEASE_SUSPENSE)
            continue;
        sum = money_add(sum, ledger_remaining(desk.leases[i]));
        ledger_write_off(desk.leases[i]);
    }
    if (e == ERR_OK)
        e = store_desk_save(&tx, &desk);
    if (e == ERR_OK)
        e = tx_commit(&tx);
    if (e == ERR_OK)
        *ret = sum;
    return e;
}
