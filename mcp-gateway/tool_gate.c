/*
 * tool_gate — the filters of the tool gate, and which kind of request does what.
 *
 * The body is read before the session is known, as only a message tells whether it needs one.
 */
#include "mcp-gateway/tool_gate.h"

#include "common/base/clock.h"
#include "common/upstream/trace_context.h"
#include "mcp-gateway/tool_private.h"

static const struct filter *const tool_filters[] = {
    &tool_filter_origin,
    &filter_authenticate,
    &tool_filter_form,
    &filter_body,
    &tool_filter_message,
    &tool_filter_session,
    &filter_session,
    &filter_task,
    &tool_filter_label,
    &tool_filter_server,
    &tool_filter_tool,
    &tool_filter_limit,
    NULL,
};

bool mcp_is_over(const struct tool_work *w)
{
    return w->rq->stage != REQUEST_WORK;
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

/* A ping asks whether the gateway is there (MCP, Ping). */
static void answer_ping(struct tool_work *w)
{
    buf_clear(&w->out);
    if (buf_printf(&w->out, "{\"jsonrpc\":\"2.0\",\"id\":%.*s,\"result\":{}}", SLICE_ARG(w->id)))
        mcp_refuse(w, REFUSAL_NO_CAPACITY, SLICE_NONE, OUTCOME_REFUSED);
    else
        mcp_response(w, OUTCOME_OK, buf_slice(&w->out), SLICE_NONE);
}

static void begin(struct request *rq)
{
    struct tool_work *w = rq->gate_state;
    if (w->is_get)
        mcp_listen(w);
    else if (w->is_delete)
        mcp_end(w);
    else if (w->message.kind != MCP_REQUEST)
        mcp_notify(w);
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

/* Some clients take a stream that is cut for one that ended: its end says why. An event stream
 * answers no request, so its error has no id and an event type of its own, which clients that look
 * for responses pass over. */
static enum err stream_error(struct request *rq, struct buf *out)
{
    struct tool_work *w = rq->gate_state;
    const char *type;
    buf_clear(&w->out);
    enum err e = mcp_refusal_body(rq, &w->out, &type);
    return e ? e
             : sse_write(out, w->id.len ? SLICE("message") : SLICE("error"), SLICE_NONE,
                         buf_slice(&w->out));
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
    .refusal_status = mcp_refusal_status,
    .stream_error = stream_error,
    .refusal_headers = mcp_refusal_headers,
    .session_label = mcp_session_label,
    .on_drain = on_drain,
    .cancel = cancel,
    .still_allowed = tool_still_allowed,
};
