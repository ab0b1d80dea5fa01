/* leg — see the card. */
#include "mcp-gateway/upstream_leg.h"

#include <stdio.h>

#include "common/base/mem.h"
#include "common/base/secret.h"
#include "common/request/forward_headers.h"
#include "common/upstream/trace_context.h"
#include "common/upstream/upstream_log.h"
#include "mcp-gateway/env.h"

#define HEADERS_MAX 10
#define BODY_ROOM 4096 /* what edits may add to a client's message */

static const struct log_ctx nobody = {.component = "tool"};

struct mcp_leg *mcp_leg_new(struct mcp_env *home)
{
    struct mcp_leg *l = mem_zalloc(sizeof(*l));
    if (!l)
        return NULL;
    l->home = home;
    list_push(&home->legs, &l->link);
    buf_init(&l->message, LIMIT_MCP_BODY + BODY_ROOM);
    buf_init(&l->answer, LIMIT_MCP_ANSWER);
    echo_init(&l->echo);
    sse_reader_init(&l->reader);
    sse_reader_limit(&l->reader, LIMIT_MCP_ANSWER);
    return l;
}

/* at the end of the turn: a callback further up the stack may still read from it */
static void destroy(void *arg)
{
    struct mcp_leg *l = arg;
    buf_fini(&l->message);
    buf_fini(&l->answer);
    sse_reader_fini(&l->reader);
    echo_fini(&l->echo);
    secret_drop(l->credential);
    snapshot_drop(l->policy);
    mem_free(l);
}

static void drop(struct mcp_leg *l)
{
    if (l->dropped)
        return;
    l->dropped = true;
    if (!l->events && l->call)
        l->home->orphans--;
    if (l->call)
        http_call_close(&l->call);
    list_remove(&l->link);
    loop_retire(l->home->env->loop, destroy, l);
}

void mcp_leg_drop(struct mcp_leg **l)
{
    if (*l)
        drop(*l);
    *l = NULL;
}

void mcp_leg_let_go(struct mcp_leg **at)
{
    struct mcp_leg *l = *at;
    *at = NULL;
    if (!l || l->dropped)
        return;
    if (!l->call || l->home->orphans >= LIMIT_MCP_ORPHANS) {
        drop(l);
        return;
    }
    l->events = NULL;
    l->log = &nobody;
    l->home->orphans++;
    http_call_resume(l->call);
}

static void take_upstream_id(struct mcp_leg *l, struct slice id)
{
    bool good = id.len > 0 && id.len <= LIMIT_MCP_UPSTREAM_ID;
    for (size_t i = 0; good && i < id.len; i++)
        good = id.ptr[i] >= 0x21 && id.ptr[i] <= 0x7e;
    if (!good)
        return;
    memcpy(l->upstream_id, id.ptr, id.len);
    l->upstream_id[id.len] = '\0';
}

void mcp_leg_let_go_and_end(struct mcp_leg **at, struct slice upstream_id, struct slice version)
{
    struct mcp_leg *l = *at;
    if (l) {
        l->ends_session = true;
        take_upstream_id(l, upstream_id);
        snprintf(l->version, sizeof(l->version), "%.*s", SLICE_ARG(version));
    }
    mcp_leg_let_go(at);
}

void mcp_leg_pause(struct mcp_leg *l)
{
    if (l->call)
        http_call_pause(l->call);
}

void mcp_leg_resume(struct mcp_leg *l)
{
    if (l->call)
        http_call_resume(l->call);
}

/* ---- what is told of it ---- */

static struct upstream_at upstream_of(const struct mcp_leg *l)
{
    return (struct upstream_at){l->server->o.name, &l->server->url};
}

void mcp_leg_failed(struct mcp_leg *l, enum err why, enum http_call_phase phase)
{
    if (!l->told)
        upstream_log_lost(&l->home->env->upstreams.log, l->log, upstream_of(l), why, phase);
    l->told = true;
}

void mcp_leg_refused(struct mcp_leg *l)
{
    if (!l->told)
        upstream_log_status(&l->home->env->upstreams.log, l->log, upstream_of(l), l->status);
    l->told = true;
}

/* ---- what comes back ---- */

static bool is_media_type(struct slice value, struct slice type)
{
    struct slice first;
    return slice_split(&value, ';', &first) && slice_ieq(slice_trim(first), type);
}

static void on_head(void *arg, const struct http_head *head)
{
    struct mcp_leg *l = arg;
    struct slice type = http_head_find(head, SLICE("content-type"));
    l->status = head->status;
    l->retry_after_s = http_retry_after(head);
    l->is_stream = is_media_type(type, SLICE("text/event-stream"));
    l->is_json = is_media_type(type, SLICE("application/json"));
    take_upstream_id(l, http_head_find(head, SLICE("mcp-session-id")));
    if (head->status >= 500 || upstream_refused_us(head->status))
        mcp_leg_refused(l);
    if (l->events)
        l->events->on_head(l->arg);
}

static bool on_event(void *arg, const struct sse_event *e)
{
    struct mcp_leg *l = arg;
    bool message = e->has_data && slice_trim(e->data).len > 0;
    struct mcp_piece p = {.message = message ? e->data : SLICE_NONE, .event = e};
    l->ids_seen = l->ids_seen || e->id.len > 0;
    if (l->events)
        l->events->on_piece(l->arg, &p);
    return !l->dropped;
}

/* Nobody listened to the last; a client that is being freed takes no more calls. */
static void end_alone(struct mcp_leg *l, enum err why)
{
    if (l->ends_session && l->upstream_id[0] && why != ERR_CANCELLED)
        mcp_leg_end_session(l->home, l->policy, l->server, slice_str(l->upstream_id),
                            slice_str(l->version));
    drop(l);
}

static void fail(struct mcp_leg *l, enum err why, enum http_call_phase phase)
{
    const struct mcp_leg_events *events = l->events;
    void *arg = l->arg;
    mcp_leg_failed(l, why, phase);
    if (!events) {
        end_alone(l, why);
        return;
    }
    http_call_close(&l->call);
    events->on_fail(arg, why, phase);
}

static void take_clean(struct mcp_leg *l, struct slice clean)
{
    enum err e = ERR_OK;
    if (l->is_stream)
        e = sse_reader_feed(&l->reader, clean, on_event, l);
    else if (l->is_json)
        e = buf_append(&l->answer, clean);
    if (l->dropped || e == ERR_CANCELLED)
        return;
    if (e)
        fail(l, e == ERR_TOO_BIG ? e : ERR_PROTOCOL, HTTP_PHASE_BODY);
}

static void on_body(void *arg, struct slice data)
{
    struct mcp_leg *l = arg;
    if (!l->events)
        return;
    struct slice clean;
    if (echo_pass(&l->echo, data, &clean)) {
        fail(l, ERR_TOO_BIG, HTTP_PHASE_BODY);
        return;
    }
    take_clean(l, clean);
}

static void alarm_echo(const struct mcp_leg *l)
{
    upstream_log_echo(&l->home->env->upstreams.log, l->log, upstream_of(l), "mcp");
}

static void on_end(void *arg)
{
    struct mcp_leg *l = arg;
    if (l->events)
        take_clean(l, echo_end(&l->echo));
    if (l->dropped)
        return;
    if (l->echo.found)
        alarm_echo(l);
    struct mcp_piece p = {.message = buf_slice(&l->answer)};
    if (l->events && l->answer.len)
        l->events->on_piece(l->arg, &p);
    if (l->dropped)
        return;
    if (l->events)
        l->events->on_end(l->arg);
    else
        end_alone(l, ERR_OK);
}

static void on_error(void *arg, enum err why, enum http_call_phase phase)
{
    fail(arg, why, phase);
}

static const struct http_call_events call_events = {
    .on_head = on_head, .on_body = on_body, .on_end = on_end, .on_error = on_error};

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

static void build_heads(const struct mcp_leg *l, const struct mcp_leg_spec *spec, struct heads *h,
                        char traceparent[static TRACE_HEADER_LEN + 1])
{
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
    if (l->credential)
        add(h, spec->server->credential_header, secret_reveal(l->credential));
}

static struct slice path_of(const struct url *url, struct buf *room)
{
    struct slice path = url->path.len ? url->path : SLICE("/");
    if (!url->query.len)
        return path;
    if (buf_printf(room, "%.*s?%.*s", SLICE_ARG(path), SLICE_ARG(url->query)))
        return SLICE_NONE;
    return buf_slice(room);
}

static enum err start(struct mcp_leg *l, const struct mcp_leg_spec *spec)
{
    char traceparent[TRACE_HEADER_LEN + 1];
    struct heads h = {.n = 0};
    struct buf room;
    buf_init(&room, LIMIT_HTTP_TARGET);
    build_heads(l, spec, &h, traceparent);
    struct http_call_spec call = {
        .method = spec->method,
        .url = spec->server->url,
        .path = path_of(&spec->server->url, &room),
        .headers = h.out,
        .header_count = h.n,
        .body = {buf_slice(&l->message)},
        .rule = {spec->server->allowed, spec->server->allowed_count},
        .first_byte_ms = spec->silence_ms,
        .gap_ms = spec->silence_ms,
    };
    enum err e = call.path.ptr ? http_call_start(l->home->env->upstreams.client, &call,
                                                 &call_events, l, &l->call)
                               : ERR_NOMEM;
    buf_fini(&room);
    return e;
}

enum err mcp_leg_start(struct mcp_leg **at, const struct mcp_leg_spec *spec,
                       const struct mcp_leg_events *events, void *arg)
{
    struct mcp_leg *l = *at;
    const struct policy_server *s = spec->server;
    l->policy = snapshot_hold(spec->policy);
    l->server = s;
    l->log = spec->log ? spec->log : &nobody;
    if (s->credential && s->credential_header.len)
        l->credential = secret_hold(s->credential);
    echo_begin(&l->echo, l->credential ? secret_reveal(l->credential) : SLICE_NONE);
    l->events = events;
    l->arg = arg;
    bool crowded = !events && l->home->orphans >= LIMIT_MCP_ORPHANS;
    enum err e = crowded ? ERR_EXHAUSTED : start(l, spec);
    if (e && !crowded)
        mcp_leg_failed(l, e, HTTP_PHASE_CONNECT);
    if (e)
        mcp_leg_drop(at);
    else if (!events)
        l->home->orphans++;
    return e;
}

void mcp_leg_end_session(struct mcp_env *home, const struct snapshot *policy,
                         const struct policy_server *server, struct slice upstream_id,
                         struct slice version)
{
    const struct mcp_leg_spec spec = {.server = server,
                                      .policy = policy,
                                      .method = SLICE("DELETE"),
                                      .upstream_id = upstream_id,
                                      .version = version,
                                      .silence_ms = LIMIT_MCP_OPEN_MS};
    struct mcp_leg *leg = mcp_leg_new(home);
    if (!leg || mcp_leg_start(&leg, &spec, NULL, NULL))
        log_warn(NULL, "mcp_session_left_open", "server=%.*s", SLICE_ARG(server->o.name));
}
