/*
 * fault_injection — which fault an attempt meets.
 */
#include "dataplane/ai/fault_injection.h"

#include "common/base/clock.h"

#define PERMILLE 1000u

struct drawing {
    const struct fault_query *query;
    const struct policy_fault *drawn;
};

static bool is_of(const struct policy_object *o, struct slice id)
{
    return o && slice_eq(o->id, id);
}

static bool is_about(const struct policy_fault *f, const struct principal *who)
{
    switch (f->scope) {
    case POLICY_FAULT_OF_TEAM:
        return who->team && is_of(&who->team->o, f->subject_id);
    case POLICY_FAULT_OF_AGENT:
        return who->agent && is_of(&who->agent->o, f->subject_id);
    case POLICY_FAULT_OF_KEY:
        return is_of(&who->key->o, f->subject_id);
    case POLICY_FAULT_OF_ALL:
    case POLICY_FAULT_SCOPES:
        break;
    }
    return f->scope == POLICY_FAULT_OF_ALL;
}

static bool look(void *arg, const struct policy_fault *f)
{
    struct drawing *d = arg;
    const struct fault_query *q = d->query;
    if (clock_wall_us() < f->until_us && is_about(f, q->who) &&
        q->dice(q->arg) % PERMILLE < f->share_permille)
        d->drawn = f;
    return !d->drawn;
}

const struct policy_fault *fault_injected(const struct fault_query *q)
{
    struct drawing d = {.query = q};
    snapshot_each_fault(q->policy, q->provider->o.id, look, &d);
    if (!d.drawn)
        snapshot_each_fault(q->policy, q->provider->o.org_id, look, &d);
    return d.drawn;
}
