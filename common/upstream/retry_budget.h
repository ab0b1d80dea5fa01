/*
 * retry_budget — how often one worker may try again at one provider.
 *
 * Each call earns a share of a retry, and each retry costs one whole: an outage, in which every
 * attempt fails, adds that share to a provider's load and no more. Small traffic, which earns
 * little, may always try again a few times a second. (After Finagle's RetryBudget.)
 *
 *   attempts of t seconds ≤ calls × (1 + share) + LIMIT_RETRY_BURST + LIMIT_RETRY_FLOOR × (t + 1)
 *
 * Pure: the clock is a parameter. Providers are told apart by a hash of their id: those that fall
 * into one place of the table share what they earn.
 *
 * Threads  its worker's.
 */
#pragma once

#include <stdbool.h>

#include "common/base/slice.h"

#define RETRY_BUDGETS 256 /* places of the table; a power of two */

struct retry_budget {
    uint32_t earned; /* thousandths of a retry */
    uint32_t floor;  /* the same, that came with time */
    uint64_t floor_at_us;
};

struct retry_budgets {
    struct retry_budget of[RETRY_BUDGETS];
};

struct retry_budget *retry_budget_of(struct retry_budgets *b, struct slice provider_id);
/* A call is sent there for the first time. */
void retry_budget_earn(struct retry_budget *b, uint32_t permille);
/* May it be sent there once more? Then that is paid. */
MUST_USE bool retry_budget_spend(struct retry_budget *b, uint64_t now_us);
