/* mcp_content — resources, prompts and completion: of a server that is granted whole. */
#include <stdio.h>

#include "tests/kit/flow/mcp_upstream.h"

#define PATH "/mcp/tools"
#define HELLO                                                                                      \
    "{\"jsonrpc\":\"2.0\",\"id\":\"h\",\"method\":\"initialize\",\"params\":{"                     \
    "\"protocolVersion\":\"2025-11-25\",\"capabilities\":{},"                                      \
    "\"clientInfo\":{\"name\":\"c\",\"version\":\"1\"}}}"
#define OFFERS                                                                                     \
    "{\"jsonrpc\":\"2.0\",\"id\":$ID,\"result\":{\"protocolVersion\":\"2025-11-25\","              \
    "\"capabilities\":{\"tools\":{},\"prompts\":{\"listChanged\":true},\"resources\":{},"          \
    "\"completions\":{},\"tasks\":{}},\"serverInfo\":{\"name\":\"s\",\"version\":\"1\"}}}"

static const char *const methods[] = {
    "prompts/list",   "prompts/get",         "resources/list",        "resources/templates/list",
    "resources/read", "resources/subscribe", "resources/unsubscribe", "completion/complete"};

static struct mcp_upstream up;

static void begin(struct flow *k)
{
    mcp_upstream_open(k, &up);
    const struct flow_policy p = {
        .keys = {{.name = "some", .agent = "some"},
                 {.name = "whole", .agent = "whole"},
                 {.name = "tasked", .agent = "tasked", .tasks = {"triage"}}},
        .agents = {{.name = "some", .team = "team"},
                   {.name = "whole", .team = "team"},
                   {.name = "tasked", .team = "team"}},
        .teams = {{.name = "team"}},
        .tasks = {"triage"},
        .servers = {{.name = "tools", .port = up.port}},
        .grants = {{.agent = "some", .server = "tools", .tools = {"echo", "**"}},
                   {.agent = "whole", .server = "tools", .tools = {"*"}},
                   {.agent = "tasked", .server = "tools", .tools = {"echo"}},
                   {.agent = "tasked", .task = "triage", .server = "tools", .tools = {"*"}}},
    };
    policy_says(k, &p);
    mcp_upstream_on(&up, "initialize", 200, "application/json", OFFERS);
}

static const char *open_session(struct flow *k, const char *key, const char *capabilities)
{
    static char session[600];
    struct flow_client *c = client_posts(k, key, PATH, NULL, HELLO);
    expect_status(c, 200);
    expect_body_has(c, capabilities);
    snprintf(session, sizeof(session), "Mcp-Session-Id: %.*s\r\n",
             SLICE_ARG(client_header(c, "mcp-session-id")));
    return session;
}

/* Every method on one connection, answered one after the other. */
static void ask_all(struct flow *k, const char *key, const char *session, const char *answer)
{
    char json[256], request[2048];
    struct flow_client *c = NULL;
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        snprintf(json, sizeof(json), "{\"jsonrpc\":\"2.0\",\"id\":%zu,\"method\":\"%s\"}", i,
                 methods[i]);
        snprintf(request, sizeof(request),
                 "POST /mcp/tools HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\n%s"
                 "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                 flow_secret(k, key), session, strlen(json), json);
        if (c) {
            client_begins_anew(c);
            client_adds(c, request);
        } else {
            c = client_says(k, request);
        }
        expect_status(c, 200);
        expect_body_has(c, answer);
    }
}

FLOW(who_is_granted_all_tools_has_the_rest_of_the_server_too)
{
    begin(k);
    const char *session = open_session(
        k, "whole",
        "\"capabilities\":{\"tools\":{},\"prompts\":{\"listChanged\":true},\"resources\":{},"
        "\"completions\":{}}");
    ask_all(k, "whole", session, "\"result\":{}");
    for (size_t i = 0; i < ARRAY_LEN(methods); i++)
        assert_int_equal(mcp_upstream_count(&up, methods[i], NULL), 1);
    mcp_upstream_close(&up);
}

#define WRONG(error) "{\"jsonrpc\":\"2.0\",\"id\":$ID,\"error\":" error "}"

FLOW(an_error_that_is_none_by_the_protocol_becomes_ours)
{
    static const struct {
        const char *said, *told;
    } rows[] = {
        {WRONG("{\"code\":\"1\",\"message\":\"m\"}"), "\"error\":{\"code\":-32603,"},
        {WRONG("{\"code\":1.5,\"message\":\"m\"}"), "\"error\":{\"code\":-32603,"},
        {WRONG("{\"code\":\"E_FULL\",\"message\":\"disk full\"}"),
         "\"error\":{\"code\":-32603,\"message\":\"disk full\""},
        {WRONG("{\"code\":-1,\"message\":{}}"), "\"error\":{\"code\":-1,\"message\":\"the"},
        {WRONG("{\"code\":-1}"), "\"error\":{\"code\":-1,\"message\":\"the"},
        {"{\"jsonrpc\":\"2.0\",\"id\":\"$ID\",\"result\":{\"x\":1}}",
         "\"id\":1,\"result\":{\"x\":1}"},
        {WRONG("{\"code\":-7,\"message\":\"m\"}"), "\"error\":{\"code\":-7,"},
    };
    begin(k);
    const char *session = open_session(k, "whole", "");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        mcp_upstream_once(&up, "prompts/list", 200, "application/json", rows[i].said);
        struct flow_client *c =
            client_posts(k, "whole", PATH, session,
                         "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"prompts/list\"}");
        expect_status(c, 200);
        expect_body_has(c, rows[i].told);
    }
    mcp_upstream_close(&up);
}

FLOW(who_is_granted_some_tools_is_not_told_of_it_and_reaches_none_of_it)
{
    begin(k);
    const char *session = open_session(k, "some", "\"capabilities\":{\"tools\":{}}");
    ask_all(k, "some", session, "\"error\":{\"code\":-32601,");
    for (size_t i = 0; i < ARRAY_LEN(methods); i++)
        assert_int_equal(mcp_upstream_count(&up, methods[i], NULL), 0);
    mcp_upstream_close(&up);
}

FLOW(a_grant_on_a_task_counts_on_that_task_only)
{
    static const char list[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"resources/list\"}";
    char headers[800];
    begin(k);
    const char *session = open_session(k, "tasked", "\"capabilities\":{\"tools\":{}}");
    struct flow_client *c = client_posts(k, "tasked", PATH, session, list);
    expect_status(c, 200);
    expect_body_has(c, "-32601");
    snprintf(headers, sizeof(headers), "%sX-Gatehouse-Task: triage\r\n", session);
    c = client_posts(k, "tasked", PATH, headers, list);
    expect_status(c, 200);
    expect_body_has(c, "\"result\":{}");
    mcp_upstream_close(&up);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(who_is_granted_all_tools_has_the_rest_of_the_server_too),
        SCENARIO(an_error_that_is_none_by_the_protocol_becomes_ours),
        SCENARIO(who_is_granted_some_tools_is_not_told_of_it_and_reaches_none_of_it),
        SCENARIO(a_grant_on_a_task_counts_on_that_task_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
