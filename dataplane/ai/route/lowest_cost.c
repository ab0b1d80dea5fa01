/*
 * lowest_cost — the target at which this call is expected to cost least; those that cost the same
 * to the nano-dollar are drawn. What has no price comes last.
 */
#include "dataplane/ai/route/ai_strategy.h"

static uint64_t score(const struct route_view *v, const struct route_choice *c)
{
    (void)v;
    return c->cost == ROUTE_COST_UNKNOWN ? ROUTE_NOT_KNOWN : (uint64_t)c->cost;
}

static size_t order(const struct route_view *v, size_t *ret, size_t max)
{
    uint64_t costs[ROUTE_TARGETS_MAX];
    size_t count = v->count < ROUTE_TARGETS_MAX ? v->count : ROUTE_TARGETS_MAX;
    for (size_t i = 0; i < count; i++)
        costs[i] = score(v, &v->choices[i]);
    return route_rank(v, costs, ROUTE_EXACT, ret, max);
}

const struct ai_strategy route_lowest_cost = {.strategy = STRATEGY_LOWEST_COST,
                                              .why = "by what the call is expected to cost there",
                                              .order = order,
                                              .score = score,
                                              .measures = true,
                                              .unit = "nano-dollars"};
