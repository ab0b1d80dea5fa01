/*
 * ai_gate — the AI gate: its filters in their order, and how a call begins and is called off.
 */
#include "dataplane/ai/ai_gate.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/secret.h"
#include "dataplane/ai/ai_assembly.h"
#include "dataplane/ai/ai_attempt.h"
#include "dataplane/ai/ai_cost.h"
#include "dataplane/ai/ai_stream.h"
#include "dataplane/ai/dialect/openai_realtime.h"
#include "dataplane/ai/realtime.h"
#include "dataplane/ai/realtime_secret.h"

#define US_PER_S 1000000
#define SPARE_MAX 1024          /* kept per worker */
#define OPENING_MAX (64 * 1024) /* of a stream before its first event that is the model's */
#define SPARE_BUF (64 * 1024)   /* larger buffers go back to the heap */

/* decisions.md, Gate order. The body is read before the session is known, because a client may
 * name the session in it. */
static const struct filter *const filters[] = {
    &ai_filter_endpoint,   /* 404, 405 */
    &filter_authenticate,  /* 401 */
    &filter_body,          /* 413, 415 */
    &filter_signature,     /* 401 of a client that signs its requests */
    &ai_filter_request,    /* 400 what the dialect does not allow */
    &filter_session,       /* the session that the call belongs to */
    &filter_task,          /* 403 a task that the key may not assume */
    &ai_filter_grant,      /* 404 what the key may not see */
    &filter_limit,         /* 429 rates and parallel calls */
    &ai_filter_shape,      /* what the model's policy says of its calls is done to the body */
    &ai_filter_candidates, /* 503 no target */
    &filter_budget,        /* 429 reserves the worst case */
    NULL,
};

/* ---- the call, kept warm ---- */

#define KEPT 5 /* buffers that are in use for most of a call; `gathered` is not */

static void kept_of(struct ai_call *c, struct buf *ret[static KEPT])
{
    ret[0] = &c->sse.raw;
    ret[1] = &c->sse.data;
    ret[2] = &c->opening;
    ret[3] = &c->translated;
    ret[4] = &c->unread;
}

static struct ai_call *create(void)
{
    struct ai_call *c = mem_zalloc(sizeof(*c));
    if (!c)
        return NULL;
    buf_init(&c->gathered, LIMIT_AI_ANSWER);
    buf_init(&c->opening, OPENING_MAX);
    buf_init(&c->translated, 2 * LIMIT_AI_BODY);
    buf_init(&c->unread, 2 * LIMIT_HTTP_REST); /* a piece, and what was under way */
    sse_reader_init(&c->sse);
    sse_reader_limit(&c->sse, LIMIT_AI_EVENT);
    return c;
}

static void destroy(struct ai_call *c)
{
    struct buf *kept[KEPT];
    kept_of(c, kept);
    for (size_t i = 0; i < ARRAY_LEN(kept); i++)
        buf_fini(kept[i]);
    mem_free(c);
}

static void on_patience(struct timer *t)
{
    ai_attempt_on_patience(CONTAINER_OF(t, struct ai_call, patience));
}

static void on_beat(struct timer *t)
{
    ai_attempt_on_beat(CONTAINER_OF(t, struct ai_call, beat));
}

/* everything but the memory that is kept */
static void clear(struct ai_call *c)
{
    struct buf gathered = c->gathered, opening = c->opening, translated = c->translated;
    struct buf unread = c->unread;
    struct sse_reader sse = c->sse;
    /* Where the likeness has no text, what lies in its place is not read. */
    memset(c, 0, offsetof(struct ai_call, likeness.text));
    memset(&c->fed, 0, offsetof(struct ai_call, candidates) - offsetof(struct ai_call, fed));
    c->gathered = gathered;
    c->opening = opening;
    c->translated = translated;
    c->unread = unread;
    c->sse = sse;
}

static void empty_buffers(struct ai_call *c, struct buf_shelf *shelf)
{
    struct buf *kept[KEPT];
    kept_of(c, kept);
    for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
        if (kept[i]->cap > SPARE_BUF)
            buf_fini(kept[i]);
        buf_clear(kept[i]);
    }
    buf_shelf_give(shelf, &c->gathered);
}

struct ai_call *ai_call_take(struct request *rq)
{
    struct list *it = list_take_first(&rq->env->gate_spare[GATE_AI]);
    struct ai_call *c = it ? LIST_ITEM(it, struct ai_call, link) : create();
    if (!c)
        return NULL;
    if (it)
        rq->env->gate_spare_count[GATE_AI]--;
    clear(c);
    c->rq = rq;
    c->request.choices = 1;
    c->sink.ops = &ai_stream_sink;
    timer_init(&c->patience, rq->env->loop, on_patience);
    timer_init(&c->beat, rq->env->loop, on_beat);
    return c;
}

static void give_back(void *arg)
{
    struct ai_call *c = arg;
    struct request_env *env = c->rq->env;
    empty_buffers(c, &env->shelf);
    if (env->gate_spare_count[GATE_AI] >= SPARE_MAX) {
        destroy(c);
        return;
    }
    list_push_first(&env->gate_spare[GATE_AI], &c->link);
    env->gate_spare_count[GATE_AI]++;
}

void ai_call_give(struct ai_call *c)
{
    realtime_free(&c->realtime);
    secret_drop(c->ephemeral);
    c->ephemeral = NULL;
    ai_assembly_free(c->whole);
    c->whole = NULL;
    c->writer.whole = NULL;
    timer_cancel(&c->patience);
    timer_cancel(&c->beat);
    exchange_close(&c->exchange, OUTCOME_CANCELLED, SLICE_NONE);
    /* The last piece of the response may lie in its buffers, and is sent after the filters' end. */
    loop_retire(c->rq->env->loop, give_back, c);
}

void ai_fini(struct request_env *env)
{
    struct list *it;
    while ((it = list_take_first(&env->gate_spare[GATE_AI])))
        destroy(LIST_ITEM(it, struct ai_call, link));
    env->gate_spare_count[GATE_AI] = 0;
}

void ai_call_move(struct ai_call *c, enum ai_call_state to)
{
#define TO(state) (1u << AI_CALL_##state)
    static const unsigned legal[AI_CALL_STATES] = {
        [AI_CALL_IDLE] = TO(SENT) | TO(RESERVING) | TO(AUTHORIZING) | TO(OVER),
        [AI_CALL_AUTHORIZING] = TO(IDLE) | TO(OVER),
        [AI_CALL_RESERVING] = TO(IDLE) | TO(OVER),
        [AI_CALL_SENT] = TO(IDLE) | TO(GATHERING) | TO(OPENING) | TO(SESSION) | TO(OVER),
        [AI_CALL_GATHERING] = TO(IDLE) | TO(OVER),
        [AI_CALL_OPENING] = TO(IDLE) | TO(STREAMING) | TO(OVER),
        [AI_CALL_STREAMING] = TO(STARVED) | TO(LINGERING) | TO(OVER),
        [AI_CALL_STARVED] = TO(STREAMING) | TO(OVER),
        [AI_CALL_LINGERING] = TO(OVER),
        [AI_CALL_SESSION] = TO(OVER),
        [AI_CALL_OVER] = 0,
    };
#undef TO
    MUST(legal[c->state] & (1u << to));
    c->state = to;
}

struct ai_context ai_call_context(struct ai_call *c)
{
    struct ai_context to = {.request = &c->request, .stored = c->native && c->request.kept};
    const struct candidate *t = c->candidate_next ? &c->candidates[c->candidate_next - 1] : NULL;
    if (!t || !c->endpoint->dialect->marks)
        return to;
    to.marker = &c->marker;
    ai_account_of(t->provider->o.id, t->credential ? t->credential->id : SLICE_NONE, &to.account);
    return to;
}

/* ---- the gate ---- */

static void begin_work(struct request *rq)
{
    struct ai_call *c = rq->gate_state;
    if (!ai_calls_upstream(c->endpoint)) {
        ai_models_finish(c);
        return;
    }
    if (request_open_record(rq)) {
        request_refuse(rq, REFUSAL_NO_CAPACITY, SLICE_NONE);
        rq->refusal.retry_after_s = 1;
        request_finish_as(rq, OUTCOME_REFUSED);
        return;
    }
    ai_attempt_start(c);
}

static void cancel_work(struct request *rq)
{
    ai_attempt_cancel(rq->gate_state);
}

static bool streams_body(const struct request *rq)
{
    const struct ai_call *c = rq->gate_state;
    return c && c->endpoint->kind == AI_REALTIME;
}

static void on_body(struct request *rq, struct slice message)
{
    struct ai_call *c = rq->gate_state;
    if (c->state == AI_CALL_SESSION)
        realtime_on_client(c, message);
}

static void on_body_end(struct request *rq)
{
    struct ai_call *c = rq->gate_state;
    if (c->state == AI_CALL_SESSION)
        realtime_on_client_end(c);
}

static void on_drain(struct request *rq)
{
    ai_attempt_on_drain(rq->gate_state);
}

static void on_reserved(struct request *rq, enum err e)
{
    ai_attempt_on_reserved(rq->gate_state, e);
}

static const char *not_bounded(const struct request *rq)
{
    return ((const struct ai_call *)rq->gate_state)->not_bounded;
}

static struct slice session_label(struct request *rq, const char **named_by)
{
    const struct ai_request *r = &((struct ai_call *)rq->gate_state)->request;
    if (r->session_id.ptr) {
        *named_by = r->session_named_by ? r->session_named_by : "metadata.session_id";
        return r->session_id;
    }
    *named_by = "prompt_cache_key";
    return r->prompt_cache_key;
}

/* A path that nothing is served at is spoken to as OpenAI's are, but for those of Google alone. */
static const struct ai_dialect *dialect_of(const struct request *rq)
{
    const struct ai_call *c = rq->gate_state;
    if (!c && slice_starts(rq->path, SLICE("/v2/")))
        return &dialect_cohere_chat;
    if (!c && slice_starts(rq->path, SLICE("/model/")))
        return &dialect_bedrock_converse;
    if (!c && slice_starts(rq->path, SLICE("/v1beta")))
        return &dialect_gemini_models;
    if (!c && http_head_find(rq->head, SLICE("anthropic-version")).len)
        return &dialect_anthropic_models;
    return c ? c->endpoint->dialect : &dialect_openai_models;
}

/* Some dialects have a status of their own for a target that has too much to do. */
static unsigned refusal_status(const struct request *rq)
{
    const struct ai_call *c = rq->gate_state;
    unsigned overloaded = dialect_of(rq)->overloaded;
    if (rq->refusal.id == REFUSAL_NO_TARGET && c && c->status && overloaded)
        return overloaded;
    return refusal_row(rq->refusal.id)->status;
}

static struct ai_error error_of(const struct request *rq)
{
    const struct ai_call *c = rq->gate_state;
    const struct refusal_row *row = refusal_row(rq->refusal.id);
    return (struct ai_error){
        .status = refusal_status(rq),
        .type = rq->refusal.id == REFUSAL_BUDGET ? SLICE("insufficient_quota") : SLICE_NONE,
        .message = refusal_sentence(&rq->refusal, rq->arena),
        .code = slice_str(row->code),
        .param = slice_str(c ? c->request.param : NULL),
        .request_id = slice_of(rq->request_id, sizeof(rq->request_id) - 1),
    };
}

static enum err refusal_body(struct request *rq, struct buf *out, const char **content_type)
{
    struct ai_error e = error_of(rq);
    *content_type = ai_content_type(dialect_of(rq)).ptr;
    return dialect_of(rq)->write_error(out, &e);
}

static enum err stream_error(struct request *rq, struct buf *out)
{
    struct ai_error e = error_of(rq);
    e.in_stream = rq->gate_state ? &((struct ai_call *)rq->gate_state)->writer : NULL;
    return dialect_of(rq)->write_stream_error(out, &e);
}

static size_t refusal_headers(struct request *rq, struct http_header *out, size_t max)
{
    bool allowed;
    const struct ai_endpoint *e = ai_endpoint_find(rq->head, rq->path, &allowed);
    const struct ai_dialect *d = dialect_of(rq);
    size_t n = 0;
    if (rq->refusal.id == REFUSAL_METHOD && e && n < max)
        out[n++] = (struct http_header){SLICE("allow"), e->method};
    if (rq->refusal.id == REFUSAL_UPGRADE && n < max)
        out[n++] = (struct http_header){SLICE("upgrade"), SLICE("websocket")};
    if (d->error_header && n < max)
        out[n++] = d->error_header(refusal_row(rq->refusal.id)->status);
    return n;
}

static const struct header_names *header_names(const struct request *rq)
{
    static const struct header_names usual = {.id = "x-request-id",
                                              .limit = "x-ratelimit-limit-requests",
                                              .remaining = "x-ratelimit-remaining-requests",
                                              .reset = "x-ratelimit-reset-requests"};
    const struct header_names *own = dialect_of(rq)->header_names;
    return own ? own : &usual;
}

/* Members of a query are escaped; a key of ours holds nothing that would be. A browser can set no
 * header of a WebSocket's request, and names its credential among the subprotocols. */
static struct slice query_credential(const struct request *rq)
{
    const struct ai_call *c = rq->gate_state;
    struct slice name = c->endpoint->dialect->query_key, one, rest = rq->query;
    if (c->endpoint->kind == AI_REALTIME)
        return realtime_credential(rq->head);
    while (name.len && slice_split(&rest, '&', &one))
        if (one.len > name.len && slice_starts(one, name) && one.ptr[name.len] == '=')
            return ai_unescape(rq->arena, slice_from(one, name.len + 1));
    return SLICE_NONE;
}

/* A client secret: good for a session with its model, at the account that made it. */
static const struct policy_key *own_key(struct request *rq, struct slice credential)
{
    struct ai_call *c = rq->gate_state;
    struct realtime_secret s;
    if (c->endpoint->kind != AI_REALTIME || c->ephemeral ||
        realtime_secret_open(rq->policy, credential, clock_wall_us() / US_PER_S, &s))
        return NULL;
    const struct policy_key *key = snapshot_key(rq->policy, s.key_id);
    c->secret_model = arena_copy(rq->arena, s.model);
    c->request.stays = s.account;
    c->ephemeral = key && c->secret_model.ptr ? secret_new(s.upstream) : NULL;
    secret_wipe(&s, sizeof(s));
    return c->ephemeral ? key : NULL;
}

const struct gate ai_gate = {
    .name = "ai",
    .slot = GATE_AI,
    .header_names = header_names,
    .filters = filters,
    .query_credential = query_credential,
    .own_key = own_key,
    .body_max = LIMIT_AI_BODY,
    .work = begin_work,
    .refusal_body = refusal_body,
    .refusal_status = refusal_status,
    .stream_error = stream_error,
    .refusal_headers = refusal_headers,
    .session_label = session_label,
    .on_body = on_body,
    .on_body_end = on_body_end,
    .streams_body = streams_body,
    .on_drain = on_drain,
    .cancel = cancel_work,
    .still_allowed = ai_still_allowed,
    .worst_case = ai_worst_case,
    .not_bounded = not_bounded,
    .on_reserved = on_reserved,
};
