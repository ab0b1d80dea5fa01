/*
 * ai_gate — the AI gate: its filters in their order, the filters of its own (the endpoint of the
 * path, the request in the body, the model among those that the principal may use, the targets that
 * may serve it), the call kept warm, and how a call begins and is called off.
 */
#include "dataplane/ai/ai_gate.h"

#include "common/base/clock.h"
#include "common/base/digest.h"
#include "common/base/mem.h"
#include "common/base/secret.h"
#include "dataplane/ai/ai_assembly.h"
#include "dataplane/ai/ai_attempt.h"
#include "dataplane/ai/ai_cost.h"
#include "dataplane/ai/ai_explain.h"
#include "dataplane/ai/ai_hedge.h"
#include "dataplane/ai/ai_list.h"
#include "dataplane/ai/ai_need.h"
#include "dataplane/ai/ai_stream.h"
#include "dataplane/ai/ai_upload.h"
#include "dataplane/ai/dialect/azure_path.h"
#include "dataplane/ai/dialect/body_shape.h"
#include "dataplane/ai/dialect/openai_realtime.h"
#include "dataplane/ai/form.h"
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

static enum filter_result refuse(struct request *rq, enum refusal_id id, struct slice detail)
{
    request_refuse(rq, id, detail);
    return FILTER_REFUSE;
}

/* ---- filter endpoint: before anything else, by the head alone ---- */

static enum filter_result refuse_method(struct request *rq)
{
    struct slice methods = ai_endpoint_methods(rq->head, rq->path, rq->arena);
    return refuse(rq, REFUSAL_METHOD,
                  arena_printf(rq->arena, "this path takes %.*s", SLICE_ARG(methods)));
}

/* What clients of Azure ask for is OpenAI's from here on. */
static enum err settle_path(struct request *rq, struct slice *deployment)
{
    struct azure_path azure;
    *deployment = SLICE_NONE;
    if (!azure_is_path(rq->path))
        return ERR_OK;
    enum err e = azure_path_read(rq->arena, rq->path, rq->query, &azure);
    if (e)
        return e;
    rq->path = azure.path;
    rq->query = azure.query;
    *deployment = azure.deployment;
    return ERR_OK;
}

static enum filter_result on_endpoint(struct request *rq)
{
    bool allowed = false;
    struct slice deployment;
    if (settle_path(rq, &deployment))
        return refuse(rq, REFUSAL_NO_CAPACITY, SLICE_NONE);
    const struct ai_endpoint *e = ai_endpoint_find(rq->head, rq->path, &allowed);
    if (!rq->path.len)
        return refuse(rq, REFUSAL_BAD_PATH, SLICE_NONE);
    if (!e)
        return refuse(rq, REFUSAL_PATH_UNKNOWN, ai_endpoint_list(rq->arena));
    if (!allowed)
        return refuse_method(rq);
    if (e->kind == AI_REALTIME && !realtime_is_asked(rq->head))
        return refuse(rq, REFUSAL_UPGRADE,
                      SLICE("send Upgrade: websocket, Connection: Upgrade, Sec-WebSocket-Version: "
                            "13 and one Sec-WebSocket-Key"));
    struct ai_call *c = ai_call_take(rq);
    if (!c)
        return refuse(rq, REFUSAL_NO_CAPACITY, SLICE_NONE);
    c->endpoint = e;
    c->deployment = deployment;
    rq->gate_state = c;
    rq->record.name = e->name;
    return FILTER_PASS;
}

static void finish_endpoint(struct request *rq)
{
    if (rq->gate_state)
        ai_call_give(rq->gate_state);
}

const struct filter ai_filter_endpoint = {
    .name = "endpoint", .on_request = on_endpoint, .on_finish = finish_endpoint};

/* ---- filter request: the body, read ---- */

static bool is_json_type(const struct http_head *h)
{
    struct slice type = http_head_find(h, SLICE("content-type"));
    return !type.len || slice_search(type, SLICE("json")) >= 0;
}

static struct ai_incoming incoming_of(const struct ai_call *c)
{
    const struct request *rq = c->rq;
    return (struct ai_incoming){.body = buf_slice(&rq->body),
                                .path = rq->path,
                                .query = rq->query,
                                .head = rq->head,
                                .endpoint = c->endpoint,
                                .arena = rq->arena,
                                .marker = c->endpoint->dialect->marks ? &c->marker : NULL,
                                .is_front = c->upload != NULL};
}

static void drop_chat(void *chat)
{
    ai_chat_fini(chat);
}

enum err ai_call_parse(struct ai_call *c, struct slice *why)
{
    const struct ai_dialect *d = c->endpoint->dialect;
    struct ai_incoming in = incoming_of(c);
    if (c->chat || !d->parse)
        return ERR_OK;
    struct ai_chat *chat = arena_zalloc(in.arena, sizeof(*chat));
    if (!chat)
        return ERR_NOMEM;
    chat->arena = in.arena;
    chat->choices = 1;
    enum err e = arena_adopt(in.arena, chat, drop_chat);
    if (!e)
        e = d->parse(&in, chat);
    if (!e && c->model && c->endpoint->kind == AI_CHAT)
        e = body_shape_chat(c->model, chat);
    if (!e)
        c->chat = chat;
    if (e == ERR_INVALID) {
        c->request.param = chat->param;
        *why = chat->why.len ? chat->why : SLICE("the body cannot be read");
    }
    return e;
}

void ai_call_make_marker(struct ai_call *c)
{
    ai_marker_init(&c->marker, c->rq->policy, ai_objects_owner(c->rq));
}

/* Where the dialect cannot measure the bytes, what was parsed of them is measured. */
static enum err read_body(struct ai_call *c, struct slice *why)
{
    const struct ai_dialect *d = c->endpoint->dialect;
    if (d->marks)
        ai_call_make_marker(c);
    struct ai_incoming in = incoming_of(c);
    enum err e = d->read(&in, &c->request, why);
    return e || d->measure ? e : ai_call_parse(c, why);
}

/* A client secret is for one model. */
static enum filter_result settle_model(struct ai_call *c)
{
    if (!c->request.model.len)
        c->request.model = c->secret_model;
    if (!c->request.model.len || c->request.model.len >= REALTIME_NAME_MAX)
        return refuse(c->rq, REFUSAL_BAD_REQUEST,
                      SLICE("the query must name a model: /v1/realtime?model=NAME"));
    if (!c->ephemeral || slice_eq(c->request.model, c->secret_model))
        return FILTER_PASS;
    c->request.param = "model";
    return refuse(c->rq, REFUSAL_MODEL_UNKNOWN, c->request.model);
}

static enum filter_result refuse_body(struct ai_call *c, enum err e, struct slice detail)
{
    if (e == ERR_TOO_BIG)
        return refuse(c->rq, REFUSAL_TOO_LARGE,
                      arena_printf(c->rq->arena, "%zu bytes", c->rq->body.max));
    if (e == ERR_NOMEM)
        return refuse(c->rq, REFUSAL_NO_CAPACITY, SLICE_NONE);
    if (e == ERR_NOT_FOUND)
        return refuse(c->rq, REFUSAL_OBJECT_UNKNOWN, detail);
    bool is_session = c->endpoint->kind == AI_REALTIME;
    return refuse(c->rq, is_session ? REFUSAL_BAD_REQUEST : REFUSAL_BAD_JSON, detail);
}

/* What the front of a form says is read twice: here to know whether it is all that must be known,
 * and as every body is, by the filter. */
static bool front_is_enough(struct request *rq)
{
    struct ai_call *c = rq->gate_state;
    struct slice why = SLICE_NONE;
    if (c->endpoint->dialect->marks)
        ai_call_make_marker(c);
    struct ai_incoming in = incoming_of(c);
    in.is_front = true;
    enum err e = c->endpoint->dialect->read(&in, &c->request, &why);
    if (e && e != ERR_AGAIN)
        refuse_body(c, e, why);
    else
        c->request = (struct ai_request){.choices = 1};
    return !e && ai_upload_begin(c);
}

static enum filter_result on_request(struct request *rq)
{
    struct ai_call *c = rq->gate_state;
    struct slice detail = SLICE_NONE;
    if (!ai_calls_upstream(c->endpoint))
        return FILTER_PASS;
    bool is_form = c->endpoint->dialect->takes_forms &&
                   form_boundary(http_head_find(rq->head, SLICE("content-type"))).ptr;
    if (!is_form && !is_json_type(rq->head))
        return refuse(rq, REFUSAL_MEDIA_TYPE, SLICE("Content-Type must be application/json"));
    const struct azure_body azure = {
        .head = rq->head, .deployment = c->deployment, .is_front = c->upload != NULL};
    enum err e =
        c->deployment.ptr ? azure_name_model(rq->arena, &azure, &rq->body, &c->translated) : ERR_OK;
    if (!e)
        e = read_body(c, &detail);
    if (e)
        return refuse_body(c, e, detail);
    return c->endpoint->kind == AI_REALTIME ? settle_model(c) : FILTER_PASS;
}

/* Pushed before any other filter's sink, so that it lies nearest to the client: what passes it is
 * the dialect's bytes. */
static struct response_sink *writer_of(struct request *rq)
{
    return &((struct ai_call *)rq->gate_state)->sink;
}

const struct filter ai_filter_request = {
    .name = "request", .on_request = on_request, .on_response = writer_of};

/* ---- filter grant: the model is one that the principal may use ---- */

struct grant_look {
    const struct request_right *right;
    struct slice model;
    bool found;
};

static bool look_at_grant(void *arg, const struct policy_grant *g)
{
    struct grant_look *look = arg;
    const struct policy_task *task = look->right->task;
    bool task_fits = !g->task_id.len || (task && slice_eq(g->task_id, task->o.id));
    look->found = task_fits && g->models.set && name_list_allows(&g->models, look->model);
    return !look->found;
}

static bool is_granted(const struct request_right *r, struct slice model)
{
    struct grant_look look = {.right = r, .model = model};
    if (r->who.agent)
        snapshot_each_grant(r->policy, r->who.agent->o.id, look_at_grant, &look);
    if (!look.found && r->who.team)
        snapshot_each_grant(r->policy, r->who.team->o.id, look_at_grant, &look);
    return look.found;
}

static bool list_allows(const struct name_list *l, struct slice model)
{
    return l->set && name_list_allows(l, model);
}

/*
 * Two questions. Is it given: by the key's own list, or, where the key has none ("absent means
 * least"), by the agent's, the team's, or a grant. And is it within bounds: a list of the team,
 * or of the agent, bounds what those below it may name, unless a grant adds to it.
 */
bool ai_right_allows(const struct request_right *r, struct slice model)
{
    static const struct name_list none;
    const struct name_list *team = r->who.team ? &r->who.team->models : &none;
    const struct name_list *agent = r->who.agent ? &r->who.agent->models : &none;
    const struct name_list *key = &r->who.key->models;
    bool bounded = (team->set && !name_list_allows(team, model)) ||
                   (agent->set && !name_list_allows(agent, model));
    if (key->set && !name_list_allows(key, model))
        return false;
    if (!bounded && (key->set || list_allows(agent, model) || list_allows(team, model)))
        return true;
    return is_granted(r, model);
}

bool ai_may_use(const struct request *rq, struct slice model)
{
    struct request_right r = request_right_of(rq);
    return ai_right_allows(&r, model);
}

const struct policy_alias *ai_alias_of(const struct request *rq, struct slice name)
{
    const struct principal *who = &rq->who;
    const struct slice subjects[] = {who->key->o.id, who->agent ? who->agent->o.id : SLICE_NONE,
                                     who->team ? who->team->o.id : SLICE_NONE, who->key->o.org_id};
    const struct policy_alias *found = NULL;
    for (size_t i = 0; !found && i < ARRAY_LEN(subjects); i++)
        if (subjects[i].len)
            found = snapshot_alias(rq->policy, subjects[i], name);
    return found;
}

/* An alias leads to a model and never to an alias, so that there is no circle; and it is a name and
 * no right: what it leads to must be granted. */
const struct policy_model *ai_model_asked(const struct request *rq, struct slice asked,
                                          struct slice *reached, struct slice *wild)
{
    const struct policy_alias *a = ai_alias_of(rq, asked);
    *reached = a ? a->model : asked;
    const struct policy_model *m =
        snapshot_model_for(rq->policy, rq->who.key->o.org_id, *reached, wild);
    return m && ai_may_use(rq, *reached) ? m : NULL;
}

/* The target under way must be one still; those that are not are not tried later. */
static bool keep_targets(struct ai_call *c, const struct policy_model *m,
                         const struct request_right *now)
{
    ai_hedge_drop(c, OUTCOME_CANCELLED, SLICE("policy_changed"));
    size_t kept = c->candidate_next;
    for (size_t i = kept; i < c->candidate_count; i++)
        if (candidates_still(now->policy, m, now->who.team, &c->candidates[i]))
            c->candidates[kept++] = c->candidates[i];
    c->candidate_count = kept;
    return c->candidate_next == 0 ? kept > 0
                                  : candidates_still(now->policy, m, now->who.team,
                                                     &c->candidates[c->candidate_next - 1]);
}

bool ai_still_allowed(struct request *rq, const struct request_right *now)
{
    struct ai_call *c = rq->gate_state;
    if (!c->model)
        return true;
    const struct policy_model *m =
        snapshot_model_named(now->policy, now->who.key->o.org_id, c->model->o.name);
    if (m && ai_right_allows(now, c->reached) && keep_targets(c, m, now))
        return true;
    c->request.param = "model";
    request_refuse(rq, REFUSAL_MODEL_UNKNOWN, c->request.model);
    return false;
}

/* A kept thing, or a new one: by the account that has it. */
static enum filter_result grant_object(struct ai_call *c)
{
    struct slice why = SLICE_NONE;
    if (ai_objects_find(c))
        return c->request.stays.text[0]
                   ? refuse(c->rq, REFUSAL_OBJECT_UNKNOWN, SLICE_NONE)
                   : refuse(c->rq, REFUSAL_NO_TARGET, SLICE("none of them keeps anything"));
    enum err e = ai_objects_check(c, &why);
    if (e == ERR_INVALID)
        return refuse(c->rq, REFUSAL_BAD_JSON, why);
    return e ? refuse(c->rq, REFUSAL_NO_CAPACITY, SLICE_NONE) : FILTER_PASS;
}

static bool has_models_within(const struct policy_model *m)
{
    for (size_t i = 0; i < m->target_count; i++)
        if (m->targets[i].model_id.len)
            return true;
    return false;
}

static enum filter_result on_grant(struct request *rq)
{
    struct ai_call *c = rq->gate_state;
    if (!ai_calls_upstream(c->endpoint))
        return FILTER_PASS;
    if (c->endpoint->kind == AI_STORED)
        return grant_object(c);
    struct slice name = c->request.model;
    const struct policy_model *m = ai_model_asked(rq, name, &c->reached, &c->wild);
    if (!m) {
        c->request.param = "model";
        return refuse(rq, REFUSAL_MODEL_UNKNOWN, name);
    }
    if (c->request.transcriber.len && !ai_may_use(rq, c->request.transcriber)) {
        c->request.param = "session.audio.input.transcription.model";
        return refuse(rq, REFUSAL_MODEL_UNKNOWN, c->request.transcriber);
    }
    c->model = m;
    rq->record.ai.model = m->wildcard ? c->reached : m->o.name;
    rq->record.ai.requested = slice_eq(name, c->reached) ? SLICE_NONE : name;
    rq->record.ai.model_row = m->o.name;
    rq->record.ai.nested = has_models_within(m);
    rq->record.ai.cache = "bypass"; /* there is no cache yet */
    return FILTER_PASS;
}

const struct filter ai_filter_grant = {.name = "grant", .on_request = on_grant};

/* ---- filter shape: what the model's policy takes out of the body and puts into it ---- */

static bool is_shaped(const struct ai_call *c)
{
    enum ai_kind kind = c->endpoint->kind;
    bool is_json = kind == AI_CHAT || kind == AI_COUNT || kind == AI_EMBEDDINGS || kind == AI_TASK;
    return is_json && c->model->shapes && !c->request.is_form;
}

/* What its model's policy says would not be done to it: the call is refused. */
static bool cannot_be_shaped(const struct ai_call *c)
{
    bool is_session = c->endpoint->kind == AI_REALTIME || c->endpoint->kind == AI_SECRET;
    return is_session && c->model && c->model->shapes;
}

/* The body is another one now: what was read of the client's is void. */
static enum err read_again(struct ai_call *c, struct slice *why)
{
    c->request = (struct ai_request){.choices = 1};
    c->chat = NULL;
    return read_body(c, why);
}

static enum err shape_body(struct ai_call *c, struct slice *why)
{
    struct body_shaping *s = arena_zalloc(c->rq->arena, sizeof(*s));
    if (!s)
        return ERR_NOMEM;
    *s = (struct body_shaping){.model = c->model,
                               .words = c->endpoint->dialect->words,
                               .arena = c->rq->arena,
                               .body = &c->rq->body,
                               .spare = &c->translated};
    enum err e = body_shape(s);
    *why = s->why;
    c->output_default = s->output_default;
    c->dropped = s->dropped;
    c->dropped_count = s->dropped_count;
    return e ? e : read_again(c, why);
}

static enum filter_result on_shape(struct request *rq)
{
    struct ai_call *c = rq->gate_state;
    struct slice why = SLICE_NONE;
    if (cannot_be_shaped(c)) {
        c->request.param = "model";
        return refuse(
            rq, REFUSAL_UNSUPPORTED,
            SLICE("it has defaults or overrides, which a realtime session cannot be given"));
    }
    if (!is_shaped(c))
        return FILTER_PASS;
    enum err e = shape_body(c, &why);
    if (e == ERR_TOO_BIG)
        return refuse(rq, REFUSAL_TOO_LARGE, arena_printf(rq->arena, "%zu bytes", rq->body.max));
    if (e == ERR_NOMEM)
        return refuse(rq, REFUSAL_NO_CAPACITY, SLICE_NONE);
    return e ? refuse(rq, REFUSAL_BAD_JSON, why) : FILTER_PASS;
}

const struct filter ai_filter_shape = {.name = "shape", .on_request = on_shape};

/* ---- filter candidates: the targets that may serve it ---- */

static uint32_t roll(void *arg)
{
    uint32_t n;
    (void)arg;
    digest_random(&n, sizeof(n));
    return n;
}

/* What the body names is known to one account alone, or best. */
static void stay(struct ai_call *c)
{
    const struct ai_request *r = &c->request;
    if (r->stays.text[0] && candidates_stay(c->candidates, c->candidate_count, &r->stays)) {
        c->candidate_count = 1;
        c->stays = true;
    } else if (r->prefers.text[0]) {
        candidates_stay(c->candidates, c->candidate_count, &r->prefers);
    }
}

/* What a model's calls may be kept together by. */
static void number_callers(const struct ai_call *c, uint64_t ret[static STICKY_COUNT])
{
    const struct request *rq = c->rq;
    bool may_be_asked = c->model->sticky != STICKY_NONE || c->model->target_count > 1;
    if (!may_be_asked)
        return;
    struct slice principal = rq->who.agent ? rq->who.agent->o.id : rq->who.key->o.id;
    ret[STICKY_PRINCIPAL] = route_number(principal);
    ret[STICKY_SESSION] = rq->session.known ? route_number(slice_of(rq->session.id, SESSION_ID_LEN))
                                            : ret[STICKY_PRINCIPAL];
}

static enum filter_result refuse_candidates(struct ai_call *c, const struct candidates_trace *t)
{
    struct slice detail;
    enum refusal_id id = candidates_refusal(t, &detail);
    if (c->endpoint->kind == AI_COUNT && id == REFUSAL_NO_TARGET)
        return FILTER_PASS; /* it is estimated here */
    return refuse(c->rq, id, detail);
}

static enum filter_result on_candidates(struct request *rq)
{
    struct ai_call *c = rq->gate_state;
    if (!ai_calls_upstream(c->endpoint) || c->endpoint->kind == AI_STORED)
        return FILTER_PASS;
    struct candidate_excluded excluded[ROUTE_TARGETS_MAX] UNINITIALIZED;
    struct candidates_trace trace = {.excluded = excluded, .max = ARRAY_LEN(excluded)};
    const struct route_ask ask = {.who = &rq->who,
                                  .head = rq->head,
                                  .body = c->request.is_form ? SLICE_NONE : buf_slice(&rq->body),
                                  .wall_us = rq->started_at_us,
                                  .output_ceiling = c->request.output_ceiling,
                                  .need = ai_need,
                                  .need_arg = c};
    struct candidates_query q = {.policy = rq->policy,
                                 .model = c->model,
                                 .team = rq->who.team,
                                 .rest = c->wild,
                                 .arena = rq->arena,
                                 .endpoint = c->endpoint,
                                 .endpoints = &rq->env->upstreams.endpoints,
                                 .now_us = clock_mono_us(),
                                 .streams = c->request.stream,
                                 .ask = &ask,
                                 .trace = &trace,
                                 .dice = roll};
    number_callers(c, q.callers);
    c->candidate_count = candidates_list(&q, c->candidates, LIMIT_ATTEMPTS);
    ai_explain_note(rq, c->model, c->candidates, c->candidate_count, &trace);
    if (!c->candidate_count)
        return refuse_candidates(c, &trace);
    stay(c);
    if (c->ephemeral && !c->stays)
        return refuse(rq, REFUSAL_NO_TARGET, SLICE("the account that made the secret is gone"));
    return FILTER_PASS;
}

const struct filter ai_filter_candidates = {.name = "candidates", .on_request = on_candidates};

/* ---- the call, kept warm ---- */

#define KEPT 5 /* buffers that are in use for most of a call; `gathered` and `written` are not */

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
    buf_init(&c->written, LIMIT_AI_ANSWER);
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

static void on_late(struct timer *t)
{
    ai_attempt_on_late(CONTAINER_OF(t, struct ai_call, late));
}

static void on_patience(struct timer *t)
{
    struct ai_call *c = CONTAINER_OF(t, struct ai_call, patience);
    if (c->list)
        ai_list_on_patience(c);
    else
        ai_attempt_on_patience(c);
}

static void on_beat(struct timer *t)
{
    ai_attempt_on_beat(CONTAINER_OF(t, struct ai_call, beat));
}

/* everything but the memory that is kept */
static void clear(struct ai_call *c)
{
    struct buf gathered = c->gathered, opening = c->opening, translated = c->translated;
    struct buf unread = c->unread, written = c->written;
    struct sse_reader sse = c->sse;
    memset(c, 0, offsetof(struct ai_call, candidates));
    c->gathered = gathered;
    c->opening = opening;
    c->translated = translated;
    c->unread = unread;
    c->written = written;
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
    buf_shelf_give(shelf, &c->written);
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
    timer_init(&c->late, rq->env->loop, on_late);
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
    ai_list_leave(c);
    secret_drop(c->ephemeral);
    c->ephemeral = NULL;
    ai_assembly_free(c->whole);
    c->whole = NULL;
    c->writer.whole = NULL;
    timer_cancel(&c->patience);
    timer_cancel(&c->beat);
    timer_cancel(&c->late);
    ai_hedge_drop(c, OUTCOME_CANCELLED, SLICE_NONE);
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
        [AI_CALL_IDLE] =
            TO(SENT) | TO(RESERVING) | TO(PACED) | TO(WAITING) | TO(AUTHORIZING) | TO(OVER),
        [AI_CALL_PACED] = TO(IDLE) | TO(OVER),
        [AI_CALL_AUTHORIZING] = TO(IDLE) | TO(OVER),
        [AI_CALL_RESERVING] = TO(IDLE) | TO(OVER),
        [AI_CALL_WAITING] = TO(IDLE) | TO(OVER),
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
    if (c->endpoint->kind == AI_LIST) {
        ai_list_start(c);
        return;
    }
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
    struct ai_call *c = rq->gate_state;
    if (c->list)
        ai_list_cancel(c);
    else
        ai_attempt_cancel(c);
}

static bool streams_body(const struct request *rq)
{
    const struct ai_call *c = rq->gate_state;
    return c && (c->endpoint->kind == AI_REALTIME || c->upload);
}

static void on_body(struct request *rq, struct slice piece)
{
    struct ai_call *c = rq->gate_state;
    if (c->upload)
        ai_attempt_on_upload(c, ai_upload_take(c, piece));
    else if (c->state == AI_CALL_SESSION)
        realtime_on_client(c, piece);
}

static void on_body_end(struct request *rq)
{
    struct ai_call *c = rq->gate_state;
    if (c->upload)
        ai_attempt_on_upload(c, ai_upload_end(c));
    else if (c->state == AI_CALL_SESSION)
        realtime_on_client_end(c);
}

static void on_drain(struct request *rq)
{
    struct ai_call *c = rq->gate_state;
    if (!c->list)
        ai_attempt_on_drain(c);
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
        out[n++] = (struct http_header){SLICE("allow"),
                                        ai_endpoint_methods(rq->head, rq->path, rq->arena)};
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
    if (key && !digest_equal(slice_of(key->digest.bytes, DIGEST_LEN),
                             slice_of(s.key_digest.bytes, DIGEST_LEN)))
        key = NULL;
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
    .front_max = ai_upload_front_max,
    .front_is_enough = front_is_enough,
    .on_drain = on_drain,
    .cancel = cancel_work,
    .still_allowed = ai_still_allowed,
    .worst_case = ai_worst_case,
    .not_bounded = not_bounded,
    .on_reserved = on_reserved,
};
