/*
 * request_cut — ends what is under way where its right ends: by a new version of the policy, by the
 * expiry of its key, by the removal of the plane.
 *
 * A version is compared with the one before it, and only requests that name something which changed
 * are looked at again. A client whose response was begun gets the dialect's in-band error.
 */
#include "common/base/clock.h"
#include "common/policy/policy_object.h"
#include "common/request/key_memo.h"
#include "common/request/request_metrics.h"
#include "common/request/request_private.h"
#include "common/upstream/access_token.h"

#define CHANGES_MAX 16        /* with more than these, every request is looked at */
#define EXPIRY_LOOK_MS 60000u /* the wall clock may be set meanwhile */
#define US_PER_MS 1000

struct slice request_cut_code(const struct request *rq)
{
    if (rq->refusal.id == REFUSAL_REMOVED)
        return SLICE("removed");
    if (rq->revoked && rq->refusal.id != REFUSAL_DRAINED)
        return SLICE("revoked");
    return rq->env->stopping ? SLICE("drained") : SLICE("client_gone");
}

struct request_right request_right_of(const struct request *rq)
{
    return (struct request_right){.policy = rq->policy, .who = rq->who, .task = rq->task};
}

bool request_right_now(const struct request *rq, struct request_right *ret)
{
    *ret = request_right_of(rq);
    if (!rq->env->policy || rq->env->policy == rq->policy)
        return true;
    ret->policy = rq->env->policy;
    ret->task = rq->task ? snapshot_task(ret->policy, rq->task->o.id) : NULL;
    return principal_stands(ret->policy, rq->who.key, &ret->who);
}

/* ---- is it still let in? ---- */

static bool refuse(struct request *rq, enum refusal_id id)
{
    request_refuse(rq, id, SLICE_NONE);
    return false;
}

static bool is_session_blocked(const struct snapshot *policy, const struct request *rq)
{
    return rq->session.known &&
           snapshot_is_blocked(policy, SLICE("session"), slice_of(rq->session.id, SESSION_ID_LEN));
}

/* The principal, its session and task: what every gate has. */
static bool stands(struct request *rq, const struct snapshot *policy, struct request_right *ret)
{
    *ret = (struct request_right){.policy = policy};
    if (!principal_stands(policy, rq->who.key, &ret->who) || is_session_blocked(policy, rq))
        return refuse(rq, REFUSAL_BAD_CREDENTIAL);
    if (!rq->task)
        return true;
    ret->task = snapshot_task(policy, rq->task->o.id);
    if (!ret->task || !principal_may_assume(&ret->who, ret->task->o.id))
        return refuse(rq, REFUSAL_TASK);
    return true;
}

static bool is_let_in(struct request *rq, const struct snapshot *policy)
{
    struct request_right now;
    if (!stands(rq, policy, &now))
        return false;
    return rq->stage != REQUEST_WORK || !rq->gate->still_allowed ||
           rq->gate->still_allowed(rq, &now);
}

static bool has_newer_policy(const struct request *rq)
{
    return rq->who.key && rq->env->policy && rq->env->policy != rq->policy;
}

bool request_still_stands(struct request *rq)
{
    return !has_newer_policy(rq) || is_let_in(rq, rq->env->policy);
}

bool request_renew(struct request *rq)
{
    struct request_right now;
    if (!has_newer_policy(rq))
        return true;
    if (!stands(rq, rq->env->policy, &now))
        return false;
    snapshot_drop(rq->policy);
    rq->policy = snapshot_hold(rq->env->policy);
    rq->who = now.who;
    rq->task = now.task;
    return true;
}

/* ---- which requests does a version name? ---- */

struct changes {
    struct slice names[CHANGES_MAX]; /* ids, and names of what is called by name */
    size_t count;
    bool many;
    bool models; /* some model has changed */
};

static void note(struct changes *c, struct slice name)
{
    if (name.len == 0)
        return;
    if (c->count == CHANGES_MAX)
        c->many = true;
    else
        c->names[c->count++] = name;
}

static bool note_change(void *arg, const struct policy_object *o, struct slice subject)
{
    struct changes *c = arg;
    c->models = c->models || o->kind == GATEHOUSE__OBJECT_KIND__KIND_MODEL;
    note(c, o->id);
    note(c, subject);
    note(c, o->name);
    return !c->many;
}

static bool has(const struct changes *c, struct slice name)
{
    for (size_t i = 0; name.len > 0 && i < c->count; i++)
        if (slice_eq(c->names[i], name))
            return true;
    return false;
}

static bool is_named(const struct changes *c, const struct request *rq)
{
    const struct principal *principal = &rq->who;
    const struct call_record *r = &rq->record;
    return c->many || has(c, principal->key->o.id) ||
           (principal->agent && has(c, principal->agent->o.id)) ||
           (principal->team && has(c, principal->team->o.id)) ||
           (rq->task && has(c, rq->task->o.id)) ||
           (rq->session.known && has(c, slice_of(rq->session.id, SESSION_ID_LEN))) ||
           has(c, r->ai.model_row) || (c->models && r->ai.nested) || has(c, r->ai.provider) ||
           has(c, r->ai.rival) || has(c, r->tool.server) || has(c, r->api.service);
}

/* ---- the cut ---- */

/* The calls that were cut at once. */
struct cut_calls {
    size_t count;
    const struct snapshot *policy; /* held: the first one's */
    const struct policy_key *key;  /* the first one's */
    bool others;                   /* not all were of that key */
};

static void cut(struct cut_calls *s, struct request *rq)
{
    if (!s->key) {
        s->policy = snapshot_hold(rq->policy);
        s->key = rq->who.key;
    }
    s->others = s->others || !slice_eq(s->key->o.id, rq->who.key->o.id);
    s->count++;
    rq->revoked = true;
    request_stop(rq);
}

static size_t cut_tell(struct request_env *env, struct cut_calls *s)
{
    if (!s->count)
        return 0;
    count_add(env, COUNT_CUT, 0, (int64_t)s->count);
    if (s->others)
        log_info(NULL, "calls_cut", "count=%zu", s->count);
    else
        log_info(NULL, "calls_cut", "count=%zu key=%.*s", s->count, SLICE_ARG(s->key->public_part));
    snapshot_drop(s->policy);
    return s->count;
}

static bool has_principal(const struct request *rq)
{
    return rq->who.key && rq->policy && request_can_be_stopped(rq);
}

static size_t cut_changed(struct request_env *env, const struct changes *c)
{
    struct cut_calls cut_now = {0};
    LIST_EACH(&env->requests, it)
    {
        struct request *rq = LIST_ITEM(it, struct request, link);
        if (has_principal(rq) && is_named(c, rq) && !is_let_in(rq, env->policy))
            cut(&cut_now, rq);
    }
    return cut_tell(env, &cut_now);
}

static bool has_account(const void *policy, struct slice provider_id, const struct digest *key)
{
    const struct policy_provider *p = policy ? snapshot_provider(policy, provider_id) : NULL;
    for (size_t i = 0; p && i < p->credential_count; i++)
        if (memcmp(&p->credentials[i].token_key, key, sizeof(*key)) == 0)
            return true;
    return false;
}

size_t request_env_take_policy(struct request_env *env, const struct snapshot *policy)
{
    const struct snapshot *old = env->policy;
    struct changes c = {.many = !old};
    size_t count = 0;
    env->policy = policy ? snapshot_hold(policy) : NULL;
    if (env->keys)
        key_memo_forget(env->keys);
    if (policy && env->request_count) {
        if (old)
            snapshot_diff(old, policy, note_change, &c);
        if (c.many || c.count)
            count = cut_changed(env, &c);
    }
    if (env->upstreams.tokens)
        access_tokens_keep(env->upstreams.tokens, has_account, env->policy);
    snapshot_drop(old);
    return count;
}

/* ---- expiry ---- */

static void watch(struct request_env *env, int64_t at_us)
{
    int64_t left_us = at_us - clock_wall_us();
    uint64_t ms = left_us > 0 ? (uint64_t)left_us / US_PER_MS + 1 : 1;
    env->expiry_at_us = at_us;
    timer_start(&env->expiry, ms < EXPIRY_LOOK_MS ? ms : EXPIRY_LOOK_MS);
}

static void on_expiry(struct timer *t)
{
    struct request_env *env = CONTAINER_OF(t, struct request_env, expiry);
    struct cut_calls expired = {0};
    int64_t now_us = clock_wall_us(), next_us = 0;
    LIST_EACH(&env->requests, it)
    {
        struct request *rq = LIST_ITEM(it, struct request, link);
        int64_t at_us = has_principal(rq) ? rq->who.key->expires_at_us : 0;
        if (at_us > now_us) {
            next_us = next_us && next_us < at_us ? next_us : at_us;
        } else if (at_us) {
            request_refuse(rq, REFUSAL_BAD_CREDENTIAL, SLICE_NONE);
            cut(&expired, rq);
        }
    }
    cut_tell(env, &expired);
    env->expiry_at_us = 0;
    if (next_us && env->request_count)
        watch(env, next_us);
}

void request_watch_expiry(struct request *rq)
{
    struct request_env *env = rq->env;
    int64_t at_us = rq->who.key->expires_at_us;
    if (!at_us)
        return;
    if (!env->expiry.loop)
        timer_init(&env->expiry, env->loop, on_expiry);
    if (!timer_is_running(&env->expiry) || !env->expiry_at_us || at_us < env->expiry_at_us)
        watch(env, at_us);
}

/* ---- all of it ---- */

static size_t cut_all(struct request_env *env, enum refusal_id why)
{
    size_t n = 0;
    LIST_EACH(&env->requests, it)
    {
        struct request *rq = LIST_ITEM(it, struct request, link);
        if (rq->revoked || rq->client_gone || !request_can_be_stopped(rq))
            continue; /* its client has got the refusal, or is gone */
        rq->revoked = true;
        request_refuse(rq, why, SLICE_NONE);
        rq->refusal.retry_after_s = why == REFUSAL_DRAINED ? 1 : 0;
        request_stop(rq);
        n++;
    }
    return n;
}

size_t request_cut_removed(struct request_env *env)
{
    size_t n = cut_all(env, REFUSAL_REMOVED);
    count_add(env, COUNT_CUT, 0, (int64_t)n);
    return n;
}

size_t request_cut_drained(struct request_env *env)
{
    env->stopping = true;
    return cut_all(env, REFUSAL_DRAINED);
}
