/*
 * initialize — a client's session begins: its upstream session with its own capabilities, its
 * place in the directory, its sealed id; and the upstream's answer, narrowed to what is granted.
 */
#include "common/base/clock.h"
#include "common/base/digest.h"
#include "mcp-gateway/work.h"

#define US_PER_S 1000000
#define MS_PER_S 1000

static void refuse_by(struct mcp_work *w, enum err why)
{
    struct slice detail;
    enum refusal_id id = mcp_refusal_of(why, &detail);
    mcp_attempt_end(w, JOURNEY_ERROR, slice_str(refusal_row(id)->code));
    mcp_refuse(w, id, detail, JOURNEY_ERROR);
}

/* ---- the id ---- */

static void fill_ticket(const struct mcp_work *w, struct mcp_ticket *t)
{
    const struct journey *j = w->j;
    struct digest caps;
    *t = (struct mcp_ticket){.revision = (uint8_t)w->revision,
                             .key_id = j->who.key->o.id,
                             .agent_id = j->who.agent ? j->who.agent->o.id : SLICE_NONE,
                             .server_id = w->server->o.id,
                             .task_id = j->task ? j->task->o.id : SLICE_NONE};
    digest_sha256(w->message.at[MCP_AT_CAPABILITIES].raw, &caps);
    memcpy(t->sid, w->session->sid, sizeof(t->sid));
    memcpy(t->plane, mcp_directory_plane(), sizeof(t->plane));
    memcpy(t->caps, caps.bytes, sizeof(t->caps));
    memcpy(t->label, j->session.id, sizeof(t->label));
    t->born_s = clock_wall_us() / US_PER_S;
    t->ends_s = t->born_s + LIMIT_MCP_SESSION_MS / MS_PER_S;
}

static enum err make_id(struct mcp_work *w, char out[static LIMIT_SEALED_ID + 1], struct slice *ret)
{
    const struct journey *j = w->j;
    const struct seal *seal = mcp_env_seal(w->env, j->policy);
    struct mcp_ticket ticket;
    if (!seal)
        return ERR_NOMEM;
    fill_ticket(w, &ticket);
    const struct mcp_bearer who = {.org_id = j->who.key->o.org_id,
                                   .key_id = ticket.key_id,
                                   .agent_id = ticket.agent_id,
                                   .path = j->path};
    return mcp_ticket_seal(seal, &who, &ticket, out, ret);
}

/* ---- the answer ---- */

static enum err write_answer(struct mcp_work *w)
{
    struct mcp_answer a;
    struct mcp_asker asker;
    enum err e = mcp_answer_read(w->hello_answer, &a);
    mcp_asker_of(w, &asker);
    buf_clear(&w->event);
    if (!e)
        e = mcp_narrow(&a, mcp_may_use_whole(&asker), &w->event);
    if (e)
        return e;
    struct mcp_edit edits[] = {
        {a.id.raw, w->id},
        {a.version.raw,
         arena_printf(w->j->arena, "\"%.*s\"", SLICE_ARG(mcp_revision(w->revision)))},
        {a.capabilities.raw, buf_slice(&w->event)},
    };
    return edits[1].now.ptr ? mcp_edit(a.text, edits, ARRAY_LEN(edits), &w->out) : ERR_NOMEM;
}

static void give_up(struct mcp_work *w, enum err why)
{
    mcp_close_upstream(w->env, w->j->policy, w->session, w->j->arena);
    refuse_by(w, why);
}

static void opened(struct mcp_work *w)
{
    char text[LIMIT_SEALED_ID + 1];
    struct slice id;
    enum err e = write_answer(w);
    if (!e)
        e = make_id(w, text, &id);
    if (!e)
        e = mcp_directory_put(w->session, clock_mono_us());
    if (e) {
        give_up(w, e);
        return;
    }
    const struct http_header headers[] = {
        {SLICE("content-type"), SLICE("application/json")},
        {SLICE("mcp-session-id"), id},
    };
    mcp_attempt_end(w, JOURNEY_OK, SLICE_NONE);
    mcp_leave(w);
    journey_finish_whole(w->j, JOURNEY_OK, 200, headers, ARRAY_LEN(headers), buf_slice(&w->out));
}

static enum err write_hello(struct mcp_work *w)
{
    const struct json_hit *capabilities = &w->message.at[MCP_AT_CAPABILITIES];
    const struct json_hit *client = &w->message.at[MCP_AT_CLIENT];
    struct slice none = SLICE("{}"), nobody = SLICE("{\"name\":\"unknown\",\"version\":\"0\"}");
    if (capabilities->type == JSON_SCAN_OBJECT)
        none = capabilities->raw;
    if (client->type == JSON_SCAN_OBJECT)
        nobody = client->raw;
    return buf_printf(&w->out,
                      "{\"protocolVersion\":\"%.*s\",\"capabilities\":%.*s,\"clientInfo\":%.*s}",
                      SLICE_ARG(mcp_revision(w->revision)), SLICE_ARG(none), SLICE_ARG(nobody));
}

static bool is_admitted(struct mcp_work *w)
{
    const struct principal *who = &w->j->who;
    enum err e = mcp_directory_admit(w->session, who->agent ? who->agent->o.id : who->key->o.id);
    if (!e)
        return true;
    if (e == ERR_DENIED)
        mcp_refuse(w, REFUSAL_SESSIONS, SLICE("end those that are no longer used, by DELETE"),
                   JOURNEY_REFUSED);
    else
        mcp_refuse(w, REFUSAL_NO_CAPACITY, SLICE_NONE, JOURNEY_REFUSED);
    return false;
}

void mcp_initialize(struct mcp_work *w)
{
    buf_clear(&w->out);
    if (!write_hello(w))
        w->session =
            mcp_session_new(buf_slice(&w->out), w->j->session.external_id, w->j->session.named_by);
    buf_clear(&w->out);
    if (!w->session) {
        mcp_refuse(w, REFUSAL_NO_CAPACITY, SLICE_NONE, JOURNEY_REFUSED);
        return;
    }
    if (!is_admitted(w) || !mcp_record(w))
        return;
    w->opened = opened;
    w->not_opened = refuse_by;
    mcp_attempt_begin(w);
    mcp_open(w);
}
