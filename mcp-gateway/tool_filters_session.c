/*
 * gates_session — in which MCP session is this asked, and in which Gatehouse session?
 *
 * An id of another principal, of another path, of another plane, and one that has ended are all
 * the same: unknown (MCP, Transports: 404, and the client begins anew).
 */
#include "common/base/clock.h"
#include "mcp-gateway/tool_private.h"

#define US_PER_S 1000000

static enum filter_result refuse(struct request *rq, enum refusal_id id, struct slice detail)
{
    request_refuse(rq, id, detail);
    return FILTER_REFUSE;
}

static bool begins_here(const struct tool_work *w)
{
    return w->is_post && w->message.kind == MCP_REQUEST && w->message.method == MCP_INITIALIZE;
}

/* A ping asks nobody but us, and a lone call is served in a session of its own. */
static bool may_go_without(const struct tool_work *w)
{
    return w->is_post && w->message.kind == MCP_REQUEST &&
           (w->message.method == MCP_PING || w->message.method == MCP_TOOLS_CALL);
}

static enum filter_result open_ticket(struct tool_work *w, struct slice text)
{
    struct request *rq = w->rq;
    const struct mcp_bearer who = {
        .org_id = rq->who.key->o.org_id,
        .key_id = rq->who.key->o.id,
        .agent_id = rq->who.agent ? rq->who.agent->o.id : SLICE_NONE,
        .path = rq->path,
    };
    const struct seal *seal = mcp_env_seal(w->env, rq->policy);
    if (!seal)
        return refuse(rq, REFUSAL_NO_POLICY, SLICE_NONE);
    if (mcp_ticket_open(seal, &who, text, clock_wall_us() / US_PER_S, &w->ticket))
        return refuse(rq, REFUSAL_SESSION_UNKNOWN, SLICE_NONE);
    if (memcmp(w->ticket.plane, mcp_directory_plane(), MCP_PLANE_LEN) == 0)
        w->session = mcp_directory_find(w->ticket.sid, clock_mono_us());
    if (!w->session)
        return refuse(rq, REFUSAL_SESSION_UNKNOWN, SLICE_NONE);
    w->has_ticket = true;
    return FILTER_PASS;
}

static enum filter_result on_ticket(struct request *rq)
{
    struct tool_work *w = rq->gate_state;
    if (begins_here(w))
        return FILTER_PASS;
    struct slice text = http_head_find(rq->head, SLICE("mcp-session-id"));
    if (!text.ptr)
        return may_go_without(w)
                   ? FILTER_PASS
                   : refuse(rq, REFUSAL_BAD_REQUEST,
                            SLICE("Mcp-Session-Id is missing; a session begins with initialize"));
    if (http_head_count(rq->head, SLICE("mcp-session-id")) != 1)
        return refuse(rq, REFUSAL_BAD_REQUEST, SLICE("Mcp-Session-Id was sent twice"));
    return open_ticket(w, text);
}

const struct filter tool_filter_ticket = {.name = "ticket", .on_request = on_ticket};

/* For filter_session: the sealed session speaks where no header does. It is an id of the caller's
 * own, since a ticket opens for its principal only. */
struct slice mcp_session_label(struct request *rq, const char **named_by)
{
    struct tool_work *w = rq->gate_state;
    if (!w->has_ticket)
        return SLICE_NONE;
    *named_by = "mcp-session";
    return slice_of(w->ticket.label, sizeof(w->ticket.label));
}

static const struct policy_task *sealed_task(const struct tool_work *w)
{
    const struct request *rq = w->rq;
    if (!w->ticket.task_id.len || !principal_may_assume(&rq->who, w->ticket.task_id))
        return NULL;
    return snapshot_task(rq->policy, w->ticket.task_id);
}

/* What the client said when the session began still holds where it says nothing now. */
static enum filter_result on_label(struct request *rq)
{
    struct tool_work *w = rq->gate_state;
    if (!w->has_ticket)
        return FILTER_PASS;
    if (memcmp(rq->session.id, w->ticket.label, SESSION_ID_LEN) == 0 &&
        !rq->session.external_id.len) {
        rq->session.external_id = slice_str(w->session->external_id);
        rq->session.named_by = w->session->named_by;
    }
    if (!rq->task)
        rq->task = sealed_task(w);
    return FILTER_PASS;
}

const struct filter tool_filter_label = {.name = "label", .on_request = on_label};
