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
    if (mcp_is_over(w))
        return;
    timer_start(t, LIMIT_MCP_KEEPALIVE_MS);
    if (!w->takes_stream)
        return;
    if (!w->streaming && !mcp_stream_begin(w))
        return;
    if (!response_is_full(w->rq)) /* a client that does not read is not silent for want of us */
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
    request_finish(w->rq, &(struct request_end){.outcome = OUTCOME_CANCELLED, .cut = true});
}

/* false: the request is over */
static bool goes_on(struct tool_work *w, enum sink_result r)
{
    if (mcp_is_over(w))
        return false;
    if (r == SINK_FULL && w->leg)
        mcp_leg_pause(w->leg);
    if (r <= SINK_FULL)
        return true;
    if (r == SINK_CLOSED) {
        cut(w);
        return false;
    }
    tool_leave(w);
    mcp_attempt_end(w, OUTCOME_REFUSED, SLICE("refused"));
    request_finish_as(w->rq, OUTCOME_REFUSED);
    return false;
}

bool mcp_stream_begin(struct tool_work *w)
{
    static const struct http_header headers[] = {
        {{"content-type", 12}, {"text/event-stream", 17}},
        {{"cache-control", 13}, {"no-cache", 8}},
        {{"x-accel-buffering", 17}, {"no", 2}},
    };
    w->streaming = true;
    return goes_on(w, response_begin(w->rq, 200, headers, ARRAY_LEN(headers), UINT64_MAX));
}

bool mcp_stream_send(struct tool_work *w, struct slice raw)
{
    return goes_on(w, response_write(w->rq, raw));
}

void mcp_drain(struct tool_work *w)
{
    if (w->streaming && w->leg)
        mcp_leg_resume(w->leg);
}

void mcp_stream_end(struct tool_work *w, enum request_outcome end, struct slice last)
{
    tool_leave(w);
    request_finish(w->rq, &(struct request_end){.outcome = end, .body = last});
}

void mcp_response(struct tool_work *w, enum request_outcome end, struct slice message)
{
    static const struct http_header type = {{"content-type", 12}, {"application/json", 16}};
    if (!w->streaming && w->takes_json) {
        tool_leave(w);
        request_finish(w->rq, &(struct request_end){.outcome = end,
                                                    .status = 200,
                                                    .headers = &type,
                                                    .header_count = 1,
                                                    .body = message});
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
