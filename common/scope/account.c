/* account — the workers' side: atomics only. The lease_client (lease_client.c) fills it. */
#include "common/scope/account.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/scope/account_private.h"
#include "common/scope/lease_client.h"

struct account *account_new(struct slice id, struct registry *r)
{
    struct account *a = mem_zalloc(sizeof(*a) + id.len + 1);
    if (!a)
        return NULL;
    atomic_init(&a->refs, 1);
    a->registry = r;
    memcpy(a + 1, id.ptr, id.len);
    a->id = slice_of(a + 1, id.len);
    list_init(&a->waiting);
    return a;
}

struct account *account_hold(struct account *a)
{
    atomic_fetch_add_explicit(&a->refs, 1, memory_order_relaxed);
    return a;
}

void account_drop(struct account *a)
{
    if (a && atomic_fetch_sub_explicit(&a->refs, 1, memory_order_acq_rel) == 1)
        mem_free(a);
}

struct slice account_id(const struct account *a)
{
    return a->id;
}

static bool was_refused_lately(const struct account *a, money amount, uint64_t now_us)
{
    return now_us < atomic_load_explicit(&a->refused_until_us, memory_order_relaxed) &&
           amount >= atomic_load_explicit(&a->refused_amount, memory_order_relaxed);
}

static bool take(struct lease *l, money amount, uint64_t now_us)
{
    if (now_us >= atomic_load_explicit(&l->valid_until_us, memory_order_relaxed))
        return false;
    int64_t left = atomic_load_explicit(&l->remaining, memory_order_relaxed);
    while (left >= amount)
        if (atomic_compare_exchange_weak_explicit(&l->remaining, &left, left - amount,
                                                  memory_order_relaxed, memory_order_relaxed))
            return true;
    return false;
}

enum err account_reserve(struct account *a, money amount, uint64_t now_us, struct reservation *ret)
{
    MUST(amount >= 0);
    struct lease *l = atomic_load_explicit(&a->current, memory_order_acquire);
    if (l && take(l, amount, now_us)) {
        atomic_fetch_add_explicit(&l->outstanding, 1, memory_order_acq_rel);
        *ret = (struct reservation){.lease = l, .amount = amount};
        return ERR_OK;
    }
    return was_refused_lately(a, amount, now_us) ? ERR_EXHAUSTED : ERR_AGAIN;
}

enum err account_extend(struct account *a, struct reservation *r, money more, uint64_t now_us)
{
    MUST(more >= 0 && r->lease);
    if (r->lease != atomic_load_explicit(&a->current, memory_order_acquire))
        return ERR_EXHAUSTED;
    if (take(r->lease, more, now_us)) {
        r->amount += more;
        return ERR_OK;
    }
    return was_refused_lately(a, more, now_us) ? ERR_EXHAUSTED : ERR_AGAIN;
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
    /* last: from here on the lease_client may end the lease */
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

/* ---- waiting: the ticket travels to the lease_client and back; only the asker's thread reads
 * `wait` ----
 */

static void ticket_free(struct account_wait_ticket *t)
{
    account_drop(t->account);
    mem_free(t);
}

static void on_ticket_home(void *arg)
{
    struct account_wait_ticket *t = arg;
    struct account_wait *w = t->wait;
    enum err answer = t->answer;
    ticket_free(t);
    if (!w)
        return;
    w->ticket = NULL;
    w->done(w, answer);
}

void account_ticket_answer(struct account_wait_ticket *t, enum err answer)
{
    t->answer = answer;
    /* a loop that has stopped has abandoned its waits: nobody reads the ticket any more */
    if (loop_post(t->loop, on_ticket_home, t) != ERR_OK)
        ticket_free(t);
}

enum err account_want(struct account_wait *w)
{
    struct lease_client *lease_client = registry_lease_client(w->account->registry);
    struct account_wait_ticket *t = mem_zalloc(sizeof(*t));
    if (!t)
        return ERR_NOMEM;
    *t = (struct account_wait_ticket){
        .account = account_hold(w->account), .wait = w, .loop = w->loop, .amount = w->amount};
    list_init(&t->link);
    enum err e = lease_client ? lease_client_post(lease_client, t) : ERR_CLOSED;
    if (e != ERR_OK) {
        ticket_free(t);
        return e;
    }
    w->ticket = t;
    return ERR_OK;
}

void account_want_cancel(struct account_wait *w)
{
    if (w->ticket)
        w->ticket->wait = NULL;
    w->ticket = NULL;
}
