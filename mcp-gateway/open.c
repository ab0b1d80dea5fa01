/*
 * open — an upstream session for a client's session: initialize with what that client declared,
 * then `initialized`.
 *
 * One flight: whoever finds the session closed opens it, everybody else looks again every 10 ms.
 * They may be on other workers, and this is rare (an upstream restarted), so looking is cheaper
 * than waking each other across threads.
 */
#include "common/base/clock.h"
#include "common/request/forward_headers.h"
#include "mcp-gateway/revision.h"
#include "mcp-gateway/tool_private.h"

#define US_PER_MS 1000
#define HELLO_ID 1 /* the session's requests go on from it; 0 is nothing to some servers */

/* What a server says that opens no session: none of what the network says. */
#define NO_SESSION ERR_NOT_FOUND
#define NOT_NOW ERR_AGAIN

static void fail(struct tool_work *w, enum err why)
{
    if (w->leg && w->leg->status >= 300)
        mcp_leg_refused(w->leg);
    else if (w->leg && w->leg->call)
        mcp_leg_failed(w->leg, why, HTTP_PHASE_BODY);
    mcp_leg_drop(&w->leg);
    mcp_open_leave(w);
    w->not_opened(w, why);
}

static void fail_by_status(struct tool_work *w, enum err why)
{
    w->retry_after_s = w->leg->retry_after_s;
    fail(w, w->leg->status == 429 ? NOT_NOW : why);
}

static void succeed(struct tool_work *w)
{
    mcp_leg_let_go(&w->leg);
    w->opener = false;
    w->opened(w);
}

/* ---- initialized ---- */

static void on_noted(void *arg)
{
    struct tool_work *w = arg;
    if (w->leg->status >= 300) {
        mcp_session_lost(w->session, w->upstream_ref.generation);
        fail_by_status(w, ERR_PROTOCOL);
        return;
    }
    succeed(w);
}

static void on_note_piece(void *arg, const struct mcp_piece *p)
{
    (void)arg;
    (void)p;
}

static void on_note_end(void *arg)
{
    (void)arg; /* its head said all there is to know */
}

static void on_fail(void *arg, enum err why, enum http_call_phase phase)
{
    (void)phase;
    fail(arg, why);
}

static const struct mcp_leg_events note_events = {
    .on_head = on_noted, .on_piece = on_note_piece, .on_end = on_note_end, .on_fail = on_fail};

struct mcp_leg_spec mcp_post_spec(const struct tool_work *w, const char *span_id,
                                  unsigned silence_ms)
{
    return (struct mcp_leg_spec){.server = w->server,
                                 .policy = w->rq->policy,
                                 .method = SLICE("POST"),
                                 .upstream_id = w->upstream_ref.upstream_id,
                                 .version = w->upstream_ref.version,
                                 .via = forward_via(w->rq->head),
                                 .trace_id = w->rq->record.trace_id,
                                 .span_id = span_id,
                                 .log = &w->rq->log,
                                 .silence_ms = silence_ms};
}

static void send_initialized(struct tool_work *w)
{
    struct mcp_leg_spec spec = mcp_post_spec(w, w->rq->record.span_id, LIMIT_MCP_OPEN_MS);
    enum err e = ERR_NOMEM;
    w->leg = mcp_leg_new(w->env);
    if (w->leg)
        e = buf_append(&w->leg->message,
                       SLICE("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}"));
    if (!e)
        e = mcp_leg_start(&w->leg, &spec, &note_events, w);
    if (e) {
        mcp_session_lost(w->session, w->upstream_ref.generation);
        fail(w, e);
    }
}

/* ---- initialize ---- */

static enum err note_opening(struct tool_work *w, const struct mcp_response *a)
{
    char room[32];
    struct slice version;
    if (a->version.raw.len > sizeof(room) ||
        json_scan_text(&a->version, room, sizeof(room), &version) ||
        !mcp_revision_has_handshake(version))
        return ERR_PROTOCOL;
    enum err e = mcp_session_opened(w->session, w->server, slice_str(w->leg->upstream_id), version);
    enum mcp_session_state state;
    if (!e)
        e = mcp_session_enter(w->session, w->server->o.revision, w->rq->arena, &state,
                              &w->upstream_ref);
    return e ? e : state == MCP_OPEN ? ERR_OK : ERR_CLOSED;
}

/* The client's own initialize goes on with the answer; it will say `initialized` itself. */
static void take_answer(struct tool_work *w, const struct mcp_response *a)
{
    bool for_client = w->message.method == MCP_INITIALIZE;
    w->greeting = false;
    enum err e = a->kind == MCP_RESPONSE_RESULT ? note_opening(w, a) : NO_SESSION;
    if (!e && for_client) {
        w->hello_answer = arena_copy(w->rq->arena, a->text);
        e = w->hello_answer.ptr ? ERR_OK : ERR_NOMEM;
    }
    if (e) {
        fail(w, e);
        return;
    }
    if (for_client) {
        succeed(w);
        return;
    }
    mcp_leg_let_go(&w->leg);
    send_initialized(w);
}

static void on_head(void *arg)
{
    struct tool_work *w = arg;
    if (w->leg->status != 200)
        fail_by_status(w, NO_SESSION);
    else if (!w->leg->is_json && !w->leg->is_stream)
        fail(w, ERR_PROTOCOL);
}

static void on_piece(void *arg, const struct mcp_piece *p)
{
    struct tool_work *w = arg;
    struct mcp_response a;
    if (!p->message.ptr)
        return;
    if (mcp_response_read(p->message, &a))
        fail(w, ERR_PROTOCOL);
    else if (mcp_response_is_to(&a, HELLO_ID))
        take_answer(w, &a);
}

static void on_end(void *arg)
{
    fail(arg, ERR_PROTOCOL); /* it ended, and nothing in it was the answer */
}

static const struct mcp_leg_events hello_events = {
    .on_head = on_head, .on_piece = on_piece, .on_end = on_end, .on_fail = on_fail};

static void send_initialize(struct tool_work *w)
{
    w->upstream_ref = (struct mcp_upstream_ref){0};
    struct mcp_leg_spec spec = mcp_post_spec(w, w->rq->record.span_id, LIMIT_MCP_OPEN_MS);
    struct slice hello = slice_of(w->session->hello, w->session->hello_len);
    enum err e = ERR_NOMEM;
    w->opener = w->greeting = true;
    w->leg = mcp_leg_new(w->env);
    if (w->leg)
        e = buf_printf(&w->leg->message,
                       "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"initialize\",\"params\":%.*s}",
                       HELLO_ID, SLICE_ARG(hello));
    if (!e)
        e = mcp_leg_start(&w->leg, &spec, &hello_events, w);
    if (e)
        fail(w, e);
}

/* ---- whose turn it is ---- */

static void try_open(struct tool_work *w)
{
    enum mcp_session_state state;
    enum err e = mcp_session_enter(w->session, w->server->o.revision, w->rq->arena, &state,
                                   &w->upstream_ref);
    if (e)
        fail(w, e);
    else if (state == MCP_OPEN)
        w->opened(w);
    else if (state == MCP_CLOSED)
        send_initialize(w);
    else if (clock_mono_us() > w->look_until_us)
        fail(w, ERR_TIMEOUT);
    else
        timer_start(&w->look, LIMIT_MCP_REOPEN_LOOK_MS);
}

static void on_look(struct timer *t)
{
    try_open(CONTAINER_OF(t, struct tool_work, look));
}

void mcp_open(struct tool_work *w)
{
    if (!w->look.loop)
        timer_init(&w->look, w->rq->env->loop, on_look);
    w->look_until_us = clock_mono_us() + LIMIT_MCP_OPEN_MS * (uint64_t)US_PER_MS;
    try_open(w);
}

void mcp_open_leave(struct tool_work *w)
{
    if (w->look.loop)
        timer_cancel(&w->look);
    if (w->opener)
        mcp_session_give_up(w->session);
    w->opener = w->greeting = false;
}

/* ---- and its end ---- */

void mcp_close_upstream(struct mcp_env *env, const struct snapshot *policy,
                        struct mcp_session *session, struct arena *a)
{
    struct mcp_upstream_ref p;
    if (!mcp_session_end(session, a, &p))
        return;
    const struct policy_server *server = snapshot_server_named(policy, p.org_id, p.server_name);
    /* Another revision may be another host, which this session is no business of. */
    if (server && server->o.revision == p.server_revision)
        mcp_leg_end_session(env, policy, server, p.upstream_id, p.version);
}
