/*
 * highest_throughput — the target that of late wrote most tokens in a second. What was not measured
 * counts as the fastest.
 */
#include "dataplane/ai/route/ai_strategy.h"

static uint64_t score(const struct route_view *v, const struct route_choice *c)
{
    (void)v;
    return c->pace.speed ? c->pace.speed : ROUTE_NOT_KNOWN;
}

/* The time of a million tokens, since ranks begin with the lowest. */
#define TOKENS 1000000000000u

static size_t order(const struct route_view *v, size_t *ret, size_t max)
{
    uint64_t took[ROUTE_TARGETS_MAX];
    size_t count = v->count < ROUTE_TARGETS_MAX ? v->count : ROUTE_TARGETS_MAX;
    uint64_t most = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t speed = v->choices[i].pace.speed;
        most = speed > most ? speed : most;
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t speed = v->choices[i].pace.speed;
        took[i] = most ? TOKENS / (speed ? speed : most) : 0;
    }
    return route_rank(v, took, ROUTE_NEAR | ROUTE_EXPLORES, ret, max);
}

const struct ai_strategy route_highest_throughput = {.strategy = STRATEGY_HIGHEST_THROUGHPUT,
                                                     .why = "by how fast it wrote of late",
                                                     .order = order,
                                                     .score = score,
                                                     .measures = true,
                                                     .unit = "tokens per 1000 s"};
