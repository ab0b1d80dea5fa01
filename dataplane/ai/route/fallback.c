/*
 * fallback — the targets in the order in which the model lists them.
 */
#include "dataplane/ai/route/ai_strategy.h"

static size_t order(const struct route_view *v, size_t *ret, size_t max)
{
    size_t n = 0;
    for (; n < v->count && n < max; n++)
        ret[n] = n;
    return n;
}

const struct ai_strategy route_fallback = {
    .strategy = STRATEGY_FALLBACK, .why = "it stands so in the model's list", .order = order};
