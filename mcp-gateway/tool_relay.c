/*
 * relay — what the client gets: one JSON message, or an event stream whose events go on as they
 * came.
 *
 * Once a call has been silent for 15 s its answer becomes a stream, so that the comments which
 * keep the connection alive have something to stand in.
 */
#include "mcp-gateway/tool_private.h"

static void on_keepalive(struct timer *t)
{
    struct tool_work *w = CONTAINER_OF(t, struct tool_work, keepalive);
    if (mcp_is_over(w) || w->ending)
        return;
    timer_start(t, LIMIT_MCP_KEEPALIVE_MS);
    if (!w->takes_stream)
        return;
    if (!w->streaming && !mcp_stream_begin(w))
        return;
    if (!w->held.len) /* a client that does not read is not silent for want of us */
        mcp_stream_send(w, SLICE(": keepalive\n\n"));
}

void mcp_keep_alive(struct tool_work *w)
{
    if (!w->keepalive.loop)
        timer_init(&w->keepalive, w->rq->env->loop, on_keepalive);
    timer_start(&w->keepalive, LIMIT_MCP_KEEPALIVE_MS);
}

static void cut(struct tool_work *w)
{
    tool_leave(w);
    mcp_attempt_end(w, OUTCOME_CANCELLED, SLICE("cancelled"));
    request_finish_cut(w->rq, OUTCOME_CANCELLED);
}

bool mcp_stream_begin(struct tool_work *w)
{
    static const struct http_header headers[] = {
        {{"content-type", 12}, {"text/event-stream", 17}},
        {{"cache-control", 13}, {"no-cache", 8}},
        {{"x-accel-buffering", 17}, {"no", 2}},
    };
    w->streaming = true;
    enum err e = request_response_begin(w->rq, 200, headers, ARRAY_LEN(headers), UINT64_MAX);
    if (mcp_is_over(w))
        return false;
    if (e)
        cut(w);
    return !e;
}

static bool hold(struct tool_work *w, struct slice raw)
{
    if (w->leg)
        mcp_leg_pause(w->leg);
    if (!buf_append(&w->held, raw))
        return true;
    cut(w); /* a stream with a hole would be taken for a whole one */
    return false;
}

bool mcp_stream_send(struct tool_work *w, struct slice raw)
{
    struct request *rq = w->rq;
    if (w->held.len)
        return hold(w, raw);
    enum err e = request_response_write(rq, raw);
    if (mcp_is_over(w))
        return false;
    if (e == ERR_TOO_BIG)
        return hold(w, raw);
    if (!e && w->leg && rq->response_ops->pending(rq->answer) > LIMIT_STREAM_HIGH)
        mcp_leg_pause(w->leg);
    return true; /* any other failure is the client going, which the front is about to tell */
}

static bool write_held(struct tool_work *w)
{
    while (w->held.len) {
        struct slice piece = slice_first(buf_slice(&w->held), LIMIT_STREAM_HIGH);
        if (request_response_write(w->rq, piece) || mcp_is_over(w))
            return false;
        buf_eat(&w->held, piece.len);
        if (w->rq->response_ops->pending(w->rq->answer) > LIMIT_STREAM_HIGH)
            return w->held.len == 0;
    }
    return true;
}

void mcp_drain(struct tool_work *w)
{
    if (!w->streaming || !write_held(w))
        return;
    if (w->ending)
        request_finish_with(w->rq, w->end, w->last);
    else if (w->leg && w->rq->response_ops->pending(w->rq->answer) <= LIMIT_STREAM_HIGH)
        mcp_leg_resume(w->leg);
}

/* A large last event behind what a slow client has not read yet must wait its turn, too. */
void mcp_stream_end(struct tool_work *w, enum request_outcome end, struct slice last)
{
    tool_leave(w);
    bool crowded = w->rq->response_ops->pending(w->rq->answer) + last.len > LIMIT_STREAM_OUT;
    if (crowded) {
        if (!mcp_stream_send(w, last))
            return;
        last = SLICE("");
    }
    if (!w->held.len) {
        request_finish_with(w->rq, end, last);
        return;
    }
    w->ending = true;
    w->end = end;
    w->last = last;
}

void mcp_response(struct tool_work *w, enum request_outcome end, struct slice message)
{
    static const struct http_header type = {{"content-type", 12}, {"application/json", 16}};
    if (!w->streaming && w->takes_json) {
        tool_leave(w);
        request_finish_whole(w->rq, end, 200, &type, 1, message);
        return;
    }
    if (!w->streaming && !mcp_stream_begin(w))
        return;
    buf_clear(&w->event);
    if (sse_write(&w->event, SLICE("message"), SLICE_NONE, message)) {
        cut(w);
        return;
    }
    mcp_stream_end(w, end, buf_slice(&w->event));
}
