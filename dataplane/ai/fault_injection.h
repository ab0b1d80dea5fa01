/*
 * fault_injection — outages that are rehearsed: what an attempt meets in an upstream's place.
 *
 * A fault of the policy fits an attempt by its provider and by whose call it is, until its end, for
 * its share of them. Such an attempt fails as a real one would; but it contacts nothing, costs
 * nothing, and says nothing of the upstream's health: calls that the fault is not about see none of
 * it.
 *
 * Threads  any.
 */
#pragma once

#include "common/request/request.h"

struct fault_query {
    const struct snapshot *policy;
    const struct principal *who;
    const struct policy_provider *provider;
    uint32_t (*dice)(void *arg); /* a random number, asked for each fault that fits */
    void *arg;
};

/* The first that fits, and that the dice fall on. NULL: none; the upstream is called. */
const struct policy_fault *fault_injected(const struct fault_query *q);
