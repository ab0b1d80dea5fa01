/*
 * tool_initialize — a client's session begins: its upstream session with its own capabilities, its
 * place in the directory, its sealed id; and the upstream's response, narrowed to what is granted.
 */
#include "common/base/clock.h"
#include "mcp-gateway/revision.h"
#include "mcp-gateway/tool_private.h"

#define US_PER_S 1000000
#define MS_PER_S 1000

static void refuse(struct tool_work *w, enum refusal_id id, struct slice detail)
{
    mcp_attempt_end(w, OUTCOME_ERROR, slice_str(refusal_row(id)->code));
    mcp_refuse(w, id, detail, OUTCOME_ERROR);
}

static void not_opened(struct tool_work *w)
{
    struct slice detail;
    enum refusal_id id = mcp_refusal_of_opening(w, &detail);
    refuse(w, id, detail);
}

/* ---- the id ---- */

static struct slice object_or_none(const struct json_hit *h)
{
    return h->type == JSON_SCAN_OBJECT ? h->raw : SLICE_NONE;
}

static void fill_id(const struct tool_work *w, struct mcp_session_id *id)
{
    const struct request *rq = w->rq;
    const struct upstream_ref *up = &w->waiter.ref;
    *id =
        (struct mcp_session_id){.revision = (uint8_t)w->revision,
                                .declared = w->session->declared,
                                .server_id = w->server->o.id,
                                .task_id = rq->task ? rq->task->o.id : SLICE_NONE,
                                .server_revision = up->server_revision,
                                .upstream_id = up->upstream_id,
                                .upstream_revision = (uint8_t)mcp_revision_find(up->version),
                                .capabilities = object_or_none(&w->message.at[MCP_AT_CAPABILITIES]),
                                .client_info = object_or_none(&w->message.at[MCP_AT_CLIENT])};
    memcpy(id->sid, w->session->sid, sizeof(id->sid));
    memcpy(id->label, rq->session.id, sizeof(id->label));
    id->born_s = clock_wall_us() / US_PER_S;
    id->ends_s = id->born_s + LIMIT_MCP_SESSION_MS / MS_PER_S;
}

static enum err make_id(struct tool_work *w, char out[static LIMIT_SEALED_ID + 1],
                        struct slice *ret)
{
    const struct seal *seal = mcp_worker_seal(w->worker, w->rq->policy);
    const struct mcp_bearer bearer = tool_bearer(w->rq);
    struct mcp_session_id id;
    if (!seal)
        return ERR_NOMEM;
    fill_id(w, &id);
    return mcp_session_id_seal(seal, &bearer, &id, out, ret);
}

/* ---- the response ---- */

static enum err write_response(struct tool_work *w)
{
    struct mcp_response a;
    enum err e = w->waiter.greeting.ptr ? mcp_response_read(w->waiter.greeting, &a) : ERR_NOMEM;
    buf_clear(&w->event);
    if (!e)
        e = mcp_narrow(&a, tool_is_whole(w), &w->event);
    if (e)
        return e;
    struct mcp_edit edits[] = {
        {a.id.raw, w->id},
        {a.version.raw,
         arena_printf(w->rq->arena, "\"%.*s\"", SLICE_ARG(mcp_revision_get(w->revision)->name))},
        {a.capabilities.raw, buf_slice(&w->event)},
    };
    return edits[1].now.ptr ? mcp_edit(a.text, edits, ARRAY_LEN(edits), &w->out) : ERR_NOMEM;
}

static void give_up(struct tool_work *w, enum err why)
{
    struct slice detail;
    enum refusal_id id = mcp_refusal_of(why, &detail);
    upstream_opening_end_all(w->worker, w->rq->policy, w->session, w->rq->arena);
    refuse(w, id, detail);
}

static void opened(struct tool_work *w)
{
    char text[LIMIT_SEALED_ID + 1];
    struct slice id, type = SLICE("application/json");
    tool_move(w, TOOL_SENT);
    enum err e = write_response(w);
    struct slice body = buf_slice(&w->out);
    if (!e)
        e = make_id(w, text, &id);
    if (!e && !w->takes_json) {
        type = SLICE("text/event-stream");
        buf_clear(&w->event);
        e = sse_write(&w->event, SLICE("message"), SLICE_NONE, body);
        body = buf_slice(&w->event);
    }
    if (!e)
        e = session_directory_put(w->session, clock_mono_us());
    if (e) {
        give_up(w, e);
        return;
    }
    const struct http_header headers[] = {{SLICE("content-type"), type},
                                          {SLICE("mcp-session-id"), id}};
    mcp_attempt_end(w, OUTCOME_OK, SLICE_NONE);
    tool_leave(w);
    request_finish(w->rq, &(struct request_end){.outcome = OUTCOME_OK,
                                                .status = 200,
                                                .headers = headers,
                                                .header_count = ARRAY_LEN(headers),
                                                .body = body});
}

static const struct tool_carrier carrier = {.opened = opened, .not_opened = not_opened};

static enum err write_hello(struct tool_work *w)
{
    struct slice capabilities = object_or_none(&w->message.at[MCP_AT_CAPABILITIES]);
    struct slice client = object_or_none(&w->message.at[MCP_AT_CLIENT]);
    if (!capabilities.ptr)
        capabilities = SLICE("{}");
    if (!client.ptr)
        client = SLICE("{\"name\":\"unknown\",\"version\":\"0\"}");
    return buf_printf(
        &w->out, "{\"protocolVersion\":\"%.*s\",\"capabilities\":%.*s,\"clientInfo\":%.*s}",
        SLICE_ARG(mcp_revision_get(w->revision)->name), SLICE_ARG(capabilities), SLICE_ARG(client));
}

static bool is_counted(struct tool_work *w)
{
    const struct principal *who = &w->rq->who;
    enum err e =
        session_directory_count(w->session, who->agent ? who->agent->o.id : who->key->o.id);
    if (!e)
        return true;
    if (e == ERR_DENIED)
        mcp_refuse(w, REFUSAL_SESSIONS, SLICE("end those that are no longer used, by DELETE"),
                   OUTCOME_REFUSED);
    else
        mcp_refuse(w, REFUSAL_NO_CAPACITY, SLICE_NONE, OUTCOME_REFUSED);
    return false;
}

void mcp_initialize(struct tool_work *w)
{
    const struct request *rq = w->rq;
    buf_clear(&w->out);
    if (!write_hello(w)) {
        const struct client_session_spec spec = {
            .hello = buf_slice(&w->out),
            .declared = client_declared(object_or_none(&w->message.at[MCP_AT_CAPABILITIES])),
            .external_id = rq->session.external_id,
            .named_by = rq->session.named_by};
        w->session = client_session_new(&spec);
    }
    buf_clear(&w->out);
    if (!w->session) {
        mcp_refuse(w, REFUSAL_NO_CAPACITY, SLICE_NONE, OUTCOME_REFUSED);
        return;
    }
    if (!is_counted(w) || !mcp_record(w))
        return;
    w->carrier = &carrier;
    mcp_attempt_begin(w);
    tool_open(w);
}
