/*
 * tool_filters — where a request comes from, its form, and its message.
 *
 * Origin and Host are looked at before anything else: a page on the web can make a browser send
 * to an address of its user's own network, and these two it cannot fake (MCP, Transports: Security
 * Warning; DNS rebinding).
 */
#include "common/net/address.h"
#include "common/net/host_list.h"
#include "common/net/http1.h"
#include "common/net/origin_list.h"
#include "common/upstream/trace_context.h"
#include "mcp-gateway/revision.h"
#include "mcp-gateway/tool_private.h"

static enum filter_result refuse(struct request *rq, enum refusal_id id, struct slice detail)
{
    request_refuse(rq, id, detail);
    return FILTER_REFUSE;
}

/* ---- work ---- */

static void work_leave(void *guest)
{
    struct tool_work *w = guest;
    client_session_drop(w->session);
    snapshot_drop(w->policy);
    buf_fini(&w->out);
    buf_fini(&w->event);
    buf_fini(&w->last_event_id);
}

static struct tool_work *work_new(struct request *rq)
{
    struct tool_work *w = arena_zalloc(rq->arena, sizeof(*w));
    struct mcp_worker *worker = mcp_worker_of(rq->env);
    if (!w || !worker)
        return NULL;
    w->rq = rq;
    w->worker = worker;
    buf_init(&w->out, LIMIT_MCP_ANSWER + LIMIT_MCP_HELLO);
    buf_init(&w->event, 2 * LIMIT_MCP_ANSWER);
    buf_init(&w->last_event_id, LIMIT_MCP_EVENT_ID);
    if (arena_adopt(rq->arena, w, work_leave))
        return NULL;
    rq->gate_state = w;
    return w;
}

/* ---- the origin ---- */

static bool is_loopback(struct slice host)
{
    union sockaddr_any a;
    struct cidr v4, v6;
    if (slice_ieq(host, SLICE("localhost")))
        return true;
    if (!address_literal(host, 0, &a) || cidr_parse(SLICE("127.0.0.0/8"), &v4) ||
        cidr_parse(SLICE("::1/128"), &v6))
        return false;
    return cidr_holds(&v4, &a) || cidr_holds(&v6, &a);
}

/* "host:port" without its port; SLICE_NONE where it is neither a name nor an address */
static struct slice host_of(struct slice authority)
{
    struct slice host, port;
    bool bracketed;
    return address_split(authority, &host, &port, &bracketed) ? SLICE_NONE : host;
}

/* A name that was set for this plane, as where a proxy of the same machine passes on its own. */
static bool is_listed(const struct request *rq, struct slice host)
{
    const struct host_list *l = rq->env->allowed_hosts;
    return l && host.len && host_list_has(l, host);
}

/* What came over the loopback was sent to a loopback name, or a foreign name led there. A list
 * says for all peers what the names are. */
static bool is_host_allowed(const struct request *rq)
{
    struct slice host = host_of(http_head_find(rq->head, SLICE("host")));
    if (is_loopback(host) || is_listed(rq, host))
        return true;
    bool has_list = rq->env->allowed_hosts && rq->env->allowed_hosts->count > 0;
    return !has_list && !is_loopback(host_of(rq->peer));
}

/* A page of this machine, of a listed name, or one that was served under the name it asks. */
static bool is_origin_allowed(const struct request *rq)
{
    struct slice origin = http_head_find(rq->head, SLICE("origin"));
    if (!origin.ptr)
        return true;
    if (http_head_count(rq->head, SLICE("origin")) != 1)
        return false;
    ptrdiff_t at = slice_search(origin, SLICE("://"));
    if (at < 0)
        return false;
    struct slice authority = slice_from(origin, (size_t)at + 3);
    return origin_list_has(rq->env->allowed_origins, origin) || is_loopback(host_of(authority)) ||
           is_listed(rq, host_of(authority)) ||
           slice_ieq(authority, http_head_find(rq->head, SLICE("host")));
}

static bool is_path(struct slice path)
{
    const struct slice one = SLICE("/mcp/");
    if (slice_eq(path, SLICE("/mcp")))
        return true;
    ptrdiff_t end = slice_starts(path, one) ? slice_find(slice_from(path, one.len), '/') : 0;
    bool last = end >= 0 && one.len + (size_t)end + 1 == path.len; /* one slash may end it */
    return path.len > one.len && slice_starts(path, one) && end != 0 && (end < 0 || last);
}

static enum filter_result on_origin(struct request *rq)
{
    struct tool_work *w = work_new(rq);
    if (!w)
        return refuse(rq, REFUSAL_NO_CAPACITY, SLICE_NONE);
    if (!is_host_allowed(rq) || !is_origin_allowed(rq))
        return refuse(rq, REFUSAL_ORIGIN, SLICE_NONE);
    if (!is_path(rq->path))
        return refuse(rq, REFUSAL_PATH_UNKNOWN,
                      SLICE("MCP servers are at /mcp/{server}, or /mcp for the only one"));
    w->is_post = slice_eq(rq->head->method, SLICE("POST"));
    w->is_get = slice_eq(rq->head->method, SLICE("GET"));
    w->is_delete = slice_eq(rq->head->method, SLICE("DELETE"));
    rq->unrecorded = w->is_get || w->is_delete;
    if (!w->is_post && !w->is_get && !w->is_delete)
        return refuse(rq, REFUSAL_METHOD, SLICE("GET, POST and DELETE are"));
    return FILTER_PASS;
}

const struct filter tool_filter_origin = {.name = "origin", .on_request = on_origin};

/* ---- the form ---- */

/* type/subtype of one member, without parameters; a weight of nothing is a no */
static bool range_allows(struct slice range, struct slice type)
{
    struct slice name, parameter;
    if (!slice_split(&range, ';', &name))
        return false;
    while (slice_split(&range, ';', &parameter)) {
        parameter = slice_trim(parameter);
        if (slice_ieq(parameter, SLICE("q=0")) || slice_ieq(parameter, SLICE("q=0.0")) ||
            slice_ieq(parameter, SLICE("q=0.00")) || slice_ieq(parameter, SLICE("q=0.000")))
            return false;
    }
    name = slice_trim(name);
    struct slice all = slice_first(type, (size_t)slice_find(type, '/') + 1);
    return slice_ieq(name, type) || slice_eq(name, SLICE("*/*")) ||
           (name.len == all.len + 1 && name.ptr[all.len] == '*' &&
            slice_ieq(slice_first(name, all.len), all));
}

/* RFC 9110 section 12.5.1; no such header: anything */
static bool accepts(const struct http_head *h, struct slice type)
{
    bool any = false;
    for (size_t i = 0; i < h->header_count; i++) {
        if (!slice_ieq(h->headers[i].name, SLICE("accept")))
            continue;
        struct slice rest = h->headers[i].value, range;
        any = true;
        while (slice_split(&rest, ',', &range))
            if (range_allows(range, type))
                return true;
    }
    return !any;
}

static bool is_json(const struct http_head *h)
{
    struct slice type = http_head_find(h, SLICE("content-type")), name;
    return http_head_count(h, SLICE("content-type")) == 1 && slice_split(&type, ';', &name) &&
           slice_ieq(slice_trim(name), SLICE("application/json"));
}

/* MCP, Transports: a revision that is not served is a 400; without the header it is 2025-03-26. */
static bool is_revision_served(const struct http_head *h)
{
    struct slice value = http_head_find(h, SLICE("mcp-protocol-version"));
    return !value.ptr || (http_head_count(h, SLICE("mcp-protocol-version")) == 1 &&
                          mcp_revision_is_served(value));
}

static enum filter_result check_revision(struct tool_work *w)
{
    struct request *rq = w->rq;
    if (is_revision_served(rq->head))
        return FILTER_PASS;
    return refuse(rq, REFUSAL_BAD_REQUEST,
                  arena_printf(rq->arena,
                               "MCP-Protocol-Version names a revision that is not served here; "
                               "served are %.*s",
                               SLICE_ARG(mcp_revision_names())));
}

/* A POST may be answered in either type. A client that takes only one gets that one. */
static enum filter_result on_form(struct request *rq)
{
    struct tool_work *w = rq->gate_state;
    const struct http_head *h = rq->head;
    if (w->is_post && !is_json(h))
        return refuse(rq, REFUSAL_MEDIA_TYPE, SLICE("Content-Type must be application/json"));
    w->takes_stream = accepts(h, SLICE("text/event-stream"));
    w->takes_json = accepts(h, SLICE("application/json"));
    if (w->is_get ? !w->takes_stream : w->is_post && !w->takes_stream && !w->takes_json)
        return refuse(rq, REFUSAL_NOT_ACCEPTABLE, SLICE_NONE);
    return w->is_post ? FILTER_PASS : check_revision(w);
}

const struct filter tool_filter_form = {.name = "form", .on_request = on_form};

/* ---- the message ---- */

/* The message's own place in a trace goes before the header's (OpenTelemetry, MCP). */
static void read_trace(struct tool_work *w)
{
    const struct json_hit *hit = &w->message.at[MCP_AT_TRACEPARENT];
    struct call_record *t = &w->rq->record;
    char buffer[TRACE_HEADER_LEN + 2];
    struct slice text, trace_id, parent_id;
    if (hit->raw.len > sizeof(buffer) || json_scan_text(hit, buffer, sizeof(buffer), &text) ||
        trace_read(text, &trace_id, &parent_id))
        return;
    memcpy(t->trace_id, trace_id.ptr, trace_id.len);
    memcpy(t->parent_id, parent_id.ptr, parent_id.len);
}

static enum filter_result refuse_message(struct tool_work *w, const struct mcp_fault *fault)
{
    w->fault_code = fault->code;
    w->id = fault->id;
    w->rq->record.name = SLICE("invalid message");
    bool json = fault->code != RPC_PARSE_ERROR;
    return refuse(w->rq, json ? REFUSAL_BAD_REQUEST : REFUSAL_BAD_JSON, slice_str(fault->text));
}

static enum filter_result read_name(struct tool_work *w)
{
    const struct json_hit *name = &w->message.at[MCP_AT_NAME];
    const struct json_hit *arguments = &w->message.at[MCP_AT_ARGUMENTS];
    if (name->type != JSON_SCAN_STRING || name->raw.len > LIMIT_MCP_TOOL)
        return refuse(w->rq, REFUSAL_PARAMS, SLICE("name must be the name of a tool"));
    if (arguments->type != JSON_SCAN_ABSENT && arguments->type != JSON_SCAN_OBJECT)
        return refuse(w->rq, REFUSAL_PARAMS, SLICE("arguments must be an object"));
    char *buffer = arena_alloc(w->rq->arena, name->raw.len);
    if (!buffer)
        return refuse(w->rq, REFUSAL_NO_CAPACITY, SLICE_NONE);
    if (json_scan_text(name, buffer, name->raw.len, &w->tool))
        return refuse(w->rq, REFUSAL_PARAMS, SLICE("name holds a NUL or half of a surrogate pair"));
    w->rq->record.tool.name = w->tool;
    w->rq->record.name = arena_printf(w->rq->arena, "tools/call %.*s", SLICE_ARG(w->tool));
    return FILTER_PASS;
}

static enum filter_result read_version(struct tool_work *w)
{
    const struct json_hit *hit = &w->message.at[MCP_AT_VERSION];
    char buffer[32];
    struct slice text;
    if (hit->type != JSON_SCAN_STRING)
        return refuse(w->rq, REFUSAL_PARAMS, SLICE("protocolVersion must be a string"));
    if (w->message.text.len > LIMIT_MCP_HELLO)
        return refuse(w->rq, REFUSAL_TOO_LARGE, SLICE("16384 bytes of initialize"));
    w->revision = mcp_revision_newest();
    if (hit->raw.len <= sizeof(buffer) && !json_scan_text(hit, buffer, sizeof(buffer), &text))
        w->revision = mcp_revision_negotiate(text);
    return FILTER_PASS;
}

static enum filter_result on_message(struct request *rq)
{
    struct tool_work *w = rq->gate_state;
    struct mcp_fault fault;
    if (!w->is_post)
        return FILTER_PASS;
    if (mcp_message_read(buf_slice(&rq->body), &w->message, &fault))
        return refuse_message(w, &fault);
    const struct mcp_message *m = &w->message;
    w->id = m->kind == MCP_REQUEST ? m->id : SLICE_NONE;
    rq->unrecorded = m->kind != MCP_REQUEST || m->method == MCP_PING;
    rq->record.name = m->method_name.len ? m->method_name : SLICE("response");
    read_trace(w);
    if (m->kind == MCP_REQUEST && m->method == MCP_INITIALIZE)
        return read_version(w); /* negotiates; a version in its head has no meaning yet */
    enum filter_result a = check_revision(w);
    return a == FILTER_PASS && m->method == MCP_TOOLS_CALL ? read_name(w) : a;
}

const struct filter tool_filter_message = {.name = "message", .on_request = on_message};
