/*
 * journey — made, moved from stage to stage, ended; and kept warm for the next request.
 */
#include "common/journey/journey.h"

#include "common/base/clock.h"
#include "common/base/digest.h"
#include "common/base/mem.h"
#include "common/journey/metrics.h"
#include "common/journey/session_memo.h"
#include "common/journey/walk.h"

#define SPARE_MAX 1024          /* ended journeys kept per worker: about 12 MiB */
#define SPARE_BODY (64 * 1024)  /* a larger body's memory goes back to the heap */
#define SCRATCH_MAX (64 * 1024) /* a refusal's body, a canonical path */

void journey_env_init(struct journey_env *env)
{
    memset(env, 0, sizeof(*env));
    list_init(&env->journeys);
    list_init(&env->spare);
    for (size_t i = 0; i < WING_SLOTS; i++)
        list_init(&env->wing_spare[i]);
    buf_init(&env->scratch, SCRATCH_MAX);
}

static void destroy(struct journey *j)
{
    buf_fini(&j->body);
    arena_free(j->arena);
    mem_free(j);
}

void journey_env_fini(struct journey_env *env)
{
    MUST(list_empty(&env->journeys));
    for (size_t i = 0; i < WING_SLOTS; i++)
        MUST(list_empty(&env->wing_spare[i]));
    struct list *it;
    while ((it = list_take_first(&env->spare)))
        destroy(LIST_ITEM(it, struct journey, link));
    env->spare_count = 0;
    session_memo_free(env->sessions);
    env->sessions = NULL;
    buf_fini(&env->scratch);
    buf_shelf_fini(&env->shelf);
    journey_env_take_policy(env, NULL);
}

void journey_env_take_policy(struct journey_env *env, const struct snapshot *policy)
{
    const struct snapshot *old = env->policy;
    env->policy = policy ? snapshot_hold(policy) : NULL;
    snapshot_drop(old);
}

static struct journey *take_spare(struct journey_env *env)
{
    struct list *it = list_take_first(&env->spare);
    if (!it)
        return NULL;
    env->spare_count--;
    return LIST_ITEM(it, struct journey, link);
}

static struct journey *create(void)
{
    struct journey *j = mem_alloc(sizeof(*j));
    if (!j)
        return NULL;
    j->arena = arena_new(LIMIT_ARENA_CHUNK, LIMIT_ARENA_MAX);
    if (!j->arena) {
        mem_free(j);
        return NULL;
    }
    buf_init(&j->body, LIMIT_AI_BODY);
    return j;
}

/* everything but the memory that is kept */
static void clear(struct journey *j)
{
    struct arena *arena = j->arena;
    struct buf body = j->body;
    memset(j, 0, offsetof(struct journey, trace.attempts));
    j->arena = arena;
    j->body = body;
}

struct journey *journey_new(struct journey_env *env, const struct wing *wing,
                            const struct answer_ops *ops, void *answer,
                            const struct http_head *head, struct slice peer)
{
    struct journey *j = take_spare(env);
    if (!j && !(j = create()))
        return NULL;
    clear(j);
    j->env = env;
    j->wing = wing;
    j->answer_ops = ops;
    j->answer = answer;
    j->head = head;
    j->peer = peer;
    j->policy = env->policy ? snapshot_hold(env->policy) : NULL;
    j->started_us = clock_mono_us();
    j->started_at_us = clock_wall_us();
    digest_random(j->call_id, sizeof(j->call_id));
    digest_hex(slice_of(j->call_id, sizeof(j->call_id)), j->request_id);
    j->log.component = wing->name ? wing->name : "door";
    j->log.request_id = slice_of(j->request_id, sizeof(j->request_id) - 1);
    trace_begin(j);
    list_push(&env->journeys, &j->link);
    env->journey_count++;
    count_add(env, COUNT_ACTIVE, 0, 1);
    return j;
}

void journey_move(struct journey *j, enum journey_stage to)
{
    static const char *const names[] = {"head", "gates", "work", "leaving", "done"};
    /* row: from; bit: to */
    static const unsigned legal[] = {
        [JOURNEY_HEAD] = 1u << JOURNEY_GATES,
        [JOURNEY_GATES] = 1u << JOURNEY_WORK | 1u << JOURNEY_LEAVING,
        [JOURNEY_WORK] = 1u << JOURNEY_LEAVING,
        [JOURNEY_LEAVING] = 1u << JOURNEY_DONE,
        [JOURNEY_DONE] = 0,
    };
    MUST(legal[j->stage] & (1u << to));
    log_debug(&j->log, "stage", "from=%s to=%s", names[j->stage], names[to]);
    j->stage = to;
}

/* What is under way needs memory to end, and ends sooner the less is begun beside it. */
static bool is_shed(struct journey *j)
{
    const atomic_bool *shedding = j->env->shedding;
    if (!shedding || !atomic_load_explicit(shedding, memory_order_relaxed))
        return false;
    journey_refuse(j, REFUSAL_MEMORY, SLICE_NONE);
    j->refusal.retry_after_s = LIMIT_MEMORY_RETRY_S;
    return true;
}

void journey_start(struct journey *j)
{
    journey_move(j, JOURNEY_GATES);
    if (j->refusal.id || is_shed(j))
        journey_finish(j, JOURNEY_REFUSED);
    else
        gate_walk_on(j);
}

void journey_on_body(struct journey *j, struct slice piece)
{
    if (j->stage >= JOURNEY_LEAVING)
        return;
    if (j->wing->on_body)
        j->wing->on_body(j, piece);
    else
        gate_body_take(j, piece);
}

void journey_on_body_end(struct journey *j)
{
    if (j->stage >= JOURNEY_LEAVING)
        return;
    if (j->wing->on_body_end)
        j->wing->on_body_end(j);
    else
        gate_body_whole(j);
}

void journey_on_drain(struct journey *j)
{
    if (j->stage == JOURNEY_WORK && j->wing->on_drain)
        j->wing->on_drain(j);
}

static bool can_be_stopped(const struct journey *j)
{
    return !j->detached && (j->stage == JOURNEY_WORK || j->waiting);
}

static void stop(struct journey *j)
{
    if (j->stage == JOURNEY_WORK) {
        j->wing->cancel(j);
    } else if (j->waiting) {
        gate_walk_abandon(j);
        journey_finish(j, j->refusal.id ? JOURNEY_REFUSED : JOURNEY_CANCELLED);
    }
    /* else: inside a gate's ask, which ends the journey when it returns */
}

void journey_on_gone(struct journey *j)
{
    if (j->stage >= JOURNEY_LEAVING)
        return;
    j->client_gone = true;
    stop(j);
}

void journey_refuse(struct journey *j, enum refusal_id id, struct slice detail)
{
    j->refusal = (struct refusal){.id = id};
    if (detail.ptr)
        j->refusal.detail = arena_copy(j->arena, detail);
}

enum err journey_open_record(struct journey *j)
{
    return record_open(j);
}

uint64_t journey_took_us(const struct journey *j)
{
    return (j->ended_us ? j->ended_us : clock_mono_us()) - j->started_us;
}

uint64_t journey_overhead_us(const struct journey *j)
{
    uint64_t took = journey_took_us(j);
    return took > j->trace.upstream_us ? took - j->trace.upstream_us : 0;
}

static void count(struct journey *j)
{
    const struct journey_trace *t = &j->trace;
    struct journey_env *env = j->env;
    count_add(env, COUNT_ACTIVE, 0, -1);
    count_add(env, COUNT_ENDS, j->end, 1);
    if (j->refusal.id)
        count_add(env, COUNT_REFUSALS, j->refusal.id, 1);
    if (!j->wing->name || j->unrecorded)
        return;
    count_add(env, COUNT_CALLS, j->wing->slot, 1);
    count_observe(env, COUNT_DURATION, journey_took_us(j));
    count_observe(env, COUNT_OVERHEAD, journey_overhead_us(j));
    for (size_t i = 0; i < t->attempt_count; i++)
        count_add(env, COUNT_ATTEMPTS, t->attempts[i].end, 1);
    if (t->has_tokens) {
        count_add(env, COUNT_TOKENS_IN, 0, (int64_t)t->tokens.input);
        count_add(env, COUNT_TOKENS_OUT, 0, (int64_t)t->tokens.output);
        if (!t->cost_known)
            count_add(env, COUNT_COST_UNKNOWN, 0, 1);
    }
}

/* at the end of the turn: a callback further up the stack may still look at the journey */
static void retire(void *arg)
{
    struct journey *j = arg;
    struct journey_env *env = j->env;
    arena_reset(j->arena);
    if (j->body.cap > SPARE_BODY)
        buf_fini(&j->body);
    buf_clear(&j->body);
    if (env->spare_count >= SPARE_MAX) {
        destroy(j);
        return;
    }
    list_push_first(&env->spare, &j->link);
    env->spare_count++;
}

static unsigned closing_status(const struct journey *j, const struct parting *p)
{
    if (j->answered_status)
        return j->answered_status;
    if (j->client_gone)
        return 0;
    return p->whole ? p->status : refusal_row(j->refusal.id)->status;
}

static void finish(struct journey *j, enum journey_end end, const struct parting *p)
{
    bool silent = !j->answered_status && !p->whole && !j->client_gone;
    if (silent && !j->refusal.id) /* nobody said anything: that must not look like a success */
        journey_refuse(j, REFUSAL_INTERNAL, SLICE_NONE);
    j->end = end;
    j->ended_us = clock_mono_us();
    journey_move(j, JOURNEY_LEAVING);
    gate_walk_leave(j);
    record_close(j, closing_status(j, p));
    gate_budget_settle(j);
    count(j);
    if (!j->detached && j->client_gone)
        j->answer_ops->end(j->answer);
    else if (!j->detached)
        answer_part(j, p);
    journey_move(j, JOURNEY_DONE);
    list_remove(&j->link);
    j->env->journey_count--;
    j->env->detached_count -= j->detached;
    snapshot_drop(j->policy);
    j->policy = NULL;
    loop_retire(j->env->loop, retire, j);
}

void journey_finish(struct journey *j, enum journey_end end)
{
    finish(j, end, &(struct parting){0});
}

void journey_finish_with(struct journey *j, enum journey_end end, struct slice last)
{
    finish(j, end, &(struct parting){.last = last});
}

void journey_finish_cut(struct journey *j, enum journey_end end)
{
    finish(j, end, &(struct parting){.cut = true});
}

void journey_finish_whole(struct journey *j, enum journey_end end, unsigned status,
                          const struct http_header *headers, size_t n, struct slice body)
{
    finish(
        j, end,
        &(struct parting){
            .whole = !j->client_gone, .status = status, .headers = headers, .n = n, .body = body});
}

static bool still_stands(const struct journey_env *env, const struct journey *j)
{
    struct principal now;
    if (!principal_stands(env->policy, j->who.key->o.id, &now))
        return false;
    return !j->session.known || !snapshot_is_blocked(env->policy, SLICE("session"),
                                                     slice_of(j->session.id, SESSION_ID_LEN));
}

struct slice journey_cut_code(const struct journey *j)
{
    if (j->revoked)
        return j->refusal.id == REFUSAL_REMOVED ? SLICE("removed") : SLICE("revoked");
    return j->env->stopping ? SLICE("drained") : SLICE("client_gone");
}

/* The calls that were cut at once. */
struct sweep {
    size_t count;
    const struct snapshot *policy; /* held: the first one's */
    const struct policy_key *key;  /* the first one's */
    bool others;                   /* not all were of that key */
};

static void sweep_add(struct sweep *s, const struct journey *j)
{
    if (!s->key) {
        s->policy = snapshot_hold(j->policy);
        s->key = j->who.key;
    }
    s->others = s->others || !slice_eq(s->key->o.id, j->who.key->o.id);
    s->count++;
}

static void sweep_tell(struct journey_env *env, struct sweep *s)
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

size_t journey_cut_blocked(struct journey_env *env)
{
    struct sweep cut = {0};
    LIST_EACH(&env->journeys, it)
    {
        struct journey *j = LIST_ITEM(it, struct journey, link);
        if (!j->who.key || j->policy == env->policy || still_stands(env, j))
            continue;
        if (!can_be_stopped(j))
            continue;
        sweep_add(&cut, j);
        j->revoked = true;
        journey_refuse(j, REFUSAL_BAD_CREDENTIAL, SLICE_NONE);
        stop(j);
    }
    sweep_tell(env, &cut);
    return cut.count;
}
