/* mcp_exchange — what all transports share, and Streamable HTTP. */
#include "mcp-gateway/mcp_exchange.h"

#include <stdio.h>

#include "common/base/mem.h"
#include "common/base/secret.h"
#include "common/request/forward_headers.h"
#include "common/upstream/trace_context.h"
#include "mcp-gateway/mcp_worker.h"

#define HEADERS_MAX 10
#define BODY_ROOM 4096 /* what edits may add to a client's message */

static const struct log_ctx no_request = {.component = "tool"};

struct mcp_exchange *mcp_exchange_new(struct mcp_worker *worker)
{
    struct mcp_exchange *x = mem_zalloc(sizeof(*x));
    if (!x)
        return NULL;
    x->worker = worker;
    list_push(&worker->exchanges, &x->link);
    buf_init(&x->message, LIMIT_MCP_BODY + BODY_ROOM);
    buf_init(&x->response, LIMIT_MCP_ANSWER);
    sse_reader_init(&x->reader);
    sse_reader_limit(&x->reader, LIMIT_MCP_ANSWER);
    return x;
}

/* at the end of the turn: a callback further up the stack may still read from it */
static void destroy(void *arg)
{
    struct mcp_exchange *x = arg;
    buf_fini(&x->message);
    buf_fini(&x->response);
    sse_reader_fini(&x->reader);
    mem_free(x->upstream_id);
    snapshot_drop(x->policy);
    mem_free(x);
}

static void drop(struct mcp_exchange *x)
{
    if (x->dropped)
        return;
    x->dropped = true;
    if (!x->events && x->call)
        x->worker->orphans--;
    if (x->call)
        x->transport->close(x);
    list_remove(&x->link);
    loop_retire(x->worker->env->loop, destroy, x);
}

void mcp_exchange_drop(struct mcp_exchange **x)
{
    if (*x)
        drop(*x);
    *x = NULL;
}

void mcp_exchange_release(struct mcp_exchange **at)
{
    struct mcp_exchange *x = *at;
    *at = NULL;
    if (!x || x->dropped)
        return;
    if (!x->call || x->worker->orphans >= LIMIT_MCP_ORPHANS) {
        drop(x);
        return;
    }
    x->events = NULL;
    x->log = &no_request;
    exchange_disown(x->call, x->log);
    x->worker->orphans++;
    x->transport->resume(x);
}

static void take_upstream_id(struct mcp_exchange *x, struct slice id)
{
    bool good = id.len > 0 && id.len <= LIMIT_MCP_UPSTREAM_ID;
    for (size_t i = 0; good && i < id.len; i++)
        good = id.ptr[i] >= 0x21 && id.ptr[i] <= 0x7e;
    char *copy = good ? mem_strndup(id.ptr, id.len) : NULL;
    if (!copy)
        return;
    mem_free(x->upstream_id);
    x->upstream_id = copy;
}

void mcp_exchange_release_and_end(struct mcp_exchange **at, struct slice upstream_id,
                                  struct slice version)
{
    struct mcp_exchange *x = *at;
    if (x) {
        x->ends_session = true;
        take_upstream_id(x, upstream_id);
        snprintf(x->version, sizeof(x->version), "%.*s", SLICE_ARG(version));
    }
    mcp_exchange_release(at);
}

void mcp_exchange_pause(struct mcp_exchange *x)
{
    if (x->call)
        x->transport->pause(x);
}

void mcp_exchange_resume(struct mcp_exchange *x)
{
    if (x->call)
        x->transport->resume(x);
}

/* ---- what is told of it ---- */

void mcp_exchange_failed(struct mcp_exchange *x, enum err why)
{
    if (x->call)
        exchange_log_lost(x->call, why);
}

void mcp_exchange_refused(struct mcp_exchange *x)
{
    if (x->call)
        exchange_log_status(x->call);
}

/* ---- what comes back ---- */

static bool is_media_type(struct slice value, struct slice type)
{
    struct slice first;
    return slice_split(&value, ';', &first) && slice_ieq(slice_trim(first), type);
}

static void on_head(void *arg, const struct http_head *head)
{
    struct mcp_exchange *x = arg;
    struct slice type = http_head_find(head, SLICE("content-type"));
    x->status = head->status;
    x->retry_after_s = exchange_retry_after_s(x->call);
    x->is_stream = is_media_type(type, SLICE("text/event-stream"));
    x->is_json = is_media_type(type, SLICE("application/json"));
    take_upstream_id(x, http_head_find(head, SLICE("mcp-session-id")));
    /* What it says to one session is no reason to keep the others' requests back. */
    exchange_judge(x->call, ENDPOINT_OK);
    if (head->status >= 500 || upstream_refused_us(head->status))
        mcp_exchange_refused(x);
    if (x->events)
        x->events->on_head(x->arg);
}

static bool on_event(void *arg, const struct sse_event *e)
{
    struct mcp_exchange *x = arg;
    bool message = e->has_data && slice_trim(e->data).len > 0;
    struct mcp_piece p = {.message = message ? e->data : SLICE_NONE, .event = e};
    x->ids_seen = x->ids_seen || e->id.len > 0;
    if (x->events)
        x->events->on_piece(x->arg, &p);
    return !x->dropped;
}

/* It had no owner any more. An HTTP client that is being freed takes no more calls. */
static void end_alone(struct mcp_exchange *x, enum err why)
{
    if (x->ends_session && x->upstream_id && why != ERR_CANCELLED)
        mcp_exchange_end_session(x->worker, x->policy, x->server, slice_str(x->upstream_id),
                                 slice_str(x->version));
    drop(x);
}

static void fail(struct mcp_exchange *x, enum err why, enum http_call_phase phase)
{
    const struct mcp_exchange_events *events = x->events;
    void *arg = x->arg;
    mcp_exchange_failed(x, why);
    if (!events) {
        end_alone(x, why);
        return;
    }
    x->transport->close(x);
    events->on_fail(arg, why, phase);
}

static void on_body(void *arg, struct slice data)
{
    struct mcp_exchange *x = arg;
    enum err e = ERR_OK;
    if (!x->events)
        return;
    if (x->is_stream)
        e = sse_reader_feed(&x->reader, data, on_event, x);
    else if (x->is_json)
        e = buf_append(&x->response, data);
    if (x->dropped || e == ERR_CANCELLED)
        return;
    if (e)
        fail(x, e == ERR_TOO_BIG ? e : ERR_PROTOCOL, HTTP_PHASE_BODY);
}

static void on_end(void *arg)
{
    struct mcp_exchange *x = arg;
    struct mcp_piece p = {.message = buf_slice(&x->response)};
    if (x->events && x->response.len)
        x->events->on_piece(x->arg, &p);
    if (x->dropped)
        return;
    if (x->events)
        x->events->on_end(x->arg);
    else
        end_alone(x, ERR_OK);
}

static void on_fail(void *arg, const struct exchange_failure *f)
{
    fail(arg, f->why, f->phase);
}

static const struct exchange_events call_events = {
    .on_head = on_head, .on_body = on_body, .on_end = on_end, .on_fail = on_fail};

/* ---- what goes up ---- */

struct heads {
    struct http_header out[HEADERS_MAX];
    size_t n;
};

static void add(struct heads *h, struct slice name, struct slice value)
{
    if (value.len)
        h->out[h->n++] = (struct http_header){name, value};
}

static struct secret *credential_of(const struct policy_server *s)
{
    return s->credential_header.len ? s->credential : NULL;
}

static void build_heads(const struct mcp_exchange_spec *spec, struct heads *h,
                        char traceparent[static TRACE_HEADER_LEN + 1])
{
    struct secret *credential = credential_of(spec->server);
    bool post = slice_eq(spec->method, SLICE("POST"));
    add(h, SLICE("content-type"), post ? SLICE("application/json") : SLICE_NONE);
    add(h, SLICE("accept"),
        post ? SLICE("application/json, text/event-stream") : SLICE("text/event-stream"));
    add(h, SLICE("mcp-protocol-version"), spec->version);
    add(h, SLICE("mcp-session-id"), spec->upstream_id);
    add(h, SLICE("last-event-id"), spec->last_event_id);
    if (spec->trace_id)
        add(h, SLICE("traceparent"), trace_header(spec->trace_id, spec->span_id, traceparent));
    add(h, SLICE("via"), spec->via.len ? spec->via : SLICE("1.1 gatehouse"));
    if (credential) { /* it is looked for in what comes back, which is therefore not to be encoded
                       */
        add(h, SLICE("accept-encoding"), SLICE("identity"));
        add(h, spec->server->credential_header, secret_reveal(credential));
    }
}

static struct slice path_of(const struct url *url, struct buf *buffer)
{
    struct slice path = url->path.len ? url->path : SLICE("/");
    if (!url->query.len)
        return path;
    if (buf_printf(buffer, "%.*s?%.*s", SLICE_ARG(path), SLICE_ARG(url->query)))
        return SLICE_NONE;
    return buf_slice(buffer);
}

static enum err http_start(struct mcp_exchange *x, const struct mcp_exchange_spec *spec)
{
    char traceparent[TRACE_HEADER_LEN + 1];
    struct heads h = {.n = 0};
    struct buf buffer;
    buf_init(&buffer, LIMIT_HTTP_TARGET);
    build_heads(spec, &h, traceparent);
    const struct policy_server *server = spec->server;
    const struct exchange_spec up = {
        .upstream = server->o.name,
        .target_id = server->o.id,
        .revision = server->o.revision,
        .credential = credential_of(server),
        .log = x->log,
        .call = {.method = spec->method,
                 .url = server->url,
                 .path = path_of(&server->url, &buffer),
                 .headers = h.out,
                 .header_count = h.n,
                 .body = {buf_slice(&x->message)},
                 .rule = {server->allowed, server->allowed_count},
                 .first_byte_ms = spec->silence_ms,
                 .gap_ms = spec->silence_ms},
    };
    enum err e = up.call.path.ptr
                     ? exchange_start(&x->worker->env->upstreams, &up, &call_events, x, &x->call)
                     : ERR_NOMEM;
    buf_fini(&buffer);
    return e;
}

static void http_pause(struct mcp_exchange *x)
{
    exchange_hold(x->call, EXCHANGE_HOLD_CLIENT);
}

static void http_resume(struct mcp_exchange *x)
{
    exchange_release(x->call, EXCHANGE_HOLD_CLIENT);
}

static void http_close(struct mcp_exchange *x)
{
    exchange_close(&x->call, OUTCOME_OK, SLICE_NONE);
}

static const struct mcp_transport streamable_http = {.name = "streamable-http",
                                                     .start = http_start,
                                                     .pause = http_pause,
                                                     .resume = http_resume,
                                                     .close = http_close};

/* ---- of all transports ---- */

enum err mcp_exchange_start(struct mcp_exchange **at, const struct mcp_exchange_spec *spec,
                            const struct mcp_exchange_events *events, void *arg)
{
    struct mcp_exchange *x = *at;
    const struct policy_server *s = spec->server;
    x->policy = snapshot_hold(spec->policy);
    x->server = s;
    x->transport = &streamable_http; /* today's only one */
    x->log = spec->log ? spec->log : &no_request;
    x->events = events;
    x->arg = arg;
    bool crowded = !events && x->worker->orphans >= LIMIT_MCP_ORPHANS;
    enum err e = crowded ? ERR_EXHAUSTED : x->transport->start(x, spec);
    if (e)
        mcp_exchange_drop(at);
    else if (!events)
        x->worker->orphans++;
    return e;
}

void mcp_exchange_end_session(struct mcp_worker *worker, const struct snapshot *policy,
                              const struct policy_server *server, struct slice upstream_id,
                              struct slice version)
{
    const struct mcp_exchange_spec spec = {.server = server,
                                           .policy = policy,
                                           .method = SLICE("DELETE"),
                                           .upstream_id = upstream_id,
                                           .version = version,
                                           .silence_ms = LIMIT_MCP_OPEN_MS};
    struct mcp_exchange *exchange = mcp_exchange_new(worker);
    if (!exchange || mcp_exchange_start(&exchange, &spec, NULL, NULL))
        log_warn(NULL, "mcp_session_left_open", "server=%.*s", SLICE_ARG(server->o.name));
}
