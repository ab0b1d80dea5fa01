/*
 * tool_listen — GET: the client's event stream. It carries what the upstream session's own event
 * stream brings, and what the gateway itself has to say: that the list of tools has changed because
 * a grant did, or because the upstream session had to be opened again.
 *
 * The stream is the gateway's. Where the server has none it is open all the same; where the
 * server's ends or breaks, it attaches anew behind the client's back, after a time that doubles.
 *
 * With Last-Event-ID it resumes another stream, and ends where that one does. A response stands on
 * it only then, and is treated as on the stream it was lost from: its id is the client's, a tool
 * list is cut.
 */
#include "common/base/map.h"
#include "mcp-gateway/tool_private.h"

static bool resumes(const struct tool_work *w)
{
    return http_head_find(w->rq->head, SLICE("last-event-id")).ptr != NULL;
}

/* ---- attaching anew ---- */

static void on_attach(struct timer *t)
{
    tool_open(CONTAINER_OF(t, struct tool_work, deadline));
}

static void attach_later(struct tool_work *w)
{
    uint64_t wait = (uint64_t)LIMIT_MCP_ATTACH_MS << (w->detached < 16 ? w->detached : 16);
    mcp_exchange_drop(&w->exchange);
    upstream_waiter_cancel(&w->waiter);
    w->detached++;
    timer_start(&w->deadline, wait < LIMIT_MCP_ATTACH_MOST_MS ? wait : LIMIT_MCP_ATTACH_MOST_MS);
}

static bool begin(struct tool_work *w)
{
    if (w->streaming)
        return true;
    if (!mcp_stream_begin(w))
        return false;
    mcp_keep_alive(w);
    return true;
}

static bool say_changed(struct tool_work *w, const char *list)
{
    struct slice event =
        arena_printf(w->rq->arena,
                     "event: message\ndata: "
                     "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/%s/list_changed\"}\n\n",
                     list);
    return !event.ptr || mcp_stream_send(w, event);
}

/* ---- from the upstream ---- */

/* The server still reads the stream into an earlier response of this session, whose client asks
 * for it again: it may have gone without a word. That one ends, and the stream is asked for again.
 */
static void take_over(struct tool_work *w)
{
    w->resent = true;
    mcp_worker_tell(NULL, w->session, MCP_EVENT_RESUMED, w->number);
    attach_later(w);
}

static void refuse_by_status(struct tool_work *w)
{
    struct slice detail;
    unsigned status = w->exchange->status;
    enum refusal_id id = mcp_refusal_by_status(w, &detail);
    if (w->streaming)
        attach_later(w);
    else if (status == 409 && resumes(w) && !w->resent)
        take_over(w);
    else if (status == 409)
        mcp_refuse(w, REFUSAL_STREAM_TAKEN, SLICE_NONE, OUTCOME_REFUSED);
    else
        mcp_refuse(w, id, detail, OUTCOME_ERROR);
}

static void take_status(struct tool_work *w)
{
    unsigned status = w->exchange->status;
    bool gone = status == 404 || status == 400; /* the SDK's example says 400 of a lost session */
    if (gone && w->waiter.ref.upstream_id.len && !w->resent) {
        w->resent = true;
        upstream_opening_lost(&w->waiter);
        mcp_exchange_drop(&w->exchange);
        tool_open(w);
    } else if (status == 405 && !resumes(w)) {
        mcp_exchange_drop(&w->exchange); /* the server has no event stream */
        begin(w);
    } else if (status == 405) {
        mcp_refuse(w, REFUSAL_METHOD, SLICE_NONE, OUTCOME_REFUSED);
    } else {
        refuse_by_status(w);
    }
}

static void on_head(void *arg)
{
    struct tool_work *w = arg;
    if (w->exchange->status != 200) {
        take_status(w);
    } else if (!w->exchange->is_stream && !w->streaming) {
        mcp_refuse(w, REFUSAL_UPSTREAM_PROTOCOL, SLICE_NONE, OUTCOME_ERROR);
    } else if (!w->exchange->is_stream) {
        attach_later(w);
    } else {
        w->detached = 0;
        w->resent = false;
        begin(w);
    }
}

/* A resumed response: told as the event it was, with the client's id, as often as it is asked. */
static void pass_response(struct tool_work *w, const struct mcp_response *a,
                          const struct sse_event *e)
{
    uint64_t number;
    struct slice id;
    bool lists;
    if (!mcp_response_number(a, &number) ||
        !client_session_by_number(w->session, number, w->rq->arena, &id, &lists))
        return; /* no request of this session's */
    if (mcp_make_response(w, a, id, lists))
        return;
    client_session_answered(w->session, number, true);
    buf_clear(&w->event);
    if (!sse_write(&w->event, e->event, e->id, buf_slice(&w->out)))
        mcp_stream_send(w, buf_slice(&w->event));
}

static void take_message(struct tool_work *w, const struct mcp_piece *p)
{
    struct mcp_response a;
    struct slice event;
    if (mcp_response_read(p->message, &a))
        log_warn(&w->rq->log, "mcp_message_unread", "server=%.*s", SLICE_ARG(w->server->o.name));
    else if (a.kind == MCP_RESPONSE_RESULT || a.kind == MCP_RESPONSE_ERROR)
        pass_response(w, &a, p->event);
    else if ((event = tool_inbound(w, &a, p->event)).ptr)
        mcp_stream_send(w, event);
}

static void on_piece(void *arg, const struct mcp_piece *p)
{
    struct tool_work *w = arg;
    if (!p->event)
        return; /* the body of a refusal */
    if (p->event->id.len && p->event->id.len <= LIMIT_MCP_EVENT_ID) {
        buf_clear(&w->last_event_id);
        if (buf_append(&w->last_event_id, p->event->id))
            buf_clear(&w->last_event_id);
    }
    if (p->message.ptr)
        take_message(w, p);
    else
        mcp_stream_send(w, p->event->raw);
}

static void on_end(void *arg)
{
    struct tool_work *w = arg;
    if (w->exchange->status != 200)
        return; /* its head was judged */
    if (resumes(w))
        mcp_stream_end(w, OUTCOME_OK, SLICE(""));
    else
        attach_later(w);
}

static void on_fail(void *arg, enum err why, enum http_call_phase phase)
{
    struct tool_work *w = arg;
    struct slice detail;
    (void)phase;
    if (why == ERR_CANCELLED && w->streaming) {
        mcp_stream_end(w, OUTCOME_CANCELLED, SLICE(""));
    } else if (w->streaming && resumes(w)) {
        mcp_stream_end(w, OUTCOME_ERROR, SLICE(""));
    } else if (w->streaming) {
        attach_later(w);
    } else {
        enum refusal_id id = mcp_refusal_of(why, &detail);
        mcp_refuse(w, id, detail, OUTCOME_ERROR);
    }
}

static const struct mcp_exchange_events listen_events = {
    .on_head = on_head, .on_piece = on_piece, .on_end = on_end, .on_fail = on_fail};

/* ---- to the upstream ---- */

static void send_up(struct tool_work *w)
{
    struct slice last = w->last_event_id.len ? buf_slice(&w->last_event_id)
                                             : http_head_find(w->rq->head, SLICE("last-event-id"));
    struct mcp_exchange_spec spec =
        tool_post_spec(w, w->rq->record.span_id, LIMIT_CALL_MS); /* silent while nothing happens */
    spec.method = SLICE("GET");
    spec.last_event_id = last;
    tool_move(w, TOOL_SENT);
    mcp_exchange_drop(&w->exchange);
    enum err e = ERR_NOMEM;
    w->exchange = mcp_exchange_new(w->worker);
    if (w->exchange)
        e = mcp_exchange_start(&w->exchange, &spec, &listen_events, w);
    if (e && w->streaming)
        attach_later(w);
    else if (e)
        mcp_refuse(w, REFUSAL_NO_CAPACITY, SLICE_NONE, OUTCOME_REFUSED);
}

static void not_opened(struct tool_work *w)
{
    struct slice detail;
    if (w->streaming) {
        attach_later(w);
        return;
    }
    enum refusal_id id = mcp_refusal_of_opening(w, &detail);
    mcp_refuse(w, id, detail, OUTCOME_ERROR);
}

/* A session that was opened again may list other tools; its server knows nothing of the streams of
 * the lost one. */
static void on_event(struct tool_work *w, enum mcp_event event, uint64_t number)
{
    bool other = w->waiter.ref.generation != number;
    if (event == MCP_EVENT_RESUMED && w->streaming && resumes(w) && number != w->number) {
        mcp_stream_end(w, OUTCOME_OK, SLICE(""));
    } else if (event == MCP_EVENT_ENDED && w->streaming) {
        mcp_stream_end(w, OUTCOME_OK, SLICE(""));
    } else if (event == MCP_EVENT_ENDED) {
        mcp_refuse(w, REFUSAL_SESSION_UNKNOWN, SLICE_NONE, OUTCOME_REFUSED);
    } else if (event == MCP_EVENT_REOPENED && w->streaming && !resumes(w)) {
        if (!say_changed(w, "tools") || !other)
            return;
        buf_clear(&w->last_event_id); /* of the lost session */
        timer_cancel(&w->deadline);
        mcp_exchange_drop(&w->exchange);
        tool_open(w);
    }
}

static const struct tool_carrier carrier = {
    .opened = send_up, .not_opened = not_opened, .on_event = on_event};

/* ---- what is granted ---- */

static bool add_grant(void *arg, const struct policy_grant *g)
{
    uint64_t *sum = arg;
    for (size_t i = 0; i < g->tool_count; i++)
        *sum += map_hash(g->tools[i]) | 1;
    return true;
}

static uint64_t sum_of_grants(const struct tool_work *w)
{
    struct tool_subject subject;
    uint64_t sum = 0;
    tool_subject_of(w, &subject);
    mcp_each_grant(&subject, add_grant, &sum);
    return sum;
}

void mcp_listen_regrant(struct tool_work *w)
{
    uint64_t now = sum_of_grants(w);
    bool changed = now != w->grants;
    w->grants = now;
    if (changed && w->streaming)
        say_changed(w, "tools");
}

/* A stream takes none of a key's parallel calls, but a key that may make few has few. */
static unsigned streams_of(const struct tool_work *w)
{
    uint64_t parallel = w->rq->who.key->scope.limits.parallel;
    bool few = parallel > 0 && parallel < LIMIT_MCP_STREAMS_EACH / LIMIT_MCP_STREAMS;
    return few ? (unsigned)parallel * LIMIT_MCP_STREAMS : LIMIT_MCP_STREAMS_EACH;
}

void mcp_listen(struct tool_work *w)
{
    if (session_directory_stream_opened(w->session, streams_of(w), &w->stream_of)) {
        w->retry_after_s = 1;
        mcp_refuse(w, REFUSAL_PARALLEL, SLICE("this session has its event streams open"),
                   OUTCOME_REFUSED);
        return;
    }
    w->carrier = &carrier;
    w->number = client_session_number(w->session); /* among its event streams */
    w->grants = sum_of_grants(w);
    timer_init(&w->deadline, w->rq->env->loop, on_attach);
    tool_join(w);
    tool_open(w);
}
