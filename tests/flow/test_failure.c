/* failure — each allocation of a call fails once: the call ends, and the next one is served. */
#include <stdio.h>

#include "common/base/mem.h"
#include "tests/kit/flow/mcp_upstream.h"

#define RUNS_MAX 2000 /* far above what one call allocates */
#define USAGE "\"usage\":{\"prompt_tokens\":20,\"completion_tokens\":10}"

/* One call of everything: parallel 1 and a budget, so that a slot or a reservation that is not
 * given back refuses the next one. */
static const struct flow_policy all = {
    .keys = {{.name = "alice",
              .agent = "bot",
              .models = {"small"},
              .budget = MONEY_DOLLAR,
              .rpm = 1000000,
              .parallel = 1}},
    .agents = {{.name = "bot", .team = "team"}},
    .teams = {{.name = "team", .budget = MONEY_DOLLAR}},
    .models = {{.name = "small",
                .target_model = "other",
                .upstreams = {0, 1},
                .upstream_count = 2,
                .max_output_tokens = 1000}},
    .services = {{.name = "crm",
                  .upstream = 2,
                  .header = "authorization",
                  .secret = "Bearer company-secret-0123456789",
                  .routes = {{.path = "/**"}}}},
    .grants = {{.agent = "bot", .service = "crm", .routes = {{{"POST"}, "/customers/*"}}},
               {.agent = "bot", .server = "tools", .tools = {"echo"}}},
};

static struct mcp_upstream tools;

struct scene {
    void (*set)(struct flow *k);
    const char *path, *body;
    unsigned status;
    const char *says; /* in the response's body, when nothing fails */
    bool session;     /* inside a session of the tool gate */
};

static void set_plain(struct flow *k)
{
    for (size_t i = 0; i < 2;
         i++) /* a call that fails at the first upstream is served by the second */
        upstream_answers(k, i, 200, "{\"id\":\"whole\",\"choices\":[]," USAGE "}");
}

static void set_fallback(struct flow *k)
{
    upstream_answers(k, 0, 500, "{}");
    upstream_answers(k, 1, 200, "{\"id\":\"whole\",\"choices\":[]," USAGE "}");
}

static void set_unread(struct flow *k)
{
    upstream_says(k, 0, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"choices\":");
    upstream_cuts(k, 0);
    upstream_answers(k, 1, 200, "{\"id\":\"whole\",\"choices\":[]," USAGE "}");
}

static void set_stream(struct flow *k)
{
    for (size_t i = 0; i < 2; i++) {
        upstream_opens_stream(k, i);
        upstream_sends(k, i, "data: {\"choices\":[{\"delta\":{\"content\":\"whole\"}}]}\n\n");
        upstream_sends(k, i, "data: {\"choices\":[]," USAGE "}\n\n");
        upstream_sends(k, i, "data: [DONE]\n\n");
        upstream_ends_stream(k, i);
    }
}

static void set_service(struct flow *k)
{
    upstream_says(k, 2, "HTTP/1.1 200 OK\r\nETag: \"1\"\r\nTransfer-Encoding: chunked\r\n\r\n");
    upstream_sends(k, 2, "you sent company-sec");
    upstream_sends(k, 2, "ret-0123456789: whole");
    upstream_ends_stream(k, 2);
}

static void set_tools(struct flow *k UNUSED)
{
    mcp_upstream_on(&tools, "initialize", 200, "application/json",
                    "{\"jsonrpc\":\"2.0\",\"id\":$ID,\"result\":{\"protocolVersion\":"
                    "\"2025-06-18\",\"capabilities\":{\"tools\":{}},"
                    "\"serverInfo\":{\"name\":\"fake\",\"version\":\"1\"},"
                    "\"instructions\":\"whole\"}}");
    mcp_upstream_on(&tools, "tools/call", 200, "text/event-stream",
                    "event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":$ID,"
                    "\"result\":{\"content\":[],\"x\":\"whole\"}}\n\n");
    mcp_upstream_on(&tools, "tools/list", 200, "application/json",
                    "{\"jsonrpc\":\"2.0\",\"id\":$ID,\"result\":{\"tools\":[{\"name\":\"echo\","
                    "\"description\":\"whole\"},{\"name\":\"other\"}]}}");
}

#define HELLO                                                                                      \
    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{"                         \
    "\"protocolVersion\":\"2025-11-25\",\"capabilities\":{},"                                      \
    "\"clientInfo\":{\"name\":\"whole\",\"version\":\"1\"}}}"

static char session[700]; /* the header's line; empty outside of one */

static void ask(struct flow *k, const struct scene *s, struct flow_client *c);

static void open_session(struct flow *k)
{
    struct flow_client *c = client_says(k, "POST ");
    ask(k, &(struct scene){.path = "/mcp/tools", .body = HELLO}, c);
    expect_status(c, 200);
    snprintf(session, sizeof(session), "Mcp-Session-Id: %.*s\r\n",
             SLICE_ARG(client_header(c, "mcp-session-id")));
}

static struct flow_client *begin(struct flow *k, const struct scene *s)
{
    struct flow_policy p = all;
    mcp_upstream_open(k, &tools);
    p.servers[0] = (struct flow_server){.name = "tools", .port = tools.port};
    policy_says(k, &p);
    s->set(k);
    session[0] = '\0';
    if (s->session)
        open_session(k);
    return client_says(k, "POST ");
}

static void ask(struct flow *k, const struct scene *s, struct flow_client *c)
{
    char text[2048];
    snprintf(text, sizeof(text),
             "%s HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\n"
             "Accept: application/json, text/event-stream\r\nX-Gatehouse-Session: demo\r\n"
             "%sContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
             s->path, flow_secret(k, "alice"), session, strlen(s->body), s->body);
    client_adds(c, text);
}

static void expect_served(struct flow *k, const struct scene *s)
{
    struct flow_client *c = client_says(k, "POST ");
    ask(k, s, c);
    expect_status(c, s->status);
    expect_body_has(c, s->says);
    WAIT(k, k->env.request_count == 0);
}

/* a stream and a tool's result tell of a failure inside of a 200 */
static bool says_no(struct slice body)
{
    return slice_search(body, SLICE("\"error\"")) >= 0 ||
           slice_search(body, SLICE("\"isError\":true")) >= 0;
}

/* Complete and correct, a refusal with the true cause, or cut; never cut and yet complete in form.
 */
static void expect_ended(struct flow *k, const struct scene *s, struct flow_client *c)
{
    WAIT(k, (c->whole || c->closed) && k->env.request_count == 0);
    if (!c->whole)
        return;
    if (c->head.status == s->status) {
        if (!says_no(buf_slice(&c->body)))
            expect_body_has(c, s->says);
        return;
    }
    if (c->head.status != 500 && c->head.status != 502 && c->head.status != 503)
        fail_msg("status %u: %.*s", c->head.status, SLICE_ARG(buf_slice(&c->body)));
}

static bool run(const struct scene *s, size_t n)
{
    struct flow *k = flow_open();
    struct flow_client *c = begin(k, s);
    for (int i = 0; i < 3; i++)
        flow_turn(k); /* the connection is open: only the call fails */
    ask(k, s, c);
    mem_fail_after(n);
    expect_ended(k, s, c);
    bool hit = mem_failed();
    mem_fail_after(0);
    if (!hit)
        expect_body_has(c, s->says);
    client_hangs_up(c);
    expect_served(k, s);
    mcp_upstream_close(&tools);
    flow_close(k);
    return hit;
}

static void expect_survived(const struct scene *s)
{
    size_t n = 1;
    while (run(s, n))
        assert_true(++n < RUNS_MAX);
    assert_true(n > 1); /* a call without allocations would test nothing */
    print_message("             %zu allocations failed\n", n - 1);
}

#define CHAT "/v1/chat/completions"
#define HELLO_AI "{\"model\":\"small\",\"max_tokens\":100,\"messages\":[]}"

#define SCENE(name, ...)                                                                           \
    static void name(void **state)                                                                 \
    {                                                                                              \
        (void)state;                                                                               \
        expect_survived(&(struct scene){.status = 200, .says = "whole", __VA_ARGS__});             \
    }

SCENE(a_plain_call, .set = set_plain, .path = CHAT, .body = HELLO_AI)

SCENE(a_call_that_falls_back, .set = set_fallback, .path = CHAT, .body = HELLO_AI)

SCENE(a_call_that_pays_for_two, .set = set_unread, .path = CHAT, .body = HELLO_AI)

SCENE(a_streamed_call, .set = set_stream, .path = CHAT,
      .body = "{\"model\":\"small\",\"stream\":true,\"max_tokens\":100,\"messages\":[]}")

SCENE(a_call_of_a_service, .set = set_service, .path = "/api/crm/customers/1", .body = "{\"a\":1}")

SCENE(a_session_that_begins, .set = set_tools, .path = "/mcp/tools", .body = HELLO)

SCENE(a_list_of_tools, .set = set_tools, .path = "/mcp/tools", .session = true,
      .body = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}")

SCENE(a_tool_call_in_a_session, .set = set_tools, .path = "/mcp/tools", .session = true,
      .body = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\","
              "\"params\":{\"name\":\"echo\"}}")

SCENE(a_tool_call_without_a_session, .set = set_tools, .path = "/mcp/tools",
      .body = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\","
              "\"params\":{\"name\":\"echo\"}}")

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_call),
        cmocka_unit_test(a_call_that_falls_back),
        cmocka_unit_test(a_call_that_pays_for_two),
        cmocka_unit_test(a_streamed_call),
        cmocka_unit_test(a_call_of_a_service),
        cmocka_unit_test(a_session_that_begins),
        cmocka_unit_test(a_list_of_tools),
        cmocka_unit_test(a_tool_call_in_a_session),
        cmocka_unit_test(a_tool_call_without_a_session),
    };
    return cmocka_run_group_tests_name("each allocation fails once in", tests, NULL, NULL);
}
