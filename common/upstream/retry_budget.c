/*
 * retry_budget — two purses: what calls earn, and what comes with time.
 */
#include "common/upstream/retry_budget.h"

#include "common/base/limits.h"

#define WHOLE 1000u /* one retry */
#define US_PER_S 1000000u

struct retry_budget *retry_budget_of(struct retry_budgets *b, struct slice provider_id)
{
    uint32_t h = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < provider_id.len; i++)
        h = (h ^ (unsigned char)provider_id.ptr[i]) * 16777619u;
    return &b->of[(h ^ h >> 16) & (RETRY_BUDGETS - 1)];
}

void retry_budget_earn(struct retry_budget *b, uint32_t permille)
{
    uint32_t most = LIMIT_RETRY_BURST * WHOLE;
    b->earned = permille < most - b->earned ? b->earned + permille : most;
}

static void fill_floor(struct retry_budget *b, uint64_t now_us)
{
    uint64_t passed = now_us - b->floor_at_us;
    uint64_t came = passed >= US_PER_S ? LIMIT_RETRY_FLOOR * WHOLE
                                       : passed * LIMIT_RETRY_FLOOR * WHOLE / US_PER_S;
    if (!came)
        return;
    uint64_t sum = b->floor + came;
    b->floor = sum < LIMIT_RETRY_FLOOR * WHOLE ? (uint32_t)sum : LIMIT_RETRY_FLOOR * WHOLE;
    b->floor_at_us = now_us;
}

bool retry_budget_spend(struct retry_budget *b, uint64_t now_us)
{
    fill_floor(b, now_us);
    uint32_t *purse = b->earned >= WHOLE ? &b->earned : &b->floor;
    if (*purse < WHOLE)
        return false;
    *purse -= WHOLE;
    return true;
}
