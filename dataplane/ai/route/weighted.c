/*
 * weighted — the targets drawn by their weights without replacement, so that after a first choice
 * that failed the others follow by theirs. Those of weight 0 are not drawn: they come last, in the
 * order in which the model lists them. A sticky caller has one order for as long as the targets
 * stay: the shares are those of callers then.
 */
#include "dataplane/ai/route/ai_strategy.h"

static size_t draw(const struct route_view *v, size_t count, size_t *ret, size_t max)
{
    size_t left[ROUTE_TARGETS_MAX], n = 0;
    uint32_t weights[ROUTE_TARGETS_MAX];
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

/* Sorted by insertion: equal ones keep the model's order. */
static size_t settle(const struct route_view *v, size_t count, size_t *ret, size_t max)
{
    double share[ROUTE_TARGETS_MAX];
    size_t order[ROUTE_TARGETS_MAX];
    for (size_t i = 0; i < count; i++) {
        double s = route_share(v->choices[i].affinity, v->choices[i].target->weight);
        size_t at = i;
        for (; at > 0 && share[at - 1] < s; at--) {
            share[at] = share[at - 1];
            order[at] = order[at - 1];
        }
        share[at] = s;
        order[at] = i;
    }
    size_t n = count < max ? count : max;
    memcpy(ret, order, n * sizeof(ret[0]));
    return n;
}

static size_t order(const struct route_view *v, size_t *ret, size_t max)
{
    size_t count = v->count < ROUTE_TARGETS_MAX ? v->count : ROUTE_TARGETS_MAX;
    return v->sticky ? settle(v, count, ret, max) : draw(v, count, ret, max);
}

const struct ai_strategy route_weighted = {
    .strategy = STRATEGY_WEIGHTED, .why = "drawn by its weight", .order = order};
