/*
 * lease_ask — one LeaseRequest: which accounts need money now, and what its answer makes of them.
 */
#include <stdio.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/scope/lease_client_private.h"
#include "proto/channel.pb-c.h"

#define ASKS_MAX 64       /* accounts in one request */
#define REFUSED_US 200000 /* how long "nothing left" is believed without asking again */
#define MARGIN_PERCENT 10 /* of a lease's validity: clocks and scheduling */
#define SLICE_SECONDS 5
#define AGAIN_US 1000000 /* who runs short twice within so long asks for more than what waits */
#define SHARE 8          /* an eighth: what a plane may ask for beyond what waits */

/* One LeaseRequest under way: which accounts it asks for, in order. */
struct asking {
    struct lease_client *lease_client;
    uint64_t sent_us;
    size_t count;
    struct account *accounts[ASKS_MAX]; /* held */
    bool renewing[ASKS_MAX];
    money wants[ASKS_MAX];
};

/* ---- answers ---- */

/* After a grant: who fits is told to try again. Who does not fit is told there is no more, where
 * the control plane gave less than was asked; else others were quicker, or it came later, and we
 * ask again. */
static bool answer_by_slice(struct account *a, bool exhausted)
{
    struct lease *l = lease_of(a);
    int64_t left = l ? atomic_load(&l->remaining) : 0;
    money least_refused = INT64_MAX;
    LIST_EACH(&a->waiting, it)
    {
        struct account_wait_ticket *t = LIST_ITEM(it, struct account_wait_ticket, link);
        bool fits = t->amount <= left;
        if (!fits && !(exhausted && t->asked))
            continue;
        list_remove(&t->link);
        if (fits)
            left -= t->amount;
        else if (t->amount < least_refused)
            least_refused = t->amount;
        account_ticket_answer(t, fits ? ERR_OK : ERR_EXHAUSTED);
    }
    if (least_refused < INT64_MAX) {
        atomic_store(&a->refused_amount, least_refused);
        atomic_store(&a->refused_until_us, clock_mono_us() + REFUSED_US);
    }
    return list_empty(&a->waiting);
}

static uint64_t valid_until(const struct asking *k, const Gatehouse__LeaseGrant *g)
{
    uint64_t valid_us = (uint64_t)g->valid_ms * 1000 * (100 - MARGIN_PERCENT) / 100;
    uint64_t until =
        k->sent_us + valid_us; /* from when it was asked: never later than they think */
    int64_t wall = clock_wall_us();
    if (g->period_end_us > 0 && g->period_end_us < INT64_MAX) {
        uint64_t now = clock_mono_us();
        uint64_t end = g->period_end_us > wall ? now + (uint64_t)(g->period_end_us - wall) : now;
        if (end < until)
            until = end;
    }
    return until;
}

static void take_grant(struct asking *k, struct account *a, const Gatehouse__LeaseGrant *g)
{
    atomic_store(&a->limit, g->limit_nano);
    atomic_store(&a->spent, g->spent_nano - g->set_aside_nano);
    atomic_store(&a->set_aside, g->set_aside_nano);
    atomic_store(&a->period_end_us, g->period_end_us);
    struct lease *l = lease_of(a);
    if (l && g->lease_id && strcmp(l->id, g->lease_id) != 0) {
        lease_close(k->lease_client, l);
        l = NULL;
    }
    if (!l && g->lease_id && g->lease_id[0] && strlen(g->lease_id) < LEASE_ID_MAX) {
        l = mem_zalloc(sizeof(*l));
        if (!l)
            return;
        snprintf(l->id, sizeof(l->id), "%s", g->lease_id);
        l->account = account_hold(a);
        list_push(&k->lease_client->leases, &l->link);
        atomic_store(&l->valid_until_us, valid_until(k, g));
        atomic_store(&l->remaining, g->granted_nano);
        atomic_store_explicit(&a->current, l, memory_order_release);
    } else if (l) {
        atomic_fetch_add(&l->remaining, g->granted_nano);
        atomic_store(&l->valid_until_us, valid_until(k, g));
    }
    if (l)
        l->granted_us = k->sent_us;
}

/* false: somebody still waits, and another request is worth sending */
static bool take_answer(struct asking *k, size_t i, const Gatehouse__LeaseGrant *g)
{
    struct account *a = k->accounts[i];
    take_grant(k, a, g);
    struct lease *l = lease_of(a);
    /* the lease we meant to prolong is theirs no more: a new one is asked for before we judge */
    bool lost = k->renewing[i] && !g->unknown && (!g->lease_id || !g->lease_id[0]);
    if (lost && l)
        lease_close(k->lease_client, l);
    return answer_by_slice(a, !lost && g->granted_nano < k->wants[i]);
}

static void on_grants(void *arg, enum err e, const void *reply)
{
    struct asking *k = arg;
    const Gatehouse__Reply *m = reply;
    bool answered = e == ERR_OK && m && !m->error && m->lease && m->lease->n_grants == k->count;
    if (!answered && e == ERR_OK)
        log_warn(NULL, "lease_answer_unreadable", "error=%s", m && m->error ? m->error : "count");
    bool all_done = true;
    for (size_t i = 0; i < k->count; i++) {
        struct account *a = k->accounts[i];
        a->asking = false;
        if (answered && !take_answer(k, i, m->lease->grants[i]))
            all_done = false;
        account_drop(a);
    }
    if (!all_done)
        lease_client_ask_soon(k->lease_client);
    mem_free(k);
}

/* ---- asking ---- */

static money less(money a, money b)
{
    money rest;
    return __builtin_sub_overflow(a, b, &rest) ? INT64_MAX : rest;
}

static money smaller(money a, money b)
{
    return a < b ? a : b;
}

static money larger(money a, money b)
{
    return a > b ? a : b;
}

/* The smallest amount that waits; 0: nobody does. */
static money waiting_least(const struct account *a)
{
    money least = 0;
    LIST_EACH(&a->waiting, it)
    {
        const struct account_wait_ticket *t = LIST_ITEM(it, struct account_wait_ticket, link);
        least = least == 0 || t->amount < least ? t->amount : least;
    }
    return least;
}

/* Of all who wait. One that costs more than the whole budget has left would take what others can
 * use, for nothing: it is left out, unless it is alone and must hear so. */
static money waiting_sum(const struct account *a)
{
    money limit = atomic_load(&a->limit), sum = 0;
    money hope = limit > 0 ? less(limit, atomic_load(&a->spent)) : INT64_MAX;
    LIST_EACH(&a->waiting, it)
    {
        const struct account_wait_ticket *t = LIST_ITEM(it, struct account_wait_ticket, link);
        if (t->amount <= hope)
            sum = money_add(sum, t->amount);
    }
    return sum > 0 ? sum : waiting_least(a);
}

static void mark_asked(struct account *a)
{
    LIST_EACH(&a->waiting, it)
    LIST_ITEM(it, struct account_wait_ticket, link)->asked = true;
}

static bool is_nearly_over(const struct lease *l, uint64_t now_us)
{
    uint64_t until = atomic_load(&l->valid_until_us);
    return now_us >= l->granted_us + (until - l->granted_us) / 2;
}

/* What is used in so many seconds at this pace. One call that cost absurdly much must not turn
 * round into a wish for less than nothing. */
static money use_in(const struct account *a, int seconds)
{
    money sum;
    return __builtin_mul_overflow(a->used_per_s, seconds, &sum) ? INT64_MAX : sum;
}

/* More than what waits is asked for only within this part of what the budget has left, as the
 * control plane last said. */
static money share_of(struct account *a)
{
    money left = less(atomic_load(&a->limit), atomic_load(&a->spent));
    return less(left, atomic_load(&a->set_aside)) / SHARE;
}

/* Before there is a pace to go by, a burst would cost a round trip for each handful of calls that
 * waits: what is asked for doubles each time. */
static money grown_need(struct account *a, money need, uint64_t now_us)
{
    if (need == 0)
        return 0;
    bool again = a->needed_us && now_us - a->needed_us < AGAIN_US;
    money twice;
    a->needed_us = now_us;
    if (!again || __builtin_mul_overflow(a->grown, 2, &twice))
        twice = 0;
    a->grown = larger(need, smaller(twice, share_of(a)));
    return a->grown;
}

/* Does this account need the control plane now, and for how much? Notes that it ran short. */
static bool weigh_need(struct account *a, uint64_t now_us, money *want)
{
    struct lease *l = lease_of(a);
    int64_t left = l ? atomic_load(&l->remaining) : 0;
    money need = grown_need(a, waiting_sum(a), now_us);
    money soon = use_in(a, SLICE_SECONDS);
    *want = larger(need, smaller(less(soon, left), share_of(a)));
    if (need > 0)
        return true;
    if (!l)
        return false;
    bool low = left < soon / 2;
    if (!low)
        *want = 0;
    return low || is_nearly_over(l, now_us);
}

struct collect {
    struct lease_client *lease_client;
    struct asking *asking;
    uint64_t now_us;
    Gatehouse__LeaseAsk asks[ASKS_MAX];
    Gatehouse__LeaseAsk *list[ASKS_MAX];
};

/* Only where there is something to ask: most ticks are none of the heap's business. */
static bool begin_asking(struct collect *c)
{
    if (c->asking)
        return true;
    c->asking = mem_zalloc(sizeof(*c->asking));
    if (!c->asking)
        return false;
    c->asking->lease_client = c->lease_client;
    c->asking->sent_us = c->now_us;
    return true;
}

/* What must come, on top of what there is, for the smallest that waits. */
static money least_of_use(const struct account *a, const struct lease *alive)
{
    money least = waiting_least(a);
    if (least > 0 && alive)
        least = larger(less(least, atomic_load(&alive->remaining)), 0);
    return least;
}

static void collect_one(void *arg, struct account *a)
{
    struct collect *c = arg;
    money want;
    if (a->asking || (c->asking && c->asking->count == ASKS_MAX))
        return;
    if (!weigh_need(a, c->now_us, &want) || !begin_asking(c))
        return;
    size_t i = c->asking->count++;
    Gatehouse__LeaseAsk *ask = &c->asks[i];
    struct lease *l = lease_of(a);
    gatehouse__lease_ask__init(ask);
    ask->account = (char *)(uintptr_t)a->id.ptr; /* NUL-terminated behind the account */
    ask->has_want_nano = true;
    ask->want_nano = want;
    bool alive = l && c->now_us < atomic_load(&l->valid_until_us);
    ask->has_least_nano = true;
    ask->least_nano = least_of_use(a, alive ? l : NULL);
    if (l && !alive)
        lease_close(c->lease_client, l);
    ask->renew_lease_id = alive ? l->id : NULL;
    c->asking->renewing[i] = alive;
    c->asking->wants[i] = want;
    mark_asked(a);
    c->asking->accounts[i] = account_hold(a);
    c->list[i] = ask;
    a->asking = true;
}

static void asking_cancel(struct asking *k)
{
    for (size_t i = 0; i < k->count; i++) {
        k->accounts[i]->asking = false;
        k->accounts[i]->needed_us = 0; /* nothing was asked: the next wish grows from what waits */
        account_drop(k->accounts[i]);
    }
    mem_free(k);
}

void lease_ask(struct lease_client *d)
{
    if (!d->links.is_connected(d->links.arg))
        return;
    struct collect c = {.lease_client = d, .now_us = clock_mono_us()};
    registry_each(d->registry, collect_one, &c);
    if (!c.asking)
        return;
    Gatehouse__LeaseRequest body = GATEHOUSE__LEASE_REQUEST__INIT;
    Gatehouse__Request m = GATEHOUSE__REQUEST__INIT;
    body.n_asks = c.asking->count;
    body.asks = c.list;
    m.body_case = GATEHOUSE__REQUEST__BODY_LEASE;
    m.lease = &body;
    if (d->links.request(d->links.arg, &m, on_grants, c.asking) != ERR_OK)
        asking_cancel(c.asking);
}
