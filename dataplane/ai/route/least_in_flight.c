/*
 * least_in_flight — of two targets drawn by the dice, the one with the shorter expected wait, then
 * the others by theirs (power of two choices, Mitzenmacher 2001, with the peak EWMA of Finagle: the
 * latency times the calls under way). What was not measured counts as the fastest that was, so that
 * a new target gets calls, and no more than its calls under way allow.
 *
 * Two draws, and not the least of all: each worker knows its own calls alone, and all of them would
 * run to the same target.
 */
#include "dataplane/ai/route/ai_strategy.h"

static uint64_t wait_at(const struct route_choice *c, uint64_t unknown_us)
{
    uint64_t latency = c->health.latency_us ? c->health.latency_us : unknown_us;
    return latency * (c->health.in_flight + 1);
}

static uint64_t fastest(const struct route_view *v, size_t count)
{
    uint64_t least = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t own = v->choices[i].health.latency_us;
        least = own && (!least || own < least) ? own : least;
    }
    return least ? least : 1;
}

static uint64_t score(const struct route_view *v, const struct route_choice *c)
{
    return wait_at(c, fastest(v, v->count));
}

static size_t order(const struct route_view *v, size_t *ret, size_t max)
{
    uint64_t waits[ROUTE_TARGETS_MAX];
    size_t count = v->count < ROUTE_TARGETS_MAX ? v->count : ROUTE_TARGETS_MAX;
    uint64_t unknown = fastest(v, count);
    for (size_t i = 0; i < count; i++) /* a sticky caller keeps its target, however busy it is */
        waits[i] = v->sticky ? 1 : wait_at(&v->choices[i], unknown);
    if (count > 2 && !v->sticky) {
        size_t a = v->dice(v->arg) % count, b = v->dice(v->arg) % (count - 1);
        b += b >= a;
        waits[waits[a] <= waits[b] ? a : b] = 0;
    }
    return route_rank(v, waits, ROUTE_EXACT, ret, max);
}

const struct ai_strategy route_least_in_flight = {.strategy = STRATEGY_LEAST_IN_FLIGHT,
                                                  .why = "by the wait that is expected there",
                                                  .order = order,
                                                  .score = score,
                                                  .measures = true,
                                                  .unit = "us of wait"};
