/* removal — as a revoked principal's calls are cut, for all of them. */
#include "common/journey/removal.h"

#include "common/journey/metrics.h"
#include "common/journey/walk.h"

static void cut(struct journey *j)
{
    j->revoked = true;
    journey_refuse(j, REFUSAL_REMOVED, SLICE_NONE);
    if (j->stage == JOURNEY_WORK) {
        j->wing->cancel(j);
    } else {
        gate_walk_abandon(j);
        journey_finish(j, JOURNEY_REFUSED);
    }
}

size_t removal_cut(struct journey_env *env)
{
    size_t n = 0;
    LIST_EACH(&env->journeys, it)
    {
        struct journey *j = LIST_ITEM(it, struct journey, link);
        bool stopped = j->revoked || j->client_gone; /* nobody hears it any more */
        if (stopped || (j->stage != JOURNEY_WORK && !j->waiting))
            continue;
        cut(j);
        n++;
    }
    count_add(env, COUNT_CUT, 0, (int64_t)n);
    return n;
}
