/*
 * call — a request of the client's on its way to its upstream session and back.
 *
 * Failures of the way are answered in HTTP 200, as JSON-RPC's: a status above would make clients
 * give up the session. A tool's call that fails becomes a result with isError, which a model can
 * read; any other request an error.
 *
 * A session that the upstream no longer knows is opened again, once. What only reads is asked
 * again then; a call is not, since nobody knows what became of it.
 */
#include "common/base/clock.h"
#include "common/upstream/trace_context.h"
#include "mcp-gateway/changes.h"
#include "mcp-gateway/tool_private.h"

#define INTERNAL_ERROR (-32603)

static bool is_call(const struct tool_work *w)
{
    return w->message.method == MCP_TOOLS_CALL;
}

/* ---- failures ---- */

static void fail(struct tool_work *w, enum refusal_id id, struct slice detail)
{
    struct request *rq = w->rq;
    mcp_leg_drop(&w->leg);
    mcp_session_complete(w->session, w->number);
    if (w->retry_after_s) /* there is no header for it: this answer's status is 200 */
        detail = arena_printf(rq->arena, "%.*s, and asks to wait %u s", SLICE_ARG(detail),
                              w->retry_after_s);
    request_refuse(rq, id, detail);
    const char *word = refusal_row(id)->code;
    struct slice text = refusal_sentence(&rq->refusal, rq->arena);
    mcp_attempt_end(w, OUTCOME_ERROR, slice_str(word));
    buf_clear(&w->out);
    enum err e = is_call(w) ? mcp_write_failure(&w->out, w->id, text)
                            : mcp_write_error(&w->out, w->id, INTERNAL_ERROR, text, word);
    if (!e) {
        mcp_response(w, OUTCOME_ERROR, buf_slice(&w->out));
        return;
    }
    tool_leave(w);
    request_finish(rq, &(struct request_end){.outcome = OUTCOME_ERROR, .cut = true});
}

static void fail_by(struct tool_work *w, enum err why)
{
    struct slice detail;
    enum refusal_id id = mcp_refusal_of(why, &detail);
    if (w->leg && w->leg->call)
        mcp_leg_failed(w->leg, why, HTTP_PHASE_BODY);
    fail(w, id, detail);
}

static void not_opened(struct tool_work *w, enum err why)
{
    fail_by(w, why);
}

static void open_session(struct tool_work *w)
{
    w->opening_us = clock_mono_us();
    mcp_open(w);
}

static void lose_session(struct tool_work *w)
{
    mcp_session_lost(w->session, w->upstream_ref.generation);
    log_warn(&w->rq->log, "mcp_session_lost", "server=%.*s", SLICE_ARG(w->server->o.name));
    mcp_leg_drop(&w->leg);
    if (is_call(w) || w->reopened) {
        fail(w, REFUSAL_UPSTREAM,
             SLICE("its session had ended, and this call was not repeated; the next one has a "
                   "new session"));
        return;
    }
    w->reopened = true;
    mcp_attempt_end(w, OUTCOME_ERROR, SLICE("session_lost"));
    open_session(w);
}

/* ---- the response ---- */

static bool may_list(void *arg, struct slice tool)
{
    return mcp_may_call(arg, tool);
}

/* JSON-RPC 2.0: a whole number and a text. Clients read them as such, and some fall over. */
static bool is_error_sound(const struct mcp_response *a)
{
    struct slice digits = a->code.raw;
    if (a->code.type != JSON_SCAN_NUMBER || a->error_message.type != JSON_SCAN_STRING)
        return false;
    for (size_t i = digits.len > 0 && digits.ptr[0] == '-'; i < digits.len; i++)
        if (digits.ptr[i] < '0' || digits.ptr[i] > '9')
            return false;
    return true;
}

enum err mcp_make_response(struct tool_work *w, const struct mcp_response *a, struct slice id,
                           bool lists)
{
    struct tool_subject subject;
    struct mcp_edit edits[2] = {{a->id.raw, id}};
    size_t n = 1;
    tool_subject_of(w, &subject);
    buf_clear(&w->out);
    if (a->kind == MCP_RESPONSE_ERROR && !is_error_sound(a))
        return ERR_PROTOCOL;
    if (lists && a->tools.type != JSON_SCAN_ABSENT) {
        if (a->tools.type != JSON_SCAN_ARRAY)
            return ERR_PROTOCOL;
        buf_clear(&w->event);
        enum err e = mcp_filter_tools(a->tools.raw, may_list, &subject, &w->event);
        if (e)
            return e;
        edits[n++] = (struct mcp_edit){a->tools.raw, buf_slice(&w->event)};
    }
    return mcp_edit(a->text, edits, n, &w->out);
}

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

static void deliver(struct tool_work *w, const struct mcp_response *a)
{
    enum err e = mcp_make_response(w, a, w->id, w->message.method == MCP_TOOLS_LIST);
    if (e) {
        fail_by(w, e);
        return;
    }
    mcp_session_complete(w->session, w->number);
    enum request_outcome end = outcome(w, a);
    mcp_leg_let_go(&w->leg); /* its last bytes make the connection fit for the next */
    mcp_response(w, end, buf_slice(&w->out));
}

/* ---- from the upstream ---- */

static void fail_by_status(struct tool_work *w)
{
    struct slice detail;
    mcp_leg_refused(w->leg);
    enum refusal_id id = mcp_refusal_by_status(w, &detail);
    fail(w, id, detail);
}

static void on_head(void *arg)
{
    struct tool_work *w = arg;
    const struct mcp_leg *l = w->leg;
    w->attempt->http_status = l->status;
    if (l->status == 404 && w->upstream_ref.upstream_id.len)
        lose_session(w);
    else if (l->status == 200 && l->is_stream && w->takes_stream && !w->streaming)
        mcp_stream_begin(w);
    else if (l->status == 200 ? !l->is_stream && !l->is_json : !l->is_json)
        fail_by_status(w);
}

static bool mentions_session(const struct mcp_response *a)
{
    struct slice text = a->error_message.raw;
    return slice_search(text, SLICE("session")) >= 0 || slice_search(text, SLICE("Session")) >= 0;
}

/* The body of a refusal. Servers that lost their sessions are meant to say 404; those built on the
 * SDK's example say 400 and speak of the session. What they say about our credential is theirs
 * and ours. */
static void take_refusal(struct tool_work *w, struct mcp_response *a)
{
    unsigned status = w->leg->status;
    if (a->kind != MCP_RESPONSE_ERROR || status == 401 || status == 403 || status >= 500)
        fail_by_status(w);
    else if (status == 400 && w->upstream_ref.upstream_id.len && mentions_session(a))
        lose_session(w);
    else if (a->id.type == JSON_SCAN_ABSENT)
        fail_by_status(w);
    else
        deliver(w, a);
}

static void pass_on(struct tool_work *w, const struct mcp_piece *p)
{
    if (p->event && w->streaming)
        mcp_stream_send(w, p->event->raw);
}

static void take_message(struct tool_work *w, const struct mcp_piece *p)
{
    struct mcp_response a;
    if (mcp_response_read(p->message, &a)) {
        log_warn(&w->rq->log, "mcp_message_unread", "server=%.*s", SLICE_ARG(w->server->o.name));
        w->unread = true; /* nobody can decide on what it would say */
        if (!p->event)
            fail_by(w, ERR_PROTOCOL);
        return;
    }
    mcp_changes_look(w->env, w->server, &a);
    if (w->leg->status != 200)
        take_refusal(w, &a);
    else if (mcp_response_is_to(&a, w->number))
        deliver(w, &a);
    else if (a.kind == MCP_RESPONSE_NOTE || (a.kind == MCP_RESPONSE_REQUEST && !w->one_shot))
        pass_on(w, p);
    /* another's response has no place here; a lone call has nobody to answer requests */
}

static void on_piece(void *arg, const struct mcp_piece *p)
{
    struct tool_work *w = arg;
    if (p->message.ptr)
        take_message(w, p);
    else
        pass_on(w, p);
}

/* A stream that can be resumed may end before its answer (2025-11-25, SSE polling): the client
 * comes again and asks for the rest. */
static void on_end(void *arg)
{
    struct tool_work *w = arg;
    if (w->leg->status != 200) {
        fail_by_status(w);
        return;
    }
    if (!w->leg->is_stream || !w->leg->ids_seen || w->one_shot || w->unread) {
        fail_by(w, ERR_PROTOCOL);
        return;
    }
    mcp_session_detach(w->session, w->number);
    mcp_attempt_end(w, OUTCOME_OK, SLICE("to_be_resumed"));
    mcp_stream_end(w, OUTCOME_OK, SLICE(""));
}

static void on_fail(void *arg, enum err why, enum http_call_phase phase)
{
    struct tool_work *w = arg;
    bool again = !is_call(w) && !w->reopened && phase != HTTP_PHASE_BODY && why == ERR_CLOSED;
    if (!again) {
        fail_by(w, why);
        return;
    }
    w->reopened = true; /* a kept connection that had just been closed */
    mcp_leg_drop(&w->leg);
    mcp_attempt_end(w, OUTCOME_ERROR, slice_str(err_name(why)));
    open_session(w);
}

static const struct mcp_leg_events call_events = {
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
    return mcp_edit(w->message.text, edits, n, &w->leg->message);
}

static void send_up(struct tool_work *w)
{
    w->rq->record.upstream_us += clock_mono_us() - w->opening_us;
    mcp_attempt_begin(w);
    const struct mcp_leg_spec spec = mcp_post_spec(w, w->attempt->span_id, LIMIT_MCP_CALL_MS);
    enum err e = ERR_NOMEM;
    w->leg = mcp_leg_new(w->env);
    if (w->leg)
        e = write_message(w);
    if (!e)
        e = mcp_leg_start(&w->leg, &spec, &call_events, w);
    if (e)
        fail_by(w, e);
}

static bool find_session(struct tool_work *w)
{
    if (w->session)
        return true;
    /* nothing is declared that nobody could answer */
    w->session =
        mcp_session_new(SLICE("{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{},"
                              "\"clientInfo\":{\"name\":\"gatehouse\",\"version\":\"1\"}}"),
                        SLICE_NONE, NULL);
    w->one_shot = w->session != NULL;
    return w->one_shot;
}

void mcp_call(struct tool_work *w)
{
    if (!find_session(w)) {
        mcp_refuse(w, REFUSAL_NO_CAPACITY, SLICE_NONE, OUTCOME_REFUSED);
        return;
    }
    enum err e = mcp_session_register(w->session, w->id, &w->number);
    if (e) {
        bool twice = e == ERR_EXISTS;
        mcp_refuse(w, twice ? REFUSAL_BAD_REQUEST : REFUSAL_NO_CAPACITY,
                   SLICE("a request with this id is under way in this session"), OUTCOME_REFUSED);
        return;
    }
    if (!mcp_record(w))
        return;
    w->opened = send_up;
    w->not_opened = not_opened;
    mcp_keep_alive(w);
    open_session(w);
}

/* Hanging up is not cancelling: the call goes on, for nobody. Only a stream that can be resumed
 * is let go, because the server would not let a client resume one that we still read. */
static void let_run(struct tool_work *w)
{
    struct mcp_upstream_ref p;
    if (!w->one_shot && !w->leg->ids_seen)
        mcp_leg_let_go(&w->leg);
    else if (w->one_shot && mcp_session_end(w->session, w->rq->arena, &p))
        mcp_leg_let_go_and_end(&w->leg, p.upstream_id, p.version);
}

void mcp_call_leave(struct tool_work *w)
{
    if (w->number && w->session)
        mcp_session_detach(w->session, w->number);
    if (!w->leg || !w->rq->client_gone)
        return;
    if (w->greeting)
        mcp_leg_let_go_and_end(&w->leg, SLICE_NONE, SLICE_NONE);
    else if (w->number && w->attempt)
        let_run(w);
}
