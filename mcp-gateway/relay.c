/*
 * relay — what the client gets: one JSON message, or an event stream whose events go on as they
 * came.
 *
 * Once a call has been silent for 15 s its answer becomes a stream, so that the comments which
 * keep the connection alive have something to stand in.
 */
#include "mcp-gateway/work.h"

static void on_keepalive(struct timer *t)
{
    struct mcp_work *w = CONTAINER_OF(t, struct mcp_work, keepalive);
    if (mcp_is_over(w) || w->ending)
        return;
    timer_start(t, LIMIT_MCP_KEEPALIVE_MS);
    if (!w->streaming && !mcp_stream_begin(w))
        return;
    if (!w->held.len) /* a client that does not read is not silent for want of us */
        mcp_stream_send(w, SLICE(": keepalive\n\n"));
}

void mcp_keep_alive(struct mcp_work *w)
{
    if (!w->keepalive.loop)
        timer_init(&w->keepalive, w->j->env->loop, on_keepalive);
    timer_start(&w->keepalive, LIMIT_MCP_KEEPALIVE_MS);
}

static void cut(struct mcp_work *w)
{
    mcp_leave(w);
    mcp_attempt_end(w, JOURNEY_CANCELLED, SLICE("cancelled"));
    journey_finish_cut(w->j, JOURNEY_CANCELLED);
}

bool mcp_stream_begin(struct mcp_work *w)
{
    static const struct http_header headers[] = {
        {{"content-type", 12}, {"text/event-stream", 17}},
        {{"cache-control", 13}, {"no-cache", 8}},
        {{"x-accel-buffering", 17}, {"no", 2}},
    };
    w->streaming = true;
    enum err e = journey_answer_begin(w->j, 200, headers, ARRAY_LEN(headers), UINT64_MAX);
    if (mcp_is_over(w))
        return false;
    if (e)
        cut(w);
    return !e;
}

static bool hold(struct mcp_work *w, struct slice raw)
{
    if (w->leg)
        mcp_leg_pause(w->leg);
    if (!buf_append(&w->held, raw))
        return true;
    cut(w); /* a stream with a hole would be taken for a whole one */
    return false;
}

bool mcp_stream_send(struct mcp_work *w, struct slice raw)
{
    struct journey *j = w->j;
    if (w->held.len)
        return hold(w, raw);
    enum err e = journey_answer_write(j, raw);
    if (mcp_is_over(w))
        return false;
    if (e == ERR_TOO_BIG)
        return hold(w, raw);
    if (!e && w->leg && j->answer_ops->pending(j->answer) > LIMIT_STREAM_HIGH)
        mcp_leg_pause(w->leg);
    return true; /* any other failure is the client going, which the front is about to tell */
}

static bool write_held(struct mcp_work *w)
{
    while (w->held.len) {
        struct slice piece = slice_first(buf_slice(&w->held), LIMIT_STREAM_HIGH);
        if (journey_answer_write(w->j, piece) || mcp_is_over(w))
            return false;
        buf_eat(&w->held, piece.len);
        if (w->j->answer_ops->pending(w->j->answer) > LIMIT_STREAM_HIGH)
            return w->held.len == 0;
    }
    return true;
}

void mcp_drain(struct mcp_work *w)
{
    if (!w->streaming || !write_held(w))
        return;
    if (w->ending)
        journey_finish_with(w->j, w->end, w->last);
    else if (w->leg && w->j->answer_ops->pending(w->j->answer) <= LIMIT_STREAM_HIGH)
        mcp_leg_resume(w->leg);
}

/* A large last event behind what a slow client has not read yet must wait its turn, too. */
void mcp_stream_end(struct mcp_work *w, enum journey_end end, struct slice last)
{
    mcp_leave(w);
    bool crowded = w->j->answer_ops->pending(w->j->answer) + last.len > LIMIT_STREAM_OUT;
    if (crowded) {
        if (!mcp_stream_send(w, last))
            return;
        last = SLICE("");
    }
    if (!w->held.len) {
        journey_finish_with(w->j, end, last);
        return;
    }
    w->ending = true;
    w->end = end;
    w->last = last;
}

void mcp_answer(struct mcp_work *w, enum journey_end end, struct slice message)
{
    static const struct http_header type = {{"content-type", 12}, {"application/json", 16}};
    if (!w->streaming) {
        mcp_leave(w);
        journey_finish_whole(w->j, end, 200, &type, 1, message);
        return;
    }
    buf_clear(&w->event);
    if (sse_write(&w->event, SLICE("message"), SLICE_NONE, message)) {
        cut(w);
        return;
    }
    mcp_stream_end(w, end, buf_slice(&w->event));
}
