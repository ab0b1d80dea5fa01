/*
 * tool_call — a request of the client's on its way to its upstream session and back.
 *
 * Failures of the way are answered in HTTP 200, as JSON-RPC's: a status above would make clients
 * give up the session. A tool's call that fails becomes a result with isError, which a model can
 * read; any other request an error.
 *
 * A session that the upstream no longer knows is opened again, and what it did not take is sent
 * again, once. A call whose connection broke is not: it may have been done.
 */
#include "common/base/clock.h"
#include "common/upstream/trace_context.h"
#include "mcp-gateway/task_owners.h"
#include "mcp-gateway/tool_private.h"

#define US_PER_MS 1000

static bool is_call(const struct tool_work *w)
{
    return w->message.method == MCP_TOOLS_CALL;
}

static bool is_list(const struct tool_work *w)
{
    return w->message.method == MCP_TOOLS_LIST || w->message.method == MCP_TASK_LIST;
}

/* ---- failures ---- */

static void answered(struct tool_work *w)
{
    bool resumable = w->exchange && w->exchange->ids_seen && !w->one_shot;
    client_session_answered(w->session, w->number, resumable);
}

static void fail(struct tool_work *w, enum refusal_id id, struct slice detail)
{
    struct request *rq = w->rq;
    answered(w);
    if (w->retry_after_s) /* there is no header for it: this response's status is 200 */
        detail = arena_printf(rq->arena, "%.*s, and asks to wait %u s", SLICE_ARG(detail),
                              w->retry_after_s);
    request_refuse(rq, id, detail);
    const char *word = refusal_row(id)->code;
    struct slice text = refusal_sentence(&rq->refusal, rq->arena);
    mcp_attempt_end(w, OUTCOME_ERROR, slice_str(word));
    buf_clear(&w->out);
    enum err e = is_call(w) ? mcp_write_failure(&w->out, w->id, text)
                            : mcp_write_error(&w->out, w->id, RPC_INTERNAL_ERROR, text, word,
                                              w->retry_after_s);
    if (!e) {
        mcp_response(w, OUTCOME_ERROR, buf_slice(&w->out), SLICE_NONE);
        return;
    }
    tool_leave(w);
    request_finish(rq, &(struct request_end){.outcome = OUTCOME_ERROR, .cut = true});
}

static void fail_by(struct tool_work *w, enum err why)
{
    struct slice detail;
    enum refusal_id id = mcp_refusal_of(why, &detail);
    if (w->exchange && w->exchange->call)
        mcp_exchange_failed(w->exchange, why);
    fail(w, id, detail);
}

static void not_opened(struct tool_work *w)
{
    struct slice detail;
    enum refusal_id id = mcp_refusal_of_opening(w, &detail);
    fail(w, id, detail);
}

static void open_session(struct tool_work *w)
{
    w->opening_us = clock_mono_us();
    tool_open(w);
}

/* What the server refused as being of an unknown session was not taken. */
static void lose_session(struct tool_work *w)
{
    upstream_opening_lost(&w->waiter);
    if (w->resent) {
        fail(w, REFUSAL_UPSTREAM,
             SLICE("its session had ended, and so had the one that was opened for it then"));
        return;
    }
    mcp_exchange_drop(&w->exchange);
    w->resent = true;
    mcp_attempt_end(w, OUTCOME_ERROR, SLICE("session_lost"));
    open_session(w);
}

/* ---- the time it may take ---- */

static void on_deadline(struct timer *t)
{
    struct tool_work *w = CONTAINER_OF(t, struct tool_work, deadline);
    tool_cancel_upstream(w, "timeout");
    fail_by(w, ERR_TIMEOUT);
}

/* Until the next message, which comments are not, and never beyond the whole call's time. */
static void wait_for_message(struct tool_work *w)
{
    uint64_t now = clock_mono_us();
    uint64_t left = w->until_us > now ? (w->until_us - now) / US_PER_MS : 0;
    uint64_t silence = w->worker->call_ms;
    timer_start(&w->deadline, left < silence ? left : silence);
}

/* ---- the response ---- */

static enum request_outcome outcome(struct tool_work *w, const struct mcp_response *a)
{
    enum request_outcome end = OUTCOME_OK;
    struct slice code = SLICE_NONE;
    if (a->kind == MCP_RESPONSE_ERROR) {
        end = OUTCOME_ERROR;
        code = a->code.type == JSON_SCAN_NUMBER && a->code.raw.len <= 16
                   ? arena_copy(w->rq->arena, a->code.raw)
                   : SLICE("error");
    } else if (a->is_error.type == JSON_SCAN_TRUE) {
        end = OUTCOME_ERROR;
        code = SLICE("tool_error");
    }
    mcp_attempt_end(w, end, code);
    return end;
}

/* What a session that is opened again must be told again. */
static void note_for_restoring(struct tool_work *w)
{
    struct upstream_session *u = w->waiter.upstream;
    const struct json_hit *level = &w->message.at[MCP_AT_LEVEL];
    const struct json_hit *uri = &w->message.at[MCP_AT_URI];
    bool subscribes = mcp_message_says(&w->message, SLICE("resources/subscribe"));
    if (w->message.method == MCP_SET_LEVEL && level->type == JSON_SCAN_STRING)
        upstream_session_set_level(u, level->raw);
    else if (uri->type == JSON_SCAN_STRING && uri->raw.len <= LIMIT_MCP_URI &&
             (subscribes || mcp_message_says(&w->message, SLICE("resources/unsubscribe"))))
        upstream_session_subscribe(u, uri->raw, subscribes);
}

/* A call that was taken as a task: its id is this principal's. */
static void note_task(const struct tool_work *w, const struct mcp_response *a)
{
    char text[LIMIT_MCP_ID];
    struct slice id;
    if (a->task_id.type == JSON_SCAN_STRING && a->task_id.raw.len <= sizeof(text) &&
        !json_scan_text(&a->task_id, text, sizeof(text), &id))
        task_owners_note(w->server->o.id, id, tool_principal(w));
}

static void deliver(struct tool_work *w, const struct mcp_response *a, const struct sse_event *e)
{
    enum err why = mcp_make_response(w, a, w->id, is_list(w));
    if (why) {
        fail_by(w, why);
        return;
    }
    if (a->kind == MCP_RESPONSE_RESULT)
        note_for_restoring(w);
    note_task(w, a);
    struct slice event_id = e ? arena_copy(w->rq->arena, e->id) : SLICE_NONE;
    answered(w);
    enum request_outcome end = outcome(w, a);
    mcp_exchange_release(&w->exchange); /* its last bytes make the connection fit for the next */
    mcp_response(w, end, buf_slice(&w->out), event_id);
}

/* ---- from the upstream ---- */

static void fail_by_status(struct tool_work *w)
{
    struct slice detail;
    mcp_exchange_refused(w->exchange);
    enum refusal_id id = mcp_refusal_by_status(w, &detail);
    fail(w, id, detail);
}

static void on_head(void *arg)
{
    struct tool_work *w = arg;
    const struct mcp_exchange *x = w->exchange;
    w->attempt->http_status = x->status;
    if (x->status == 404 && w->waiter.ref.upstream_id.len)
        lose_session(w);
    else if (x->status == 200 && x->is_stream && w->takes_stream && !w->streaming)
        mcp_stream_begin(w);
    else if (x->status == 200 ? !x->is_stream && !x->is_json : !x->is_json)
        fail_by_status(w);
}

static bool mentions_session(const struct mcp_response *a)
{
    struct slice text = a->error_message.raw;
    return slice_search(text, SLICE("session")) >= 0 || slice_search(text, SLICE("Session")) >= 0;
}

/* The body of a refusal. Servers that lost their sessions are meant to say 404; those built on the
 * SDK's example say 400 and speak of the session. What they say about the gateway's credential is
 * between them and the gateway. */
static void take_refusal(struct tool_work *w, struct mcp_response *a)
{
    unsigned status = w->exchange->status;
    if (a->kind != MCP_RESPONSE_ERROR || status == 401 || status == 403 || status == 429 ||
        status >= 500)
        fail_by_status(w);
    else if (status == 400 && w->waiter.ref.upstream_id.len && mentions_session(a))
        lose_session(w);
    else if (a->id.type == JSON_SCAN_ABSENT)
        fail_by_status(w);
    else
        deliver(w, a, NULL);
}

static void take_message(struct tool_work *w, const struct mcp_piece *p)
{
    struct mcp_response a;
    if (mcp_response_read(p->message, &a)) {
        if (w->exchange->status != 200) {
            fail_by_status(w);
            return;
        }
        log_warn(&w->rq->log, "mcp_message_unread", "server=%.*s", SLICE_ARG(w->server->o.name));
        w->unread = true; /* it may have been the response */
        if (!p->event)
            fail_by(w, ERR_PROTOCOL);
        return;
    }
    if (w->exchange->status != 200)
        take_refusal(w, &a);
    else if (mcp_response_is_to(&a, w->number))
        deliver(w, &a, p->event);
    else if (a.kind == MCP_RESPONSE_NOTE || a.kind == MCP_RESPONSE_REQUEST) {
        struct slice event = tool_inbound(w, &a, p->event);
        if (event.ptr)
            mcp_stream_send(w, event);
    }
    /* another request's response has no place here */
}

static void on_piece(void *arg, const struct mcp_piece *p)
{
    struct tool_work *w = arg;
    if (p->message.ptr) {
        wait_for_message(w);
        take_message(w, p);
    } else if (p->event && w->streaming) {
        mcp_stream_send(w, p->event->raw);
    }
}

/* A stream that can be resumed may end before its response (2025-11-25, SSE polling): the client
 * comes again and asks for the rest. */
static void on_end(void *arg)
{
    struct tool_work *w = arg;
    if (w->exchange->status != 200) {
        fail_by_status(w);
        return;
    }
    bool resumable = w->exchange->is_stream && w->exchange->ids_seen && !w->one_shot;
    if (!resumable || w->unread || !w->streaming) {
        fail_by(w, ERR_PROTOCOL);
        return;
    }
    client_session_detach(w->session, w->number);
    mcp_attempt_end(w, OUTCOME_OK, SLICE("to_be_resumed"));
    mcp_stream_end(w, OUTCOME_OK, SLICE(""));
}

static void on_fail(void *arg, enum err why, enum http_call_phase phase)
{
    struct tool_work *w = arg;
    bool again = !is_call(w) && !w->resent && phase != HTTP_PHASE_BODY && why == ERR_CLOSED;
    if (!again) {
        fail_by(w, why);
        return;
    }
    w->resent = true; /* a kept connection that had just been closed */
    mcp_exchange_drop(&w->exchange);
    mcp_attempt_end(w, OUTCOME_ERROR, slice_str(err_name(why)));
    open_session(w);
}

static const struct mcp_exchange_events call_events = {
    .on_head = on_head, .on_piece = on_piece, .on_end = on_end, .on_fail = on_fail};

/* ---- to the upstream ---- */

static enum err write_message(struct tool_work *w)
{
    struct arena *a = w->rq->arena;
    const struct json_hit *parent = &w->message.at[MCP_AT_TRACEPARENT];
    char traceparent[TRACE_HEADER_LEN + 1];
    struct slice ours = trace_header(w->rq->record.trace_id, w->attempt->span_id, traceparent);
    struct mcp_edit edits[2] = {
        {w->message.id, arena_printf(a, "%llu", (unsigned long long)w->number)}};
    size_t n = 1;
    if (parent->type == JSON_SCAN_STRING)
        edits[n++] = (struct mcp_edit){parent->raw, arena_printf(a, "\"%.*s\"", SLICE_ARG(ours))};
    for (size_t i = 0; i < n; i++)
        if (!edits[i].now.ptr)
            return ERR_NOMEM;
    return mcp_edit(w->message.text, edits, n, &w->exchange->message);
}

static void send_up(struct tool_work *w)
{
    tool_move(w, TOOL_SENT);
    w->rq->record.upstream_us += clock_mono_us() - w->opening_us;
    mcp_attempt_begin(w);
    const struct mcp_exchange_spec spec =
        tool_post_spec(w, w->attempt->span_id, w->worker->call_ms);
    enum err e = ERR_NOMEM;
    w->exchange = mcp_exchange_new(w->worker);
    if (w->exchange)
        e = write_message(w);
    if (!e)
        e = mcp_exchange_start(&w->exchange, &spec, &call_events, w);
    if (e)
        fail_by(w, e);
    else
        wait_for_message(w);
}

static void on_event(struct tool_work *w, enum mcp_event event, uint64_t number)
{
    if (event == MCP_EVENT_CANCELLED && number == w->number) {
        answered(w);
        mcp_attempt_end(w, OUTCOME_CANCELLED, SLICE("cancelled"));
        mcp_response_cancelled(w);
    } else if (event == MCP_EVENT_ENDED) {
        mcp_attempt_end(w, OUTCOME_CANCELLED, SLICE("session_ended"));
        mcp_refuse(w, REFUSAL_SESSION_UNKNOWN, SLICE_NONE, OUTCOME_CANCELLED);
    }
}

static const struct tool_carrier carrier = {
    .opened = send_up, .not_opened = not_opened, .on_event = on_event};

static bool find_session(struct tool_work *w)
{
    if (w->session)
        return true;
    /* nothing is declared, as there is no session to serve it in */
    const struct client_session_spec spec = {
        .hello = SLICE("{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{},"
                       "\"clientInfo\":{\"name\":\"gatehouse\",\"version\":\"1\"}}")};
    w->session = client_session_new(&spec);
    w->one_shot = w->session != NULL;
    return w->one_shot;
}

void mcp_call(struct tool_work *w)
{
    if (!find_session(w)) {
        mcp_refuse(w, REFUSAL_NO_CAPACITY, SLICE_NONE, OUTCOME_REFUSED);
        return;
    }
    enum err e = client_session_add(w->session, w->id, w->worker->slot, is_list(w), &w->number);
    if (e) {
        bool twice = e == ERR_EXISTS;
        mcp_refuse(w, twice ? REFUSAL_BAD_REQUEST : REFUSAL_NO_CAPACITY,
                   SLICE("a request with this id is under way in this session"), OUTCOME_REFUSED);
        return;
    }
    if (!mcp_record(w))
        return;
    w->carrier = &carrier;
    w->until_us = clock_mono_us() + LIMIT_MCP_TOTAL_MS * (uint64_t)US_PER_MS;
    timer_init(&w->deadline, w->rq->env->loop, on_deadline);
    tool_join(w);
    mcp_keep_alive(w);
    open_session(w);
}

/* Hanging up is not cancelling: the call goes on, and its response is dropped. Only a stream that
 * can be resumed is closed, because the server would not let a client resume one that is still
 * read here. */
static void let_run(struct tool_work *w)
{
    struct upstream_ref p;
    if (!w->one_shot && !w->exchange->ids_seen)
        mcp_exchange_release(&w->exchange);
    else if (w->one_shot && upstream_session_end(w->waiter.upstream, w->rq->arena, &p))
        mcp_exchange_release_and_end(&w->exchange, p.upstream_id, p.version);
}

void mcp_call_leave(struct tool_work *w)
{
    if (!w->number || !w->session || w->is_get)
        return;
    client_session_detach(w->session, w->number);
    if (w->state != TOOL_SENT || !w->exchange)
        return;
    if (w->rq->client_gone)
        let_run(w);
    else
        tool_cancel_upstream(w, "ended by the gateway");
}
