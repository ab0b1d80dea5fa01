/*
 * ai_retry — whether a call whose attempt failed is tried again: at the same target, after a wait,
 * or at another one. What the model's policy says of it (`retry`, `fallback`) is read here alone.
 *
 * Pure, but for the retry budget that a second try at the same target is paid from.
 *
 * Threads  the request's loop.
 */
#pragma once

#include "common/policy/snapshot.h"
#include "common/upstream/retry_budget.h"
#include "dataplane/ai/ai_call.h"

/* The first wait, which doubles with each try. A variable for tests. */
extern unsigned ai_retry_wait_ms;

/* Of a status or an event that a provider said, by what it means. */
enum failure_class ai_failure_class(enum ai_verdict verdict, unsigned status);

struct ai_retry {
    const struct policy_model *model;
    const struct ai_failure *failure;
    unsigned tries;              /* at this target, the failed one included */
    uint64_t left_ms;            /* until the call's deadline */
    uint32_t dice;               /* a random number */
    uint64_t now_us;             /* monotonic */
    struct retry_budget *budget; /* of its provider */
};

/* Is the same target tried once more, and after how long? Then the budget has paid. The wait is
 * half fixed, half random, so that what failed together does not come back together; and never
 * shorter than the target named. One that would not end in time is not waited for. */
bool ai_retry_again(const struct ai_retry *r, unsigned *wait_ms);

/* May another target take its place? */
bool ai_retry_elsewhere(const struct policy_model *m, const struct ai_failure *f);
