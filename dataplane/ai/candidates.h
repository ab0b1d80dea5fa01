/*
 * candidates — which targets may serve a model, in the order they are tried.
 *
 * Pure: the same model, policy and dice give the same list. A target whose provider is missing
 * here, speaks a dialect that is not ours yet, or has no credential is passed over.
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

/* dice: random numbers for weighted choice, one is drawn per target and credential. */
size_t candidates_list(const struct snapshot *policy, const struct policy_model *m,
                       uint32_t (*dice)(void *arg), void *arg, struct candidate *ret, size_t max);
