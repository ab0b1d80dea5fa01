/* route_residency — a mask of credentials, by regions and promises. */
#include "dataplane/ai/route/route_residency.h"

#define CREDENTIALS 64

bool route_promises(const struct policy_team *team, const struct policy_provider *p)
{
    return !team || (team->data_policy & ~p->data_policy) == 0;
}

/* Is it the region, or within it? */
static bool lies_in(struct slice inner, struct slice outer)
{
    return slice_starts(inner, outer) && (inner.len == outer.len || inner.ptr[outer.len] == '-');
}

static bool team_allows(const struct policy_team *team, struct slice region)
{
    for (size_t i = 0; i < team->region_count; i++)
        if (slice_eq(team->regions[i], region))
            return true;
    return team->region_count == 0;
}

static bool may_use(const struct policy_team *team, struct slice own, struct slice region)
{
    if (own.len && region.len && !lies_in(own, region))
        return false;
    return !team || team_allows(team, region.len ? region : own);
}

bool route_may_send(const struct policy_team *team, const struct policy_credential *c,
                    struct slice region)
{
    return may_use(team, c ? c->region : SLICE_NONE, region);
}

uint64_t route_credentials(const struct policy_team *team, const struct policy_provider *p,
                           struct slice region)
{
    uint64_t mask = 0;
    if (!p->credential_count)
        return may_use(team, SLICE_NONE, region);
    if (!region.len && (!team || !team->region_count))
        return UINT64_MAX;
    for (size_t i = 0; i < p->credential_count && i < CREDENTIALS; i++)
        if (may_use(team, p->credentials[i].region, region))
            mask |= 1ull << i;
    return mask;
}
