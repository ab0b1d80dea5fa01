/*
 * request_cut — ends what is under way where the policy takes its right away, or the plane is
 * removed.
 */
#include "common/request/request_metrics.h"
#include "common/request/request_private.h"

static bool still_stands(const struct request_env *env, const struct request *rq)
{
    struct principal now;
    if (!principal_stands(env->policy, rq->who.key->o.id, &now))
        return false;
    return !rq->session.known || !snapshot_is_blocked(env->policy, SLICE("session"),
                                                      slice_of(rq->session.id, SESSION_ID_LEN));
}

struct slice request_cut_code(const struct request *rq)
{
    if (rq->revoked)
        return rq->refusal.id == REFUSAL_REMOVED ? SLICE("removed") : SLICE("revoked");
    return rq->env->stopping ? SLICE("drained") : SLICE("client_gone");
}

/* The calls that were cut at once. */
struct cut_calls {
    size_t count;
    const struct snapshot *policy; /* held: the first one's */
    const struct policy_key *key;  /* the first one's */
    bool others;                   /* not all were of that key */
};

static void cut_add(struct cut_calls *s, const struct request *rq)
{
    if (!s->key) {
        s->policy = snapshot_hold(rq->policy);
        s->key = rq->who.key;
    }
    s->others = s->others || !slice_eq(s->key->o.id, rq->who.key->o.id);
    s->count++;
}

static void cut_tell(struct request_env *env, struct cut_calls *s)
{
    if (!s->count)
        return;
    count_add(env, COUNT_CUT, 0, (int64_t)s->count);
    if (s->others)
        log_info(NULL, "calls_cut", "count=%zu", s->count);
    else
        log_info(NULL, "calls_cut", "count=%zu key=%.*s", s->count, SLICE_ARG(s->key->public_part));
    snapshot_drop(s->policy);
}

size_t request_cut_blocked(struct request_env *env)
{
    struct cut_calls cut = {0};
    LIST_EACH(&env->requests, it)
    {
        struct request *rq = LIST_ITEM(it, struct request, link);
        if (!rq->who.key || rq->policy == env->policy || still_stands(env, rq))
            continue;
        if (!request_can_be_stopped(rq))
            continue;
        cut_add(&cut, rq);
        rq->revoked = true;
        request_refuse(rq, REFUSAL_BAD_CREDENTIAL, SLICE_NONE);
        request_stop(rq);
    }
    cut_tell(env, &cut);
    return cut.count;
}

size_t request_cut_removed(struct request_env *env)
{
    size_t n = 0;
    LIST_EACH(&env->requests, it)
    {
        struct request *rq = LIST_ITEM(it, struct request, link);
        if (rq->revoked || rq->client_gone || !request_can_be_stopped(rq))
            continue; /* its client has heard, or is gone */
        rq->revoked = true;
        request_refuse(rq, REFUSAL_REMOVED, SLICE_NONE);
        request_stop(rq);
        n++;
    }
    count_add(env, COUNT_CUT, 0, (int64_t)n);
    return n;
}
