/*
 * route_target — what stands behind a target of a model: its provider, and what the catalogue
 * knows.
 *
 * That is the same for each call of one version of the policy, and of one team, and costs several
 * searches, one of them through all patterns of a catalogue. So each thread remembers what it found
 * last, by the policy's serial: a call with ten targets searches for none of them.
 *
 * Owns     a table of fixed size for each thread, which points into snapshots and is not read once
 *          the snapshot is another.
 * Threads  any.
 */
#pragma once

#include "common/policy/snapshot.h"
#include "dataplane/ai/dialect/dialect.h"

struct route_target {
    const struct policy_target *target;
    const struct ai_endpoint *endpoint;
    uint64_t serial;
    const struct policy_provider
        *provider; /* NULL: this plane cannot use it, or not for the path */
    const struct policy_catalogue_model *known; /* of its name as the policy writes it; or NULL */
    uint32_t model;                             /* endpoint_model of that name */
    uint64_t place;                             /* route_number of provider and name */
    const struct policy_team *team;             /* whose residency the next two are */
    uint64_t credentials; /* route_credentials of the target; 0 without a provider */
    bool promises;        /* route_promises */
};

/* Lent until the next call of the same thread; never NULL. */
const struct route_target *route_target_of(const struct snapshot *policy,
                                           const struct policy_target *t,
                                           const struct ai_endpoint *endpoint,
                                           const struct policy_team *team);
