/*
 * tool_relay — what the client gets: one JSON message, or an event stream whose events go on as
 * they came.
 *
 * Once a call has been silent for 15 s its response becomes a stream, so that the comments which
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
    if (!response_is_full(w->rq)) /* a client that does not read would not hear it either */
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
    if (r == SINK_FULL && w->exchange)
        mcp_exchange_pause(w->exchange);
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

static const struct http_header stream_headers[] = {
    {{"content-type", 12}, {"text/event-stream", 17}},
    {{"cache-control", 13}, {"no-cache", 8}},
    {{"x-accel-buffering", 17}, {"no", 2}},
};

bool mcp_stream_begin(struct tool_work *w)
{
    w->streaming = true;
    return goes_on(
        w, response_begin(w->rq, 200, stream_headers, ARRAY_LEN(stream_headers), UINT64_MAX));
}

bool mcp_stream_send(struct tool_work *w, struct slice raw)
{
    return goes_on(w, response_write(w->rq, raw));
}

void mcp_drain(struct tool_work *w)
{
    if (w->streaming && w->exchange)
        mcp_exchange_resume(w->exchange);
}

void mcp_stream_end(struct tool_work *w, enum request_outcome end, struct slice last)
{
    tool_leave(w);
    request_finish(w->rq, &(struct request_end){.outcome = end, .body = last});
}

void mcp_response(struct tool_work *w, enum request_outcome end, struct slice message,
                  struct slice event_id)
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
    if (sse_write(&w->event, SLICE("message"), event_id, message)) {
        cut(w);
        return;
    }
    mcp_stream_end(w, end, buf_slice(&w->event));
}

/* MCP, Cancellation: the receiver of a cancellation sends no response. The stream that was opened
 * for it ends all the same. */
void mcp_response_cancelled(struct tool_work *w)
{
    struct request_end end = {.outcome = OUTCOME_CANCELLED, .body = SLICE(": cancelled\n\n")};
    if (!w->streaming && !w->takes_stream) {
        mcp_refuse(w, REFUSAL_BAD_REQUEST, SLICE("it was cancelled"), OUTCOME_CANCELLED);
        return;
    }
    if (!w->streaming) {
        end.status = 200;
        end.headers = stream_headers;
        end.header_count = ARRAY_LEN(stream_headers);
    }
    tool_leave(w);
    request_finish(w->rq, &end);
}

void mcp_response_empty(struct tool_work *w, unsigned status)
{
    tool_leave(w);
    request_finish(w->rq, &(struct request_end){.outcome = OUTCOME_OK, .status = status});
}

/* ---- the response of an upstream ---- */

static bool may_list(void *arg, struct slice tool)
{
    return mcp_may_call(arg, tool);
}

static bool may_list_task(void *arg, struct slice task_id)
{
    return tool_may_see_task(arg, task_id);
}

static bool is_whole_number(const struct json_hit *h)
{
    if (h->type != JSON_SCAN_NUMBER)
        return false;
    for (size_t i = h->raw.len > 0 && h->raw.ptr[0] == '-'; i < h->raw.len; i++)
        if (h->raw.ptr[i] < '0' || h->raw.ptr[i] > '9')
            return false;
    return true;
}

/* JSON-RPC 2.0: a whole number and a text. Clients read them as such, and some fall over
 * otherwise: the same error then, in a form that they read. */
static enum err make_sound(struct tool_work *w, const struct mcp_response *a, struct slice id)
{
    bool text = a->error_message.type == JSON_SCAN_STRING;
    enum err e = buf_printf(
        &w->out,
        "{\"jsonrpc\":\"2.0\",\"id\":%.*s,\"error\":{\"code\":%.*s,"
        "\"message\":%.*s",
        SLICE_ARG(id), SLICE_ARG(is_whole_number(&a->code) ? a->code.raw : SLICE("-32603")),
        SLICE_ARG(text ? a->error_message.raw : SLICE("\"the server's error has no message\"")));
    if (!e)
        e = buf_printf(&w->out, ",\"data\":{\"code\":\"upstream_error\",\"error\":%.*s}}}",
                       SLICE_ARG(a->error.raw));
    return e;
}

enum err mcp_make_response(struct tool_work *w, const struct mcp_response *a, struct slice id,
                           bool lists)
{
    struct tool_subject subject;
    struct mcp_edit edits[2] = {{a->id.raw, id}};
    size_t n = 1;
    tool_subject_of(w, &subject);
    buf_clear(&w->out);
    if (a->kind == MCP_RESPONSE_ERROR &&
        (!is_whole_number(&a->code) || a->error_message.type != JSON_SCAN_STRING))
        return make_sound(w, a, id);
    const struct json_hit *list = a->tools.type ? &a->tools : &a->tasks;
    bool of_tools = list == &a->tools;
    if (lists && list->type != JSON_SCAN_ABSENT) {
        if (list->type != JSON_SCAN_ARRAY)
            return ERR_PROTOCOL;
        buf_clear(&w->event);
        enum err e = of_tools ? mcp_filter_items(list->raw, "name", may_list, &subject, &w->event)
                              : mcp_filter_items(list->raw, "taskId", may_list_task, w, &w->event);
        if (e)
            return e;
        edits[n++] = (struct mcp_edit){list->raw, buf_slice(&w->event)};
    }
    return mcp_edit(a->text, edits, n, &w->out);
}
