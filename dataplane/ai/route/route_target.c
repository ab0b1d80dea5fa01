/* route_target — a direct-mapped table for each thread. */
#include "dataplane/ai/route/route_target.h"

#include "common/upstream/endpoint.h"
#include "dataplane/ai/candidates.h"
#include "dataplane/ai/provider/provider.h"
#include "dataplane/ai/route/ai_strategy.h"
#include "dataplane/ai/route/route_residency.h"

#define REMEMBERED 256 /* a power of two */

static _Thread_local struct route_target remembered[REMEMBERED];

static const struct policy_provider *provider_of(const struct snapshot *policy,
                                                 const struct policy_target *t,
                                                 const struct ai_endpoint *endpoint)
{
    const struct policy_provider *p = snapshot_provider(policy, t->provider_id);
    const struct ai_provider *speaks = p ? ai_provider_for(p, endpoint, t->model) : NULL;
    /* an address with "{region}" in it is none without a credential that says which */
    bool has_address = p && (!p->regional || p->credential_count > 0);
    return speaks && has_address && speaks->serves(endpoint) ? p : NULL;
}

static void look_up(struct route_target *r, const struct snapshot *policy)
{
    const struct policy_target *t = r->target;
    r->provider = provider_of(policy, t, r->endpoint);
    r->model = endpoint_model(t->model);
    r->place = route_affinity(route_number(t->provider_id), route_number(t->model));
    r->known = r->provider ? catalogue_model_of(policy, r->provider, t->model) : NULL;
}

static void look_at_team(struct route_target *r, const struct policy_team *team)
{
    const struct policy_provider *p = r->provider;
    r->team = team;
    r->promises = p && route_promises(team, p);
    r->credentials = p ? route_credentials(team, p, r->target->region) : 0;
}

const struct route_target *route_target_of(const struct snapshot *policy,
                                           const struct policy_target *t,
                                           const struct ai_endpoint *endpoint,
                                           const struct policy_team *team)
{
    uint64_t spread =
        ((uint64_t)(uintptr_t)t ^ (uint64_t)(uintptr_t)endpoint << 20) * 0x9e3779b97f4a7c15u;
    struct route_target *r = &remembered[spread >> 32 & (REMEMBERED - 1)];
    uint64_t serial = snapshot_serial(policy);
    if (r->target == t && r->endpoint == endpoint && r->serial == serial) {
        if (r->team != team)
            look_at_team(r, team);
        return r;
    }
    *r = (struct route_target){.target = t, .endpoint = endpoint, .serial = serial};
    look_up(r, policy);
    look_at_team(r, team);
    return r;
}
