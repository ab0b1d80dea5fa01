/*
 * tool_filters_grant — the server that the path names, and the tool, as far as they are granted;
 * and the key's limits.
 *
 * A server without a grant is unknown, whether it exists or not. So is a tool: the words are the
 * same, and nothing reaches the server.
 */
#include "common/request/filter_scopes.h"
#include "common/request/request_metrics.h"
#include "mcp-gateway/revision.h"
#include "mcp-gateway/task_owners.h"
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
    *ret = (struct tool_subject){.policy = w->policy ? w->policy : rq->policy,
                                 .who = w->policy ? &w->who : &rq->who,
                                 .task = w->policy ? w->task : rq->task,
                                 .server_id = w->server ? w->server->o.id : SLICE_NONE};
}

bool tool_is_whole(const struct tool_work *w)
{
    struct tool_subject subject;
    tool_subject_of(w, &subject);
    return mcp_may_use_whole(&subject);
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
    rq->record.tool.server = name;
    w->server = snapshot_server_named(rq->policy, rq->who.key->o.org_id, name);
    tool_subject_of(w, &subject);
    if (!w->server || !mcp_may_see(&subject))
        return refuse(rq, REFUSAL_SERVER_UNKNOWN, name);
    return FILTER_PASS;
}

/* A session that this plane has just heard of goes on in the upstream session that its id names,
 * unless the server is another one by now. */
static bool adopt_upstream(struct tool_work *w)
{
    const struct mcp_session_id *id = &w->session_id;
    bool known = id->upstream_revision != MCP_NO_UPSTREAM;
    if (!w->adopts || !known || id->server_revision != w->server->o.revision)
        return true;
    struct upstream_session *u = client_session_upstream(w->session, w->server->o.id);
    return u && !upstream_session_adopt(u, w->server, id->upstream_id,
                                        mcp_revision_get(id->upstream_revision)->name);
}

static enum filter_result on_server(struct request *rq)
{
    struct tool_work *w = rq->gate_state;
    const size_t prefix = SLICE("/mcp/").len;
    struct slice name = rq->path.len > prefix ? slice_from(rq->path, prefix) : SLICE_NONE;
    if (slice_ends(name, SLICE("/")))
        name = slice_first(name, name.len - 1);
    enum filter_result a = name.len ? find_named(w, name) : find_only(w);
    if (a != FILTER_PASS)
        return a;
    rq->record.tool.server = w->server->o.name;
    if (w->has_session_id && !slice_eq(w->session_id.server_id, w->server->o.id))
        return refuse(rq, REFUSAL_SESSION_UNKNOWN, SLICE_NONE);
    if (w->has_session_id && !adopt_upstream(w))
        return refuse(rq, REFUSAL_NO_CAPACITY, SLICE_NONE);
    return FILTER_PASS;
}

const struct filter tool_filter_server = {.name = "server", .on_request = on_server};

/* ---- tasks ---- */

struct slice tool_principal(const struct tool_work *w)
{
    const struct principal *who = &w->rq->who;
    return who->agent ? who->agent->o.id : who->key->o.id;
}

/* A task that is not known here may be one of another plane's: its server decides, for a key that
 * is granted the server whole. */
bool tool_may_see_task(const struct tool_work *w, struct slice task_id)
{
    switch (task_owners_find(w->server->o.id, task_id, tool_principal(w))) {
    case TASK_OWN:
        return true;
    case TASK_FOREIGN:
        return false;
    case TASK_UNKNOWN:
        break;
    }
    return tool_is_whole(w);
}

static enum filter_result judge_task(struct tool_work *w)
{
    const struct json_hit *hit = &w->message.at[MCP_AT_TASK_ID];
    char text[LIMIT_MCP_ID];
    struct slice id;
    if (hit->type != JSON_SCAN_STRING || hit->raw.len > sizeof(text) ||
        json_scan_text(hit, text, sizeof(text), &id) || !tool_may_see_task(w, id))
        return refuse(w->rq, REFUSAL_PARAMS, SLICE("taskId names no task of this client"));
    return FILTER_PASS;
}

/* ---- the tool ---- */

static enum filter_result on_tool(struct request *rq)
{
    struct tool_work *w = rq->gate_state;
    struct tool_subject subject;
    if (!w->is_post || w->message.kind != MCP_REQUEST)
        return FILTER_PASS;
    tool_subject_of(w, &subject);
    bool is_content = w->message.method == MCP_CONTENT;
    if ((w->message.method == MCP_OTHER || is_content) && !mcp_may_use_whole(&subject))
        return refuse(rq, REFUSAL_RPC_METHOD, w->message.method_name);
    if (w->message.method == MCP_TASK)
        return judge_task(w);
    if (w->message.method != MCP_TOOLS_CALL)
        return FILTER_PASS;
    return mcp_may_call(&subject, w->tool) ? FILTER_PASS
                                           : refuse(rq, REFUSAL_TOOL_UNKNOWN, w->tool);
}

const struct filter tool_filter_tool = {.name = "tool", .on_request = on_tool};

/* ---- and later ---- */

static void take_right(struct tool_work *w, const struct request_right *now)
{
    snapshot_drop(w->policy);
    w->policy = snapshot_hold(now->policy);
    w->who = now->who;
    w->task = now->task;
}

/* What runs in a session runs for as long as the server, and the tool, are granted, and the server
 * is the one that it was: another revision may be another host. */
bool tool_still_allowed(struct request *rq, const struct request_right *now)
{
    struct tool_work *w = rq->gate_state;
    struct tool_subject subject;
    const struct policy_server *server =
        snapshot_server_named(now->policy, now->who.key->o.org_id, w->server->o.name);
    take_right(w, now);
    tool_subject_of(w, &subject);
    if (!server || server->o.revision != w->server->o.revision || !mcp_may_see(&subject)) {
        request_refuse(rq, REFUSAL_SERVER_UNKNOWN, w->server->o.name);
        return false;
    }
    if (w->tool.len > 0 && !mcp_may_call(&subject, w->tool)) {
        request_refuse(rq, REFUSAL_TOOL_UNKNOWN, w->tool);
        return false;
    }
    bool needs_whole = w->message.method == MCP_CONTENT || w->message.method == MCP_OTHER;
    if (w->message.kind == MCP_REQUEST && w->is_post && needs_whole &&
        !mcp_may_use_whole(&subject)) {
        request_refuse(rq, REFUSAL_RPC_METHOD, w->message.method_name);
        return false;
    }
    if (w->is_get)
        mcp_listen_regrant(w);
    return true;
}

/* ---- the limit ---- */

/* Each of these is bounded by something that was counted: one confirmation for each upstream
 * session, one cancellation for each request, one response for each question (tool_notify.c). */
static bool is_bounded(const struct tool_work *w)
{
    return w->message.kind == MCP_RESPONSE || w->message.method == MCP_INITIALIZED ||
           w->message.method == MCP_CANCELLED;
}

/* Requests are calls. Other messages, and the opening of an event stream, take one of the key's
 * requests of the minute, but none of its parallel calls. A notification has no response that could
 * refuse it, and an HTTP status would end the session of some clients: it goes no further. */
static enum filter_result on_limit(struct request *rq)
{
    struct tool_work *w = rq->gate_state;
    if (w->is_post && w->message.kind == MCP_REQUEST)
        return limit_enter(rq, filter_state(rq, &tool_filter_limit));
    if (w->is_get)
        return limit_count(rq);
    if (!w->is_post || is_bounded(w) || limit_count(rq) == FILTER_PASS)
        return FILTER_PASS;
    rq->refusal = (struct refusal){.id = REFUSAL_NONE};
    w->over_limit = true;
    count_add(rq->env, COUNT_REFUSALS, REFUSAL_RATE, 1);
    return FILTER_PASS;
}

static void finish_limit(struct request *rq)
{
    limit_leave(rq, filter_state(rq, &tool_filter_limit));
}

const struct filter tool_filter_limit = {.name = "limit",
                                         .slot = FILTER_LIMIT,
                                         .state_size = sizeof(struct limit_state),
                                         .on_request = on_limit,
                                         .on_finish = finish_limit};
