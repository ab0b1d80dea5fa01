/*
 * ai_send — what a request to a target is put together from.
 */
#include "dataplane/ai/ai_send.h"

#include "common/base/clock.h"
#include "common/base/secret.h"
#include "common/request/forward_headers.h"
#include "common/upstream/trace_context.h"
#include "dataplane/ai/ai_cost.h"
#include "dataplane/ai/ai_upload.h"
#include "dataplane/ai/dialect/body_shape.h"

#define US_PER_MS 1000u
#define PATIENCE_MAX_MS 86400000 /* a day: a client that says more says nothing */
#define PATIENCE_GRACE_MS 1000   /* the client hangs up first */

/* How long clients say that they wait: the SDKs of OpenAI and Anthropic (dialects.md 1.8), of
 * Google (google-genai), and those that were written for other gateways. */
static const struct {
    struct slice name;
    unsigned unit_ms;
} patience[] = {{{"x-stainless-timeout", 19}, 1000},
                {{"x-server-timeout", 16}, 1000},
                {{"x-litellm-timeout", 17}, 1000},
                {{"x-portkey-request-timeout", 25}, 1},
                {{"cf-aig-request-timeout", 22}, 1}};

/* A part of a unit counts as a whole one. 0: it says nothing. */
static uint64_t patience_ms(struct slice said, unsigned unit_ms)
{
    uint64_t units;
    ptrdiff_t point = slice_find(said, '.');
    bool has_part = point > 0 && (size_t)point + 1 < said.len;
    if (point > 0)
        said = slice_first(said, (size_t)point);
    if (!said.len || slice_u64(said, &units) || units > (uint64_t)PATIENCE_MAX_MS / unit_ms)
        return 0;
    return (units + has_part) * unit_ms;
}

unsigned ai_send_patience_ms(const struct http_head *h)
{
    uint64_t soonest = 0;
    for (size_t i = 0; i < ARRAY_LEN(patience); i++) {
        uint64_t ms = patience_ms(http_head_find(h, patience[i].name), patience[i].unit_ms);
        if (ms && (!soonest || ms < soonest))
            soonest = ms;
    }
    return soonest ? (unsigned)soonest + PATIENCE_GRACE_MS : 0;
}

static unsigned first_of(unsigned a, unsigned b)
{
    return a ? a : b;
}

static unsigned sooner(unsigned a, unsigned b)
{
    return !a || (b && b < a) ? b : a;
}

uint64_t ai_send_deadline(const struct ai_call *c)
{
    if (c->endpoint->kind == AI_REALTIME)
        return UINT64_MAX;
    unsigned ms =
        sooner(c->model ? c->model->timeouts.total_ms : 0, ai_send_patience_ms(c->rq->head));
    return ms ? c->rq->started_us + (uint64_t)ms * US_PER_MS : UINT64_MAX;
}

static unsigned time_left(const struct ai_call *c)
{
    uint64_t now = clock_mono_us();
    if (c->deadline_us == UINT64_MAX)
        return 0;
    return now + US_PER_MS < c->deadline_us ? (unsigned)((c->deadline_us - now) / US_PER_MS) : 1;
}

/* The model's own come before its provider's; what is left of the call's binds beside either. */
static void set_deadlines(const struct ai_call *c, const struct policy_provider *p,
                          struct http_call_spec *spec)
{
    const struct policy_timeouts *m = &c->model->timeouts, *own = &p->timeouts;
    spec->connect_ms = first_of(m->connect_ms, own->connect_ms);
    spec->first_byte_ms = first_of(m->first_byte_ms, own->first_byte_ms);
    spec->gap_ms = first_of(m->between_ms, own->between_ms);
    spec->total_ms = sooner(m->total_ms ? 0 : own->total_ms, time_left(c));
    if (c->endpoint->kind != AI_REALTIME)
        return;
    spec->gap_ms = LIMIT_REALTIME_GAP_MS; /* pings are answered, whatever the two have to say */
    spec->total_ms = first_of(first_of(m->total_ms, own->total_ms), LIMIT_REALTIME_MS);
}

unsigned ai_send_first_byte_ms(const struct ai_call *c, const struct policy_provider *p)
{
    struct http_call_spec spec = {0};
    set_deadlines(c, p, &spec);
    return sooner(spec.total_ms, spec.first_byte_ms ? spec.first_byte_ms : LIMIT_FIRST_BYTE_MS);
}

/* What the target knows us by; NULL: it wants nothing. */
static struct secret *secret_of(const struct ai_call *c, const struct candidate *target)
{
    if (c->ephemeral)
        return c->ephemeral;
    if (c->token)
        return c->token->secret;
    return target->credential ? target->credential->secret : NULL;
}

/* A session, a count, a kept thing say nothing of how fast a model responds. */
static bool is_measured(enum ai_kind kind)
{
    return kind == AI_CHAT || kind == AI_EMBEDDINGS || kind == AI_TASK;
}

bool ai_send_may(const struct ai_call *c, const struct candidate *target)
{
    const struct policy_provider *p = target->provider;
    const struct policy_credential *credential = target->credential;
    const struct endpoint_limits limits = candidates_limits(p);
    const struct endpoint *e =
        endpoint_find(&c->rq->env->upstreams.endpoints,
                      &(struct endpoint_key){.target = p->o.id,
                                             .credential = credential ? credential->id : SLICE_NONE,
                                             .region = credential ? credential->region : SLICE_NONE,
                                             .url = credential ? &credential->url : &p->url,
                                             .revision = p->o.revision});
    return !e || endpoint_admits(e, &limits, clock_mono_us()) == ERR_OK;
}

static enum err start_exchange(struct ai_call *c, const struct candidate *target,
                               const struct ai_outgoing *o, const struct exchange_events *events)
{
    const struct policy_provider *p = target->provider;
    const struct policy_credential *credential = target->credential;
    struct exchange_spec spec = {
        .upstream = p->o.name,
        .target_id = p->o.id,
        .credential_id = credential ? credential->id : SLICE_NONE,
        .region = credential ? credential->region : SLICE_NONE,
        .revision = p->o.revision,
        .model = is_measured(c->endpoint->kind) ? target->model : SLICE_NONE,
        .limits = candidates_limits(p),
        .insists = true, /* targets that are well were taken before */
        .credential = secret_of(c, target),
        .log = &c->rq->log,
        .attempt = c->attempt,
        .waited_us = &c->rq->record.upstream_us,
        .call = {.method = c->endpoint->kind == AI_STORED || c->endpoint->kind == AI_REALTIME
                               ? c->endpoint->method
                               : SLICE("POST"),
                 .upgrade = c->endpoint->kind == AI_REALTIME,
                 .url = credential ? credential->url : p->url,
                 .path = o->path,
                 .headers = o->headers,
                 .header_count = o->header_count,
                 .rule = {p->allowed, p->allowed_count},
                 .tls = p->tls,
                 .proxy = p->proxy},
    };
    set_deadlines(c, p, &spec.call);
    if (c->upload)
        ai_upload_describe(c, o->pieces, &spec.call);
    else
        memcpy(spec.call.body, o->pieces, sizeof(spec.call.body));
    enum err e = exchange_start(&c->rq->env->upstreams, &spec, events, c, &c->exchange);
    if (!e && c->upload)
        e = ai_upload_send_front(c, o->pieces);
    if (e)
        exchange_close(&c->exchange, OUTCOME_ERROR, slice_str(err_name(e)));
    return e;
}

/* What the policy says of a header comes before what the provider's protocol says. */
static void add_own(struct ai_outgoing *o, const struct policy_header *h)
{
    for (size_t i = 0; i < o->header_count; i++) {
        if (slice_ieq(o->headers[i].name, h->name)) {
            o->headers[i].value = h->value;
            return;
        }
    }
    if (o->header_count < AI_SEND_HEADERS)
        ai_outgoing_add(o, h->name, h->value);
}

/* What an account made goes to it alone. */
static void tell_account(struct ai_call *c, const struct candidate *target, struct ai_outgoing *o)
{
    if (!c->marker.ready)
        ai_call_make_marker(c);
    ai_account_of(target->provider->o.id, target->credential ? target->credential->id : SLICE_NONE,
                  &o->maker);
    if (o->chat)
        ai_chat_show_made(c->chat, slice_of(o->maker.text, AI_ACCOUNT_LEN));
}

/* What the model's policy took out, and what it says in vain: a target that is sent the client's
 * own body is told nothing that its dialect has no word for. */
static void say_shape(const struct ai_call *c, struct ai_outgoing *o)
{
    const struct policy_parameters *forced = c->model->overrides;
    for (size_t i = 0; i < c->dropped_count; i++)
        ai_outgoing_leave_out(o, c->dropped[i]);
    bool is_untold = forced && !o->chat && c->endpoint->kind == AI_CHAT;
    for (unsigned i = 0; is_untold && i < POLICY_PARAMETERS; i++)
        if (forced->of[i].json.ptr &&
            !body_has_word(c->endpoint->dialect->words, (enum policy_parameter_id)i))
            ai_outgoing_leave_out(o, policy_parameter_name((enum policy_parameter_id)i));
}

bool ai_send_is_forbidden(const struct ai_call *c, const struct candidate *target)
{
    const struct snapshot *newest = c->rq->env->policy;
    struct request_right now;
    if (!c->model || !newest || newest == c->rq->policy)
        return false;
    if (!request_right_now(c->rq, &now))
        return true;
    const struct policy_model *m =
        snapshot_model_named(now.policy, now.who.key->o.org_id, c->model->o.name);
    return !m || !candidates_still(now.policy, m, now.who.team, target);
}

enum err ai_send(struct ai_call *c, const struct candidate *target,
                 const struct exchange_events *events, struct ai_untold *untold)
{
    char trace[TRACE_HEADER_LEN + 1];
    struct ai_outgoing o UNINITIALIZED;
    if (ai_send_is_forbidden(c, target))
        return ERR_CONFLICT;
    if (!c->native) {
        enum err unread = ai_call_parse(c, &untold->why);
        if (unread) {
            untold->param = c->request.param;
            return unread;
        }
    }
    o.endpoint = c->endpoint;
    o.chat = c->native ? NULL : c->chat;
    o.request = &c->request;
    o.marker = &c->marker;
    if (c->endpoint->dialect->marks || c->request.prompt.files)
        tell_account(c, target, &o);
    o.body = buf_slice(&c->rq->body);
    o.client_head = c->rq->head;
    o.target = target->provider;
    o.account = target->credential;
    o.url = target->credential ? &target->credential->url : &target->provider->url;
    o.credential = secret_of(c, target);
    o.given = c->token;
    o.changes =
        (struct ai_changes){.model = target->model, .output_limit = ai_cost_output_limit(c)};
    o.traceparent = trace_header(c->rq->record.trace_id, c->attempt->span_id, trace);
    o.websocket_key = c->websocket_key;
    o.arena = c->rq->arena;
    o.translated = &c->translated;
    o.header_count = o.secret_len = 0;
    o.method = SLICE_NONE;
    o.notice = o.why = SLICE_NONE;
    o.param = NULL;
    enum err e = c->provider->build(&o);
    ai_outgoing_add(&o, SLICE("via"), forward_via(c->rq->head));
    say_shape(c, &o);
    for (size_t i = 0; i < o.target->header_count; i++)
        add_own(&o, &o.target->headers[i]);
    for (size_t i = 0; i < c->model->header_count; i++)
        add_own(&o, &c->model->headers[i]);
    if (!e)
        e = start_exchange(c, target, &o, events);
    secret_wipe(o.secret, o.secret_len);
    c->notice = o.notice;
    *untold = (struct ai_untold){o.param, o.why};
    return e;
}

void ai_send_begin(struct ai_call *c, const struct candidate *target)
{
    struct call_record *t = &c->rq->record;
    c->attempt = &t->attempts[t->attempt_count++];
    *c->attempt = (struct attempt){.provider = target->provider->o.name, .model = target->model};
    trace_span_id(c->attempt->span_id);
    /* by the call's own clock: a step of the wall clock in between does not show */
    c->attempt->started_at_us =
        c->rq->started_at_us + (int64_t)(clock_mono_us() - c->rq->started_us);
    c->provider = c->path_missing ? ai_provider_named(target->provider->dialect)
                                  : ai_provider_for(target->provider, c->endpoint, target->model);
    c->path_missing = false;
    c->native = c->provider->speaks(c->endpoint);
    c->observed = c->native && !c->provider->glance;
    c->status = 0;
    c->usage = AI_USAGE_NONE;
    c->notice = SLICE_NONE;
    t->ai.provider = target->provider->o.name;
}
