/*
 * listen — GET: the event stream of the client's upstream session, passed on.
 *
 * A response stands on it only where a client resumes a stream it lost, and is then treated as on
 * the stream it was lost from: its id is the client's, a tool list is cut.
 */
#include "mcp-gateway/changes.h"
#include "mcp-gateway/tool_private.h"

static void refuse_by_status(struct tool_work *w)
{
    unsigned status = w->leg->status;
    bool gone = status == 404 || status == 400; /* the SDK's example says 400 of a lost session */
    if (gone && w->upstream_ref.upstream_id.len && !w->reopened) {
        w->reopened = true;
        mcp_session_lost(w->session, w->upstream_ref.generation);
        mcp_leg_drop(&w->leg);
        mcp_open(w);
    } else if (status == 405) {
        mcp_refuse(w, REFUSAL_METHOD, SLICE_NONE, OUTCOME_REFUSED);
    } else if (status == 409) {
        mcp_refuse(w, REFUSAL_STREAM_TAKEN, SLICE_NONE, OUTCOME_REFUSED);
    } else {
        struct slice detail;
        enum refusal_id id = mcp_refusal_by_status(w, &detail);
        mcp_refuse(w, id, detail, OUTCOME_ERROR);
    }
}

static void on_head(void *arg)
{
    struct tool_work *w = arg;
    if (w->leg->status != 200)
        refuse_by_status(w);
    else if (!w->leg->is_stream)
        mcp_refuse(w, REFUSAL_UPSTREAM_PROTOCOL, SLICE_NONE, OUTCOME_ERROR);
    else if (mcp_stream_begin(w))
        mcp_keep_alive(w);
}

/* A resumed response: told as the event it was, with the client's id. */
static void pass_response(struct tool_work *w, const struct mcp_response *a,
                          const struct sse_event *e)
{
    uint64_t number;
    if (a->id.type != JSON_SCAN_NUMBER || json_scan_u64(&a->id, &number))
        return;
    struct slice id = mcp_session_id_of(w->session, number, w->rq->arena);
    if (!id.ptr || mcp_make_response(w, a, id, true))
        return; /* nobody asked for it, or nobody can read it */
    mcp_session_complete(w->session, number);
    buf_clear(&w->event);
    if (!sse_write(&w->event, e->event, e->id, buf_slice(&w->out)))
        mcp_stream_send(w, buf_slice(&w->event));
}

static void on_piece(void *arg, const struct mcp_piece *p)
{
    struct tool_work *w = arg;
    struct mcp_response a;
    if (!p->message.ptr)
        mcp_stream_send(w, p->event->raw);
    else if (mcp_response_read(p->message, &a))
        log_warn(&w->rq->log, "mcp_message_unread", "server=%.*s", SLICE_ARG(w->server->o.name));
    else if (a.kind == MCP_RESPONSE_REQUEST || a.kind == MCP_RESPONSE_NOTE) {
        mcp_changes_look(w->env, w->server, &a);
        mcp_stream_send(w, p->event->raw);
    } else
        pass_response(w, &a, p->event);
}

static void on_end(void *arg)
{
    mcp_stream_end(arg, OUTCOME_OK, SLICE(""));
}

/* Nothing was promised: the client opens it again. */
static void on_fail(void *arg, enum err why, enum http_call_phase phase)
{
    struct tool_work *w = arg;
    struct slice detail;
    (void)phase;
    if (w->streaming) {
        mcp_stream_end(w, OUTCOME_ERROR, SLICE(""));
        return;
    }
    enum refusal_id id = mcp_refusal_of(why, &detail);
    mcp_refuse(w, id, detail, OUTCOME_ERROR);
}

static const struct mcp_leg_events listen_events = {
    .on_head = on_head, .on_piece = on_piece, .on_end = on_end, .on_fail = on_fail};

static void send_up(struct tool_work *w)
{
    const struct mcp_leg_spec spec = {
        .server = w->server,
        .policy = w->rq->policy,
        .method = SLICE("GET"),
        .upstream_id = w->upstream_ref.upstream_id,
        .version = w->upstream_ref.version,
        .last_event_id = http_head_find(w->rq->head, SLICE("last-event-id")),
        .trace_id = w->rq->record.trace_id,
        .span_id = w->rq->record.span_id,
        .log = &w->rq->log,
        .silence_ms = LIMIT_CALL_MS, /* it is silent while nothing happens */
    };
    enum err e = ERR_NOMEM;
    w->leg = mcp_leg_new(w->env);
    if (w->leg)
        e = mcp_leg_start(&w->leg, &spec, &listen_events, w);
    if (e)
        mcp_refuse(w, REFUSAL_NO_CAPACITY, SLICE_NONE, OUTCOME_REFUSED);
}

static void not_opened(struct tool_work *w, enum err why)
{
    struct slice detail;
    enum refusal_id id = mcp_refusal_of(why, &detail);
    mcp_refuse(w, id, detail, OUTCOME_ERROR);
}

void mcp_listen(struct tool_work *w)
{
    w->opened = send_up;
    w->not_opened = not_opened;
    mcp_open(w);
}
