/*
 * candidates — which targets may serve a model, in the order they are tried.
 *
 * Pure: the same model, policy, endpoints, time and dice give the same list. A target whose
 * provider is missing here, speaks a protocol that this data plane does not know or does not serve
 * the path is left out, and a target whose name cannot be put together; the model's strategy
 * (route/) orders the rest, of which those come last whose endpoint cannot be used now. What a
 * target costs is what the team's own catalogue says of the target's model, else the model's own
 * price, else what the provider's catalogue says, else its vendor's.
 *
 * Threads  any.
 */
#pragma once

#include "common/policy/snapshot.h"
#include "common/upstream/endpoint.h"
#include "dataplane/ai/ai_mark.h"
#include "dataplane/ai/dialect/dialect.h"
#include "dataplane/ai/route/route_cost.h"

struct candidate {
    const struct policy_provider *provider;
    const struct policy_credential *credential; /* NULL: the provider wants none */
    struct slice model;                         /* what the provider calls it */
    struct slice written; /* the same as the policy has it: with a star in a wildcard model */
    const struct price_sheet *price; /* NULL: not known */
};

struct candidates_query {
    const struct snapshot *policy;
    const struct policy_model *model;
    const struct policy_team *team; /* whose call it is; may be NULL */
    struct slice rest;   /* what the star of a wildcard model stands for; SLICE_NONE: it is none */
    struct arena *arena; /* for names that are put together */
    const struct ai_endpoint *endpoint; /* the path that they must serve */
    struct endpoint_table *endpoints;   /* of the worker; NULL: nothing is known of upstreams */
    uint64_t now_us;                    /* monotonic */
    bool streams;                       /* the call asks for a stream */
    const struct route_need *need;      /* NULL: no cost is looked at */
    uint64_t caller; /* whose targets and credentials stay the same (route_number); 0: the dice's */
    /* random numbers for the strategy and for the choice among credentials */
    uint32_t (*dice)(void *arg);
    void *arg;
};

/* Moves the candidate of an account to the front, with the account's credential. false: there is
 * none. */
bool candidates_stay(struct candidate *list, size_t count, const struct ai_account *account);

/* One of the provider's accounts: of those that are ready by weight, else the one that will be
 * soonest; NULL: it wants none. Of the query only policy, endpoints, now_us, caller and dice are
 * used. */
const struct policy_credential *candidates_credential(const struct candidates_query *q,
                                                      const struct policy_provider *p);

/* The price of a team's own catalogue for what a provider calls so; NULL: it has none. */
const struct price_sheet *candidates_team_price(const struct snapshot *policy,
                                                const struct policy_team *team, struct slice name);
/* What the provider's own catalogue, or else its vendor's, says of the model that it calls so;
 * NULL: nothing. */
const struct policy_catalogue_model *catalogue_model_of(const struct snapshot *policy,
                                                        const struct policy_provider *p,
                                                        struct slice name);
size_t candidates_list(const struct candidates_query *q, struct candidate *ret, size_t max);
