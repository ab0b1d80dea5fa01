/*
 * ai_strategy — the table of strategies.
 */
#include "dataplane/ai/route/ai_strategy.h"

static const struct ai_strategy *const strategies[STRATEGY_COUNT] = {
#define ROUTE_ROW(name, word) [STRATEGY_##name] = &route_##word,
    STRATEGY_TABLE(ROUTE_ROW)
#undef ROUTE_ROW
};

const struct ai_strategy *route_strategy(enum strategy s)
{
    return strategies[s];
}

size_t route_draw(const uint32_t *weights, size_t n, uint32_t (*dice)(void *arg), void *arg)
{
    uint64_t total = 0;
    for (size_t i = 0; i < n; i++)
        total += weights[i];
    if (!total)
        return 0;
    uint64_t at = dice(arg) % total;
    size_t i = 0;
    while (at >= weights[i])
        at -= weights[i++];
    return i;
}
