/*
 * gate_budget — who pays? The worst case is set aside in the key's account and the team's
 * before anything is sent; both or none.
 *
 * Where a slice of an account does not hold the amount, the desk is asked for a larger one and
 * the journey waits, holding nothing meanwhile: two journeys that each held one account and
 * waited for the other's would starve each other.
 */
#include "common/base/clock.h"
#include "common/journey/walk.h"

/* Each wait ended with a grant that somebody else was quicker to take. More tries than this and
 * the budget is being fought over: the client may come again. */
#define WAITS_MAX 8

static struct account *account_of(const struct journey *j, size_t i)
{
    if (i == 0)
        return j->who.key->account;
    return j->who.team ? j->who.team->account : NULL;
}

/* "key \"triage-bot key\"": whoever reads a refusal knows names, not ids. */
static struct slice owner_of(const struct journey *j, const struct account *a)
{
    const struct policy_key *key = j->who.key;
    bool keys_own = a == key->account;
    struct slice name = keys_own ? key->o.name : j->who.team->o.name;
    if (keys_own && name.len == 0)
        name = key->public_part;
    return arena_printf(j->arena, "%s \"%.*s\"", keys_own ? "key" : "team", SLICE_ARG(name));
}

static struct slice sentence(const struct journey *j, const struct account *a,
                             const struct account_state *s, bool resets)
{
    char spent[MONEY_TEXT_MAX], limit[MONEY_TEXT_MAX], aside[MONEY_TEXT_MAX];
    char amount[MONEY_TEXT_MAX], when[CLOCK_TEXT_MAX];
    struct slice end = resets ? clock_format(s->period_end_us, when) : SLICE_NONE;
    return arena_printf(j->arena,
                        "The budget of the %.*s does not hold this call: of %.*s USD, %.*s are "
                        "spent and %.*s set aside for calls under way or not yet booked, and this "
                        "one may cost %.*s USD. It %s%.*s.",
                        SLICE_ARG(owner_of(j, a)), SLICE_ARG(money_format(s->limit, limit)),
                        SLICE_ARG(money_format(s->spent, spent)),
                        SLICE_ARG(money_format(s->set_aside, aside)),
                        SLICE_ARG(money_format(j->worst, amount)),
                        resets ? "resets at " : "does not reset", SLICE_ARG(end));
}

static enum gate_answer refuse_exhausted(struct journey *j, const struct account *a)
{
    struct account_state s;
    account_look(a, &s);
    bool resets = s.period_end_us > 0 && s.period_end_us < INT64_MAX;
    journey_refuse(j, REFUSAL_BUDGET, sentence(j, a, &s, resets));
    j->refusal.no_retry = true;
    int64_t left_us = resets ? s.period_end_us - clock_wall_us() : 0;
    if (left_us > 0 && left_us / 1000000 < UINT32_MAX)
        j->refusal.retry_after_s = (unsigned)(left_us / 1000000) + 1;
    return GATE_REFUSE;
}

static void give_back(struct journey *j)
{
    for (size_t i = 0; i < JOURNEY_CHARGES; i++)
        if (j->charges[i].lease)
            account_settle(&j->charges[i], 0);
    j->charged_count = 0;
    j->reserved = 0;
}

static enum gate_answer refuse_busy(struct journey *j)
{
    journey_refuse(j, REFUSAL_NO_CAPACITY, SLICE_NONE);
    j->refusal.retry_after_s = 1;
    return GATE_REFUSE;
}

static enum gate_answer reserve(struct journey *j);

static void on_slice(struct account_wait *w, enum err e)
{
    struct journey *j = CONTAINER_OF(w, struct journey, wait);
    enum gate_answer a;
    if (e == ERR_OK) {
        a = reserve(j);
    } else if (e == ERR_EXHAUSTED) {
        a = refuse_exhausted(j, w->account);
    } else {
        journey_refuse(j, REFUSAL_LEDGER_AWAY, SLICE_NONE);
        j->refusal.retry_after_s = 1;
        a = GATE_REFUSE;
    }
    if (a != GATE_WAIT)
        journey_go_on(j, a);
}

static enum gate_answer want_more(struct journey *j, struct account *a)
{
    if (++j->budget_waits > WAITS_MAX)
        return refuse_busy(j);
    j->wait = (struct account_wait){
        .account = a, .amount = j->worst, .loop = j->env->loop, .done = on_slice};
    return account_want(&j->wait) ? refuse_busy(j) : GATE_WAIT;
}

static enum err note_charge(struct journey *j, const struct account *a, size_t i)
{
    struct slice lease = arena_copy(j->arena, reservation_lease_id(&j->charges[i]));
    if (!lease.ptr)
        return ERR_NOMEM;
    j->charged[j->charged_count++] =
        (struct journey_charge){.account = account_id(a), .lease_id = lease, .amount = j->worst};
    return ERR_OK;
}

static enum gate_answer reserve(struct journey *j)
{
    uint64_t now = clock_mono_us();
    for (size_t i = 0; i < JOURNEY_CHARGES; i++) {
        struct account *a = account_of(j, i);
        if (!a)
            continue;
        enum err e = account_reserve(a, j->worst, now, &j->charges[i]);
        if (!e)
            e = note_charge(j, a, i);
        if (!e)
            continue;
        give_back(j);
        if (e == ERR_EXHAUSTED)
            return refuse_exhausted(j, a);
        return e == ERR_AGAIN ? want_more(j, a) : refuse_busy(j);
    }
    j->reserved = j->worst;
    return GATE_PASS;
}

static enum gate_answer ask(struct journey *j)
{
    enum err e = j->wing->worst_case ? j->wing->worst_case(j, &j->worst) : ERR_NOT_FOUND;
    j->worst_known = e == ERR_OK;
    if (!account_of(j, 0) && !account_of(j, 1))
        return GATE_PASS;
    if (e == ERR_NOT_FOUND || (e == ERR_OK && j->worst == 0))
        return GATE_PASS; /* no price: cost unknown, counted as such, never as 0; or free */
    if (e) {
        journey_refuse(j, REFUSAL_UNBOUNDED,
                       e == ERR_INVALID ? SLICE("it uses tools the provider bills by itself")
                                        : SLICE("it is too large"));
        return GATE_REFUSE;
    }
    return reserve(j);
}

static void leave(struct journey *j)
{
    money real = j->trace.cost_known ? j->trace.cost : 0;
    for (size_t i = 0; i < j->charged_count; i++)
        j->charged[i].amount = real;
}

static void abandon(struct journey *j)
{
    account_want_cancel(&j->wait);
}

/* ---- more, while the work goes on ---- */

static void on_more(struct account_wait *w, enum err e)
{
    struct journey *j = CONTAINER_OF(w, struct journey, wait);
    /* Taken at once, before others do; what the wing has not counted yet waits for its next ask. */
    if (e == ERR_OK && journey_reserve_up_to(j, j->reserve_goal) != ERR_OK)
        log_debug(&j->log, "reservation_not_extended", "account=%.*s",
                  SLICE_ARG(account_id(w->account)));
    if (!j->wait.ticket && j->wing->on_reserved)
        j->wing->on_reserved(j, e);
}

static enum err ask_for_more(struct journey *j, struct account *a, money more)
{
    if (j->wait.ticket)
        return ERR_AGAIN;
    j->wait =
        (struct account_wait){.account = a, .amount = more, .loop = j->env->loop, .done = on_more};
    return account_want(&j->wait) ? ERR_EXHAUSTED : ERR_AGAIN;
}

/* An account that has given its part keeps it set aside while another is asked: asking again
 * takes nothing twice, and all is settled together. */
enum err journey_reserve_up_to(struct journey *j, money total)
{
    uint64_t now = clock_mono_us();
    j->reserve_goal = total;
    for (size_t i = 0; i < JOURNEY_CHARGES; i++) {
        struct reservation *r = &j->charges[i];
        money more = total - r->amount;
        if (!r->lease || more <= 0)
            continue;
        enum err e = account_extend(account_of(j, i), r, more, now);
        if (e)
            return e == ERR_AGAIN ? ask_for_more(j, account_of(j, i), more) : e;
    }
    if (j->charged_count && total > j->reserved)
        j->reserved = total;
    journal_raise(j->env->journal, &j->entry, total); /* a kill makes no less of it */
    return ERR_OK;
}

void gate_budget_settle(struct journey *j)
{
    account_want_cancel(&j->wait);
    money real = j->trace.cost_known ? j->trace.cost : 0;
    for (size_t i = 0; i < JOURNEY_CHARGES; i++)
        if (j->charges[i].lease)
            account_settle(&j->charges[i], real);
}

const struct gate gate_budget = {"budget", ask, leave, abandon};
