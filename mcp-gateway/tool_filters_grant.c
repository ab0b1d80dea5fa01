/*
 * gates_grant — which server does the path name, may this principal see it, and call this tool?
 *
 * A server without a grant is unknown, whether it exists or not. So is a tool: the words are the
 * same, and nothing reaches the server.
 */
#include "common/request/filter_limit.h"
#include "mcp-gateway/tool_private.h"

#define NAMES_SHOWN 400 /* of granted servers, in a sentence */

static enum filter_result refuse(struct request *rq, enum refusal_id id, struct slice detail)
{
    request_refuse(rq, id, detail);
    return FILTER_REFUSE;
}

void tool_subject_of(const struct tool_work *w, struct tool_subject *ret)
{
    const struct request *rq = w->rq;
    *ret = (struct tool_subject){.policy = rq->policy,
                                 .who = &rq->who,
                                 .task = rq->task,
                                 .server_id = w->server ? w->server->o.id : SLICE_NONE};
}

/* ---- the server ---- */

struct granted {
    struct tool_subject subject;
    const struct policy_server *only;
    size_t count;
    struct buf names;
};

static bool look_at(void *arg, const struct policy_server *s)
{
    struct granted *g = arg;
    g->subject.server_id = s->o.id;
    if (!mcp_may_see(&g->subject))
        return true;
    g->only = s;
    if (buf_printf(&g->names, "%s%.*s", g->count ? ", " : "", SLICE_ARG(s->o.name)))
        return false; /* enough of them were named */
    g->count++;
    return true;
}

/* `/mcp`: the one that is granted */
static enum filter_result find_only(struct tool_work *w)
{
    struct request *rq = w->rq;
    struct granted g = {.count = 0};
    enum filter_result a = FILTER_PASS;
    tool_subject_of(w, &g.subject);
    buf_init(&g.names, NAMES_SHOWN);
    snapshot_each_server(rq->policy, rq->who.key->o.org_id, look_at, &g);
    if (g.count > 1)
        a = refuse(rq, REFUSAL_SERVER_AMBIGUOUS, buf_slice(&g.names));
    else if (g.count == 0)
        a = refuse(rq, REFUSAL_PATH_UNKNOWN, SLICE("no MCP server is granted to this key"));
    else
        w->server = g.only;
    buf_fini(&g.names);
    return a;
}

static enum filter_result find_named(struct tool_work *w, struct slice name)
{
    struct request *rq = w->rq;
    struct tool_subject subject;
    rq->record.server = name;
    w->server = snapshot_server_named(rq->policy, rq->who.key->o.org_id, name);
    tool_subject_of(w, &subject);
    if (!w->server || !mcp_may_see(&subject))
        return refuse(rq, REFUSAL_SERVER_UNKNOWN, name);
    return FILTER_PASS;
}

static enum filter_result on_server(struct request *rq)
{
    struct tool_work *w = rq->gate_state;
    const size_t prefix = SLICE("/mcp/").len;
    enum filter_result a =
        rq->path.len > prefix ? find_named(w, slice_from(rq->path, prefix)) : find_only(w);
    if (a != FILTER_PASS)
        return a;
    rq->record.server = w->server->o.name;
    if (w->has_ticket && !slice_eq(w->ticket.server_id, w->server->o.id))
        return refuse(rq, REFUSAL_SESSION_UNKNOWN, SLICE_NONE);
    return FILTER_PASS;
}

const struct filter tool_filter_server = {.name = "server", .on_request = on_server};

/* ---- the tool ---- */

static enum filter_result on_tool(struct request *rq)
{
    struct tool_work *w = rq->gate_state;
    struct tool_subject subject;
    if (!w->is_post || w->message.kind != MCP_REQUEST)
        return FILTER_PASS;
    tool_subject_of(w, &subject);
    bool is_content = w->message.method == MCP_CONTENT;
    if (w->message.method == MCP_OTHER || (is_content && !mcp_may_use_whole(&subject)))
        return refuse(rq, REFUSAL_RPC_METHOD, w->message.method_name);
    if (w->message.method != MCP_TOOLS_CALL)
        return FILTER_PASS;
    return mcp_may_call(&subject, w->tool) ? FILTER_PASS
                                           : refuse(rq, REFUSAL_TOOL_UNKNOWN, w->tool);
}

const struct filter tool_filter_tool = {.name = "tool", .on_request = on_tool};

/* ---- and later ---- */

bool tool_still_allowed(struct request *rq, const struct request_right *now)
{
    const struct tool_work *w = rq->gate_state;
    const struct policy_server *server =
        snapshot_server_named(now->policy, now->who.key->o.org_id, w->server->o.name);
    const struct tool_subject subject = {
        .policy = now->policy, .who = &now->who, .task = now->task, .server_id = w->server->o.id};
    if (!server || !slice_eq(server->o.id, w->server->o.id) || !mcp_may_see(&subject)) {
        request_refuse(rq, REFUSAL_SERVER_UNKNOWN, w->server->o.name);
        return false;
    }
    if (w->tool.len > 0 && !mcp_may_call(&subject, w->tool)) {
        request_refuse(rq, REFUSAL_TOOL_UNKNOWN, w->tool);
        return false;
    }
    return true;
}

/* ---- the limit ---- */

/* Requests are calls. Notifications, responses and the event stream belong to one that was
 * counted, and a stream that stays open must not take one of a key's parallel calls. */
static enum filter_result on_limit(struct request *rq)
{
    struct tool_work *w = rq->gate_state;
    if (!w->is_post || w->message.kind != MCP_REQUEST)
        return FILTER_PASS;
    return limit_enter(rq, filter_state(rq, &tool_filter_limit));
}

static void finish_limit(struct request *rq)
{
    limit_leave(rq, filter_state(rq, &tool_filter_limit));
}

const struct filter tool_filter_limit = {.name = "limit",
                                         .state_size = sizeof(struct limit_state),
                                         .on_request = on_limit,
                                         .on_finish = finish_limit};
