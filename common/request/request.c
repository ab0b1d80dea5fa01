/*
 * request — made, moved from stage to stage, given its body, ended; and kept warm for the next one.
 */
#include "common/request/request.h"

#include "common/base/clock.h"
#include "common/base/digest.h"
#include "common/base/gunzip.h"
#include "common/base/mem.h"
#include "common/net/websocket.h"
#include "common/request/forward_headers.h"
#include "common/request/key_memo.h"
#include "common/request/request_metrics.h"
#include "common/request/request_private.h"
#include "common/request/session_memo.h"
#include "common/upstream/trace_context.h"

#define ARENA_CHUNK 3072        /* a call takes 1 to 2 KB, and thousands may be held at once */
#define SPARE_MAX 1024          /* ended requests kept per worker: about 12 MiB */
#define SPARE_BODY (64 * 1024)  /* a larger body's memory goes back to the heap */
#define SCRATCH_MAX (64 * 1024) /* a refusal's body, a canonical path */

static void count_upstream(void *arg, enum upstream_count what)
{
    static const enum request_metric counts[] = {[UPSTREAM_COUNT_ECHO] = COUNT_ECHOES,
                                                 [UPSTREAM_COUNT_UNTOLD] = COUNT_UPSTREAM_UNTOLD,
                                                 [UPSTREAM_COUNT_REFUSED] = COUNT_CREDENTIALS_OUT};
    count_add(arg, counts[what], 0, 1);
}

void request_env_init(struct request_env *env)
{
    memset(env, 0, sizeof(*env));
    list_init(&env->requests);
    list_init(&env->spare);
    for (size_t i = 0; i < GATE_SLOTS; i++)
        list_init(&env->gate_spare[i]);
    buf_init(&env->scratch, SCRATCH_MAX);
    upstreams_init(&env->upstreams);
    pacer_init(&env->pacer);
    env->upstreams.log.count = count_upstream;
    env->upstreams.log.arg = env;
}

static void destroy(struct request *rq)
{
    buf_fini(&rq->body);
    arena_free(rq->arena);
    mem_free(rq);
}

void request_env_fini(struct request_env *env)
{
    MUST(list_empty(&env->requests));
    for (size_t i = 0; i < GATE_SLOTS; i++)
        MUST(list_empty(&env->gate_spare[i]));
    struct list *it;
    while ((it = list_take_first(&env->spare)))
        destroy(LIST_ITEM(it, struct request, link));
    env->spare_count = 0;
    session_memo_free(env->sessions);
    env->sessions = NULL;
    key_memo_free(env->keys);
    env->keys = NULL;
    buf_fini(&env->scratch);
    buf_shelf_fini(&env->shelf);
    upstreams_fini(&env->upstreams);
    pacer_fini(&env->pacer);
    request_env_take_policy(env, NULL);
}

struct websockets *request_env_websockets(struct request_env *env)
{
    if (!env->websockets && websockets_new(env->loop, &env->websockets))
        return NULL;
    return env->websockets;
}

void request_env_end_websockets(struct request_env *env)
{
    websockets_free(env->websockets);
    env->websockets = NULL;
}

static struct request *take_spare(struct request_env *env)
{
    struct list *it = list_take_first(&env->spare);
    if (!it)
        return NULL;
    env->spare_count--;
    return LIST_ITEM(it, struct request, link);
}

static struct request *create(void)
{
    struct request *rq = mem_alloc(sizeof(*rq));
    if (!rq)
        return NULL;
    rq->arena = arena_new(ARENA_CHUNK, LIMIT_ARENA_MAX);
    if (!rq->arena) {
        mem_free(rq);
        return NULL;
    }
    buf_init(&rq->body, LIMIT_AI_BODY);
    return rq;
}

/* everything but the memory that is kept */
static void clear(struct request *rq)
{
    struct arena *arena = rq->arena;
    struct buf body = rq->body;
    memset(rq, 0, offsetof(struct request, record.attempts));
    rq->arena = arena;
    rq->body = body;
}

#define TRACE_ID_LEN 32
#define SPAN_ID_LEN 16

/* The place in the client's trace (traceparent), or at the head of a new one. */
static void begin_trace(struct request *rq)
{
    struct call_record *t = &rq->record;
    struct slice header = http_head_find(rq->head, SLICE("traceparent"));
    struct slice trace_id, parent_id;
    if (header.len && http_head_count(rq->head, SLICE("traceparent")) == 1 &&
        !trace_read(header, &trace_id, &parent_id)) {
        memcpy(t->trace_id, trace_id.ptr, TRACE_ID_LEN);
        memcpy(t->parent_id, parent_id.ptr, SPAN_ID_LEN);
    } else {
        uint8_t raw[TRACE_ID_LEN / 2];
        digest_random(raw, sizeof(raw));
        digest_hex(slice_of(raw, sizeof(raw)), t->trace_id);
    }
    trace_span_id(t->span_id);
}

struct request *request_new(struct request_env *env, const struct gate *gate, struct client *client,
                            const struct http_head *head, struct slice peer)
{
    struct request *rq = take_spare(env);
    if (!rq && !(rq = create()))
        return NULL;
    clear(rq);
    rq->env = env;
    rq->gate = gate;
    response_init(rq, client);
    rq->head = head;
    rq->peer = peer;
    rq->policy = env->policy ? snapshot_hold(env->policy) : NULL;
    rq->started_us = clock_mono_us();
    rq->started_at_us = clock_wall_us();
    digest_random(rq->call_id, sizeof(rq->call_id));
    digest_hex(slice_of(rq->call_id, sizeof(rq->call_id)), rq->request_id);
    rq->log.component = gate->name ? gate->name : "listener";
    rq->log.request_id = slice_of(rq->request_id, sizeof(rq->request_id) - 1);
    begin_trace(rq);
    list_push(&env->requests, &rq->link);
    env->request_count++;
    count_add(env, COUNT_ACTIVE, 0, 1);
    return rq;
}

void request_move(struct request *rq, enum request_stage to)
{
    static const char *const names[] = {"head", "filters", "waiting", "work", "leaving", "done"};
    /* row: from; bit: to */
    static const unsigned legal[] = {
        [REQUEST_HEAD] = 1u << REQUEST_FILTERS,
        [REQUEST_FILTERS] = 1u << REQUEST_WAITING | 1u << REQUEST_WORK | 1u << REQUEST_LEAVING,
        [REQUEST_WAITING] = 1u << REQUEST_FILTERS | 1u << REQUEST_LEAVING,
        [REQUEST_WORK] = 1u << REQUEST_LEAVING,
        [REQUEST_LEAVING] = 1u << REQUEST_DONE,
        [REQUEST_DONE] = 0,
    };
    MUST(legal[rq->stage] & (1u << to));
    log_debug(&rq->log, "stage", "from=%s to=%s", names[rq->stage], names[to]);
    rq->stage = to;
}

/* What is under way needs memory to end, and ends sooner the less is begun beside it. */
static bool is_shed(struct request *rq)
{
    const atomic_bool *shedding = rq->env->shedding;
    if (!shedding || !atomic_load_explicit(shedding, memory_order_relaxed))
        return false;
    request_refuse(rq, REFUSAL_MEMORY, SLICE_NONE);
    rq->refusal.retry_after_s = LIMIT_MEMORY_RETRY_S;
    return true;
}

/* ---- the filters, one after the other, and back ---- */

#define STATE_ALIGN 16

static size_t aligned(size_t size)
{
    return (size + STATE_ALIGN - 1) & ~(size_t)(STATE_ALIGN - 1);
}

static bool make_states(struct request *rq)
{
    size_t size = 0;
    for (size_t i = 0; rq->gate->filters[i]; i++)
        size += aligned(rq->gate->filters[i]->state_size);
    char *at = size ? arena_zalloc(rq->arena, size) : NULL;
    for (size_t i = 0; at && rq->gate->filters[i]; i++) {
        const struct filter *f = rq->gate->filters[i];
        if (!f->state_size)
            continue;
        MUST(f->slot && !rq->filter_states[f->slot]);
        rq->filter_states[f->slot] = at;
        at += aligned(f->state_size);
    }
    return !size || at;
}

void *filter_state(const struct request *rq, const struct filter *f)
{
    return rq->filter_states[f->slot];
}

static void pass(struct request *rq, const struct filter *f)
{
    struct response_sink *s = f->on_response ? f->on_response(rq) : NULL;
    if (s)
        response_push(rq, s);
    rq->filter_at++;
}

static void call_filters(struct request *rq)
{
    const struct filter *f;
    while ((f = rq->gate->filters[rq->filter_at])) {
        rq->filters_entered = rq->filter_at + 1;
        enum filter_result a = f->on_request(rq);
        if (rq->stage != REQUEST_FILTERS)
            return; /* the filter's own doing ended the request */
        if (rq->client_gone) {
            request_finish_as(rq, OUTCOME_CANCELLED);
            return;
        }
        if (a == FILTER_WAIT) {
            request_move(rq, REQUEST_WAITING);
            return;
        }
        if (a == FILTER_REFUSE) {
            request_finish_as(rq, OUTCOME_REFUSED);
            return;
        }
        pass(rq, f);
    }
    request_move(rq, REQUEST_WORK);
    if (request_still_stands(rq))
        rq->gate->work(rq);
    else
        request_finish_as(rq, OUTCOME_REFUSED);
}

void request_go_on(struct request *rq, enum filter_result a)
{
    MUST(rq->stage == REQUEST_WAITING && a != FILTER_WAIT);
    if (a == FILTER_REFUSE) {
        request_finish_as(rq, OUTCOME_REFUSED);
        return;
    }
    request_move(rq, REQUEST_FILTERS);
    pass(rq, rq->gate->filters[rq->filter_at]);
    call_filters(rq);
}

static void finish_filters(struct request *rq)
{
    for (size_t i = rq->filters_entered; i > 0; i--)
        if (rq->gate->filters[i - 1]->on_finish)
            rq->gate->filters[i - 1]->on_finish(rq);
}

static void tell_filters_recorded(struct request *rq)
{
    for (size_t i = rq->filters_entered; i > 0; i--)
        if (rq->gate->filters[i - 1]->on_recorded)
            rq->gate->filters[i - 1]->on_recorded(rq);
}

void request_start(struct request *rq)
{
    request_move(rq, REQUEST_FILTERS);
    if (!rq->refusal.id && !make_states(rq))
        request_refuse(rq, REFUSAL_NO_CAPACITY, SLICE_NONE);
    if (!rq->refusal.id && forward_hops(rq->head) >= LIMIT_HOPS)
        request_refuse(rq, REFUSAL_LOOP, SLICE_NONE);
    if (rq->refusal.id || is_shed(rq))
        request_finish_as(rq, OUTCOME_REFUSED);
    else
        call_filters(rq);
}

/* ---- the body: streamed to its gate, or gathered by filter_body ---- */

/* filter_body has the whole body in memory, up to the gate's ceiling; or its front, where the gate
 * takes the rest as it comes. It stands behind filter_authenticate: no body is read before its
 * sender is known. The ceiling is enforced here and not by the server, so that the 413 speaks the
 * dialect of the path. */
struct body_state {
    bool whole;            /* its end has come */
    bool asked;            /* whether the front is enough */
    bool enough;           /* it is */
    struct gunzip *gunzip; /* NULL: it comes as it is */
};

enum coding { CODING_NONE, CODING_GZIP, CODING_OTHER };

static enum coding coding_of(const struct http_head *h)
{
    struct slice coding = http_head_find(h, SLICE("content-encoding"));
    if (!coding.len || slice_ieq(coding, SLICE("identity")))
        return CODING_NONE;
    bool gzip = slice_ieq(coding, SLICE("gzip")) || slice_ieq(coding, SLICE("x-gzip"));
    return gzip && http_head_count(h, SLICE("content-encoding")) == 1 ? CODING_GZIP : CODING_OTHER;
}

static uint64_t body_max(const struct request *rq)
{
    uint64_t set = rq->env->body_max[rq->gate->slot];
    return set ? set : rq->gate->body_max;
}

static enum filter_result refuse_size(struct request *rq)
{
    bool is_setting = rq->env->body_max[rq->gate->slot] && rq->gate->slot == GATE_AI;
    const struct body_state *s = filter_state(rq, &filter_body);
    request_refuse(rq, REFUSAL_TOO_LARGE,
                   arena_printf(rq->arena, "%llu bytes%s%s", (unsigned long long)body_max(rq),
                                is_setting ? " (GATEHOUSE_AI_BODY_BYTES)" : "",
                                s->asked ? " of a form whose first 128 KiB do not say what it is "
                                           "for: send its fields before its file"
                                         : ""));
    return FILTER_REFUSE;
}

/* The coding is undone as the body is gathered, and by nothing else. */
static uint64_t front_max(const struct request *rq, enum coding coding)
{
    return rq->gate->front_max && coding == CODING_NONE ? rq->gate->front_max(rq) : 0;
}

static bool is_refused_by_length(const struct request *rq, enum coding coding)
{
    const struct http_head *h = rq->head;
    return h->has_length && h->length > body_max(rq) && h->length > front_max(rq, coding);
}

static enum filter_result body_on_request(struct request *rq)
{
    const struct http_head *h = rq->head;
    struct body_state *s = filter_state(rq, &filter_body);
    enum coding coding = coding_of(h);
    if (rq->gate->streams_body && rq->gate->streams_body(rq))
        return FILTER_PASS;
    if (coding == CODING_OTHER) {
        request_refuse(rq, REFUSAL_MEDIA_TYPE, SLICE("Content-Encoding may be gzip, or absent"));
        return FILTER_REFUSE;
    }
    if (is_refused_by_length(rq, coding))
        return refuse_size(rq);
    if (!h->chunked && (!h->has_length || h->length == 0))
        return FILTER_PASS;
    if (coding == CODING_GZIP && gunzip_new(&s->gunzip)) {
        request_refuse(rq, REFUSAL_NO_CAPACITY, SLICE_NONE);
        return FILTER_REFUSE;
    }
    rq->body.max = body_max(rq);
    request_read_body(rq, UINT64_MAX);
    if (rq->refusal.id)
        return FILTER_REFUSE;
    return s->whole || s->enough ? FILTER_PASS : FILTER_WAIT;
}

static bool is_waiting_here(const struct request *rq)
{
    return rq->stage == REQUEST_WAITING && rq->gate->filters[rq->filter_at] == &filter_body;
}

static void refuse_piece(struct request *rq, enum err e)
{
    if (e == ERR_TOO_BIG)
        refuse_size(rq);
    else if (e == ERR_INVALID)
        request_refuse(rq, REFUSAL_BAD_REQUEST, SLICE("its body is not the gzip it is said to be"));
    else
        request_refuse(rq, REFUSAL_NO_CAPACITY, SLICE_NONE);
}

/* Asked once: a front that did not say it all is gathered on, as every other body. */
static void look_at_front(struct request *rq, struct body_state *s)
{
    const struct http_head *h = rq->head;
    bool all_is_here = h->has_length && rq->body.len >= h->length;
    if (!s || s->asked || s->gunzip || rq->body.len < LIMIT_BODY_FRONT || all_is_here ||
        !front_max(rq, coding_of(h)))
        return;
    s->asked = true;
    s->enough = rq->gate->front_is_enough(rq);
    if (s->enough)
        request_pause_body(rq);
    else if (h->has_length && h->length > body_max(rq))
        refuse_size(rq);
    if (is_waiting_here(rq) && (s->enough || rq->refusal.id))
        request_go_on(rq, !rq->refusal.id && request_renew(rq) ? FILTER_PASS : FILTER_REFUSE);
}

/* The ceiling holds for what a body unpacks to. */
static void take_piece(struct request *rq, struct slice piece)
{
    struct body_state *s = filter_state(rq, &filter_body);
    if (rq->refusal.id)
        return;
    enum err e =
        s && s->gunzip ? gunzip_feed(s->gunzip, piece, &rq->body) : buf_append(&rq->body, piece);
    if (!e) {
        look_at_front(rq, s);
        return;
    }
    refuse_piece(rq, e);
    if (is_waiting_here(rq))
        request_go_on(rq, FILTER_REFUSE);
}

static void take_end(struct request *rq)
{
    struct body_state *s = filter_state(rq, &filter_body);
    if (s)
        s->whole = true;
    if (s && s->gunzip && !rq->refusal.id && !gunzip_is_whole(s->gunzip))
        refuse_piece(rq, ERR_INVALID);
    if (is_waiting_here(rq))
        request_go_on(rq, !rq->refusal.id && request_renew(rq) ? FILTER_PASS : FILTER_REFUSE);
}

static void body_on_finish(struct request *rq)
{
    struct body_state *s = filter_state(rq, &filter_body);
    gunzip_free(s->gunzip);
    s->gunzip = NULL;
}

const struct filter filter_body = {.name = "body",
                                   .slot = FILTER_BODY,
                                   .state_size = sizeof(struct body_state),
                                   .on_request = body_on_request,
                                   .on_finish = body_on_finish};

static bool streams_body(const struct request *rq)
{
    return rq->gate->on_body && (!rq->gate->streams_body || rq->gate->streams_body(rq));
}

void request_on_body(struct request *rq, struct slice piece)
{
    if (rq->stage >= REQUEST_LEAVING)
        return;
    if (streams_body(rq))
        rq->gate->on_body(rq, piece);
    else
        take_piece(rq, piece);
}

void request_on_body_end(struct request *rq)
{
    if (rq->stage >= REQUEST_LEAVING)
        return;
    if (streams_body(rq))
        rq->gate->on_body_end(rq);
    else
        take_end(rq);
}

/* ---- its end ---- */

bool request_can_be_stopped(const struct request *rq)
{
    return rq->stage == REQUEST_WORK || rq->stage == REQUEST_WAITING;
}

void request_stop(struct request *rq)
{
    if (rq->stage == REQUEST_WORK)
        rq->gate->cancel(rq);
    else if (rq->stage == REQUEST_WAITING)
        request_finish_as(rq, rq->refusal.id ? OUTCOME_REFUSED : OUTCOME_CANCELLED);
    /* else: inside a filter's on_request; the request ends when that returns */
}

void request_on_gone(struct request *rq)
{
    if (rq->stage >= REQUEST_LEAVING)
        return;
    rq->client_gone = true;
    request_stop(rq);
}

void request_refuse(struct request *rq, enum refusal_id id, struct slice detail)
{
    rq->refusal = (struct refusal){.id = id};
    if (detail.ptr)
        rq->refusal.detail = arena_copy(rq->arena, detail);
}

void request_note(struct request *rq, const char *name, struct slice detail)
{
    struct call_record *t = &rq->record;
    if (t->event_count < LIMIT_CALL_EVENTS)
        t->events[t->event_count++] = (struct call_event){
            rq->started_at_us + (int64_t)(clock_mono_us() - rq->started_us), name, detail};
}

enum err request_open_record(struct request *rq)
{
    return record_open(rq);
}

uint64_t request_took_us(const struct request *rq)
{
    return (rq->ended_us ? rq->ended_us : clock_mono_us()) - rq->started_us;
}

uint64_t request_overhead_us(const struct request *rq)
{
    uint64_t took = request_took_us(rq);
    return took > rq->record.upstream_us ? took - rq->record.upstream_us : 0;
}

/* A provider's, by itself and the model as it knows it. */
static void count_attempt(struct request_env *env, const struct attempt *a)
{
    count_add(env, COUNT_ATTEMPTS, a->end, 1);
    if (!a->provider.len)
        return;
    count_observe_pair(env, COUNT_ATTEMPT_TIME, a->provider, a->model, a->duration_us);
    if (a->http_status)
        count_observe_pair(env, COUNT_FIRST_BYTE, a->provider, a->model, a->head_us);
}

static void count(struct request *rq)
{
    const struct call_record *t = &rq->record;
    struct request_env *env = rq->env;
    count_add(env, COUNT_ACTIVE, 0, -1);
    count_add(env, COUNT_ENDS, rq->end, 1);
    if (rq->refusal.id)
        count_add(env, COUNT_REFUSALS, rq->refusal.id, 1);
    if (!rq->gate->name || rq->unrecorded)
        return;
    count_add(env, COUNT_CALLS, rq->gate->slot, 1);
    count_observe(env, COUNT_DURATION, request_took_us(rq));
    count_observe(env, COUNT_OVERHEAD, request_overhead_us(rq));
    for (size_t i = 0; i < t->attempt_count; i++)
        count_attempt(env, &t->attempts[i]);
    if (t->has_tokens) {
        count_add(env, COUNT_TOKENS_IN, 0, (int64_t)t->tokens.input);
        count_add(env, COUNT_TOKENS_OUT, 0, (int64_t)t->tokens.output);
        if (!t->cost_known)
            count_add(env, COUNT_COST_UNKNOWN, 0, 1);
    }
}

/* at the end of the turn: a callback further up the stack may still look at the request */
static void retire(void *arg)
{
    struct request *rq = arg;
    struct request_env *env = rq->env;
    arena_reset(rq->arena);
    if (rq->body.cap > SPARE_BODY)
        buf_fini(&rq->body);
    buf_clear(&rq->body);
    if (env->spare_count >= SPARE_MAX) {
        destroy(rq);
        return;
    }
    list_push_first(&env->spare, &rq->link);
    env->spare_count++;
}

void request_finish(struct request *rq, const struct request_end *end)
{
    bool silent = !rq->response_status && !end->status && !rq->client_gone;
    if (silent && !rq->refusal.id) /* this must not look like a success */
        request_refuse(rq, REFUSAL_INTERNAL, SLICE_NONE);
    rq->end = end->outcome;
    rq->ended_us = clock_mono_us();
    request_move(rq, REQUEST_LEAVING);
    response_finish(rq, end);
    finish_filters(rq);
    record_close(rq, response_final_status(rq, end));
    tell_filters_recorded(rq);
    count(rq);
    response_send(rq, end);
    response_fini(rq);
    request_move(rq, REQUEST_DONE);
    list_remove(&rq->link);
    if (--rq->env->request_count == 0 && rq->env->expiry.loop)
        timer_cancel(&rq->env->expiry);
    snapshot_drop(rq->policy);
    rq->policy = NULL;
    loop_retire(rq->env->loop, retire, rq);
}
