/*
 * scope — money and rates in all scopes of a list or in none; then one account, the workers' side
 * of it: atomics only. The lease client fills it.
 */
#include "common/scope/scope.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/scope/scope_private.h"

bool scope_add(struct scope_list *list, const struct scope *s)
{
    if (!s || (!s->account && !s->meter))
        return true;
    if (list->count == SCOPES_MAX)
        return false;
    list->of[list->count++] = s;
    return true;
}

/* ---- money ---- */

enum account_result charges_reserve(struct charges *c, const struct scope_list *list, money amount,
                                    uint64_t now_us, const struct scope **short_of)
{
    c->count = 0;
    for (size_t i = 0; i < list->count; i++) {
        const struct scope *s = list->of[i];
        if (!s->account)
            continue;
        struct charge *to = &c->of[c->count];
        enum account_result r = account_reserve(s->account, amount, now_us, &to->reservation);
        if (r != ACCOUNT_OK) {
            charges_settle(c, 0);
            *short_of = s;
            return r;
        }
        to->scope = s;
        c->count++;
    }
    return ACCOUNT_OK;
}

enum account_result charges_extend(struct charges *c, money total, uint64_t now_us,
                                   const struct charge **short_of)
{
    for (size_t i = 0; i < c->count; i++) {
        struct charge *of = &c->of[i];
        money more = total - of->reservation.amount;
        if (more <= 0)
            continue;
        enum account_result r = account_extend(of->scope->account, &of->reservation, more, now_us);
        if (r != ACCOUNT_OK) {
            *short_of = of;
            return r;
        }
    }
    return ACCOUNT_OK;
}

/* Its lease is the one that the account reserves from now. */
static bool is_current(const struct reservation *r)
{
    return r->lease && r->lease == lease_of(r->lease->account);
}

money charge_missing(const struct charge *c, money total)
{
    return is_current(&c->reservation) ? total - c->reservation.amount : total;
}

void charges_settle(struct charges *c, money cost)
{
    for (size_t i = 0; i < c->count; i++)
        account_settle(&c->of[i].reservation, cost);
    c->count = 0;
}

/* ---- rates ---- */

static void take_back(struct rates *r)
{
    rates_uncount(r);
    rates_leave(r);
}

/* The slot first: a call refused for want of one must not cost a request of the minute. */
enum rate_result rates_enter(struct rates *r, const struct scope_list *list, uint64_t now_us,
                             const struct scope **refused_by, uint64_t *wait_us)
{
    r->count = 0;
    for (size_t i = 0; i < list->count; i++) {
        const struct scope *s = list->of[i];
        if (!s->meter)
            continue;
        enum rate_result e = RATE_OK;
        if (meter_enter(s->meter, s->limits.parallel) != ERR_OK) {
            e = RATE_PARALLEL;
        } else if (meter_take_request(s->meter, s->limits.rpm, now_us, wait_us) != ERR_OK) {
            meter_leave(s->meter);
            e = RATE_REQUESTS;
        }
        if (e != RATE_OK) {
            *refused_by = s;
            take_back(r);
            return e;
        }
        r->of[r->count++] = s;
    }
    return RATE_OK;
}

void rates_leave(struct rates *r)
{
    for (size_t i = 0; i < r->count; i++)
        meter_leave(r->of[i]->meter);
    r->count = 0;
}

void rates_uncount(const struct rates *r)
{
    for (size_t i = 0; i < r->count; i++)
        meter_return_request(r->of[i]->meter, r->of[i]->limits.rpm);
}

/* ---- one account ---- */

struct account *account_new(struct slice id, struct account_home *home)
{
    struct account *a = mem_zalloc(sizeof(*a) + id.len + 1);
    if (!a)
        return NULL;
    atomic_init(&a->refs, 1);
    a->home = home;
    a->configured = -1;
    memcpy(a + 1, id.ptr, id.len);
    a->id = slice_of(a + 1, id.len);
    list_init(&a->waiting);
    list_init(&a->active);
    list_init(&a->changed);
    return a;
}

struct account *account_hold(struct account *a)
{
    atomic_fetch_add_explicit(&a->refs, 1, memory_order_relaxed);
    return a;
}

static void orphan(struct account *a)
{
    if (!a->home || atomic_exchange_explicit(&a->orphaned, true, memory_order_acq_rel))
        return;
    a->orphan_next = atomic_load_explicit(&a->home->orphans, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&a->home->orphans, &a->orphan_next, a,
                                                  memory_order_release, memory_order_relaxed))
        ;
}

/* The last but one is the registry's. The account is put into the stack before that count is left
 * alone: afterwards the registry may free it. */
void account_drop(struct account *a)
{
    if (!a)
        return;
    unsigned refs = atomic_load_explicit(&a->refs, memory_order_relaxed);
    do {
        if (refs == 2)
            orphan(a);
    } while (!atomic_compare_exchange_weak_explicit(&a->refs, &refs, refs - 1, memory_order_acq_rel,
                                                    memory_order_relaxed));
    if (refs == 1)
        mem_free(a);
}

struct slice account_id(const struct account *a)
{
    return a->id;
}

/* Short, or what the control plane said of such an amount a moment ago. */
static enum account_result short_of(const struct account *a, money amount, uint64_t now_us)
{
    if (now_us < atomic_load_explicit(&a->refused_until_us, memory_order_relaxed) &&
        amount >= atomic_load_explicit(&a->refused_amount, memory_order_relaxed))
        return (enum account_result)atomic_load_explicit(&a->refused_as, memory_order_relaxed);
    return ACCOUNT_SHORT;
}

bool lease_take(struct lease *l, money amount)
{
    int64_t left = atomic_load_explicit(&l->remaining, memory_order_relaxed);
    while (left >= amount)
        if (atomic_compare_exchange_weak_explicit(&l->remaining, &left, left - amount,
                                                  memory_order_relaxed, memory_order_relaxed))
            return true;
    return false;
}

static bool take_valid(struct lease *l, money amount, uint64_t now_us)
{
    return now_us < atomic_load_explicit(&l->valid_until_us, memory_order_relaxed) &&
           lease_take(l, amount);
}

enum account_result account_reserve(struct account *a, money amount, uint64_t now_us,
                                    struct reservation *ret)
{
    MUST(amount >= 0);
    struct lease *l = lease_of(a);
    if (!l || !take_valid(l, amount, now_us))
        return short_of(a, amount, now_us);
    atomic_fetch_add_explicit(&l->outstanding, 1, memory_order_acq_rel);
    *ret = (struct reservation){.lease = l, .amount = amount};
    return ACCOUNT_OK;
}

/* All of it is reserved in the current lease before the old one is given its part back: for that
 * moment it is reserved twice, never less than once. */
static enum account_result move(struct account *a, struct reservation *r, money more,
                                uint64_t now_us)
{
    struct reservation whole;
    enum account_result e = account_reserve(a, money_add(r->amount, more), now_us, &whole);
    if (e != ACCOUNT_OK)
        return e;
    account_settle(r, 0);
    *r = whole;
    return ACCOUNT_OK;
}

enum account_result account_extend(struct account *a, struct reservation *r, money more,
                                   uint64_t now_us)
{
    MUST(more >= 0 && r->lease);
    if (r->lease != lease_of(a))
        return move(a, r, more, now_us);
    if (!take_valid(r->lease, more, now_us))
        return short_of(a, more, now_us);
    r->amount += more;
    return ACCOUNT_OK;
}

void account_settle(struct reservation *r, money real_cost)
{
    struct lease *l = r->lease;
    if (!l)
        return;
    atomic_fetch_add_explicit(&l->settled, real_cost, memory_order_relaxed);
    atomic_fetch_add_explicit(&l->remaining, r->amount - real_cost, memory_order_relaxed);
    atomic_fetch_add_explicit(&l->account->used, real_cost, memory_order_relaxed);
    *r = (struct reservation){0};
    /* last: from here on the lease client may end the lease */
    int64_t before = atomic_fetch_sub_explicit(&l->outstanding, 1, memory_order_acq_rel);
    MUST(before > 0);
}

struct slice reservation_lease_id(const struct reservation *r)
{
    return r->lease ? slice_str(r->lease->id) : SLICE_NONE;
}

void account_look(const struct account *a, struct account_state *ret)
{
    ret->limit = atomic_load_explicit(&a->limit, memory_order_relaxed);
    ret->spent = atomic_load_explicit(&a->spent, memory_order_relaxed);
    ret->set_aside = atomic_load_explicit(&a->set_aside, memory_order_relaxed);
    ret->period_end_us = atomic_load_explicit(&a->period_end_us, memory_order_relaxed);
}

/* ---- waiting: the ticket travels to the main thread and back; only the caller's thread reads
 * `wait` ---- */

static void ticket_free(struct account_wait_ticket *t)
{
    account_drop(t->account);
    mem_free(t);
}

static void on_ticket_back(void *arg)
{
    struct account_wait_ticket *t = arg;
    struct account_wait *w = t->wait;
    enum account_result result = t->result;
    ticket_free(t);
    if (!w)
        return;
    w->ticket = NULL;
    w->done(w, result);
}

void account_ticket_end(struct account_wait_ticket *t, enum account_result result)
{
    t->result = result;
    /* a loop that has stopped has abandoned its waits: the ticket is read no more */
    if (loop_post(t->loop, on_ticket_back, t) != ERR_OK)
        ticket_free(t);
}

enum err account_want(struct account_wait *w)
{
    struct account_home *home = w->account->home;
    struct account_wait_ticket *t = mem_zalloc(sizeof(*t));
    if (!t)
        return ERR_NOMEM;
    *t = (struct account_wait_ticket){
        .account = account_hold(w->account), .wait = w, .loop = w->loop, .amount = w->amount};
    list_init(&t->link);
    w->ticket = t; /* before it is posted: another thread may have ended it when that returns */
    enum err e = home->post ? home->post(home->arg, t) : ERR_CLOSED;
    if (e != ERR_OK) {
        w->ticket = NULL;
        ticket_free(t);
    }
    return e;
}

void account_want_cancel(struct account_wait *w)
{
    if (w->ticket)
        w->ticket->wait = NULL;
    w->ticket = NULL;
}
