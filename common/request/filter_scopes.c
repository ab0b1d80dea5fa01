/*
 * filter_scopes — the rates of the request's scopes, then their money.
 *
 * Where the lease of an account does not hold the amount, the budget's filter requests a larger one
 * from the lease client, and the request waits holding nothing: two requests that each held one
 * account and waited for the other's would starve each other.
 */
#include "common/request/filter_scopes.h"

#include "common/base/clock.h"
#include "common/request/request_private.h"

/* ---- limit ---- */

static unsigned whole_seconds(uint64_t us)
{
    uint64_t s = (us + 999999) / 1000000;
    return s > 86400 ? 86400 : s ? (unsigned)s : 1;
}

enum filter_result limit_enter(struct request *rq, struct limit_state *s)
{
    struct scope_list list;
    const struct scope *of = NULL;
    uint64_t wait_us = 0;
    principal_scopes(&rq->who, &list);
    switch (rates_enter(&s->rates, &list, loop_now_us(rq->env->loop), &of, &wait_us)) {
    case RATE_PARALLEL:
        request_refuse(rq, REFUSAL_PARALLEL,
                       arena_printf(rq->arena, "this %s may have %u under way", of->kind,
                                    of->limits.parallel));
        rq->refusal.retry_after_s = 1;
        return FILTER_REFUSE;
    case RATE_REQUESTS:
        request_refuse(
            rq, REFUSAL_RATE,
            arena_printf(rq->arena, "this %s may ask %u times a minute", of->kind, of->limits.rpm));
        rq->refusal.retry_after_s = whole_seconds(wait_us);
        return FILTER_REFUSE;
    default:
        return FILTER_PASS;
    }
}

enum filter_result limit_count(struct request *rq)
{
    struct scope_list list;
    uint64_t wait_us = 0;
    principal_scopes(&rq->who, &list);
    for (size_t i = 0; i < list.count; i++) {
        const struct scope *s = list.of[i];
        if (!s->meter ||
            !meter_take_request(s->meter, s->limits.rpm, loop_now_us(rq->env->loop), &wait_us))
            continue;
        while (i-- > 0)
            if (list.of[i]->meter)
                meter_return_request(list.of[i]->meter, list.of[i]->limits.rpm);
        request_refuse(
            rq, REFUSAL_RATE,
            arena_printf(rq->arena, "this %s may ask %u times a minute", s->kind, s->limits.rpm));
        rq->refusal.retry_after_s = whole_seconds(wait_us);
        return FILTER_REFUSE;
    }
    return FILTER_PASS;
}

/* These say nothing of the client's pace: nothing was done for it. */
static bool is_uncounted(const struct request *rq)
{
    return rq->refusal.id == REFUSAL_BUDGET || rq->refusal.id == REFUSAL_LEDGER_AWAY ||
           rq->refusal.id == REFUSAL_NO_CAPACITY;
}

void limit_leave(struct request *rq, struct limit_state *s)
{
    if (is_uncounted(rq))
        rates_uncount(&s->rates);
    rates_leave(&s->rates);
}

static enum filter_result limit_on_request(struct request *rq)
{
    return limit_enter(rq, filter_state(rq, &filter_limit));
}

static void limit_on_finish(struct request *rq)
{
    limit_leave(rq, filter_state(rq, &filter_limit));
}

const struct filter filter_limit = {.name = "limit",
                                    .slot = FILTER_LIMIT,
                                    .state_size = sizeof(struct limit_state),
                                    .on_request = limit_on_request,
                                    .on_finish = limit_on_finish};

/* ---- budget ---- */

/* Each wait ended with a grant that another request took first. With more waits than this the
 * budget is contended: the client may try again. */
#define WAITS_MAX 8

static struct budget_state *state_of(const struct request *rq)
{
    return filter_state(rq, &filter_budget);
}

static struct slice sentence(const struct budget_state *b, const struct scope *of,
                             const struct account_state *s, bool resets)
{
    char spent[MONEY_TEXT_MAX], limit[MONEY_TEXT_MAX], aside[MONEY_TEXT_MAX];
    char amount[MONEY_TEXT_MAX], when[CLOCK_TEXT_MAX];
    struct slice end = resets ? clock_format(s->period_end_us, when) : SLICE_NONE;
    return arena_printf(b->rq->arena,
                        "The budget of the %s \"%.*s\" does not hold this call: of %.*s USD, %.*s "
                        "are spent and %.*s set aside for calls under way or not yet booked, and "
                        "this one may cost %.*s USD. It %s%.*s.",
                        of->kind, SLICE_ARG(of->name), SLICE_ARG(money_format(s->limit, limit)),
                        SLICE_ARG(money_format(s->spent, spent)),
                        SLICE_ARG(money_format(s->set_aside, aside)),
                        SLICE_ARG(money_format(b->worst, amount)),
                        resets ? "resets at " : "does not reset", SLICE_ARG(end));
}

/* Until the budget starts again there is nothing to try for. */
static void refuse_exhausted(struct request *rq, const struct account_state *s, bool resets)
{
    int64_t left_us = resets ? s->period_end_us - clock_wall_us() : 0;
    rq->refusal.no_retry = true;
    if (left_us > 0 && left_us / 1000000 < UINT32_MAX)
        rq->refusal.retry_after_s = (unsigned)(left_us / 1000000) + 1;
}

static enum filter_result refuse_budget(struct budget_state *b, const struct scope *of,
                                        bool for_now)
{
    struct account_state s;
    account_look(of->account, &s);
    bool resets = s.period_end_us > 0 && s.period_end_us < INT64_MAX;
    request_refuse(b->rq, REFUSAL_BUDGET, sentence(b, of, &s, resets));
    if (for_now)
        b->rq->refusal.retry_after_s = 1;
    else
        refuse_exhausted(b->rq, &s, resets);
    return FILTER_REFUSE;
}

static enum filter_result refuse_for_now(struct request *rq, enum refusal_id id)
{
    request_refuse(rq, id, SLICE_NONE);
    rq->refusal.retry_after_s = 1;
    return FILTER_REFUSE;
}

static enum filter_result refuse(struct budget_state *b, enum account_result r)
{
    switch (r) {
    case ACCOUNT_EXHAUSTED:
        return refuse_budget(b, b->short_of, false);
    case ACCOUNT_ELSEWHERE:
        return refuse_budget(b, b->short_of, true);
    case ACCOUNT_AWAY:
        return refuse_for_now(b->rq, REFUSAL_LEDGER_AWAY);
    default:
        return refuse_for_now(b->rq, REFUSAL_NO_CAPACITY);
    }
}

static enum filter_result reserve(struct budget_state *b);

static void on_lease(struct account_wait *w, enum account_result r)
{
    struct budget_state *b = CONTAINER_OF(w, struct budget_state, wait);
    enum filter_result f = r == ACCOUNT_OK ? reserve(b) : refuse(b, r);
    if (f != FILTER_WAIT)
        request_go_on(b->rq, f);
}

static enum filter_result wait_for_lease(struct budget_state *b)
{
    if (++b->waits > WAITS_MAX)
        return refuse(b, ACCOUNT_ELSEWHERE);
    b->wait = (struct account_wait){.account = b->short_of->account,
                                    .amount = b->worst,
                                    .loop = b->rq->env->loop,
                                    .done = on_lease};
    return account_want(&b->wait) == ERR_OK ? FILTER_WAIT : refuse(b, ACCOUNT_FAILED);
}

static enum filter_result reserve(struct budget_state *b)
{
    struct scope_list list;
    principal_scopes(&b->rq->who, &list);
    enum account_result r =
        charges_reserve(&b->charges, &list, b->worst, clock_mono_us(), &b->short_of);
    if (r == ACCOUNT_SHORT)
        return wait_for_lease(b);
    if (r != ACCOUNT_OK)
        return refuse(b, r);
    b->reserved = b->charges.count > 0 ? b->worst : 0;
    return FILTER_PASS;
}

static bool has_budget(const struct request *rq)
{
    struct scope_list list;
    principal_scopes(&rq->who, &list);
    for (size_t i = 0; i < list.count; i++)
        if (list.of[i]->account)
            return true;
    return false;
}

static enum filter_result budget_on_request(struct request *rq)
{
    struct budget_state *b = state_of(rq);
    b->rq = rq;
    enum err e = rq->gate->worst_case ? rq->gate->worst_case(rq, &b->worst) : ERR_NOT_FOUND;
    b->worst_known = e == ERR_OK;
    if (!has_budget(rq))
        return FILTER_PASS;
    if (e == ERR_NOT_FOUND || (e == ERR_OK && b->worst == 0))
        return FILTER_PASS; /* no price: cost unknown, counted as such, never as 0; or free */
    if (e) {
        request_refuse(rq, REFUSAL_UNBOUNDED,
                       e == ERR_INVALID ? slice_str(rq->gate->not_bounded(rq))
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
    b->ended = true;
}

/* The lease client may end a lease once its last reservation is settled, so the record that the
 * control plane counts it by is in the journal before. */
static void on_recorded(struct request *rq)
{
    charges_settle(&state_of(rq)->charges, real_cost(rq));
}

/* ---- more, while the work goes on ---- */

static enum err as_err(enum account_result r)
{
    return r == ACCOUNT_OK ? ERR_OK : r == ACCOUNT_SHORT ? ERR_AGAIN : ERR_EXHAUSTED;
}

static void on_more(struct account_wait *w, enum account_result r)
{
    struct budget_state *b = CONTAINER_OF(w, struct budget_state, wait);
    struct request *rq = b->rq;
    /* Reserved at once, before another request takes it; the gate counts it when it looks. */
    if (r == ACCOUNT_OK && budget_reserve_up_to(rq, b->goal) != ERR_OK)
        log_debug(&rq->log, "reservation_not_extended", "account=%.*s",
                  SLICE_ARG(account_id(w->account)));
    if (!b->wait.ticket && rq->gate->on_reserved)
        rq->gate->on_reserved(rq, as_err(r));
}

/* The whole is requested where the reservation has to move to another lease. */
static enum err request_more(struct budget_state *b, const struct charge *of, money total)
{
    if (b->wait.ticket)
        return ERR_AGAIN;
    b->wait = (struct account_wait){.account = of->scope->account,
                                    .amount = charge_missing(of, total),
                                    .loop = b->rq->env->loop,
                                    .done = on_more};
    return account_want(&b->wait) ? ERR_EXHAUSTED : ERR_AGAIN;
}

enum err budget_reserve_up_to(struct request *rq, money total)
{
    struct budget_state *b = state_of(rq);
    const struct charge *of;
    if (!b)
        return ERR_OK;
    b->goal = total;
    enum account_result r = charges_extend(&b->charges, total, clock_mono_us(), &of);
    if (r != ACCOUNT_OK)
        return r == ACCOUNT_SHORT ? request_more(b, of, total) : as_err(r);
    if (b->charges.count > 0 && total > b->reserved)
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

const struct charges *budget_charges(const struct request *rq, money *amount)
{
    const struct budget_state *b = state_of(rq);
    if (!b || b->charges.count == 0)
        return NULL;
    *amount = b->ended ? real_cost(rq) : b->worst;
    return &b->charges;
}

const struct filter filter_budget = {.name = "budget",
                                     .slot = FILTER_BUDGET,
                                     .state_size = sizeof(struct budget_state),
                                     .on_request = budget_on_request,
                                     .on_finish = on_finish,
                                     .on_recorded = on_recorded};
