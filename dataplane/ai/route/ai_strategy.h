/*
 * ai_strategy — the order in which the targets of a model are tried; a row for each strategy.
 *
 * A strategy is pure: the same view and the same random numbers give the same order. It sees the
 * targets alone that are eligible and well; which those are is decided before (candidates).
 *
 * A call that is sticky gives each choice an affinity instead of random numbers: the same caller
 * finds the same order on every worker and plane, and a choice that comes or goes moves only the
 * callers that it is the first of (rendezvous hashing, Thaler and Ravishankar 1998).
 *
 * Threads  any; constant.
 */
#pragma once

#include "common/policy/snapshot.h"
#include "common/upstream/endpoint.h"

#define ROUTE_TARGETS_MAX 64 /* considered for one model; the rest is not looked at */
#define ROUTE_COST_UNKNOWN INT64_MAX
#define ROUTE_NOT_KNOWN UINT64_MAX

struct route_choice {
    const struct policy_target *target;
    const struct policy_provider *provider;     /* NULL in tests, and of another model */
    const struct policy_credential *credential; /* that it would be called with; NULL: none */
    struct endpoint_health health;              /* of that credential's endpoint */
    struct endpoint_pace pace;                  /* of the target's model there */
    money cost;                                 /* what this call is expected to cost there */
    uint64_t affinity;                          /* of the caller; only where the view is sticky */
    unsigned place;                             /* its number, for the maker of the view */
};

struct route_view {
    const struct route_choice *choices;
    size_t count;
    uint32_t (*dice)(void *arg); /* a random number; each call may give another */
    void *arg;
    bool streams; /* the call asks for a stream */
    bool sticky;  /* choices have affinities, and no dice are rolled */
};

struct ai_strategy {
    enum strategy strategy;
    const char *why; /* as explain tells what the order is made by */
    /* Writes the indexes of at most `max` choices in the order in which they are tried; returns how
     * many. No index stands twice. */
    size_t (*order)(const struct route_view *v, size_t *ret, size_t max);
    /* What choices are compared by; NULL: by nothing that is measured. ROUTE_NOT_KNOWN: it
     * is not known of this one. */
    uint64_t (*score)(const struct route_view *v, const struct route_choice *c);
    bool measures;    /* it looks at health and pace */
    const char *unit; /* of the score, as explain tells it; NULL where there is none */
};

/* Each is defined in its own file as route_<word>. */
#define ROUTE_ROW(name, word) extern const struct ai_strategy route_##word;
STRATEGY_TABLE(ROUTE_ROW)
#undef ROUTE_ROW

const struct ai_strategy *route_strategy(enum strategy s);
const char *route_strategy_word(enum strategy s); /* "lowest_cost" */

/* The index that the dice fall on, each by its weight; the first where all are 0. n > 0. */
size_t route_draw(const uint32_t *weights, size_t n, uint32_t (*dice)(void *arg), void *arg);

/* How a caller likes a choice: alike on every plane. */
uint64_t route_affinity(uint64_t caller, uint64_t choice);
/* The number of a text for it. */
uint64_t route_number(struct slice text);
/* A choice's place among those of other weights: the largest comes first, and each choice is first
 * for a share of the callers that is its weight's. 0 for a weight of 0. */
double route_share(uint64_t affinity, uint32_t weight);

enum route_rule {
    ROUTE_EXACT = 0,
    ROUTE_NEAR = 1,     /* those within an eighth of the best are as good as it */
    ROUTE_EXPLORES = 2, /* one call of ROUTE_EXPLORED begins with a choice by the dice alone, so
                           that what is measured of the others stays true; never a sticky one */
};
#define ROUTE_EXPLORED 32

/* By score, the lowest first; the dice, or the affinities, decide who is the first among those that
 * are as good, and the others follow exactly. A sticky view is always ROUTE_NEAR, since it stays
 * with what is good enough. */
size_t route_rank(const struct route_view *v, const uint64_t *score, unsigned rules, size_t *ret,
                  size_t max);
