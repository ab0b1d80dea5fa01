/*
 * gate_limit — not so fast, and not so many at once: the key's requests per minute and parallel
 * calls, counted on this plane.
 */
#include "common/journey/walk.h"
#include "common/policy/meter.h"

static unsigned whole_seconds(uint64_t us)
{
    uint64_t s = (us + 999999) / 1000000;
    return s > 86400 ? 86400 : s ? (unsigned)s : 1;
}

static enum gate_answer ask(struct journey *j)
{
    const struct policy_key *key = j->who.key;
    /* The slot first: a call refused for want of one must not cost a request of the minute. */
    if (meter_enter(key->meter, key->limits.parallel)) {
        journey_refuse(
            j, REFUSAL_PARALLEL,
            arena_printf(j->arena, "this key may have %u under way", key->limits.parallel));
        j->refusal.retry_after_s = 1;
        return GATE_REFUSE;
    }
    uint64_t wait_us = 0;
    if (meter_take_request(key->meter, key->limits.rpm, loop_now_us(j->env->loop), &wait_us)) {
        meter_leave(key->meter);
        journey_refuse(
            j, REFUSAL_RATE,
            arena_printf(j->arena, "this key may ask %u times a minute", key->limits.rpm));
        j->refusal.retry_after_s = whole_seconds(wait_us);
        return GATE_REFUSE;
    }
    j->inside = true;
    return GATE_PASS;
}

static void leave(struct journey *j)
{
    meter_leave(j->who.key->meter);
    j->inside = false;
}

const struct gate gate_limit = {"limit", ask, leave, NULL};
