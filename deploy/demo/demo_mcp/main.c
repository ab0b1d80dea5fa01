/*
 * demo-mcp — an MCP server with a few tools, over Streamable HTTP (revisions 2025-03-26 to
 * 2025-11-25): sessions, plain JSON responses, and an event stream where a call takes its time.
 */
#include <string.h>

#include "common/base/id.h"
#include "common/base/limits.h"
#include "common/base/map.h"
#include "common/base/mem.h"
#include "common/net/sse.h"
#include "deploy/demo/demo_mcp/tools.h"
#include "deploy/demo/serve.h"

#define SESSIONS_MAX 10000
#define STEPS_MAX 1000

struct settings {
    const char *listen;
};

static const struct option options[] = {
    {.name = "listen",
     .env = "GATEHOUSE_DEMO_LISTEN",
     .default_text = "127.0.0.1:8086",
     .help = "address to serve on",
     .offset = offsetof(struct settings, listen)},
};

static const char *const revisions[] = {"2025-11-25", "2025-06-18",
                                        "2025-03-26"}; /* newest first */

struct session {
    char id[ID_MAX];
};

struct demo_mcp {
    struct map *sessions;
};

static struct demo_mcp *demo_of(const struct visit *v)
{
    return serve_arg(v->serve);
}

/* ---- JSON-RPC ---- */

static json_t *envelope(const json_t *id, const char *member, json_t *value)
{
    return json_pack("{s:s,s:O?,s:o}", "jsonrpc", "2.0", "id", id, member, value);
}

static void say_error(struct visit *v, unsigned status, const json_t *id, int code,
                      const char *message)
{
    json_t *null = id ? NULL : json_null();
    visit_json(v, status,
               envelope(id ? id : null, "error",
                        json_pack("{s:i,s:s}", "code", code, "message", message)));
}

/* ---- sessions ---- */

static struct session *session_of(const struct visit *v)
{
    struct slice id = http_head_find(v->head, SLICE("mcp-session-id"));
    return id.len > 0 ? map_find(demo_of(v)->sessions, id) : NULL;
}

static const char *negotiate(const json_t *params)
{
    const char *asked = json_string_value(json_object_get(params, "protocolVersion"));
    for (size_t i = 0; asked && i < ARRAY_LEN(revisions); i++) {
        if (strcmp(asked, revisions[i]) == 0)
            return revisions[i];
    }
    return revisions[0];
}

static void initialize(struct visit *v, const json_t *id, const json_t *params)
{
    struct demo_mcp *d = demo_of(v);
    struct session *s = map_size(d->sessions) < SESSIONS_MAX ? mem_zalloc(sizeof(*s)) : NULL;
    if (s)
        id_new("m", s->id);
    if (!s || map_put(d->sessions, slice_str(s->id), s, NULL) != ERR_OK) {
        mem_free(s);
        say_error(v, 503, id, -32000, "There are too many sessions.");
        return;
    }
    struct buf out;
    json_t *answer = envelope(id, "result",
                              json_pack("{s:s,s:{s:{}},s:{s:s,s:s}}", "protocolVersion",
                                        negotiate(params), "capabilities", "tools", "serverInfo",
                                        "name", "gatehouse-demo-mcp", "version", "1"));
    struct http_header headers[] = {{SLICE("content-type"), SLICE("application/json")},
                                    {SLICE("mcp-session-id"), slice_str(s->id)}};
    buf_init(&out, LIMIT_MCP_ANSWER);
    if (json_write(answer, &out) != ERR_OK ||
        http_response(v->x, 200, headers, ARRAY_LEN(headers), buf_slice(&out)) != ERR_OK)
        http_response_abort(v->x);
    buf_fini(&out);
    json_decref(answer);
}

static void end_session(struct visit *v)
{
    struct session *s = session_of(v);
    if (!s) {
        visit_answer(v, 404, NULL, SLICE_NONE);
        return;
    }
    map_remove(demo_of(v)->sessions, slice_str(s->id));
    mem_free(s);
    visit_answer(v, 204, NULL, SLICE_NONE);
}

/* ---- a call that takes its time: an event stream with progress, then the result ---- */

struct slow_call {
    json_t *id, *token;
    uint64_t steps, done, ms;
};

static void free_slow(struct visit *v)
{
    struct slow_call *c = v->state;
    json_decref(c->id);
    json_decref(c->token);
    mem_free(c);
}

static enum err send_event(struct visit *v, json_t *message)
{
    struct buf text, event;
    buf_init(&text, 64 * 1024);
    buf_init(&event, 128 * 1024);
    enum err e = message ? json_write(message, &text) : ERR_NOMEM;
    if (e == ERR_OK)
        e = sse_write(&event, SLICE("message"), SLICE_NONE, buf_slice(&text));
    if (e == ERR_OK)
        e = http_response_write(v->x, buf_slice(&event));
    buf_fini(&text);
    buf_fini(&event);
    json_decref(message);
    return e;
}

static void on_step(struct timer *t)
{
    struct visit *v = CONTAINER_OF(t, struct visit, timer);
    struct slow_call *c = v->state;
    enum err e = ERR_OK;
    c->done++;
    if (c->token)
        e = send_event(v,
                       json_pack("{s:s,s:s,s:{s:O,s:I,s:I}}", "jsonrpc", "2.0", "method",
                                 "notifications/progress", "params", "progressToken", c->token,
                                 "progress", (json_int_t)c->done, "total", (json_int_t)c->steps));
    if (e == ERR_OK && c->done >= c->steps) {
        e = send_event(v, envelope(c->id, "result", tools_text("done", false)));
        if (e == ERR_OK) {
            http_response_end(v->x);
            return;
        }
    }
    if (e != ERR_OK)
        http_response_abort(v->x);
    else
        timer_start(&v->timer, c->ms);
}

static uint64_t at_most(const json_t *n, uint64_t otherwise, uint64_t max)
{
    json_int_t value = json_is_integer(n) ? json_integer_value(n) : (json_int_t)otherwise;
    return value < 1 ? 1 : (uint64_t)value < max ? (uint64_t)value : max;
}

static void start_slow(struct visit *v, const json_t *id, const json_t *params)
{
    struct http_header type = {SLICE("content-type"), SLICE("text/event-stream")};
    const json_t *arguments = json_object_get(params, "arguments");
    json_t *token = json_object_get(json_object_get(params, "_meta"), "progressToken");
    struct slow_call *c = mem_zalloc(sizeof(*c));
    if (!c || http_response_begin(v->x, 200, &type, 1, UINT64_MAX) != ERR_OK) {
        mem_free(c);
        http_response_abort(v->x);
        return;
    }
    c->id = json_deep_copy(id);
    c->token = token ? json_deep_copy(token) : NULL;
    c->steps = at_most(json_object_get(arguments, "steps"), 3, STEPS_MAX);
    c->ms = at_most(json_object_get(arguments, "ms"), 20, 60000);
    v->state = c;
    v->on_gone = free_slow;
    timer_init(&v->timer, serve_loop(v->serve), on_step);
    timer_start(&v->timer, c->ms);
}

/* ---- methods ---- */

static void call_tool(struct visit *v, const json_t *id, const json_t *params)
{
    const char *name = json_string_value(json_object_get(params, "name"));
    if (name && tools_takes_time(name)) {
        start_slow(v, id, params);
        return;
    }
    json_t *result = name ? tools_call(v, name, json_object_get(params, "arguments")) : NULL;
    if (result)
        visit_json(v, 200, envelope(id, "result", result));
    else
        say_error(v, 200, id, -32602, "There is no such tool.");
}

static void dispatch(struct visit *v, const json_t *message)
{
    const char *method = json_string_value(json_object_get(message, "method"));
    const json_t *id = json_object_get(message, "id");
    const json_t *params = json_object_get(message, "params");
    if (!method || !id)
        visit_answer(v, 202, NULL, SLICE_NONE); /* a notification, or a response to no request */
    else if (strcmp(method, "ping") == 0)
        visit_json(v, 200, envelope(id, "result", json_object()));
    else if (strcmp(method, "tools/list") == 0)
        visit_json(v, 200, envelope(id, "result", tools_list()));
    else if (strcmp(method, "tools/call") == 0)
        call_tool(v, id, params);
    else
        say_error(v, 200, id, -32601, "There is no such method.");
}

static void on_post(struct visit *v)
{
    JSON_AUTO json_t *message = NULL;
    struct json_problem problem;
    if (json_read(buf_slice(&v->body), &message, &problem) != ERR_OK || !json_is_object(message)) {
        say_error(v, 400, NULL, -32700, "The body is not one JSON-RPC message.");
        return;
    }
    const json_t *id = json_object_get(message, "id");
    const char *method = json_string_value(json_object_get(message, "method"));
    if (method && id && strcmp(method, "initialize") == 0)
        initialize(v, id, json_object_get(message, "params"));
    else if (!http_head_find(v->head, SLICE("mcp-session-id")).ptr)
        say_error(v, 400, id, -32000, "The session id is missing.");
    else if (!session_of(v))
        say_error(v, 404, id, -32001, "The session is unknown.");
    else
        dispatch(v, message);
}

static void handle(struct visit *v)
{
    if (visit_is(v, "POST", "/mcp"))
        on_post(v);
    else if (visit_is(v, "DELETE", "/mcp"))
        end_session(v);
    else if (visit_is(v, "GET", "/healthz"))
        visit_answer(v, 200, "text/plain", SLICE("ok\n"));
    else if (slice_eq(v->path, SLICE("/mcp")))
        visit_answer(v, 405, NULL, SLICE_NONE);
    else
        visit_answer(v, 404, NULL, SLICE_NONE);
}

static void free_sessions(struct demo_mcp *d)
{
    size_t at = 0;
    struct slice id;
    void *session;
    while (map_each(d->sessions, &at, &id, &session))
        mem_free(session);
    map_free(d->sessions);
}

int main(int argc, char **argv)
{
    struct settings s;
    bool want_help;
    if (option_read("demo-mcp", "A small MCP server.", options, ARRAY_LEN(options), argc, argv, &s,
                    &want_help) != ERR_OK)
        return 2;
    if (want_help)
        return 0;
    struct demo_mcp d = {.sessions = map_new()};
    if (!d.sessions)
        return 1;
    struct serve_config c = {
        .listen = s.listen, .body_max = LIMIT_MCP_BODY, .handle = handle, .arg = &d};
    int code = serve_run("demo-mcp", &c);
    free_sessions(&d);
    return code;
}
