/*
 * note — what a client says without asking: notifications, and its responses to what a server
 * asked. 202 once the upstream has taken it, so that the client's next message cannot overtake.
 */
#include "mcp-gateway/tool_private.h"

static void on_head(void *arg)
{
    struct tool_work *w = arg;
    unsigned status = w->leg->status;
    if (status == 404 && w->upstream_ref.upstream_id.len)
        mcp_session_lost(w->session, w->upstream_ref.generation); /* nobody is left to be told */
    else if (status >= 300) {
        struct slice detail;
        enum refusal_id id = mcp_refusal_by_status(w, &detail);
        mcp_refuse(w, id, detail, OUTCOME_ERROR);
        return;
    }
    mcp_leg_let_go(&w->leg);
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

static const struct mcp_leg_events note_events = {
    .on_head = on_head, .on_piece = on_piece, .on_end = on_end, .on_fail = on_fail};

/* A cancellation names the request by the client's id; ERR_NOT_FOUND: it is over already. */
static enum err write_cancelled(struct tool_work *w, struct buf *out)
{
    const struct json_hit *hit = &w->message.at[MCP_AT_REQUEST_ID];
    uint64_t number;
    if (hit->type == JSON_SCAN_ABSENT || !mcp_session_number_of(w->session, hit->raw, &number))
        return ERR_NOT_FOUND;
    struct mcp_edit edit = {hit->raw,
                            arena_printf(w->rq->arena, "%llu", (unsigned long long)number)};
    return edit.now.ptr ? mcp_edit(w->message.text, &edit, 1, out) : ERR_NOMEM;
}

static enum err write_message(struct tool_work *w, struct buf *out)
{
    if (w->message.kind == MCP_RESPONSE)
        return buf_append(out, w->message.text);
    switch (w->message.method) {
    case MCP_CANCELLED:
        return write_cancelled(w, out);
    case MCP_INITIALIZED:
    case MCP_PROGRESS:
    case MCP_ROOTS_CHANGED:
        return buf_append(out, w->message.text);
    default:
        return ERR_NOT_FOUND; /* about something that is not granted here */
    }
}

static enum err send_up(struct tool_work *w)
{
    if (!mcp_session_peek(w->session, w->server->o.revision, w->rq->arena, &w->upstream_ref))
        return ERR_NOT_FOUND; /* a session that is opened again begins without it */
    const struct mcp_leg_spec spec = mcp_post_spec(w, w->rq->record.span_id, LIMIT_MCP_OPEN_MS);
    w->leg = mcp_leg_new(w->env);
    if (!w->leg)
        return ERR_NOMEM;
    enum err e = write_message(w, &w->leg->message);
    return e ? e : mcp_leg_start(&w->leg, &spec, &note_events, w);
}

void mcp_note(struct tool_work *w)
{
    enum err e = send_up(w);
    if (e == ERR_NOT_FOUND)
        mcp_response_empty(w, 202);
    else if (e)
        mcp_refuse(w, REFUSAL_NO_CAPACITY, SLICE_NONE, OUTCOME_REFUSED);
}
