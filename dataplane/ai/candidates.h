/*
 * candidates — which targets may serve a model, in the order they are tried.
 *
 * Pure: the same model, policy, endpoints, time and dice give the same list. A target is left out
 * by the rules of route_rule, and where its name cannot be put together; the model's strategy
 * (route/) orders the rest, of which those come last whose endpoint cannot be used now. A target
 * that is another model stands with what that model's own first choice has, and that model's
 * targets take its place, in the order of its own strategy; a name leads to a provider over
 * LIMIT_MODEL_DEPTH models at most.
 *
 * What a target costs is what the team's own catalogue says of the target's model, else the model's
 * own price, else what the provider's catalogue says, else its vendor's.
 *
 * Threads  any.
 */
#pragma once

#include "common/policy/snapshot.h"
#include "common/request/refusal.h"
#include "common/upstream/endpoint.h"
#include "dataplane/ai/ai_mark.h"
#include "dataplane/ai/dialect/dialect.h"
#include "dataplane/ai/route/ai_strategy.h"
#include "dataplane/ai/route/route_rule.h"

#define CANDIDATE_CREDENTIALS 64 /* of a provider, that are looked at: a bit for each */

struct candidate {
    const struct policy_provider *provider;
    const struct policy_credential *credential; /* NULL: the provider wants none */
    struct slice model;                         /* what the provider calls it */
    struct slice written; /* the same as the policy has it: with a star in a wildcard model */
    const struct price_sheet *price; /* NULL: not known */
    const struct policy_model *of;   /* the model whose target it is: the call's, or one within */
    uint64_t credentials;    /* a bit for each of the provider's that may be used (route_rule) */
    struct slice region;     /* the target's, else the credential's; empty: not known */
    uint64_t context_tokens; /* 0: not known */
    uint64_t score;          /* by the strategy of `of`; ROUTE_NOT_KNOWN */
    enum route_exclusion though; /* tried last, or although a rule that advises says no */
};

/* A target that is not tried. */
struct candidate_excluded {
    const struct policy_provider *provider; /* NULL: unknown here, or another model */
    struct slice model;                     /* as the policy writes it, or the other model's name */
    const struct policy_model *of;
    enum route_exclusion why;
};

/* What was left out while a list was made. */
struct candidates_trace {
    struct candidate_excluded *excluded; /* room for `max`; NULL: only reasons are kept */
    size_t max, count;                   /* count may be above max */
    uint32_t reasons;                    /* a bit for each enum route_exclusion */
};

struct candidates_query {
    const struct snapshot *policy;
    const struct policy_model *model;
    const struct policy_team *team; /* whose call it is; may be NULL */
    struct slice rest;   /* what the star of a wildcard model stands for; SLICE_NONE: it is none */
    struct arena *arena; /* for names that are put together, and models within models */
    const struct ai_endpoint *endpoint; /* the path that they must serve */
    struct endpoint_table *endpoints;   /* of the worker; NULL: nothing is known of upstreams */
    uint64_t now_us;                    /* monotonic */
    bool streams;                       /* the call asks for a stream */
    const struct route_ask *ask;        /* what rules look at; NULL: the team alone */
    /* route_number of what its calls are kept together by, for models that are sticky; 0: none */
    uint64_t callers[STICKY_COUNT];
    struct candidates_trace *trace; /* NULL: nothing is kept */
    /* random numbers for the strategy and for the choice among credentials */
    uint32_t (*dice)(void *arg);
    void *arg;
};

/* Moves the candidate of an account to the front, with the account's credential. false: there is
 * none. */
bool candidates_stay(struct candidate *list, size_t count, const struct ai_account *account);

/* One of the provider's accounts that the mask has: of those that are ready by weight, else the one
 * that will be soonest; NULL: it wants none, or the mask has none. Of the query only policy,
 * endpoints, now_us, callers[STICKY_NONE] and dice are used. */
const struct policy_credential *candidates_credential(const struct candidates_query *q,
                                                      const struct policy_provider *p,
                                                      uint64_t mask);
/* Would a call still go to this target, by this version of the policy? Conditions are not asked
 * again. */
bool candidates_still(const struct snapshot *policy, const struct policy_model *m,
                      const struct policy_team *team, const struct candidate *c);
/* What a call is refused with that has no target; *detail fills the sentence. */
enum refusal_id candidates_refusal(const struct candidates_trace *t, struct slice *detail);

/* What is allowed of the provider's endpoints: its breaker. */
struct endpoint_limits candidates_limits(const struct policy_provider *p);

/* The price of a team's own catalogue for what a provider calls so; NULL: it has none. */
const struct price_sheet *candidates_team_price(const struct snapshot *policy,
                                                const struct policy_team *team, struct slice name);
/* What the provider's own catalogue, or else its vendor's, says of the model that it calls so;
 * NULL: nothing. */
const struct policy_catalogue_model *catalogue_model_of(const struct snapshot *policy,
                                                        const struct policy_provider *p,
                                                        struct slice name);
size_t candidates_list(const struct candidates_query *q, struct candidate *ret, size_t max);
