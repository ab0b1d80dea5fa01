/*
 * tool_filters_session — the MCP session of a request, and the Gatehouse session and task that were
 * sealed into its id.
 *
 * An id of another principal, of another path, and one that has ended are all the same: unknown
 * (MCP, Transports: 404, and the client begins anew). An id that this plane has never seen is of a
 * session that was opened on another plane, or before this one was started: it is adopted.
 */
#include "common/base/clock.h"
#include "mcp-gateway/revision.h"
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

/* A ping is answered here, and these are served in a session of their own. */
static bool may_go_without(const struct tool_work *w)
{
    return w->is_post && w->message.kind == MCP_REQUEST &&
           (w->message.method == MCP_PING || w->message.method == MCP_TOOLS_CALL ||
            w->message.method == MCP_TOOLS_LIST);
}

struct mcp_bearer tool_bearer(const struct request *rq)
{
    return (struct mcp_bearer){.org_id = rq->who.key->o.org_id,
                               .key_id = rq->who.key->o.id,
                               .agent_id = rq->who.agent ? rq->who.agent->o.id : SLICE_NONE,
                               .path = rq->path};
}

/* ---- a session of another plane ---- */

static enum err write_hello(const struct mcp_session_id *id, struct buf *out)
{
    struct slice client =
        id->client_info.len ? id->client_info : SLICE("{\"name\":\"unknown\",\"version\":\"0\"}");
    enum err e = buf_printf(out, "{\"protocolVersion\":\"%.*s\",\"capabilities\":",
                            SLICE_ARG(mcp_revision_get(id->revision)->name));
    if (!e)
        e = id->capabilities.len ? buf_append(out, id->capabilities)
                                 : client_declared_write(id->declared, out);
    return e ? e : buf_printf(out, ",\"clientInfo\":%.*s}", SLICE_ARG(client));
}

static struct client_session *make_session(struct tool_work *w)
{
    const struct mcp_session_id *id = &w->session_id;
    buf_clear(&w->out);
    if (write_hello(id, &w->out))
        return NULL;
    const struct client_session_spec spec = {
        .hello = buf_slice(&w->out), .declared = id->declared, .sid = id->sid};
    return client_session_new(&spec);
}

/* Two requests may adopt one session at once: the second finds the first one's. */
static enum filter_result adopt(struct tool_work *w)
{
    struct request *rq = w->rq;
    const struct principal *who = &rq->who;
    bool known;
    struct client_session *s = make_session(w);
    enum err e =
        s ? session_directory_count(s, who->agent ? who->agent->o.id : who->key->o.id) : ERR_NOMEM;
    if (!e)
        e = session_directory_put(s, clock_mono_us());
    if (e)
        client_session_drop(s);
    w->session = e ? session_directory_find(w->session_id.sid, clock_mono_us(), &known) : s;
    w->adopts = !e;
    if (w->session)
        return FILTER_PASS;
    if (e == ERR_DENIED)
        return refuse(rq, REFUSAL_SESSIONS, SLICE("end those that are no longer used, by DELETE"));
    return refuse(rq, e == ERR_EXISTS ? REFUSAL_SESSION_UNKNOWN : REFUSAL_NO_CAPACITY, SLICE_NONE);
}

/* ---- the session ---- */

static enum filter_result open_id(struct tool_work *w, struct slice text)
{
    struct request *rq = w->rq;
    const struct mcp_bearer bearer = tool_bearer(rq);
    const struct seal *seal = mcp_worker_seal(w->worker, rq->policy);
    bool known;
    if (!seal)
        return refuse(rq, REFUSAL_NO_POLICY, SLICE_NONE);
    if (mcp_session_id_open(seal, &bearer, text, clock_wall_us() / US_PER_S, &w->session_id))
        return refuse(rq, REFUSAL_SESSION_UNKNOWN, SLICE_NONE);
    w->session = session_directory_find(w->session_id.sid, clock_mono_us(), &known);
    if (!w->session && known)
        return refuse(rq, REFUSAL_SESSION_UNKNOWN, SLICE_NONE);
    w->has_session_id = true;
    return w->session ? FILTER_PASS : adopt(w);
}

static enum filter_result on_session(struct request *rq)
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
    return open_id(w, text);
}

const struct filter tool_filter_session = {.name = "mcp-session", .on_request = on_session};

/* For filter_session: the sealed session counts where no header names one. It is an id of the
 * caller's own, since a session id opens for its principal only. */
struct slice mcp_session_label(struct request *rq, const char **named_by)
{
    struct tool_work *w = rq->gate_state;
    if (!w->has_session_id)
        return SLICE_NONE;
    *named_by = "mcp-session";
    return slice_of(w->session_id.label, sizeof(w->session_id.label));
}

static const struct policy_task *sealed_task(const struct tool_work *w)
{
    const struct request *rq = w->rq;
    if (!w->session_id.task_id.len || !principal_may_assume(&rq->who, w->session_id.task_id))
        return NULL;
    return snapshot_task(rq->policy, w->session_id.task_id);
}

/* What the client said when the session began still holds where it says nothing now. */
static enum filter_result on_label(struct request *rq)
{
    struct tool_work *w = rq->gate_state;
    if (!w->has_session_id)
        return FILTER_PASS;
    if (memcmp(rq->session.id, w->session_id.label, SESSION_ID_LEN) == 0 &&
        !rq->session.external_id.len) {
        rq->session.external_id = slice_str(w->session->external_id);
        rq->session.named_by = w->session->named_by;
    }
    if (!rq->task)
        rq->task = sealed_task(w);
    return FILTER_PASS;
}

const struct filter tool_filter_label = {.name = "label", .on_request = on_label};
