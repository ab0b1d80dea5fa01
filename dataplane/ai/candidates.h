/*
 * candidates — which targets may serve a model, in the order they are tried.
 *
 * Pure: the same model, policy and dice give the same list. A target whose provider is missing
 * here or speaks a dialect that this data plane does not know is left out; the model's strategy
 * (route/) orders the rest.
 *
 * Threads  any.
 */
#pragma once

#include "common/policy/snapshot.h"

struct candidate {
    const struct policy_provider *provider;
    const struct policy_credential *credential; /* NULL: the provider wants none */
    struct slice model;
};

/* dice: random numbers for the strategy and for the choice among credentials. */
size_t candidates_list(const struct snapshot *policy, const struct policy_model *m,
                       uint32_t (*dice)(void *arg), void *arg, struct candidate *ret, size_t max);
