/* removal — as a revoked principal's calls are cut, for all of them. */
#include "common/request/removal.h"

#include "common/request/request_metrics.h"
#include "common/request/request_private.h"

static void cut(struct request *rq)
{
    rq->revoked = true;
    request_refuse(rq, REFUSAL_REMOVED, SLICE_NONE);
    if (rq->stage == REQUEST_WORK) {
        rq->gate->cancel(rq);
    } else {
        filter_walk_abandon(rq);
        request_finish(rq, OUTCOME_REFUSED);
    }
}

size_t removal_cut(struct request_env *env)
{
    size_t n = 0;
    LIST_EACH(&env->requests, it)
    {
        struct request *rq = LIST_ITEM(it, struct request, link);
        bool stopped = rq->revoked || rq->client_gone; /* nobody hears it any more */
        if (stopped || (rq->stage != REQUEST_WORK && !rq->waiting))
            continue;
        cut(rq);
        n++;
    }
    count_add(env, COUNT_CUT, 0, (int64_t)n);
    return n;
}
