/*
 * route_rule — which targets of a model may serve a call; a row for each reason why one may not.
 *
 * Two kinds of rules. What binds (a condition of the policy, the team's regions and demands, the
 * model's price ceiling) leaves a target out whatever follows. What advises (capabilities, the
 * context that fits, the longest output) leaves it out while another target is left: where none is,
 * the target's provider says itself what it cannot do, since the catalogue may be behind.
 *
 * Threads  any; pure.
 */
#pragma once

#include "common/net/http1.h"
#include "common/policy/snapshot.h"
#include "common/request/principal.h"
#include "dataplane/ai/route/route_need.h"
#include "dataplane/ai/route/route_residency.h"
#include "dataplane/ai/route/route_target.h"

/* X(name, word, binds, sentence). The sentence follows the target's name. */
#define ROUTE_EXCLUSION_TABLE(X)                                                                   \
    X(UNUSABLE, unusable, true, "this data plane cannot use it for this path")                     \
    X(SHADOW, shadow, true, "it is only sent copies")                                              \
    X(CONDITION, condition, true, "its condition does not hold")                                   \
    X(DATA_POLICY, data_policy, true, "its provider does not promise what the team demands")       \
    X(REGION, region, true, "it is in none of the team's regions")                                 \
    X(PRICE, price, true, "it is dearer than the model's price ceiling")                           \
    X(NESTED, nested, true, "none of that model's targets may serve the call")                     \
    X(CAPABILITY, capability, false, "it lacks a capability that the call needs")                  \
    X(CONTEXT, context, false, "the prompt does not fit its context")                              \
    X(OUTPUT, output_limit, false, "it writes less than the call asks for")                        \
    X(BREAKER, breaker, false, "its breaker is open")                                              \
    X(COOLING, cooling, false, "it asked to wait, or refused its credential")                      \
    X(CEILING, ceiling, false, "its ceiling is reached")

enum route_exclusion {
    ROUTE_ELIGIBLE,
#define ROUTE_EXCLUSION_ENUM(name, word, binds, sentence) ROUTE_##name,
    ROUTE_EXCLUSION_TABLE(ROUTE_EXCLUSION_ENUM)
#undef ROUTE_EXCLUSION_ENUM
        ROUTE_EXCLUSIONS
};

const char *route_exclusion_word(enum route_exclusion e); /* "region"; "" of ROUTE_ELIGIBLE */
const char *route_exclusion_sentence(enum route_exclusion e);
bool route_exclusion_binds(enum route_exclusion e);

/* What rules look at of one call. */
struct route_ask {
    const struct principal *who;  /* NULL: no rule about callers applies, and no condition holds */
    const struct http_head *head; /* for conditions; NULL: no header is there */
    struct slice body;            /* JSON; empty: none */
    int64_t wall_us;
    uint64_t output_ceiling; /* tokens; 0: none was named */
    /* The size of the prompt and the capabilities it needs, which are looked for when a rule asks
     * for them first. NULL: not known, and no rule about them applies. */
    const struct route_need *(*need)(void *arg);
    void *need_arg;
};

/* The first rule that leaves the target out; costs: what its model costs there, which is looked at
 * where the model has a ceiling; NULL: not known. Conditions are route_when_holds'. */
enum route_exclusion route_rule_of(const struct route_ask *ask, const struct policy_model *m,
                                   const struct route_target *t, const struct price_sheet *costs);
/* The same for a model that has nothing to choose from: can it be used, and may the team? */
enum route_exclusion route_rule_of_only(const struct route_target *t);

/* Is it above the model's price ceiling? NULL is, where there is one: what has no price may cost
 * anything. */
bool route_is_too_dear(const struct policy_model *m, const struct price_sheet *s);
/* Of a condition; NULL: it holds. */
bool route_when_holds(const struct route_ask *ask, const struct policy_when *when);
