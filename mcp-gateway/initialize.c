/*
 * initialize — a client's session begins: its upstream session with its own capabilities, its
 * place in the directory, its sealed id; and the upstream's answer, narrowed to what is granted.
 */
#include "common/base/clock.h"
#include "common/base/digest.h"
#include "mcp-gateway/revision.h"
#include "mcp-gateway/tool_private.h"

#define US_PER_S 1000000
#define MS_PER_S 1000

static void refuse_by(struct tool_work *w, enum err why)
{
    struct slice detail;
    enum refusal_id id = mcp_refusal_of(why, &detail);
    mcp_attempt_end(w, OUTCOME_ERROR, slice_str(refusal_row(id)->code));
    mcp_refuse(w, id, detail, OUTCOME_ERROR);
}

/* ---- the id ---- */

static void fill_ticket(const struct tool_work *w, struct mcp_ticket *t)
{
    const struct request *rq = w->rq;
    struct digest caps;
    *t = (struct mcp_ticket){.revision = (uint8_t)w->revision,
                             .key_id = rq->who.key->o.id,
                             .agent_id = rq->who.agent ? rq->who.agent->o.id : SLICE_NONE,
                             .server_id = w->server->o.id,
                             .task_id = rq->task ? rq->task->o.id : SLICE_NONE};
    digest_sha256(w->message.at[MCP_AT_CAPABILITIES].raw, &caps);
    memcpy(t->sid, w->session->sid, sizeof(t->sid));
    memcpy(t->plane, mcp_directory_plane(), sizeof(t->plane));
    memcpy(t->caps, caps.bytes, sizeof(t->caps));
    memcpy(t->label, rq->session.id, sizeof(t->label));
    t->born_s = clock_wall_us() / US_PER_S;
    t->ends_s = t->born_s + LIMIT_MCP_SESSION_MS / MS_PER_S;
}

static enum err make_id(struct tool_work *w, char out[static LIMIT_SEALED_ID + 1],
                        struct slice *ret)
{
    const struct request *rq = w->rq;
    const struct seal *seal = mcp_env_seal(w->env, rq->policy);
    struct mcp_ticket ticket;
    if (!seal)
        return ERR_NOMEM;
    fill_ticket(w, &ticket);
    const struct mcp_bearer who = {.org_id = rq->who.key->o.org_id,
                                   .key_id = ticket.key_id,
                                   .agent_id = ticket.agent_id,
                                   .path = rq->path};
    return mcp_ticket_seal(seal, &who, &ticket, out, ret);
}

/* ---- the answer ---- */

static enum err write_answer(struct tool_work *w)
{
    struct mcp_response a;
    struct tool_subject subject;
    enum err e = mcp_response_read(w->hello_answer, &a);
    tool_subject_of(w, &subject);
    buf_clear(&w->event);
    if (!e)
        e = mcp_narrow(&a, mcp_may_use_whole(&subject), &w->event);
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
    mcp_close_upstream(w->env, w->rq->policy, w->session, w->rq->arena);
    refuse_by(w, why);
}

static void opened(struct tool_work *w)
{
    char text[LIMIT_SEALED_ID + 1];
    struct slice id;
    enum err e = write_answer(w);
    if (!e)
        e = make_id(w, text, &id);
    if (e) {
        give_up(w, e);
        return;
    }
    struct slice body = buf_slice(&w->out), type = SLICE("application/json");
    if (!w->takes_json) {
        type = SLICE("text/event-stream");
        buf_clear(&w->event);
        e = sse_write(&w->event, SLICE("message"), SLICE_NONE, body);
        body = buf_slice(&w->event);
    }
    if (!e)
        e = mcp_directory_put(w->session, clock_mono_us());
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

static enum err write_hello(struct tool_work *w)
{
    const struct json_hit *capabilities = &w->message.at[MCP_AT_CAPABILITIES];
    const struct json_hit *client = &w->message.at[MCP_AT_CLIENT];
    struct slice none = SLICE("{}"), nobody = SLICE("{\"name\":\"unknown\",\"version\":\"0\"}");
    if (capabilities->type == JSON_SCAN_OBJECT)
        none = capabilities->raw;
    if (client->type == JSON_SCAN_OBJECT)
        nobody = client->raw;
    return buf_printf(
        &w->out, "{\"protocolVersion\":\"%.*s\",\"capabilities\":%.*s,\"clientInfo\":%.*s}",
        SLICE_ARG(mcp_revision_get(w->revision)->name), SLICE_ARG(none), SLICE_ARG(nobody));
}

static bool is_admitted(struct tool_work *w)
{
    const struct principal *who = &w->rq->who;
    enum err e = mcp_directory_admit(w->session, who->agent ? who->agent->o.id : who->key->o.id);
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
    buf_clear(&w->out);
    if (!write_hello(w))
        w->session = mcp_session_new(buf_slice(&w->out), w->rq->session.external_id,
                                     w->rq->session.named_by);
    buf_clear(&w->out);
    if (!w->session) {
        mcp_refuse(w, REFUSAL_NO_CAPACITY, SLICE_NONE, OUTCOME_REFUSED);
        return;
    }
    if (!is_admitted(w) || !mcp_record(w))
        return;
    w->opened = opened;
    w->not_opened = refuse_by;
    mcp_attempt_begin(w);
    mcp_open(w);
}
