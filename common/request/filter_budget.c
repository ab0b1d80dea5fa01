/*
 * filter_budget — who pays? The worst case is set aside in the key's account and the team's
 * before anything is sent; both or none.
 *
 * Where a slice of an account does not hold the amount, the desk is asked for a larger one and
 * the request waits, holding nothing meanwhile: two requests that each held one account and
 * waited for the other's would starve each other.
 */
#include "common/base/clock.h"
#include "common/request/request_private.h"

/* Each wait ended with a grant that somebody else was quicker to take. More tries than this and
 * the budget is being fought over: the client may come again. */
#define WAITS_MAX 8

static struct account *account_of(const struct request *rq, size_t i)
{
    if (i == 0)
        return rq->who.key->account;
    return rq->who.team ? rq->who.team->account : NULL;
}

/* "key \"triage-bot key\"": whoever reads a refusal knows names, not ids. */
static struct slice owner_of(const struct request *rq, const struct account *a)
{
    const struct policy_key *key = rq->who.key;
    bool keys_own = a == key->account;
    struct slice name = keys_own ? key->o.name : rq->who.team->o.name;
    if (keys_own && name.len == 0)
        name = key->public_part;
    return arena_printf(rq->arena, "%s \"%.*s\"", keys_own ? "key" : "team", SLICE_ARG(name));
}

static struct slice sentence(const struct request *rq, const struct account *a,
                             const struct account_state *s, bool resets)
{
    char spent[MONEY_TEXT_MAX], limit[MONEY_TEXT_MAX], aside[MONEY_TEXT_MAX];
    char amount[MONEY_TEXT_MAX], when[CLOCK_TEXT_MAX];
    struct slice end = resets ? clock_format(s->period_end_us, when) : SLICE_NONE;
    return arena_printf(rq->arena,
                        "The budget of the %.*s does not hold this call: of %.*s USD, %.*s are "
                        "spent and %.*s set aside for calls under way or not yet booked, and this "
                        "one may cost %.*s USD. It %s%.*s.",
                        SLICE_ARG(owner_of(rq, a)), SLICE_ARG(money_format(s->limit, limit)),
                        SLICE_ARG(money_format(s->spent, spent)),
                        SLICE_ARG(money_format(s->set_aside, aside)),
                        SLICE_ARG(money_format(rq->worst, amount)),
                        resets ? "resets at " : "does not reset", SLICE_ARG(end));
}

static enum filter_result refuse_exhausted(struct request *rq, const struct account *a)
{
    struct account_state s;
    account_look(a, &s);
    bool resets = s.period_end_us > 0 && s.period_end_us < INT64_MAX;
    request_refuse(rq, REFUSAL_BUDGET, sentence(rq, a, &s, resets));
    rq->refusal.no_retry = true;
    int64_t left_us = resets ? s.period_end_us - clock_wall_us() : 0;
    if (left_us > 0 && left_us / 1000000 < UINT32_MAX)
        rq->refusal.retry_after_s = (unsigned)(left_us / 1000000) + 1;
    return FILTER_REFUSE;
}

static void give_back(struct request *rq)
{
    for (size_t i = 0; i < REQUEST_CHARGES; i++)
        if (rq->charges[i].lease)
            account_settle(&rq->charges[i], 0);
    rq->charged_count = 0;
    rq->reserved = 0;
}

static enum filter_result refuse_busy(struct request *rq)
{
    request_refuse(rq, REFUSAL_NO_CAPACITY, SLICE_NONE);
    rq->refusal.retry_after_s = 1;
    return FILTER_REFUSE;
}

static enum filter_result reserve(struct request *rq);

static void on_slice(struct account_wait *w, enum err e)
{
    struct request *rq = CONTAINER_OF(w, struct request, wait);
    enum filter_result a;
    if (e == ERR_OK) {
        a = reserve(rq);
    } else if (e == ERR_EXHAUSTED) {
        a = refuse_exhausted(rq, w->account);
    } else {
        request_refuse(rq, REFUSAL_LEDGER_AWAY, SLICE_NONE);
        rq->refusal.retry_after_s = 1;
        a = FILTER_REFUSE;
    }
    if (a != FILTER_WAIT)
        request_go_on(rq, a);
}

static enum filter_result want_more(struct request *rq, struct account *a)
{
    if (++rq->budget_waits > WAITS_MAX)
        return refuse_busy(rq);
    rq->wait = (struct account_wait){
        .account = a, .amount = rq->worst, .loop = rq->env->loop, .done = on_slice};
    return account_want(&rq->wait) ? refuse_busy(rq) : FILTER_WAIT;
}

static enum err note_charge(struct request *rq, const struct account *a, size_t i)
{
    struct slice lease = arena_copy(rq->arena, reservation_lease_id(&rq->charges[i]));
    if (!lease.ptr)
        return ERR_NOMEM;
    rq->charged[rq->charged_count++] =
        (struct request_charge){.account = account_id(a), .lease_id = lease, .amount = rq->worst};
    return ERR_OK;
}

static enum filter_result reserve(struct request *rq)
{
    uint64_t now = clock_mono_us();
    for (size_t i = 0; i < REQUEST_CHARGES; i++) {
        struct account *a = account_of(rq, i);
        if (!a)
            continue;
        enum err e = account_reserve(a, rq->worst, now, &rq->charges[i]);
        if (!e)
            e = note_charge(rq, a, i);
        if (!e)
            continue;
        give_back(rq);
        if (e == ERR_EXHAUSTED)
            return refuse_exhausted(rq, a);
        return e == ERR_AGAIN ? want_more(rq, a) : refuse_busy(rq);
    }
    rq->reserved = rq->worst;
    return FILTER_PASS;
}

static enum filter_result ask(struct request *rq)
{
    enum err e = rq->gate->worst_case ? rq->gate->worst_case(rq, &rq->worst) : ERR_NOT_FOUND;
    rq->worst_known = e == ERR_OK;
    if (!account_of(rq, 0) && !account_of(rq, 1))
        return FILTER_PASS;
    if (e == ERR_NOT_FOUND || (e == ERR_OK && rq->worst == 0))
        return FILTER_PASS; /* no price: cost unknown, counted as such, never as 0; or free */
    if (e) {
        request_refuse(rq, REFUSAL_UNBOUNDED,
                       e == ERR_INVALID ? SLICE("it uses tools the provider bills by itself")
                                        : SLICE("it is too large"));
        return FILTER_REFUSE;
    }
    return reserve(rq);
}

static void leave(struct request *rq)
{
    money real = rq->record.cost_known ? rq->record.cost : 0;
    for (size_t i = 0; i < rq->charged_count; i++)
        rq->charged[i].amount = real;
}

static void abandon(struct request *rq)
{
    account_want_cancel(&rq->wait);
}

/* ---- more, while the work goes on ---- */

static void on_more(struct account_wait *w, enum err e)
{
    struct request *rq = CONTAINER_OF(w, struct request, wait);
    /* Taken at once, before others do; what the gate has not counted yet waits for its next ask. */
    if (e == ERR_OK && request_reserve_up_to(rq, rq->reserve_goal) != ERR_OK)
        log_debug(&rq->log, "reservation_not_extended", "account=%.*s",
                  SLICE_ARG(account_id(w->account)));
    if (!rq->wait.ticket && rq->gate->on_reserved)
        rq->gate->on_reserved(rq, e);
}

static enum err ask_for_more(struct request *rq, struct account *a, money more)
{
    if (rq->wait.ticket)
        return ERR_AGAIN;
    rq->wait =
        (struct account_wait){.account = a, .amount = more, .loop = rq->env->loop, .done = on_more};
    return account_want(&rq->wait) ? ERR_EXHAUSTED : ERR_AGAIN;
}

/* An account that has given its part keeps it set aside while another is asked: asking again
 * takes nothing twice, and all is settled together. */
enum err request_reserve_up_to(struct request *rq, money total)
{
    uint64_t now = clock_mono_us();
    rq->reserve_goal = total;
    for (size_t i = 0; i < REQUEST_CHARGES; i++) {
        struct reservation *r = &rq->charges[i];
        money more = total - r->amount;
        if (!r->lease || more <= 0)
            continue;
        enum err e = account_extend(account_of(rq, i), r, more, now);
        if (e)
            return e == ERR_AGAIN ? ask_for_more(rq, account_of(rq, i), more) : e;
    }
    if (rq->charged_count && total > rq->reserved)
        rq->reserved = total;
    journal_raise(rq->env->journal, &rq->entry, total); /* a kill makes no less of it */
    return ERR_OK;
}

void filter_budget_settle(struct request *rq)
{
    account_want_cancel(&rq->wait);
    money real = rq->record.cost_known ? rq->record.cost : 0;
    for (size_t i = 0; i < REQUEST_CHARGES; i++)
        if (rq->charges[i].lease)
            account_settle(&rq->charges[i], real);
}

const struct filter filter_budget = {"budget", ask, leave, abandon};
