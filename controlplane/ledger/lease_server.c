/* lease_server — asking: a transaction around the ledger's grants and renewals. */
#include "controlplane/ledger/lease_server.h"

#include "common/base/digest.h"
#include "common/base/limits.h"
#include "common/base/mem.h"
#include "common/base/period.h"
#include "controlplane/ledger/lease_server_private.h"
#include "controlplane/ledger/ledger.h"

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

static enum err look_up(struct tx *tx, const Gatehouse__LeaseAsk *ask, int64_t now,
                        struct lease_grant *g)
{
    enum period period;
    enum err e = store_budget(tx, lease_text(ask->account), &g->budget);
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
    if (lease_text(ask->renew_lease_id).len == 0)
        return ERR_OK;
    e = store_lease_account(tx, lease_text(ask->renew_lease_id), account, &g->renewed_period);
    if (e == ERR_NOT_FOUND)
        return ERR_OK;
    g->renews = e == ERR_OK && slice_eq(slice_str(account), lease_text(ask->account));
    return e;
}

/* The same request gives the same id, so that a repeated one finds its lease; one for another
 * account, or in another period, finds none. */
static void derive_id(const struct lease_asker *who, const Gatehouse__LeaseAsk *ask,
                      size_t position, struct lease_grant *g)
{
    uint64_t numbers[] = {who->epoch, who->number, position, (uint64_t)g->period_start};
    const struct slice parts[] = {SLICE("lease"), who->dataplane,
                                  slice_of(numbers, sizeof(numbers)), slice_str(ask->account)};
    struct digest d;
    digest_sha256_parts(parts, ARRAY_LEN(parts), &d);
    memcpy(g->lease_id, "l_", 2);
    digest_base62(slice_of(d.bytes, 16), 22, g->lease_id + 2);
}

/* Leases that this request touches: those it renews, and those it may have made before. */
static enum err read_leases(struct tx *tx, const Gatehouse__LeaseRequest *q, struct lease_grant *g,
                            struct lease_client *desk)
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
                              const struct lease_grant *g, struct lease_client *desk)
{
    PAIRS_AUTO struct lease_pairs make, lock;
    lease_pairs_init(&make);
    lease_pairs_init(&lock);
    for (size_t i = 0; i < q->n_asks; i++) {
        if (!g[i].known)
            continue;
        lease_pairs_add(&make, slice_str(q->asks[i]->account), g[i].period_start, &g[i].budget);
        lease_pairs_add(&lock, slice_str(q->asks[i]->account), g[i].period_start, &g[i].budget);
        if (g[i].renews)
            lease_pairs_add(&lock, slice_str(q->asks[i]->account), g[i].renewed_period,
                            &g[i].budget);
    }
    enum err e = store_accounts_make(tx, &make.names, &make.starts, &make.orgs, &make.limits);
    return e == ERR_OK ? store_accounts_lock(tx, &lock.names, &lock.starts, desk) : e;
}

/* Before judging what is free, what is overdue is called by its name. */
static enum err expire_overdue(struct tx *tx, const struct account *a, int64_t now,
                               struct slice but_not, struct lease_client *desk)
{
    ARRAY_AUTO struct array ids;
    array_init(&ids);
    enum err e =
        store_leases_expired(tx, slice_str(a->name), a->period_start, now, LEASE_BATCH, &ids);
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
        l->asked_granted = ledger_grant(l, ask->want_nano, ask->least_nano);
    }
    tell_lease(g, l, l->asked_granted);
    return true;
}

static enum err open_lease(const struct lease_asker *who, const Gatehouse__LeaseAsk *ask,
                           struct account *a, int64_t now, struct lease_client *desk,
                           struct lease_grant *g)
{
    struct lease *l = lease_client_lease(desk, slice_str(g->lease_id));
    if (l) { /* this very request was answered before, and the answer was lost */
        if (l->account == a && ledger_renew(l, now))
            tell_lease(g, l, l->asked_granted);
        return ERR_OK;
    }
    if (ask->want_nano <= 0 || ledger_free(a) == 0 || ledger_free(a) < ask->least_nano)
        return ERR_OK;
    l = lease_client_lease_new(desk, a, slice_str(g->lease_id));
    if (!l)
        return ERR_NOMEM;
    struct slice plane = slice_first(who->dataplane, sizeof(l->dataplane) - 1);
    memcpy(l->dataplane, plane.ptr, plane.len);
    l->epoch = who->epoch;
    l->expires_at = now + LEDGER_VALID_US;
    l->asked_number = who->number;
    l->asked_granted = ledger_grant(l, ask->want_nano, ask->least_nano);
    tell_lease(g, l, l->asked_granted);
    return ERR_OK;
}

static enum err answer(struct tx *tx, const struct lease_asker *who, const Gatehouse__LeaseAsk *ask,
                       int64_t now, struct lease_client *desk, struct lease_grant *g)
{
    struct account *a = lease_client_account(desk, slice_str(ask->account), g->period_start);
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
    if (!g->renews || !renew(who, ask, lease_client_lease(desk, renewed), now, g))
        e = open_lease(who, ask, a, now, desk, g);
    g->message.limit_nano = a->limit;
    g->message.set_aside_nano = money_add(a->leased, a->suspense);
    g->message.spent_nano = money_add(a->spent, g->message.set_aside_nano);
    g->message.period_end_us = g->period_end;
    return e;
}

static void begin_grant(const Gatehouse__LeaseAsk *ask, struct lease_grant *g)
{
    gatehouse__lease_grant__init(&g->message);
    g->message.account = ask->account;
    g->message.has_granted_nano = true;
    g->message.has_valid_ms = true;
    g->message.has_limit_nano = true;
    g->message.has_spent_nano = true;
    g->message.has_set_aside_nano = true;
    g->message.has_period_end_us = true;
}

static enum err ask_all(struct tx *tx, const struct lease_asker *who,
                        const Gatehouse__LeaseRequest *q, int64_t now, struct lease_grant *g)
{
    DESK_AUTO struct lease_client desk = {0};
    enum err e = ERR_OK;

    for (size_t i = 0; i < q->n_asks && e == ERR_OK; i++) {
        begin_grant(q->asks[i], &g[i]);
        e = look_up(tx, q->asks[i], now, &g[i]);
        derive_id(who, q->asks[i], i, &g[i]);
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
    return e == ERR_OK ? store_lease_save(tx, &desk) : e;
}

enum err lease_server_ask(struct db *db, const struct lease_asker *who,
                          const Gatehouse__LeaseRequest *q, int64_t now, struct lease_reply *ret)
{
    *ret = (struct lease_reply){.reply = GATEHOUSE__LEASE_REPLY__INIT};
    if (!lease_asker_is_fit(who) || q->n_asks > LIMIT_LEASE_ASKS)
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

void lease_server_reply_free(struct lease_reply *r)
{
    mem_free(r->reply.grants);
    mem_free(r->rows);
    *r = (struct lease_reply){0};
}
