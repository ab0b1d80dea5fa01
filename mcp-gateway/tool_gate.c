/*
 * request — the corridor of the tool gate.
 *
 *   door → who → form → what → in which session → on which task → server → tool → not so fast →
 *   upstream
 *
 * The body is read before the session is known, as only a message tells whether it needs one.
 */
#include "mcp-gateway/tool_gate.h"
#include "common/base/clock.h"
#include "common/upstream/trace_context.h"
#include "common/upstream/upstream_log.h"
#include "mcp-gateway/tool_private.h"

static const struct filter *const tool_filters[] = {
    &tool_filter_origin,  /* from where, and how? */
    &filter_authenticate, /* who is asking? */
    &tool_filter_form,    /* in a form we read? */
    &filter_body,         /* all of it */
    &tool_filter_message, /* what? */
    &tool_filter_ticket,  /* in which MCP session? */
    &filter_session,      /* in which conversation? */
    &filter_task,         /* on which task? */
    &tool_filter_label,   /* or as it was when the session began */
    &tool_filter_server,  /* may they see this server? */
    &tool_filter_tool,    /* and call this tool? */
    &tool_filter_limit,   /* not so fast */
    NULL,
};

bool mcp_is_over(const struct tool_work *w)
{
    return w->rq->stage != REQUEST_WORK;
}

void tool_leave(struct tool_work *w)
{
    if (w->keepalive.loop)
        timer_cancel(&w->keepalive);
    mcp_open_leave(w);
    mcp_leg_drop(&w->leg);
    if (w->one_shot && w->session)
        mcp_close_upstream(w->env, w->rq->policy, w->session, w->rq->arena);
}

void mcp_refuse(struct tool_work *w, enum refusal_id id, struct slice detail,
                enum request_outcome end)
{
    tool_leave(w);
    request_refuse(w->rq, id, detail);
    w->rq->refusal.retry_after_s = w->retry_after_s;
    request_finish_as(w->rq, end);
}

bool mcp_record(struct tool_work *w)
{
    if (!request_open_record(w->rq))
        return true;
    w->retry_after_s = 1;
    mcp_refuse(w, REFUSAL_NO_CAPACITY, SLICE_NONE, OUTCOME_REFUSED);
    return false;
}

void mcp_attempt_begin(struct tool_work *w)
{
    struct call_record *t = &w->rq->record;
    MUST(t->attempt_count < LIMIT_ATTEMPTS);
    w->attempt = &t->attempts[t->attempt_count++];
    *w->attempt = (struct attempt){.server = w->server->o.name, .started_at_us = clock_wall_us()};
    trace_span_id(w->attempt->span_id);
    w->waiting_us = clock_mono_us();
}

void mcp_attempt_end(struct tool_work *w, enum request_outcome end, struct slice code)
{
    if (!w->attempt)
        return;
    uint64_t took = clock_mono_us() - w->waiting_us;
    w->rq->record.upstream_us += took;
    w->attempt->duration_us = took;
    w->attempt->end = end;
    w->attempt->code = code;
    w->attempt = NULL;
}

enum refusal_id mcp_refusal_of(enum err why, struct slice *detail)
{
    *detail = SLICE_NONE;
    switch (why) {
    case ERR_TIMEOUT:
        return REFUSAL_UPSTREAM_TIMEOUT;
    case ERR_PROTOCOL:
    case ERR_INVALID:
    case ERR_TOO_BIG:
        return REFUSAL_UPSTREAM_PROTOCOL;
    case ERR_NOMEM:
    case ERR_EXHAUSTED:
        return REFUSAL_NO_CAPACITY;
    case ERR_NOT_FOUND: /* open.c */
        *detail = SLICE("it opens no session for us");
        return REFUSAL_UPSTREAM;
    case ERR_AGAIN: /* open.c */
        *detail = SLICE("it opens no session for us now");
        return REFUSAL_UPSTREAM_BUSY;
    default:
        *detail = upstream_why(why);
        return REFUSAL_UPSTREAM;
    }
}

enum refusal_id mcp_refusal_by_status(struct tool_work *w, struct slice *detail)
{
    w->retry_after_s = w->leg->retry_after_s;
    *detail = arena_printf(w->rq->arena, "it answered with status %u", w->leg->status);
    return w->leg->status == 429 ? REFUSAL_UPSTREAM_BUSY : REFUSAL_UPSTREAM;
}

void mcp_response_empty(struct tool_work *w, unsigned status)
{
    tool_leave(w);
    request_finish(w->rq, &(struct request_end){.outcome = OUTCOME_OK, .status = status});
}

/* A ping asks us, not the upstream (MCP, Ping). */
static void answer_ping(struct tool_work *w)
{
    buf_clear(&w->out);
    if (buf_printf(&w->out, "{\"jsonrpc\":\"2.0\",\"id\":%.*s,\"result\":{}}", SLICE_ARG(w->id)))
        mcp_refuse(w, REFUSAL_NO_CAPACITY, SLICE_NONE, OUTCOME_REFUSED);
    else
        mcp_response(w, OUTCOME_OK, buf_slice(&w->out));
}

static void begin(struct request *rq)
{
    struct tool_work *w = rq->gate_state;
    if (w->is_get)
        mcp_listen(w);
    else if (w->is_delete)
        mcp_end(w);
    else if (w->message.kind != MCP_REQUEST)
        mcp_note(w);
    else if (w->message.method == MCP_INITIALIZE)
        mcp_initialize(w);
    else if (w->message.method == MCP_PING)
        answer_ping(w);
    else
        mcp_call(w);
}

static void on_drain(struct request *rq)
{
    mcp_drain(rq->gate_state);
}

/* Some clients take a stream that is cut for one that ended: a request that was begun hears why. */
static enum err stream_error(struct request *rq, struct buf *out)
{
    struct tool_work *w = rq->gate_state;
    const char *type;
    if (!w->id.len)
        return ERR_NOT_FOUND; /* an event stream of the server's: no request of it to answer */
    buf_clear(&w->out);
    enum err e = mcp_refusal_body(rq, &w->out, &type);
    return e ? e : sse_write(out, SLICE("message"), SLICE_NONE, buf_slice(&w->out));
}

static void cancel(struct request *rq)
{
    struct tool_work *w = rq->gate_state;
    mcp_call_leave(w);
    tool_leave(w);
    mcp_attempt_end(w, OUTCOME_CANCELLED, request_cut_code(rq));
    request_finish_as(rq, rq->refusal.id ? OUTCOME_REFUSED : OUTCOME_CANCELLED);
}

const struct gate tool_gate = {
    .name = "tool",
    .slot = GATE_TOOL,
    .filters = tool_filters,
    .body_max = LIMIT_MCP_BODY,
    .work = begin,
    .refusal_body = mcp_refusal_body,
    .stream_error = stream_error,
    .refusal_headers = mcp_refusal_headers,
    .session_label = mcp_session_label,
    .on_drain = on_drain,
    .cancel = cancel,
    .still_allowed = tool_still_allowed,
};
