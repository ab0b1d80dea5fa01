/*
 * passthrough_send — the request to the provider: a head made by the gateway, the path that was
 * granted, the provider's credential, the client's body as it came.
 */
#include "common/base/secret.h"
#include "common/request/forward_headers.h"
#include "common/upstream/trace_context.h"
#include "dataplane/ai/ai_token.h"
#include "dataplane/ai/passthrough/passthrough_private.h"
#include "dataplane/ai/passthrough/passthrough_rules.h"

#define ANTHROPIC_VERSION "2023-06-01"
#define ADDED 8 /* credential and what is signed with it, encoding, traceparent, via, version */

/* What of the client's head providers read beside what any service does. What says whose account is
 * billed (openai-organization, x-goog-user-project) is the credential's to say. */
static const struct slice provider_names[] = {
    {"openai-beta", 11},
    {"anthropic-version", 17},
    {"anthropic-beta", 14},
    {"x-amzn-bedrock-accept", 21},
    {"x-amzn-bedrock-trace", 20},
    {"x-amzn-bedrock-guardrailidentifier", 34},
    {"x-amzn-bedrock-guardrailversion", 31},
};

static const struct url *url_of(const struct passthrough_call *p)
{
    return p->account ? &p->account->url : &p->provider->url;
}

static enum err set_path(struct passthrough_call *p, struct ai_outgoing *o)
{
    struct arena *a = p->rq->arena;
    struct slice base = o->url->path, add = SLICE(""), version = p->provider->api_version;
    struct slice sent = p->rq->query.len ? p->rq->query : SLICE("");
    while (slice_ends(base, SLICE("/")))
        base.len--;
    if (version.len && slice_search(sent, SLICE("api-version=")) < 0 &&
        slice_search(o->url->query, SLICE("api-version=")) < 0)
        add = arena_printf(a, "api-version=%.*s", SLICE_ARG(version));
    struct slice query = passthrough_query(
        &(struct passthrough_query_in){o->url->query, add, sent, p->provider->dialect,
                                       p->endpoint && p->endpoint->kind != AI_COUNT},
        a);
    if (query.ptr && ai_account_signs(p->account))
        query = passthrough_sorted_query(query, a);
    if (!query.ptr)
        return ERR_NOMEM;
    o->path = arena_printf(a, "%.*s%.*s%s%.*s", SLICE_ARG(base), SLICE_ARG(p->rest),
                           query.len ? "?" : "", SLICE_ARG(query));
    return o->path.ptr ? ERR_OK : ERR_NOMEM;
}

static void put(struct ai_outgoing *o, struct slice name, struct slice value)
{
    for (size_t i = 0; i < o->header_count; i++) {
        if (slice_ieq(o->headers[i].name, name)) {
            o->headers[i].value = value;
            return;
        }
    }
    if (o->header_count < ARRAY_LEN(o->headers) - ADDED)
        ai_outgoing_add(o, name, value);
}

static bool is_own(struct slice name)
{
    for (size_t i = 0; i < ARRAY_LEN(provider_names); i++)
        if (slice_ieq(provider_names[i], name))
            return true;
    return false;
}

/* The client's, then the policy's in their place, then ours. */
static void add_headers(struct passthrough_call *p, struct ai_outgoing *o)
{
    const struct http_head *h = p->rq->head;
    const struct policy_provider *provider = p->provider;
    o->header_count = forward_request_headers(&(struct forward_in){.head = h}, o->headers,
                                              ARRAY_LEN(o->headers) - ADDED);
    for (size_t i = 0; i < h->header_count; i++)
        if (is_own(h->headers[i].name))
            put(o, h->headers[i].name, h->headers[i].value);
    if (slice_eq(provider->dialect, SLICE("anthropic")) &&
        !http_head_find(h, SLICE("anthropic-version")).len)
        put(o, SLICE("anthropic-version"), SLICE(ANTHROPIC_VERSION));
    for (size_t i = 0; i < provider->header_count; i++)
        put(o, provider->headers[i].name, provider->headers[i].value);
    /* the credential, and what is billed, are looked for in what comes back */
    ai_outgoing_add(o, SLICE("accept-encoding"), SLICE("identity"));
    ai_outgoing_add(o, SLICE("traceparent"), o->traceparent);
    ai_outgoing_add(o, SLICE("via"), forward_via(h));
}

static void note_attempt(struct passthrough_call *p)
{
    struct call_record *t = &p->rq->record;
    p->attempt = &t->attempts[t->attempt_count++];
    *p->attempt = (struct attempt){.provider = p->provider->o.name, .model = p->request.model};
    trace_span_id(p->attempt->span_id);
}

static enum err start_exchange(struct passthrough_call *p, const struct ai_outgoing *o)
{
    struct request *rq = p->rq;
    const struct policy_provider *provider = p->provider;
    const struct policy_timeouts *t = &provider->timeouts;
    bool streams = !p->gathers && relay_has_body(rq->head);
    struct exchange_spec spec = {
        .upstream = provider->o.name,
        .target_id = provider->o.id,
        .credential_id = p->account ? p->account->id : SLICE_NONE,
        .region = p->account ? p->account->region : SLICE_NONE,
        .revision = provider->o.revision,
        .credential = (struct secret *)(uintptr_t)o->credential,
        .log = &rq->log,
        .attempt = p->attempt,
        .waited_us = &rq->record.upstream_us,
        .call = {.method = rq->head->method,
                 .url = *o->url,
                 .path = o->path,
                 .headers = o->headers,
                 .header_count = o->header_count,
                 .body = {o->pieces[0]},
                 .streamed = streams,
                 .body_length = rq->head->chunked ? UINT64_MAX : rq->head->length,
                 .rule = {provider->allowed, provider->allowed_count},
                 .tls = provider->tls,
                 .proxy = provider->proxy,
                 .connect_ms = t->connect_ms,
                 .first_byte_ms = t->first_byte_ms,
                 .gap_ms = t->between_ms,
                 .total_ms = t->total_ms},
    };
    return exchange_start(&rq->env->upstreams, &spec, &relay_events, &p->relay, &p->relay.exchange);
}

static enum err send_request(struct passthrough_call *p)
{
    struct request *rq = p->rq;
    char trace[TRACE_HEADER_LEN + 1];
    struct ai_outgoing *o = arena_zalloc(rq->arena, sizeof(*o));
    if (!o)
        return ERR_NOMEM;
    o->target = p->provider;
    o->account = p->account;
    o->url = url_of(p);
    o->credential = p->token ? p->token->secret : p->account ? p->account->secret : NULL;
    o->given = p->token;
    o->traceparent = trace_header(rq->record.trace_id, p->attempt->span_id, trace);
    o->arena = rq->arena;
    o->method = rq->head->method;
    o->content_type = http_head_find(rq->head, SLICE("content-type"));
    if (p->gathers) {
        o->pieces[0] = buf_slice(&rq->body);
        rq->record.api.bytes_in = rq->body.len;
    }
    enum err e = set_path(p, o);
    add_headers(p, o);
    if (!e)
        e = ai_outgoing_authorize(o, p->protocol);
    if (!e)
        e = start_exchange(p, o);
    secret_wipe(o->secret, o->secret_len);
    return e;
}

/* ---- a token of the account, where its provider wants one ---- */

static void go_on(struct passthrough_call *p, enum err token);

static void on_token(struct access_token_wait *w, enum err e);

/* ERR_AGAIN: on_token follows. */
static enum err take_token(struct passthrough_call *p)
{
    p->token_wait.fn = on_token;
    return ai_token_take(p->rq, p->protocol, p->provider, p->account, &p->token_wait, &p->token);
}

static void on_token(struct access_token_wait *w, enum err e)
{
    struct passthrough_call *p = CONTAINER_OF(w, struct passthrough_call, token_wait);
    if (!e)
        e = take_token(p);
    go_on(p, e == ERR_AGAIN ? ERR_PROTOCOL : e); /* one that ends at once is of no use */
}

/* ---- the work ---- */

static void refuse_unsent(struct passthrough_call *p, enum err e, bool token)
{
    bool short_of = e == ERR_NOMEM || e == ERR_EXHAUSTED;
    p->attempt->end = OUTCOME_ERROR;
    p->attempt->code = token ? SLICE("no_token") : slice_str(err_name(e));
    request_refuse(p->rq, short_of ? REFUSAL_NO_CAPACITY : REFUSAL_UPSTREAM,
                   token ? ai_token_why(p->rq, p->account, e) : upstream_why(e));
    request_finish_as(p->rq, OUTCOME_ERROR);
}

static void go_on(struct passthrough_call *p, enum err token)
{
    enum err e = token ? token : send_request(p);
    if (e)
        refuse_unsent(p, e, token != ERR_OK);
    else if (!p->gathers && relay_has_body(p->rq->head))
        request_read_body(p->rq, p->rq->gate->body_max);
}

void passthrough_start(struct passthrough_call *p)
{
    struct request *rq = p->rq;
    if (request_open_record(rq)) {
        request_refuse(rq, REFUSAL_NO_CAPACITY, SLICE_NONE);
        rq->refusal.retry_after_s = 1;
        request_finish_as(rq, OUTCOME_REFUSED);
        return;
    }
    note_attempt(p);
    enum err e = take_token(p);
    if (e != ERR_AGAIN)
        go_on(p, e);
}

/* `?key=`, as clients of Google's APIs send it. */
struct slice passthrough_query_key(const struct request *rq)
{
    struct slice one, rest = rq->query;
    while (rest.len && slice_split(&rest, '&', &one))
        if (slice_starts(one, SLICE("key=")))
            return ai_unescape(rq->arena, slice_from(one, 4));
    return SLICE_NONE;
}
