/*
 * filter_limit — requests per minute and parallel calls of the key.
 */
#include "common/request/filter_limit.h"

#include "common/request/request_private.h"
#include "common/scope/meter.h"

static unsigned whole_seconds(uint64_t us)
{
    uint64_t s = (us + 999999) / 1000000;
    return s > 86400 ? 86400 : s ? (unsigned)s : 1;
}

enum filter_result limit_enter(struct request *rq, struct limit_state *s)
{
    const struct policy_key *key = rq->who.key;
    /* The slot first: a call refused for want of one must not cost a request of the minute. */
    if (meter_enter(key->meter, key->limits.parallel)) {
        request_refuse(
            rq, REFUSAL_PARALLEL,
            arena_printf(rq->arena, "this key may have %u under way", key->limits.parallel));
        rq->refusal.retry_after_s = 1;
        return FILTER_REFUSE;
    }
    uint64_t wait_us = 0;
    if (meter_take_request(key->meter, key->limits.rpm, loop_now_us(rq->env->loop), &wait_us)) {
        meter_leave(key->meter);
        request_refuse(
            rq, REFUSAL_RATE,
            arena_printf(rq->arena, "this key may ask %u times a minute", key->limits.rpm));
        rq->refusal.retry_after_s = whole_seconds(wait_us);
        return FILTER_REFUSE;
    }
    s->counted = true;
    return FILTER_PASS;
}

void limit_leave(struct request *rq, struct limit_state *s)
{
    if (s->counted)
        meter_leave(rq->who.key->meter);
    s->counted = false;
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
                                    .state_size = sizeof(struct limit_state),
                                    .on_request = on_request,
                                    .on_finish = on_finish};
