/*
 * last_first — a sample strategy: the targets in the reverse of the model's order.
 */
#include "dataplane/ai/route/ai_strategy.h"

static size_t order(const struct route_view *v, size_t *ret, size_t max)
{
    size_t n = 0;
    for (; n < v->count && n < max; n++)
        ret[n] = v->count - 1 - n;
    return n;
}

const struct ai_strategy route_last_first = {
    .strategy = STRATEGY_LAST_FIRST, .why = "it stands so far from the end", .order = order};
