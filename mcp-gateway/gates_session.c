/*
 * gates_session — in which MCP session is this asked, and in which Gatehouse session?
 *
 * An id of another principal, of another path, of another plane, and one that has ended are all
 * the same: unknown (MCP, Transports: 404, and the client begins anew).
 */
#include "common/base/clock.h"
#include "mcp-gateway/work.h"

#define US_PER_S 1000000

static enum gate_answer refuse(struct journey *j, enum refusal_id id, struct slice detail)
{
    journey_refuse(j, id, detail);
    return GATE_REFUSE;
}

static bool begins_here(const struct mcp_work *w)
{
    return w->is_post && w->message.kind == MCP_REQUEST && w->message.method == MCP_INITIALIZE;
}

/* A ping asks nobody but us, and a lone call is served in a session of its own. */
static bool may_go_without(const struct mcp_work *w)
{
    return w->is_post && w->message.kind == MCP_REQUEST &&
           (w->message.method == MCP_PING || w->message.method == MCP_TOOLS_CALL);
}

static enum gate_answer open_ticket(struct mcp_work *w, struct slice text)
{
    struct journey *j = w->j;
    const struct mcp_bearer who = {
        .org_id = j->who.key->o.org_id,
        .key_id = j->who.key->o.id,
        .agent_id = j->who.agent ? j->who.agent->o.id : SLICE_NONE,
        .path = j->path,
    };
    const struct seal *seal = mcp_env_seal(w->env, j->policy);
    if (!seal)
        return refuse(j, REFUSAL_NO_POLICY, SLICE_NONE);
    if (mcp_ticket_open(seal, &who, text, clock_wall_us() / US_PER_S, &w->ticket))
        return refuse(j, REFUSAL_SESSION_UNKNOWN, SLICE_NONE);
    if (memcmp(w->ticket.plane, mcp_directory_plane(), MCP_PLANE_LEN) == 0)
        w->session = mcp_directory_find(w->ticket.sid, clock_mono_us());
    if (!w->session)
        return refuse(j, REFUSAL_SESSION_UNKNOWN, SLICE_NONE);
    w->has_ticket = true;
    return GATE_PASS;
}

static enum gate_answer ask_ticket(struct journey *j)
{
    struct mcp_work *w = j->wing_state;
    if (begins_here(w))
        return GATE_PASS;
    struct slice text = http_head_find(j->head, SLICE("mcp-session-id"));
    if (!text.ptr)
        return may_go_without(w)
                   ? GATE_PASS
                   : refuse(j, REFUSAL_BAD_REQUEST,
                            SLICE("Mcp-Session-Id is missing; a session begins with initialize"));
    if (http_head_count(j->head, SLICE("mcp-session-id")) != 1)
        return refuse(j, REFUSAL_BAD_REQUEST, SLICE("Mcp-Session-Id was sent twice"));
    return open_ticket(w, text);
}

const struct gate mcp_gate_ticket = {.name = "ticket", .ask = ask_ticket};

/* For gate_session: the sealed session speaks where no header does. It is an id of the caller's
 * own, since a ticket opens for its principal only. */
struct slice mcp_session_label(struct journey *j, const char **named_by, bool *strict)
{
    struct mcp_work *w = j->wing_state;
    if (!w->has_ticket)
        return SLICE_NONE;
    *named_by = "mcp-session";
    *strict = false;
    return slice_of(w->ticket.label, sizeof(w->ticket.label));
}

static const struct policy_task *sealed_task(const struct mcp_work *w)
{
    const struct journey *j = w->j;
    if (!w->ticket.task_id.len || !principal_may_assume(&j->who, w->ticket.task_id))
        return NULL;
    return snapshot_task(j->policy, w->ticket.task_id);
}

/* What the client said when the session began still holds where it says nothing now. */
static enum gate_answer ask_label(struct journey *j)
{
    struct mcp_work *w = j->wing_state;
    if (!w->has_ticket)
        return GATE_PASS;
    if (memcmp(j->session.id, w->ticket.label, SESSION_ID_LEN) == 0 &&
        !j->session.external_id.len) {
        j->session.external_id = slice_str(w->session->external_id);
        j->session.named_by = w->session->named_by;
    }
    if (!j->task)
        j->task = sealed_task(w);
    return GATE_PASS;
}

const struct gate mcp_gate_label = {.name = "label", .ask = ask_label};
