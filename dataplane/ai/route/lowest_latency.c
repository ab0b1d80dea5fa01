/*
 * lowest_latency — the target whose streams of late had their first content soonest; of a plain
 * call, whose responses came soonest. What was not measured counts as the fastest.
 */
#include "dataplane/ai/route/ai_strategy.h"

static uint64_t score(const struct route_view *v, const struct route_choice *c)
{
    uint64_t whole = c->pace.whole_us ? c->pace.whole_us : c->health.latency_us;
    uint64_t took = v->streams ? c->pace.first_us : whole;
    return took ? took : ROUTE_NOT_KNOWN;
}

static size_t order(const struct route_view *v, size_t *ret, size_t max)
{
    uint64_t took[ROUTE_TARGETS_MAX];
    size_t count = v->count < ROUTE_TARGETS_MAX ? v->count : ROUTE_TARGETS_MAX;
    uint64_t least = ROUTE_NOT_KNOWN;
    for (size_t i = 0; i < count; i++) {
        took[i] = score(v, &v->choices[i]);
        least = took[i] < least ? took[i] : least;
    }
    for (size_t i = 0; i < count; i++)
        took[i] = took[i] == ROUTE_NOT_KNOWN ? least : took[i];
    return route_rank(v, took, ROUTE_NEAR | ROUTE_EXPLORES, ret, max);
}

const struct ai_strategy route_lowest_latency = {.strategy = STRATEGY_LOWEST_LATENCY,
                                                 .why = "by how soon its responses began of late",
                                                 .order = order,
                                                 .score = score,
                                                 .measures = true,
                                                 .unit = "us"};
