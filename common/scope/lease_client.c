/*
 * lease_client — three parts: what is requested, what becomes of a reply, and the tick.
 */
#include "common/scope/lease_client.h"

#include <stdio.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/scope/scope_private.h"
#include "proto/channel.pb-c.h"

#define TICK_MS 250
#define TICKS_PER_S (1000 / TICK_MS)
#define SECOND UINT64_C(1000000)

#define ASKS_MAX 64       /* accounts in one request */
#define REFUSED_US 200000 /* how long a refusal holds without a new request */
#define MARGIN_PERCENT 10 /* of a lease's validity: clocks and scheduling */
#define IDLE_US (5 * SECOND)
#define SOON_S 5        /* seconds of recent use that a lease should hold */
#define FORGETS_IN_S 16 /* the pace of an account that pauses is remembered for a while */
#define AGAIN_US SECOND /* twice short within so long: more is requested than what waits */
#define SHARE 8         /* a part of what the budget has left: the most that is requested beyond */

/* A control plane that restarts is back within; longer: an outage. */
#define GRACE_US (2 * SECOND)
/* A reply that takes longer will not come; a busy control plane may take seconds. */
#define SLOW_US (5 * SECOND)
#define ELSEWHERE_US SECOND  /* what is leased elsewhere is handed back within */
#define RETRY_FIRST_US 40000 /* a recall reaches the other planes by the next heartbeat */
#define RETRY_LAST_US 320000
#define PROBE_US (SECOND / 2)
#define PERIOD_NEAR_US 300000 /* a new period so near is waited for */
#define AHEAD_US (5 * SECOND) /* between two requests to lease ahead that got less than wanted */
#define STANDING_TOLD 10      /* accounts named in the log in one outage */

uint64_t lease_client_told_us = 60 * SECOND;

struct lease_client {
    struct loop *loop;
    struct registry *registry;
    struct control_link links;
    struct timer tick, retry;
    struct list leases;
    struct list unanswered; /* requests whose replies were lost: sent again as they were */
    bool ask_scheduled, probing;
    unsigned tick_count;
    uint64_t failed_since_us; /* no request has got a reply since; 0: none has failed */
    uint64_t away_since_us;   /* as the log was told; 0: it was not */
    uint64_t probed_us;
    unsigned outage;                    /* the number of the present or next one */
    size_t standing;                    /* accounts that refused a call in it */
    atomic_uint_fast64_t told_since_us; /* the same, for other threads */
    atomic_size_t told_leases, told_standing, told_accounts;
    atomic_int_fast64_t told_left;
    uint64_t unreadable; /* replies that were, not yet logged */
    uint64_t unreadable_told_us;
};

static money less(money a, money b)
{
    money rest;
    return __builtin_sub_overflow(a, b, &rest) ? (b < 0 ? INT64_MAX : INT64_MIN) : rest;
}

static money smaller(money a, money b)
{
    return a < b ? a : b;
}

static money larger(money a, money b)
{
    return a > b ? a : b;
}

static money left_of(const struct lease *l)
{
    return l ? atomic_load(&l->remaining) : 0;
}

static void activate(struct lease_client *c, struct account *a)
{
    if (list_empty(&a->active))
        list_push(registry_active(c->registry), &a->active);
}

#define EACH_ACTIVE(c, a)                                                                          \
    LIST_EACH(registry_active((c)->registry), it_)                                                 \
    for (struct account *a = LIST_ITEM(it_, struct account, active); a; a = NULL)

/* ---- away or not ---- */

static void note_failure(struct lease_client *c, uint64_t since_us)
{
    if (c->failed_since_us == 0)
        c->failed_since_us = since_us;
}

static bool is_away(const struct lease_client *c, uint64_t now_us)
{
    return c->failed_since_us != 0 && now_us - c->failed_since_us >= GRACE_US;
}

static void note_answered(struct lease_client *c)
{
    if (c->away_since_us)
        log_info(NULL, "leases_answered_again", "away_ms=%lu budgets_stood=%zu",
                 (unsigned long)((clock_mono_us() - c->away_since_us) / 1000), c->standing);
    c->failed_since_us = 0;
    c->away_since_us = 0;
    c->standing = 0;
    c->outage++;
}

static void stand_still(struct lease_client *c, struct account *a)
{
    if (a->stood_in == c->outage)
        return;
    a->stood_in = c->outage;
    if (++c->standing <= STANDING_TOLD)
        log_warn(NULL, "budget_stands_still", "account=%.*s why=no_reply_from_control_plane",
                 SLICE_ARG(a->id));
}

/* ---- the end of a lease ---- */

static void lease_free(struct lease *l)
{
    list_remove(&l->link);
    account_drop(l->account);
    mem_free(l);
}

static void on_quiescent(void *arg)
{
    struct lease *l = arg;
    l->quiescent = true;
}

static void lease_close(struct lease_client *c, struct lease *l)
{
    if (l->closing)
        return;
    l->closing = true;
    struct lease *expected = l;
    atomic_compare_exchange_strong(&l->account->current, &expected, NULL);
    c->links.after_turns(c->links.arg, on_quiescent, l);
}

static void on_reported(void *arg, enum err e, const void *reply)
{
    struct lease *l = arg;
    const Gatehouse__Reply *m = reply;
    if (e == ERR_OK && m && !m->error)
        lease_free(l);
    else
        l->reported = false; /* the tick tries again */
}

static void lease_report(struct lease_client *c, struct lease *l)
{
    Gatehouse__LeaseEnd end = GATEHOUSE__LEASE_END__INIT;
    Gatehouse__LeaseEnd *ends[] = {&end};
    Gatehouse__LeaseEndRequest body = GATEHOUSE__LEASE_END_REQUEST__INIT;
    Gatehouse__Request m = GATEHOUSE__REQUEST__INIT;
    end.lease_id = l->id;
    end.has_settled_nano = true;
    end.settled_nano = atomic_load(&l->settled);
    body.n_ends = 1;
    body.ends = ends;
    m.body_case = GATEHOUSE__REQUEST__BODY_LEASE_END;
    m.lease_end = &body;
    l->reported = true;
    if (c->links.request(c->links.arg, &m, on_reported, l) != ERR_OK)
        l->reported = false;
}

static uint64_t idle_after_us(const struct account *a)
{
    return a->reserve_us > IDLE_US ? a->reserve_us : IDLE_US;
}

/* Once a tick: an idle one is closed, a closed one reported. */
static void lease_look_after(struct lease_client *c, struct lease *l, uint64_t now_us)
{
    int64_t remaining = atomic_load(&l->remaining);
    int64_t outstanding = atomic_load(&l->outstanding);
    if (l->closing) {
        if (l->quiescent && outstanding == 0 && !l->renewing && !l->reported &&
            c->links.is_connected(c->links.arg))
            lease_report(c, l);
        return;
    }
    if (outstanding > 0 || remaining != l->seen_remaining)
        l->used_us = now_us;
    l->seen_remaining = remaining;
    bool idle = now_us - l->used_us >= idle_after_us(l->account);
    bool over = now_us >= atomic_load(&l->valid_until_us);
    if (!l->account->asking && (idle || over))
        lease_close(c, l);
}

/* ---- what is requested ---- */

static void ask(struct lease_client *c);

static void on_ask_turn(void *arg)
{
    struct lease_client *c = arg;
    c->ask_scheduled = false;
    ask(c);
}

/* At the end of this turn, once for all accounts that need it. */
static void ask_soon(struct lease_client *c)
{
    if (c->ask_scheduled)
        return;
    c->ask_scheduled = true;
    loop_retire(c->loop, on_ask_turn, c);
}

static void on_retry(struct timer *t)
{
    ask(CONTAINER_OF(t, struct lease_client, retry));
}

static void retry_in(struct lease_client *c, uint64_t us)
{
    uint64_t at_us = clock_mono_us() + us;
    if (c->retry.slot == SIZE_MAX || c->retry.at_us > at_us)
        timer_start(&c->retry, us / 1000 + 1);
}

/* The smallest amount that waits; 0: none does. */
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

/* Of all that wait. One that costs more than the whole budget has left would take what others can
 * use, for nothing: it is left out, unless it is alone: then the control plane refuses it. */
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

/* What is used in so many seconds at this pace, never less than nothing. */
static money use_in(const struct account *a, uint64_t seconds)
{
    money sum;
    if (__builtin_mul_overflow(a->used_per_s, (int64_t)seconds, &sum))
        return INT64_MAX;
    return larger(sum, 0);
}

static money share_of(struct account *a)
{
    money left = less(atomic_load(&a->limit), atomic_load(&a->spent));
    return larger(less(left, atomic_load(&a->set_aside)) / SHARE, 0);
}

/* Before there is a pace to go by, a burst would cost a round trip for each handful of calls that
 * waits: what is requested doubles each time. */
static money grown_need(struct account *a, money need, uint64_t now_us)
{
    bool again = a->needed_us && now_us - a->needed_us < AGAIN_US;
    money twice;
    a->needed_us = now_us;
    if (!again || __builtin_mul_overflow(a->grown, 2, &twice))
        twice = 0;
    a->grown = larger(need, smaller(twice, share_of(a)));
    return a->grown;
}

/* What the lease should hold for an outage. */
static money reserve_target(const struct account *a)
{
    if (a->reserve_us == 0)
        return 0;
    money of_pace = use_in(a, a->reserve_us / SECOND);
    return larger(larger(of_pace, a->used_long), money_add(a->largest, a->largest));
}

struct ask_amounts {
    money want;  /* in all */
    money need;  /* of it, for what waits */
    money least; /* less is of no use */
};

/* What this account should be granted now. false: nothing is to be requested. */
static bool amounts_to_request(struct account *a, const struct lease *l, uint64_t now_us,
                               struct ask_amounts *ret)
{
    money left = left_of(l), sum = now_us >= a->retry_at_us ? waiting_sum(a) : 0;
    money overdraft = left < 0 ? less(0, left) : 0;
    money soon = use_in(a, SOON_S), reserve = reserve_target(a);
    *ret = (struct ask_amounts){0};
    if (sum > 0) {
        ret->need = money_add(sum, overdraft);
        ret->least = larger(less(waiting_least(a), left), 1);
        ret->want = grown_need(a, ret->need, now_us);
    }
    bool low = l && left < soon / 2;
    bool ahead = a->reserve_us > 0 && l && now_us >= a->reserve_at_us && left < reserve / 2;
    bool due = l && now_us >= l->renew_at_us;
    bool back = l && l->give_back > 0;
    if (ret->need == 0 && !low && !ahead && !due && !back)
        return false;
    if (low || ret->need > 0)
        ret->want = larger(ret->want, smaller(less(soon, left), share_of(a)));
    if (ahead || due || (a->reserve_us > 0 && ret->need > 0))
        ret->want = larger(ret->want, less(reserve, left));
    ret->want = larger(ret->want, ret->need);
    if (ahead)
        a->reserve_at_us = now_us + AHEAD_US;
    return true;
}

/* One LeaseRequest under way: which accounts it names, in order. It may have been decided though no
 * reply came: until one does it is sent again under its number, which gets the same grants, and its
 * accounts ask for nothing else. Otherwise what was granted would be of no use: the control plane
 * counts it as leased to this plane, which does not know of it. */
struct asking {
    struct list link; /* of client->unanswered, or none */
    struct lease_client *client;
    uint64_t sent_us;  /* at first */
    uint64_t tried_us; /* sent at last */
    uint64_t number;   /* 0: not sent yet */
    size_t count;
    struct {
        struct account *account; /* held */
        struct lease *renewed;   /* NULL: a new one is requested */
        struct ask_amounts amounts;
        money give_back;
    } of[ASKS_MAX];
};

/* Only where there is something to request: most ticks allocate nothing. */
static bool begin_asking(struct lease_client *c, struct asking **to, uint64_t now_us)
{
    if (*to)
        return true;
    struct asking *k = *to = mem_zalloc(sizeof(*k));
    if (!k)
        return false;
    list_init(&k->link);
    k->client = c;
    k->sent_us = now_us;
    return true;
}

static void fill_ask(Gatehouse__LeaseAsk *ask, const struct asking *k, size_t i)
{
    gatehouse__lease_ask__init(ask);
    ask->account = (char *)(uintptr_t)k->of[i].account->id.ptr; /* a NUL follows it */
    ask->has_want_nano = ask->has_least_nano = ask->has_need_nano = true;
    ask->want_nano = k->of[i].amounts.want;
    ask->least_nano = k->of[i].amounts.least;
    ask->need_nano = k->of[i].amounts.need;
    ask->has_give_back_nano = k->of[i].give_back > 0;
    ask->give_back_nano = k->of[i].give_back;
    ask->renew_lease_id = k->of[i].renewed ? k->of[i].renewed->id : NULL;
}

static void collect_one(struct lease_client *c, struct asking **to, struct account *a,
                        uint64_t now_us)
{
    struct lease *l = lease_of(a);
    struct ask_amounts amounts;
    if (a->asking || (*to && (*to)->count == ASKS_MAX))
        return;
    if (l && now_us >= atomic_load(&l->valid_until_us)) {
        lease_close(c, l);
        l = NULL;
    }
    if (!amounts_to_request(a, l, now_us, &amounts) || !begin_asking(c, to, now_us))
        return;
    struct asking *k = *to;
    size_t i = k->count++;
    k->of[i].account = account_hold(a);
    k->of[i].renewed = l;
    k->of[i].amounts = amounts;
    if (l) { /* a lease that has ended takes along what was to be handed back of it */
        k->of[i].give_back = l->give_back;
        l->give_back = 0;
        l->renewing = true;
    }
    a->asking = true;
    a->revoke_reply = false;
    if (amounts.need > 0) {
        LIST_EACH(&a->waiting, it)
        LIST_ITEM(it, struct account_wait_ticket, link)->asked = true;
    }
}

/* It was not sent: nothing has changed anywhere. */
static void asking_cancel(struct asking *k)
{
    for (size_t i = 0; i < k->count; i++) {
        struct account *a = k->of[i].account;
        a->asking = false;
        a->needed_us = 0; /* what is requested next grows from what waits */
        if (k->of[i].renewed) {
            k->of[i].renewed->give_back = k->of[i].give_back;
            k->of[i].renewed->renewing = false;
        }
        account_drop(a);
    }
    mem_free(k);
}

/* Logged once a minute, with how many there were: a control plane of another version sends them
 * each time. */
static void tell_unreadable(struct lease_client *c, uint64_t now_us)
{
    c->unreadable++;
    if (c->unreadable_told_us && now_us - c->unreadable_told_us < lease_client_told_us)
        return;
    log_warn(NULL, "lease_reply_unreadable", "replies=%lu", (unsigned long)c->unreadable);
    c->unreadable = 0;
    c->unreadable_told_us = now_us;
}

static void on_grants(void *arg, enum err e, const void *reply);

static enum err send(struct lease_client *c, struct asking *k)
{
    Gatehouse__LeaseAsk asks[ASKS_MAX], *list[ASKS_MAX];
    Gatehouse__LeaseRequest body = GATEHOUSE__LEASE_REQUEST__INIT;
    Gatehouse__Request m = GATEHOUSE__REQUEST__INIT;
    for (size_t i = 0; i < k->count; i++) {
        fill_ask(&asks[i], k, i);
        list[i] = &asks[i];
    }
    body.n_asks = k->count;
    body.asks = list;
    m.body_case = GATEHOUSE__REQUEST__BODY_LEASE;
    m.lease = &body;
    m.has_number = k->number != 0;
    m.number = k->number;
    uint64_t now_us = clock_mono_us();
    enum err e = c->links.request(c->links.arg, &m, on_grants, k);
    if (e == ERR_OK) {
        k->number = m.number;
        k->tried_us = now_us;
    }
    return e;
}

static void send_again(struct lease_client *c)
{
    LIST_EACH(&c->unanswered, it)
    {
        struct asking *k = LIST_ITEM(it, struct asking, link);
        if (send(c, k) != ERR_OK)
            return;
        list_remove(&k->link);
    }
}

static void ask(struct lease_client *c)
{
    if (!c->links.is_connected(c->links.arg))
        return;
    struct asking *k = NULL;
    uint64_t now_us = clock_mono_us();
    EACH_ACTIVE(c, a)
    collect_one(c, &k, a, now_us);
    if (!k)
        return;
    bool more = k->count == ASKS_MAX;
    if (send(c, k) != ERR_OK)
        asking_cancel(k);
    else if (more)
        ask_soon(c);
}

/* ---- what becomes of a reply ---- */

static void refuse_for_a_while(struct account *a, money amount, enum account_result as)
{
    uint64_t until = clock_mono_us() + REFUSED_US;
    int64_t end = atomic_load(&a->period_end_us), wall = clock_wall_us();
    /* what a period has not left, the next one may have */
    if (end > 0 && end < INT64_MAX && end - wall < (int64_t)REFUSED_US)
        until = clock_mono_us() + (end > wall ? (uint64_t)(end - wall) : 0);
    atomic_store(&a->refused_amount, amount);
    atomic_store(&a->refused_as, as);
    atomic_store(&a->refused_until_us, until);
}

/* What the budget holds for this plane. */
struct hope {
    money soon;  /* free, in our lease and reserved there, and in leases of others */
    money later; /* and what is in suspense */
    bool period_is_near;
};

static struct hope hope_of(const struct lease *l, const Gatehouse__LeaseGrant *g)
{
    money free = less(g->limit_nano, g->spent_nano);
    money own = l ? less(l->granted, atomic_load(&l->settled)) : 0;
    int64_t wall = clock_wall_us();
    struct hope h = {.soon = money_add(money_add(free, own), g->recallable_nano),
                     .later = g->suspense_nano};
    h.later = money_add(h.later, h.soon);
    h.period_is_near = g->period_end_us > 0 && g->period_end_us < INT64_MAX &&
                       g->period_end_us - wall < PERIOD_NEAR_US;
    return h;
}

/* After a grant: the waits that fit end. Of the others those end that cannot hope for more; the
 * rest are requested again. */
static void end_waits(struct account *a, const struct hope *h, bool refused, uint64_t now_us)
{
    struct lease *l = lease_of(a);
    money left = left_of(l), least_refused = INT64_MAX;
    enum account_result as = ACCOUNT_ELSEWHERE;
    LIST_EACH(&a->waiting, it)
    {
        struct account_wait_ticket *t = LIST_ITEM(it, struct account_wait_ticket, link);
        enum account_result r = t->amount > h->later ? ACCOUNT_EXHAUSTED : ACCOUNT_ELSEWHERE;
        bool fits = t->amount <= left;
        bool hopes = t->amount <= h->soon && now_us - t->since_us < ELSEWHERE_US;
        if (!fits && (!refused || !t->asked || hopes || h->period_is_near))
            continue;
        list_remove(&t->link);
        if (fits) {
            left -= t->amount;
        } else if (t->amount < least_refused) {
            least_refused = t->amount;
            as = r;
        }
        account_ticket_end(t, fits ? ACCOUNT_OK : r);
    }
    if (least_refused < INT64_MAX)
        refuse_for_a_while(a, least_refused, as);
}

static uint64_t until_us(const struct asking *k, uint64_t valid_us, const Gatehouse__LeaseGrant *g)
{
    uint64_t until = k->sent_us + valid_us; /* from when it was sent: never later than they think */
    int64_t wall = clock_wall_us();
    if (g->has_reserve_ms) /* within the period already, by the clock of the control plane */
        return until;
    if (g->period_end_us > 0 && g->period_end_us < INT64_MAX) {
        uint64_t now = clock_mono_us();
        uint64_t end = g->period_end_us > wall ? now + (uint64_t)(g->period_end_us - wall) : now;
        if (end < until)
            until = end;
    }
    return until;
}

static struct lease *lease_new(struct lease_client *c, struct account *a, const char *id)
{
    struct lease *l = mem_zalloc(sizeof(*l));
    if (!l)
        return NULL;
    snprintf(l->id, sizeof(l->id), "%s", id);
    l->account = account_hold(a);
    l->used_us = clock_mono_us();
    list_push(&c->leases, &l->link);
    return l;
}

/* The lease that the request prolonged is the account's current one, or was closed since; there is
 * no other. Closed, it takes the grant all the same and stays closed: a second lease of that id
 * would still be spent after the first one's end had freed all of it. */
static void take_grant(struct asking *k, size_t i, const Gatehouse__LeaseGrant *g)
{
    struct account *a = k->of[i].account;
    struct lease *renewed = k->of[i].renewed;
    atomic_store(&a->limit, g->limit_nano);
    atomic_store(&a->spent, g->spent_nano - g->set_aside_nano);
    atomic_store(&a->set_aside, g->set_aside_nano);
    atomic_store(&a->period_end_us, g->period_end_us);
    a->reserve_us = (uint64_t)g->reserve_ms * 1000;
    struct lease *l = renewed;
    if (l && g->lease_id && strcmp(l->id, g->lease_id) != 0) {
        lease_close(k->client, l);
        l = NULL;
    }
    bool fresh = !l && g->lease_id && g->lease_id[0] && strlen(g->lease_id) < LEASE_ID_MAX;
    if (fresh)
        l = lease_new(k->client, a, g->lease_id);
    if (!l)
        return;
    uint64_t valid_us = (uint64_t)g->valid_ms * 1000 * (100 - MARGIN_PERCENT) / 100;
    l->renew_at_us = k->sent_us + valid_us / 2;
    atomic_store(&l->valid_until_us,
                 until_us(k, valid_us > a->reserve_us ? valid_us : a->reserve_us, g));
    l->granted = money_add(l->granted, g->granted_nano);
    atomic_fetch_add(&l->remaining, g->granted_nano);
    if (fresh)
        atomic_store_explicit(&a->current, l, memory_order_release);
    if (a->revoke_reply) /* the policy changed while this was under way */
        lease_close(k->client, l);
}

static void take_reply(struct asking *k, size_t i, const Gatehouse__LeaseGrant *g)
{
    struct account *a = k->of[i].account;
    const struct ask_amounts *amounts = &k->of[i].amounts;
    uint64_t now_us = clock_mono_us();
    struct lease *renewed = k->of[i].renewed;
    bool none = !g->unknown && (!g->lease_id || !g->lease_id[0]);
    /* the lease that was to be prolonged is ours no more: a new one is requested first */
    bool lost = renewed && (renewed->closing || none);
    take_grant(k, i, g);
    if (lost)
        lease_close(k->client, renewed);
    if (g->granted_nano >= amounts->want)
        a->reserve_at_us = 0;
    struct hope h = hope_of(lease_of(a), g);
    bool refused = !lost && !a->revoke_reply && g->granted_nano < amounts->need;
    end_waits(a, &h, refused, now_us);
    if (list_empty(&a->waiting)) {
        a->tries = 0;
        a->retry_at_us = 0;
        return;
    }
    uint64_t pause = refused ? RETRY_FIRST_US << (a->tries < 3 ? a->tries : 3) : 0;
    pause = pause > RETRY_LAST_US ? RETRY_LAST_US : pause;
    a->tries += refused;
    a->retry_at_us = now_us + pause;
    if (pause > 0)
        retry_in(k->client, pause);
    else
        ask_soon(k->client);
}

static void on_grants(void *arg, enum err e, const void *reply)
{
    struct asking *k = arg;
    struct lease_client *c = k->client;
    const Gatehouse__Reply *m = reply;
    bool answered = e == ERR_OK && m && !m->error && m->lease && m->lease->n_grants == k->count;
    if (answered)
        note_answered(c);
    else
        note_failure(c, k->tried_us); /* an earlier try says nothing of this outage */
    if (!answered && e == ERR_OK && !(m && m->error))
        tell_unreadable(c, k->tried_us);
    if (!answered) {
        list_push(&c->unanswered, &k->link);
        return;
    }
    for (size_t i = 0; i < k->count; i++) {
        struct account *a = k->of[i].account;
        a->asking = false;
        if (k->of[i].renewed)
            k->of[i].renewed->renewing = false;
        take_reply(k, i, m->lease->grants[i]);
        account_drop(a);
    }
    mem_free(k);
}

/* ---- tickets ---- */

struct posted {
    struct lease_client *client;
    struct account_wait_ticket *ticket;
};

static void on_posted(void *arg)
{
    struct posted p = *(struct posted *)arg;
    struct account *a = p.ticket->account;
    mem_free(arg);
    p.ticket->since_us = clock_mono_us();
    if (!p.client->links.is_connected(p.client->links.arg))
        note_failure(p.client, p.ticket->since_us);
    a->largest = larger(a->largest, p.ticket->amount);
    activate(p.client, a);
    if (is_away(p.client, p.ticket->since_us)) {
        stand_still(p.client, a);
        account_ticket_end(p.ticket, ACCOUNT_AWAY);
        return;
    }
    list_push(&a->waiting, &p.ticket->link);
    ask_soon(p.client);
}

static enum err post(void *arg, struct account_wait_ticket *t)
{
    struct lease_client *c = arg;
    struct posted *p = mem_zalloc(sizeof(*p));
    if (!p)
        return ERR_NOMEM;
    *p = (struct posted){.client = c, .ticket = t};
    enum err e = loop_post(c->loop, on_posted, p);
    if (e != ERR_OK)
        mem_free(p);
    return e;
}

static void end_tickets(struct account *a, enum account_result r)
{
    struct list *link;
    while ((link = list_take_first(&a->waiting)))
        account_ticket_end(LIST_ITEM(link, struct account_wait_ticket, link), r);
}

/* A request that gets no reply at all is a failure too, before its time is over. */
static void lose_patience(struct lease_client *c, struct account *a, uint64_t now_us)
{
    uint64_t longest = 0;
    LIST_EACH(&a->waiting, it)
    {
        uint64_t since = LIST_ITEM(it, struct account_wait_ticket, link)->since_us;
        longest = now_us - since > longest ? now_us - since : longest;
    }
    bool connected = c->links.is_connected(c->links.arg);
    if (longest >= (connected ? SLOW_US : GRACE_US) && (a->asking || !connected))
        note_failure(c, now_us - GRACE_US);
    if (!is_away(c, now_us))
        return;
    if (!list_empty(&a->waiting))
        stand_still(c, a);
    end_tickets(a, ACCOUNT_AWAY);
}

/* ---- the tick ---- */

static void fade(money *sum, money fresh, uint64_t over_s)
{
    *sum = money_add(*sum - *sum / (int64_t)(over_s > 0 ? over_s : 1), fresh);
}

static void measure_use(struct account *a)
{
    money used = atomic_load(&a->used);
    money fresh = less(used, a->used_before);
    a->used_before = used;
    if (fresh > a->used_per_s)
        a->used_per_s = a->used_per_s / 2 + fresh / 2;
    else
        a->used_per_s -= (a->used_per_s - fresh) / FORGETS_IN_S;
    fade(&a->used_long, fresh, a->reserve_us / SECOND);
    a->largest -= a->largest / 1024;
}

static bool is_worth_a_tick(struct account *a)
{
    return lease_of(a) || a->asking || !list_empty(&a->waiting) || a->used_per_s > 0;
}

static void look_after_accounts(struct lease_client *c, uint64_t now_us)
{
    bool second = ++c->tick_count % TICKS_PER_S == 0;
    money left = 0;
    EACH_ACTIVE(c, a)
    {
        if (second)
            measure_use(a);
        lose_patience(c, a, now_us);
        left = money_add(left, larger(left_of(lease_of(a)), 0));
        if (!is_worth_a_tick(a))
            list_remove(&a->active);
    }
    atomic_store(&c->told_left, left);
}

static void on_probed(void *arg, enum err e, const void *reply)
{
    struct lease_client *c = arg;
    const Gatehouse__Reply *m = reply;
    c->probing = false;
    if (e == ERR_OK && m && !m->error)
        note_answered(c);
}

/* From a failed request until the next reply. Tickets end at once while the control plane is away,
 * and where none waits nothing is requested: without a request of its own, the first call after an
 * outage, or long after one failure, would be refused. */
static void probe(struct lease_client *c, uint64_t now_us)
{
    if (c->failed_since_us == 0 || c->probing || now_us - c->probed_us < PROBE_US ||
        !c->links.is_connected(c->links.arg))
        return;
    Gatehouse__LeaseRequest body = GATEHOUSE__LEASE_REQUEST__INIT;
    Gatehouse__Request m = GATEHOUSE__REQUEST__INIT;
    m.body_case = GATEHOUSE__REQUEST__BODY_LEASE;
    m.lease = &body;
    c->probed_us = now_us;
    c->probing = c->links.request(c->links.arg, &m, on_probed, c) == ERR_OK;
}

static void tell(struct lease_client *c, uint64_t now_us)
{
    size_t leases = 0;
    LIST_EACH(&c->leases, it)
    leases++;
    bool away = is_away(c, now_us);
    if (away && !c->away_since_us && leases + c->standing > 0) {
        log_warn(NULL, "leases_not_answered", "leases=%zu left_nano=%lld", leases,
                 (long long)atomic_load(&c->told_left));
        c->away_since_us = c->failed_since_us;
    }
    atomic_store(&c->told_since_us, away ? c->failed_since_us : 0);
    atomic_store(&c->told_leases, leases);
    atomic_store(&c->told_standing, c->standing);
    atomic_store(&c->told_accounts, registry_count(c->registry));
}

static void on_tick(struct timer *t)
{
    struct lease_client *c = CONTAINER_OF(t, struct lease_client, tick);
    uint64_t now_us = clock_mono_us();
    if (!c->links.is_connected(c->links.arg))
        note_failure(c, now_us);
    LIST_EACH(&c->leases, it)
    lease_look_after(c, LIST_ITEM(it, struct lease, link), now_us);
    send_again(c);
    ask(c);
    look_after_accounts(c, now_us);
    probe(c, now_us);
    registry_sweep(c->registry);
    tell(c, now_us);
    timer_start(&c->tick, TICK_MS);
}

/* ---- from the plane ---- */

void lease_client_policy(struct lease_client *c)
{
    struct list *link;
    while ((link = list_take_first(registry_changed(c->registry)))) {
        struct account *a = LIST_ITEM(link, struct account, changed);
        struct lease *l = lease_of(a);
        atomic_store(&a->refused_until_us, 0);
        if (!a->narrowed)
            continue;
        a->narrowed = false;
        a->revoke_reply = a->asking;
        if (l)
            lease_close(c, l);
    }
}

void lease_client_on_state(struct lease_client *c, bool connected)
{
    if (connected) /* what failed before says nothing of this connection */
        c->failed_since_us = 0;
    else
        note_failure(c, clock_mono_us());
}

void lease_client_recall(struct lease_client *c, struct slice account, money short_of)
{
    struct account *a = registry_find(c->registry, account);
    struct lease *l = a ? lease_of(a) : NULL;
    money left = left_of(l);
    money back = smaller(left, larger(short_of, left / 2));
    if (back <= 0 || !lease_take(l, back))
        return; /* what is not idle now is not handed back */
    l->granted -= back;
    l->give_back = money_add(l->give_back, back);
    a->reserve_at_us = clock_mono_us() + AHEAD_US;
    activate(c, a);
    ask_soon(c);
}

bool lease_client_end_all(struct lease_client *c)
{
    uint64_t now_us = clock_mono_us();
    bool asking = false;
    LIST_EACH(&c->leases, it)
    {
        lease_close(c, LIST_ITEM(it, struct lease, link));
        lease_look_after(c, LIST_ITEM(it, struct lease, link), now_us);
    }
    EACH_ACTIVE(c, a)
    asking = asking || a->asking; /* the reply may open one */
    return list_empty(&c->leases) && !asking;
}

void lease_client_status(const struct lease_client *c, struct lease_status *ret)
{
    uint64_t since = atomic_load(&c->told_since_us);
    *ret = (struct lease_status){.away_ms = since ? (clock_mono_us() - since) / 1000 : 0,
                                 .leases = atomic_load(&c->told_leases),
                                 .left = atomic_load(&c->told_left),
                                 .standing = atomic_load(&c->told_standing),
                                 .accounts = atomic_load(&c->told_accounts)};
}

enum err lease_client_new(struct loop *l, struct registry *r, const struct control_link *links,
                          struct lease_client **ret)
{
    struct lease_client *c = mem_zalloc(sizeof(*c));
    if (!c)
        return ERR_NOMEM;
    c->loop = l;
    c->registry = r;
    c->links = *links;
    c->outage = 1;
    list_init(&c->leases);
    list_init(&c->unanswered);
    timer_init(&c->tick, l, on_tick);
    timer_init(&c->retry, l, on_retry);
    timer_start(&c->tick, TICK_MS);
    registry_post_to(r, post, c);
    *ret = c;
    return ERR_OK;
}

void lease_client_free(struct lease_client *c)
{
    if (!c)
        return;
    timer_cancel(&c->tick);
    timer_cancel(&c->retry);
    registry_post_to(c->registry, NULL, NULL);
    LIST_EACH(&c->unanswered, it)
    asking_cancel(LIST_ITEM(it, struct asking, link));
    EACH_ACTIVE(c, a)
    {
        end_tickets(a, ACCOUNT_FAILED);
        atomic_store(&a->current, NULL);
        list_remove(&a->active);
    }
    LIST_EACH(&c->leases, it)
    lease_free(LIST_ITEM(it, struct lease, link));
    mem_free(c);
}
