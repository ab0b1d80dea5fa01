/*
 * ai_strategy — the order in which the targets of a model are tried; a row for each strategy.
 *
 * A strategy is pure: the same view gives the same order. It sees the eligible targets alone; which
 * those are is decided before (candidates).
 *
 * Threads  any; constant.
 */
#pragma once

#include "common/policy/snapshot.h"

#define ROUTE_TARGETS_MAX 64 /* considered for one model; the rest is not looked at */

struct route_choice {
    const struct policy_target *target;
    const struct policy_provider *provider;
};

struct route_view {
    const struct route_choice *choices;
    size_t count;
    uint32_t (*dice)(void *arg); /* a random number; each call may give another */
    void *arg;
};

struct ai_strategy {
    enum strategy strategy;
    /* Writes the indexes of at most `max` choices in the order in which they are tried; returns how
     * many. No index stands twice. */
    size_t (*order)(const struct route_view *v, size_t *ret, size_t max);
};

/* Each is defined in its own file as route_<word>. */
#define ROUTE_ROW(name, word) extern const struct ai_strategy route_##word;
STRATEGY_TABLE(ROUTE_ROW)
#undef ROUTE_ROW

const struct ai_strategy *route_strategy(enum strategy s);

/* The index that the dice fall on, each by its weight; the first where all are 0. n > 0. */
size_t route_draw(const uint32_t *weights, size_t n, uint32_t (*dice)(void *arg), void *arg);
