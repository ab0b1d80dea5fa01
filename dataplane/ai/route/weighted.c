/*
 * weighted — the targets drawn by their weights without replacement, so that after a first choice
 * that failed the others follow by theirs. Those of weight 0 are not drawn: they come last, in the
 * order in which the model lists them.
 */
#include "dataplane/ai/route/ai_strategy.h"

static size_t order(const struct route_view *v, size_t *ret, size_t max)
{
    size_t left[ROUTE_TARGETS_MAX];
    uint32_t weights[ROUTE_TARGETS_MAX];
    size_t count = v->count < ROUTE_TARGETS_MAX ? v->count : ROUTE_TARGETS_MAX, n = 0;
    for (size_t i = 0; i < count; i++) {
        left[i] = i;
        weights[i] = v->choices[i].target->weight;
    }
    for (; count && n < max; n++) {
        size_t at = route_draw(weights, count, v->dice, v->arg);
        ret[n] = left[at];
        count--;
        memmove(&left[at], &left[at + 1], (count - at) * sizeof(left[0]));
        memmove(&weights[at], &weights[at + 1], (count - at) * sizeof(weights[0]));
    }
    return n;
}

const struct ai_strategy route_weighted = {.strategy = STRATEGY_WEIGHTED, .order = order};
