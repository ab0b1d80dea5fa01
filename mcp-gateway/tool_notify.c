/*
 * tool_notify — what a client says without a request: notifications, and its responses to what a
 * server asked. 202 once the upstream has taken it, so that the client's next message cannot
 * overtake.
 */
#include "common/request/filter_scopes.h"
#include "mcp-gateway/tool_private.h"

static void on_head(void *arg)
{
    struct tool_work *w = arg;
    unsigned status = w->exchange->status;
    if (status == 404 && w->waiter.ref.upstream_id.len)
        upstream_opening_lost(&w->waiter); /* what it was about is lost with it */
    else if (status >= 300) {
        struct slice detail;
        enum refusal_id id = mcp_refusal_by_status(w, &detail);
        mcp_refuse(w, id, detail, OUTCOME_ERROR);
        return;
    }
    mcp_exchange_release(&w->exchange);
    mcp_response_empty(w, 202);
}

static void on_piece(void *arg, const struct mcp_piece *p)
{
    (void)arg;
    (void)p;
}

static void on_end(void *arg)
{
    (void)arg; /* its head ended the request */
}

static void on_fail(void *arg, enum err why, enum http_call_phase phase)
{
    struct slice detail;
    enum refusal_id id = mcp_refusal_of(why, &detail);
    (void)phase;
    mcp_refuse(arg, id, detail, OUTCOME_ERROR);
}

static const struct mcp_exchange_events notify_events = {
    .on_head = on_head, .on_piece = on_piece, .on_end = on_end, .on_fail = on_fail};

static void send_up(struct tool_work *w, struct slice message)
{
    const struct mcp_exchange_spec spec =
        tool_post_spec(w, w->rq->record.span_id, LIMIT_MCP_OPEN_MS);
    tool_move(w, TOOL_SENT);
    enum err e = ERR_NOMEM;
    w->exchange = mcp_exchange_new(w->worker);
    if (w->exchange && message.ptr)
        e = buf_append(&w->exchange->message, message);
    if (!e)
        e = mcp_exchange_start(&w->exchange, &spec, &notify_events, w);
    if (e)
        mcp_refuse(w, REFUSAL_NO_CAPACITY, SLICE_NONE, OUTCOME_REFUSED);
}

/* Opens nothing: a session that is opened again begins without it. */
static bool is_open(struct tool_work *w)
{
    w->waiter.upstream = client_session_upstream(w->session, w->server->o.id);
    return w->waiter.upstream && upstream_session_peek(w->waiter.upstream, w->server->o.revision,
                                                       w->rq->arena, &w->waiter.ref);
}

/* ---- `initialized` ---- */

static void confirmed(struct tool_work *w)
{
    mcp_response_empty(w, 202);
}

static void not_confirmed(struct tool_work *w)
{
    struct slice detail;
    enum refusal_id id = mcp_refusal_of_opening(w, &detail);
    mcp_refuse(w, id, detail, OUTCOME_ERROR);
}

static const struct tool_carrier confirming = {.opened = confirmed, .not_opened = not_confirmed};

/* It goes upstream once for each upstream session and plane, however often the client says it. */
static void confirm(struct tool_work *w)
{
    if (!is_open(w)) {
        mcp_response_empty(w, 202);
        return;
    }
    w->carrier = &confirming;
    w->waiter.confirms = true;
    tool_open(w);
}

/* ---- cancellation ---- */

static struct slice edited(struct tool_work *w, struct slice place, struct slice now)
{
    struct mcp_edit edit = {place, now};
    buf_clear(&w->out);
    if (!now.ptr || mcp_edit(w->message.text, &edit, 1, &w->out))
        return SLICE_NONE;
    return buf_slice(&w->out);
}

/* It names the request by the client's id. The request ends on the worker that carries it. */
static void cancel_request(struct tool_work *w)
{
    const struct json_hit *hit = &w->message.at[MCP_AT_REQUEST_ID];
    uint64_t number;
    unsigned worker;
    if (hit->type == JSON_SCAN_ABSENT ||
        !client_session_by_id(w->session, hit->raw, &number, &worker)) {
        mcp_response_empty(w, 202); /* it is over already */
        return;
    }
    bool open = is_open(w);
    mcp_worker_tell_one(worker, w->session, MCP_EVENT_CANCELLED, number);
    if (open)
        send_up(
            w, edited(w, hit->raw, arena_printf(w->rq->arena, "%llu", (unsigned long long)number)));
    else
        mcp_response_empty(w, 202);
}

/* ---- responses ---- */

/* A response that answers nothing which this session was asked is refused. One to a question that
 * another plane passed on is counted, as this plane cannot tell whether it is the first. */
static void respond(struct tool_work *w)
{
    struct slice original, upstream_id;
    bool first;
    if (!tool_question_of(w, w->message.id, &original, &upstream_id, &first)) {
        mcp_refuse(w, REFUSAL_BAD_REQUEST, SLICE("no request of this id was sent to this session"),
                   OUTCOME_REFUSED);
        return;
    }
    if (!first && limit_count(w->rq) != FILTER_PASS) {
        mcp_response_empty(w, 202);
        return;
    }
    if (!is_open(w)) {
        mcp_response_empty(w, 202); /* the session that asked is lost */
        return;
    }
    if (!slice_eq(upstream_id, w->waiter.ref.upstream_id))
        w->waiter.ref.generation = 0; /* another one asked: what it says of itself is not of this */
    w->waiter.ref.upstream_id = upstream_id;
    send_up(w, edited(w, w->message.id, original));
}

void mcp_notify(struct tool_work *w)
{
    if (w->over_limit) {
        mcp_response_empty(w, 202);
        return;
    }
    if (w->message.kind == MCP_RESPONSE) {
        respond(w);
        return;
    }
    switch (w->message.method) {
    case MCP_INITIALIZED:
        confirm(w);
        return;
    case MCP_CANCELLED:
        cancel_request(w);
        return;
    case MCP_PROGRESS:
    case MCP_ROOTS_CHANGED:
        if (is_open(w)) {
            send_up(w, w->message.text);
            return;
        }
        break;
    default:
        break; /* about something that is not granted here */
    }
    mcp_response_empty(w, 202);
}
