/*
 * gates_grant — which server does the path name, may this principal see it, and call this tool?
 *
 * A server without a grant is unknown, whether it exists or not. So is a tool: the words are the
 * same, and nothing reaches the server.
 */
#include "mcp-gateway/work.h"

#define NAMES_SHOWN 400 /* of granted servers, in a sentence */

static enum gate_answer refuse(struct journey *j, enum refusal_id id, struct slice detail)
{
    journey_refuse(j, id, detail);
    return GATE_REFUSE;
}

void mcp_asker_of(const struct mcp_work *w, struct mcp_asker *ret)
{
    const struct journey *j = w->j;
    *ret = (struct mcp_asker){.policy = j->policy,
                              .who = &j->who,
                              .task = j->task,
                              .server_id = w->server ? w->server->o.id : SLICE_NONE};
}

/* ---- the server ---- */

struct granted {
    struct mcp_asker asker;
    const struct policy_server *only;
    size_t count;
    struct buf names;
};

static bool look_at(void *arg, const struct policy_server *s)
{
    struct granted *g = arg;
    g->asker.server_id = s->o.id;
    if (!mcp_may_see(&g->asker))
        return true;
    g->only = s;
    if (buf_printf(&g->names, "%s%.*s", g->count ? ", " : "", SLICE_ARG(s->o.name)))
        return false; /* enough of them were named */
    g->count++;
    return true;
}

/* `/mcp`: the one that is granted */
static enum gate_answer find_only(struct mcp_work *w)
{
    struct journey *j = w->j;
    struct granted g = {.count = 0};
    enum gate_answer a = GATE_PASS;
    mcp_asker_of(w, &g.asker);
    buf_init(&g.names, NAMES_SHOWN);
    snapshot_each_server(j->policy, j->who.key->o.org_id, look_at, &g);
    if (g.count > 1)
        a = refuse(j, REFUSAL_SERVER_AMBIGUOUS, buf_slice(&g.names));
    else if (g.count == 0)
        a = refuse(j, REFUSAL_PATH_UNKNOWN, SLICE_NONE);
    else
        w->server = g.only;
    buf_fini(&g.names);
    return a;
}

static enum gate_answer find_named(struct mcp_work *w, struct slice name)
{
    struct journey *j = w->j;
    struct mcp_asker asker;
    j->trace.server = name;
    w->server = snapshot_server_named(j->policy, j->who.key->o.org_id, name);
    mcp_asker_of(w, &asker);
    if (!w->server || !mcp_may_see(&asker))
        return refuse(j, REFUSAL_SERVER_UNKNOWN, name);
    return GATE_PASS;
}

static enum gate_answer ask_server(struct journey *j)
{
    struct mcp_work *w = j->wing_state;
    const size_t prefix = SLICE("/mcp/").len;
    enum gate_answer a =
        j->path.len > prefix ? find_named(w, slice_from(j->path, prefix)) : find_only(w);
    if (a != GATE_PASS)
        return a;
    j->trace.server = w->server->o.name;
    if (w->has_ticket && !slice_eq(w->ticket.server_id, w->server->o.id))
        return refuse(j, REFUSAL_SESSION_UNKNOWN, SLICE_NONE);
    return GATE_PASS;
}

const struct gate mcp_gate_server = {.name = "server", .ask = ask_server};

/* ---- the tool ---- */

static enum gate_answer ask_tool(struct journey *j)
{
    struct mcp_work *w = j->wing_state;
    struct mcp_asker asker;
    if (!w->is_post || w->message.kind != MCP_REQUEST)
        return GATE_PASS;
    mcp_asker_of(w, &asker);
    bool is_content = w->message.method == MCP_CONTENT;
    if (w->message.method == MCP_OTHER || (is_content && !mcp_may_use_whole(&asker)))
        return refuse(j, REFUSAL_RPC_METHOD, w->message.method_name);
    if (w->message.method != MCP_TOOLS_CALL)
        return GATE_PASS;
    return mcp_may_call(&asker, w->tool) ? GATE_PASS : refuse(j, REFUSAL_TOOL_UNKNOWN, w->tool);
}

const struct gate mcp_gate_tool = {.name = "tool", .ask = ask_tool};

/* ---- the limit ---- */

/* Requests are calls. Notifications, responses and the event stream belong to one that was
 * counted, and a stream that stays open must not take one of a key's parallel calls. */
static enum gate_answer ask_limit(struct journey *j)
{
    struct mcp_work *w = j->wing_state;
    if (!w->is_post || w->message.kind != MCP_REQUEST)
        return GATE_PASS;
    enum gate_answer a = gate_limit.ask(j);
    w->counted = a == GATE_PASS;
    return a;
}

static void leave_limit(struct journey *j)
{
    struct mcp_work *w = j->wing_state;
    if (w->counted)
        gate_limit.leave(j);
    w->counted = false;
}

const struct gate mcp_gate_limit = {.name = "limit", .ask = ask_limit, .leave = leave_limit};
