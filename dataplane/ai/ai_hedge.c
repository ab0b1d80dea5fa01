/*
 * ai_hedge — two attempts at once, and one of them in the end.
 */
#include "dataplane/ai/ai_hedge.h"

#include "common/base/limits.h"
#include "dataplane/ai/ai_cost.h"
#include "dataplane/ai/ai_pace.h"
#include "dataplane/ai/ai_send.h"
#include "dataplane/ai/ai_token.h"

unsigned ai_hedge_after(const struct ai_call *c)
{
    bool is_for_one = c->stays || c->upload || c->endpoint->kind == AI_REALTIME ||
                      c->endpoint->kind == AI_STORED || c->endpoint->kind == AI_SECRET;
    return is_for_one || ai_hedge_is_on(c) ? 0 : c->model->hedge_after_ms;
}

void ai_hedge_swap(struct ai_call *c)
{
    const struct ai_rival first = {.exchange = c->exchange,
                                   .attempt = c->attempt,
                                   .provider = c->provider,
                                   .token = c->token,
                                   .notice = c->notice,
                                   .translated = c->translated,
                                   .taken = c->pace.taken,
                                   .permit = c->pace.permit,
                                   .native = c->native,
                                   .observed = c->observed};
    const struct ai_rival *r = &c->rival;
    struct candidate *at = &c->candidates[c->candidate_next - 1], target = at[0];
    c->exchange = r->exchange;
    c->attempt = r->attempt;
    c->provider = r->provider;
    c->token = r->token;
    c->notice = r->notice;
    c->translated = r->translated;
    c->pace.taken = r->taken;
    c->pace.permit = r->permit;
    c->native = r->native;
    c->observed = r->observed;
    c->rival = first;
    at[0] = at[1];
    at[1] = target;
}

/* The target behind the current one was tried. */
static void leave_out(struct ai_call *c)
{
    size_t left = c->candidate_count - c->candidate_next - 1;
    struct candidate *at = &c->candidates[c->candidate_next];
    memmove(at, at + 1, left * sizeof(*at));
    c->candidate_count--;
}

void ai_hedge_drop(struct ai_call *c, enum request_outcome end, struct slice code)
{
    if (!ai_hedge_is_on(c))
        return;
    ai_hedge_swap(c);
    if (end == OUTCOME_CANCELLED && exchange_is_sent(c->exchange))
        ai_cost_cancelled(c);
    ai_pace_close(c);
    exchange_close(&c->exchange, end, code);
    access_token_drop(c->token);
    c->attempt = NULL;
    c->token = NULL;
    ai_hedge_swap(c);
    buf_fini(&c->rival.translated);
    c->rq->record.ai.rival = SLICE_NONE;
    leave_out(c);
}

/* In the place of the first one's state. */
static bool send_it(struct ai_call *c, const struct exchange_events *events)
{
    struct access_token_wait wait = c->token_wait;
    const struct candidate *target = ai_call_target(c);
    struct ai_untold untold = {0};
    if (!ai_pace_take(c))
        return false;
    ai_send_begin(c, target);
    enum err e = ai_token_take(c->rq, c->provider, target->provider, target->credential,
                               &c->token_wait, &c->token);
    if (e == ERR_AGAIN)
        access_token_cancel(&c->token_wait);
    c->token_wait = wait;
    if (!e)
        e = ai_send(c, target, events, &untold);
    if (!e)
        return true;
    c->attempt->end = OUTCOME_ERROR;
    c->attempt->code = slice_str(err_name(e));
    ai_pace_close(c);
    access_token_drop(c->token);
    c->attempt = NULL;
    c->token = NULL;
    return false;
}

void ai_hedge_begin(struct ai_call *c, const struct exchange_events *events)
{
    struct call_record *t = &c->rq->record;
    if (t->attempt_count >= LIMIT_ATTEMPTS || c->candidate_next >= c->candidate_count ||
        !ai_send_may(c, &c->candidates[c->candidate_next]) || ai_cost_reserve_beside(c))
        return;
    buf_init(&c->rival.translated, 2 * LIMIT_AI_BODY);
    ai_hedge_swap(c);
    bool is_sent = send_it(c, events);
    ai_hedge_swap(c);
    t->ai.provider = ai_call_target(c)->provider->o.name;
    if (is_sent) {
        t->ai.rival = c->candidates[c->candidate_next].provider->o.name;
        return;
    }
    buf_fini(&c->rival.translated);
    leave_out(c);
}
