/*
 * filter_limit — the rates of the request's scopes, and what a refusal says of them.
 */
#include "common/request/filter_limit.h"

#include "common/request/request_private.h"

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

static enum filter_result on_request(struct request *rq)
{
    return limit_enter(rq, filter_state(rq, &filter_limit));
}

static void on_finish(struct request *rq)
{
    limit_leave(rq, filter_state(rq, &filter_limit));
}

const struct filter filter_limit = {.name = "limit",
                                    .slot = FILTER_LIMIT,
                                    .state_size = sizeof(struct limit_state),
                                    .on_request = on_request,
                                    .on_finish = on_finish};
