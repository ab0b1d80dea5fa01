/*
 * filter_budget — reserves the worst case in the key's account and the team's; both or none.
 *
 * Where the lease of an account does not hold the amount, the lease client is told to get a larger
 * one, and the request waits holding nothing: two requests that each held one account and waited
 * for the other's would starve each other.
 */
#include "common/request/filter_budget.h"

#include "common/base/clock.h"
#include "common/request/request_private.h"

/* Each wait ended with a grant that another request took first. With more waits than this the
 * budget is contended: the client may try again. */
#define WAITS_MAX 8

static struct budget_state *state_of(const struct request *rq)
{
    return filter_state(rq, &filter_budget);
}

static struct account *account_of(const struct request *rq, size_t i)
{
    if (i == 0)
        return rq->who.key->account;
    return rq->who.team ? rq->who.team->account : NULL;
}

/* `key "triage-bot key"`: the reader of a refusal knows names, not ids. */
static struct slice owner_of(const struct request *rq, const struct account *a)
{
    const struct policy_key *key = rq->who.key;
    bool keys_own = a == key->account;
    struct slice name = keys_own ? key->o.name : rq->who.team->o.name;
    if (keys_own && name.len == 0)
        name = key->public_part;
    return arena_printf(rq->arena, "%s \"%.*s\"", keys_own ? "key" : "team", SLICE_ARG(name));
}

static struct slice sentence(const struct budget_state *b, const struct account *a,
                             const struct account_state *s, bool resets)
{
    char spent[MONEY_TEXT_MAX], limit[MONEY_TEXT_MAX], aside[MONEY_TEXT_MAX];
    char amount[MONEY_TEXT_MAX], when[CLOCK_TEXT_MAX];
    struct slice end = resets ? clock_format(s->period_end_us, when) : SLICE_NONE;
    return arena_printf(b->rq->arena,
                        "The budget of the %.*s does not hold this call: of %.*s USD, %.*s are "
                        "spent and %.*s set aside for calls under way or not yet booked, and this "
                        "one may cost %.*s USD. It %s%.*s.",
                        SLICE_ARG(owner_of(b->rq, a)), SLICE_ARG(money_format(s->limit, limit)),
                        SLICE_ARG(money_format(s->spent, spent)),
                        SLICE_ARG(money_format(s->set_aside, aside)),
                        SLICE_ARG(money_format(b->worst, amount)),
                        resets ? "resets at " : "does not reset", SLICE_ARG(end));
}

static enum filter_result refuse_exhausted(struct budget_state *b, const struct account *a)
{
    struct request *rq = b->rq;
    struct account_state s;
    account_look(a, &s);
    bool resets = s.period_end_us > 0 && s.period_end_us < INT64_MAX;
    request_refuse(rq, REFUSAL_BUDGET, sentence(b, a, &s, resets));
    rq->refusal.no_retry = true;
    int64_t left_us = resets ? s.period_end_us - clock_wall_us() : 0;
    if (left_us > 0 && left_us / 1000000 < UINT32_MAX)
        rq->refusal.retry_after_s = (unsigned)(left_us / 1000000) + 1;
    return FILTER_REFUSE;
}

static void give_back(struct budget_state *b)
{
    for (size_t i = 0; i < BUDGET_CHARGES; i++)
        if (b->reservations[i].lease)
            account_settle(&b->reservations[i], 0);
    b->charge_count = 0;
    b->reserved = 0;
}

static enum filter_result refuse_busy(struct request *rq)
{
    request_refuse(rq, REFUSAL_NO_CAPACITY, SLICE_NONE);
    rq->refusal.retry_after_s = 1;
    return FILTER_REFUSE;
}

static enum filter_result reserve(struct budget_state *b);

static void on_slice(struct account_wait *w, enum err e)
{
    struct budget_state *b = CONTAINER_OF(w, struct budget_state, wait);
    struct request *rq = b->rq;
    enum filter_result a;
    if (e == ERR_OK) {
        a = reserve(b);
    } else if (e == ERR_EXHAUSTED) {
        a = refuse_exhausted(b, w->account);
    } else {
        request_refuse(rq, REFUSAL_LEDGER_AWAY, SLICE_NONE);
        rq->refusal.retry_after_s = 1;
        a = FILTER_REFUSE;
    }
    if (a != FILTER_WAIT)
        request_go_on(rq, a);
}

static enum filter_result want_more(struct budget_state *b, struct account *a)
{
    if (++b->waits > WAITS_MAX)
        return refuse_busy(b->rq);
    b->wait = (struct account_wait){
        .account = a, .amount = b->worst, .loop = b->rq->env->loop, .done = on_slice};
    return account_want(&b->wait) ? refuse_busy(b->rq) : FILTER_WAIT;
}

static enum err note_charge(struct budget_state *b, const struct account *a, size_t i)
{
    struct slice lease = arena_copy(b->rq->arena, reservation_lease_id(&b->reservations[i]));
    if (!lease.ptr)
        return ERR_NOMEM;
    b->charges[b->charge_count++] =
        (struct budget_charge){.account = account_id(a), .lease_id = lease, .amount = b->worst};
    return ERR_OK;
}

static enum filter_result reserve(struct budget_state *b)
{
    uint64_t now = clock_mono_us();
    for (size_t i = 0; i < BUDGET_CHARGES; i++) {
        struct account *a = account_of(b->rq, i);
        if (!a)
            continue;
        enum err e = account_reserve(a, b->worst, now, &b->reservations[i]);
        if (!e)
            e = note_charge(b, a, i);
        if (!e)
            continue;
        give_back(b);
        if (e == ERR_EXHAUSTED)
            return refuse_exhausted(b, a);
        return e == ERR_AGAIN ? want_more(b, a) : refuse_busy(b->rq);
    }
    b->reserved = b->worst;
    return FILTER_PASS;
}

static enum filter_result on_request(struct request *rq)
{
    struct budget_state *b = state_of(rq);
    b->rq = rq;
    enum err e = rq->gate->worst_case ? rq->gate->worst_case(rq, &b->worst) : ERR_NOT_FOUND;
    b->worst_known = e == ERR_OK;
    if (!account_of(rq, 0) && !account_of(rq, 1))
        return FILTER_PASS;
    if (e == ERR_NOT_FOUND || (e == ERR_OK && b->worst == 0))
        return FILTER_PASS; /* no price: cost unknown, counted as such, never as 0; or free */
    if (e) {
        request_refuse(rq, REFUSAL_UNBOUNDED,
                       e == ERR_INVALID ? SLICE("it uses tools the provider bills by itself")
                                        : SLICE("it is too large"));
        return FILTER_REFUSE;
    }
    return reserve(b);
}

static money real_cost(const struct request *rq)
{
    return rq->record.cost_known ? rq->record.cost : 0;
}

static void on_finish(struct request *rq)
{
    struct budget_state *b = state_of(rq);
    account_want_cancel(&b->wait);
    for (size_t i = 0; i < b->charge_count; i++)
        b->charges[i].amount = real_cost(rq);
}

/* The lease client may end a lease once its last reservation is settled, so the record that the
 * control plane counts it by is in the journal before. */
static void on_recorded(struct request *rq)
{
    struct budget_state *b = state_of(rq);
    for (size_t i = 0; i < BUDGET_CHARGES; i++)
        if (b->reservations[i].lease)
            account_settle(&b->reservations[i], real_cost(rq));
}

/* ---- more, while the work goes on ---- */

static void on_more(struct account_wait *w, enum err e)
{
    struct budget_state *b = CONTAINER_OF(w, struct budget_state, wait);
    struct request *rq = b->rq;
    /* Reserved at once, before another request takes it; the gate counts it when it looks. */
    if (e == ERR_OK && budget_reserve_up_to(rq, b->goal) != ERR_OK)
        log_debug(&rq->log, "reservation_not_extended", "account=%.*s",
                  SLICE_ARG(account_id(w->account)));
    if (!b->wait.ticket && rq->gate->on_reserved)
        rq->gate->on_reserved(rq, e);
}

static enum err request_more(struct budget_state *b, struct account *a, money more)
{
    if (b->wait.ticket)
        return ERR_AGAIN;
    b->wait = (struct account_wait){
        .account = a, .amount = more, .loop = b->rq->env->loop, .done = on_more};
    return account_want(&b->wait) ? ERR_EXHAUSTED : ERR_AGAIN;
}

/* An account that has given its part keeps it reserved while another is requested: calling again
 * takes nothing twice, and all is settled together. */
enum err budget_reserve_up_to(struct request *rq, money total)
{
    struct budget_state *b = state_of(rq);
    uint64_t now = clock_mono_us();
    if (!b)
        return ERR_OK;
    b->goal = total;
    for (size_t i = 0; i < BUDGET_CHARGES; i++) {
        struct reservation *r = &b->reservations[i];
        money more = total - r->amount;
        if (!r->lease || more <= 0)
            continue;
        enum err e = account_extend(account_of(rq, i), r, more, now);
        if (e)
            return e == ERR_AGAIN ? request_more(b, account_of(rq, i), more) : e;
    }
    if (b->charge_count && total > b->reserved)
        b->reserved = total;
    journal_raise(rq->env->journal, &rq->entry, total); /* a kill makes no less of it */
    return ERR_OK;
}

bool budget_worst_case(const struct request *rq, money *ret)
{
    const struct budget_state *b = state_of(rq);
    if (!b || !b->worst_known)
        return false;
    *ret = b->worst;
    return true;
}

void budget_raise_worst_case(struct request *rq, money to)
{
    struct budget_state *b = state_of(rq);
    if (b && to > b->worst)
        b->worst = to;
}

money budget_reserved(const struct request *rq)
{
    const struct budget_state *b = state_of(rq);
    return b ? b->reserved : 0;
}

bool budget_is_waiting(const struct request *rq)
{
    const struct budget_state *b = state_of(rq);
    return b && b->wait.ticket;
}

const struct budget_charge *budget_charges(const struct request *rq, size_t *count)
{
    const struct budget_state *b = state_of(rq);
    *count = b ? b->charge_count : 0;
    return b ? b->charges : NULL;
}

const struct filter filter_budget = {.name = "budget",
                                     .state_size = sizeof(struct budget_state),
                                     .on_request = on_request,
                                     .on_finish = on_finish,
                                     .on_recorded = on_recorded};
