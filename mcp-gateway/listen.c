/*
 * listen — GET: the event stream of the client's upstream session, passed on.
 *
 * A response stands on it only where a client resumes a stream it lost, and is then treated as on
 * the stream it was lost from: its id is the client's, a tool list is cut.
 */
#include "mcp-gateway/changes.h"
#include "mcp-gateway/work.h"

static void refuse_by_status(struct mcp_work *w)
{
    unsigned status = w->leg->status;
    bool gone = status == 404 || status == 400; /* the SDK's example says 400 of a lost session */
    if (gone && w->passage.upstream_id.len && !w->reopened) {
        w->reopened = true;
        mcp_session_lost(w->session, w->passage.generation);
        mcp_leg_drop(&w->leg);
        mcp_open(w);
    } else if (status == 405) {
        mcp_refuse(w, REFUSAL_METHOD, SLICE_NONE, JOURNEY_REFUSED);
    } else if (status == 409) {
        mcp_refuse(w, REFUSAL_STREAM_TAKEN, SLICE_NONE, JOURNEY_REFUSED);
    } else {
        struct slice detail;
        enum refusal_id id = mcp_refusal_by_status(w, &detail);
        mcp_refuse(w, id, detail, JOURNEY_ERROR);
    }
}

static void on_head(void *arg)
{
    struct mcp_work *w = arg;
    if (w->leg->status != 200)
        refuse_by_status(w);
    else if (!w->leg->is_stream)
        mcp_refuse(w, REFUSAL_UPSTREAM_PROTOCOL, SLICE_NONE, JOURNEY_ERROR);
    else if (mcp_stream_begin(w))
        mcp_keep_alive(w);
}

/* A resumed response: told as the event it was, with the client's id. */
static void pass_response(struct mcp_work *w, const struct mcp_answer *a, const struct sse_event *e)
{
    uint64_t number;
    if (a->id.type != JSON_SCAN_NUMBER || json_scan_u64(&a->id, &number))
        return;
    struct slice id = mcp_session_id_of(w->session, number, w->j->arena);
    if (!id.ptr || mcp_make_response(w, a, id, true))
        return; /* nobody asked for it, or nobody can read it */
    mcp_session_land(w->session, number);
    buf_clear(&w->event);
    if (!sse_write(&w->event, e->event, e->id, buf_slice(&w->out)))
        mcp_stream_send(w, buf_slice(&w->event));
}

static void on_piece(void *arg, const struct mcp_piece *p)
{
    struct mcp_work *w = arg;
    struct mcp_answer a;
    if (!p->message.ptr)
        mcp_stream_send(w, p->event->raw);
    else if (mcp_answer_read(p->message, &a))
        log_warn(&w->j->log, "mcp_message_unread", "server=%.*s", SLICE_ARG(w->server->o.name));
    else if (a.kind == MCP_ANSWER_REQUEST || a.kind == MCP_ANSWER_NOTE) {
        mcp_changes_look(w->env, w->server, &a);
        mcp_stream_send(w, p->event->raw);
    } else
        pass_response(w, &a, p->event);
}

static void on_end(void *arg)
{
    mcp_stream_end(arg, JOURNEY_OK, SLICE(""));
}

/* Nothing was promised: the client opens it again. */
static void on_fail(void *arg, enum err why, enum http_call_phase phase)
{
    struct mcp_work *w = arg;
    struct slice detail;
    (void)phase;
    if (w->streaming) {
        mcp_stream_end(w, JOURNEY_ERROR, SLICE(""));
        return;
    }
    enum refusal_id id = mcp_refusal_of(why, &detail);
    mcp_refuse(w, id, detail, JOURNEY_ERROR);
}

static const struct mcp_leg_events listen_events = {
    .on_head = on_head, .on_piece = on_piece, .on_end = on_end, .on_fail = on_fail};

static void send_up(struct mcp_work *w)
{
    const struct mcp_leg_spec spec = {
        .server = w->server,
        .policy = w->j->policy,
        .method = SLICE("GET"),
        .upstream_id = w->passage.upstream_id,
        .version = w->passage.version,
        .last_event_id = http_head_find(w->j->head, SLICE("last-event-id")),
        .trace_id = w->j->trace.trace_id,
        .span_id = w->j->trace.span_id,
        .log = &w->j->log,
        .silence_ms = LIMIT_CALL_MS, /* it is silent while nothing happens */
    };
    enum err e = ERR_NOMEM;
    w->leg = mcp_leg_new(w->env);
    if (w->leg)
        e = mcp_leg_start(&w->leg, &spec, &listen_events, w);
    if (e)
        mcp_refuse(w, REFUSAL_NO_CAPACITY, SLICE_NONE, JOURNEY_REFUSED);
}

static void not_opened(struct mcp_work *w, enum err why)
{
    struct slice detail;
    enum refusal_id id = mcp_refusal_of(why, &detail);
    mcp_refuse(w, id, detail, JOURNEY_ERROR);
}

void mcp_listen(struct mcp_work *w)
{
    w->opened = send_up;
    w->not_opened = not_opened;
    mcp_open(w);
}
