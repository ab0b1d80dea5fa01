/*
 * tool_upstream — a request's states on its way upstream, for every kind of request.
 */
#include "common/base/clock.h"
#include "common/request/forward_headers.h"
#include "mcp-gateway/tool_private.h"

void tool_move(struct tool_work *w, enum tool_state to)
{
    /* row: from; bit: to */
    static const unsigned legal[] = {
        [TOOL_NEW] = 1u << TOOL_OPENING | 1u << TOOL_SENT | 1u << TOOL_LEFT,
        [TOOL_OPENING] = 1u << TOOL_SENT | 1u << TOOL_OPENING | 1u << TOOL_LEFT,
        [TOOL_SENT] = 1u << TOOL_OPENING | 1u << TOOL_LEFT | 1u << TOOL_SENT,
        [TOOL_LEFT] = 1u << TOOL_LEFT,
    };
    MUST(legal[w->state] & (1u << to));
    w->state = to;
}

static void on_settled(struct upstream_waiter *waiter, enum err e)
{
    struct tool_work *w = CONTAINER_OF(waiter, struct tool_work, waiter);
    if (e)
        w->carrier->not_opened(w);
    else
        w->carrier->opened(w);
}

void tool_open(struct tool_work *w)
{
    struct upstream_waiter *u = &w->waiter;
    upstream_waiter_cancel(u);
    tool_move(w, TOOL_OPENING);
    u->worker = w->worker;
    u->session = w->session;
    u->server = w->server;
    u->policy = w->rq->policy;
    u->log = &w->rq->log;
    u->via = forward_via(w->rq->head);
    u->trace_id = w->rq->record.trace_id;
    u->span_id = w->rq->record.span_id;
    u->arena = w->rq->arena;
    u->greets = w->message.kind == MCP_REQUEST && w->message.method == MCP_INITIALIZE;
    u->done = on_settled;
    enum err e = upstream_waiter_start(u);
    if (!e)
        w->carrier->opened(w);
    else if (e != ERR_AGAIN)
        w->carrier->not_opened(w);
}

static void on_event(struct session_member *m, enum mcp_event event, uint64_t number)
{
    struct tool_work *w = CONTAINER_OF(m, struct tool_work, member);
    if (!mcp_is_over(w) && w->carrier->on_event)
        w->carrier->on_event(w, event, number);
}

void tool_join(struct tool_work *w)
{
    w->member.on_event = on_event;
    session_member_join(w->worker, &w->member, w->session);
}

void tool_leave(struct tool_work *w)
{
    if (w->keepalive.loop)
        timer_cancel(&w->keepalive);
    if (w->deadline.loop)
        timer_cancel(&w->deadline);
    upstream_waiter_cancel(&w->waiter);
    session_member_leave(&w->member);
    mcp_exchange_drop(&w->exchange);
    if (w->stream_of)
        session_directory_stream_closed(w->session, &w->stream_of);
    if (w->one_shot && w->session && w->state != TOOL_LEFT)
        upstream_opening_end_all(w->worker, w->rq->policy, w->session, w->rq->arena);
    tool_move(w, TOOL_LEFT);
}

struct mcp_exchange_spec tool_post_spec(const struct tool_work *w, const char *span_id,
                                        unsigned silence_ms)
{
    return (struct mcp_exchange_spec){.server = w->server,
                                      .policy = w->rq->policy,
                                      .method = SLICE("POST"),
                                      .upstream_id = w->waiter.ref.upstream_id,
                                      .version = w->waiter.ref.version,
                                      .via = forward_via(w->rq->head),
                                      .trace_id = w->rq->record.trace_id,
                                      .span_id = span_id,
                                      .log = &w->rq->log,
                                      .silence_ms = silence_ms};
}

void tool_tell_upstream(struct tool_work *w, struct slice message)
{
    struct mcp_exchange_spec spec = tool_post_spec(w, w->rq->record.span_id, LIMIT_MCP_OPEN_MS);
    struct mcp_exchange *x = mcp_exchange_new(w->worker);
    spec.log = NULL;
    enum err e = x ? buf_append(&x->message, message) : ERR_NOMEM;
    if (!e)
        e = mcp_exchange_start(&x, &spec, NULL, NULL);
    else
        mcp_exchange_drop(&x);
    if (e)
        log_warn(&w->rq->log, "mcp_message_not_sent", "server=%.*s why=%s",
                 SLICE_ARG(w->server->o.name), err_name(e));
}

void tool_cancel_upstream(struct tool_work *w, const char *reason)
{
    if (!w->number || w->state != TOOL_SENT)
        return;
    struct slice message =
        arena_printf(w->rq->arena,
                     "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\","
                     "\"params\":{\"requestId\":%llu,\"reason\":\"%s\"}}",
                     (unsigned long long)w->number, reason);
    if (message.ptr)
        tool_tell_upstream(w, message);
}
