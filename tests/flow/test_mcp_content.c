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
static void ask_all(struct flow *k, const char *key, const char *session, const char *response)
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
        expect_body_has(c, response);
    }
}

FLOW(a_grant_of_all_tools_includes_the_rest_of_the_server)
{
    begin(k);
    const char *session = open_session(
        k, "whole",
        "\"capabilities\":{\"tools\":{\"listChanged\":true},\"prompts\":{\"listChanged\":true},"
        "\"resources\":{},\"completions\":{},\"tasks\":{}}");
    ask_all(k, "whole", session, "\"result\":{}");
    for (size_t i = 0; i < ARRAY_LEN(methods); i++)
        assert_int_equal(mcp_upstream_count(&up, methods[i], NULL), 1);
    mcp_upstream_close(&up);
}

static void expect_part(struct flow_client *c, const char *text)
{
    expect_status(c, 200);
    expect_body_has(c, text);
}

/* ---- tasks ---- */

static struct flow_client *ask(struct flow *k, const char *key, const char *session,
                               const char *method, const char *params)
{
    char json[512];
    snprintf(json, sizeof(json), "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":%s}",
             method, params);
    return client_posts(k, key, PATH, session, json);
}

FLOW(a_task_is_reached_by_the_principal_that_made_it)
{
    char sessions[2][700];
    static const char *const keys[] = {"some", "whole"};
    begin(k);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        snprintf(sessions[i], sizeof(sessions[i]), "%s", open_session(k, keys[i], "\"tasks\":{}"));
    mcp_upstream_on(&up, "tools/call", 200, "application/json",
                    "{\"jsonrpc\":\"2.0\",\"id\":$ID,\"result\":{\"task\":{\"taskId\":\"t-1\","
                    "\"status\":\"working\"}}}");
    expect_part(
        ask(k, "some", sessions[0], "tools/call", "{\"name\":\"echo\",\"task\":{\"ttl\":60000}}"),
        "\"taskId\":\"t-1\"");
    static const char *const of_one[] = {"tasks/get", "tasks/result", "tasks/cancel"};
    for (size_t i = 0; i < ARRAY_LEN(of_one); i++) {
        expect_part(ask(k, "some", sessions[0], of_one[i], "{\"taskId\":\"t-1\"}"),
                    "\"result\":{}");
        expect_part(ask(k, "whole", sessions[1], of_one[i], "{\"taskId\":\"t-1\"}"),
                    "\"code\":-32602"); /* another principal's */
        expect_part(ask(k, "some", sessions[0], of_one[i], "{\"taskId\":\"t-2\"}"),
                    "\"code\":-32602"); /* of no tool that was called here */
        expect_part(ask(k, "whole", sessions[1], of_one[i], "{\"taskId\":\"t-2\"}"),
                    "\"result\":{}"); /* the server decides */
        assert_int_equal(mcp_upstream_count(&up, of_one[i], NULL), 2);
    }
    mcp_upstream_on(&up, "tasks/list", 200, "application/json",
                    "{\"jsonrpc\":\"2.0\",\"id\":$ID,\"result\":{\"tasks\":["
                    "{\"taskId\":\"t-1\"},{\"taskId\":\"t-3\"}]}}");
    expect_part(ask(k, "some", sessions[0], "tasks/list", "{}"),
                "\"tasks\":[{\"taskId\":\"t-1\"}]");
    expect_part(ask(k, "whole", sessions[1], "tasks/list", "{}"),
                "\"tasks\":[{\"taskId\":\"t-3\"}]");
    mcp_upstream_close(&up);
}

/* ---- small things of the protocol ---- */

FLOW(a_slash_at_the_end_of_a_path_and_a_list_without_a_session_are_served)
{
    begin(k);
    mcp_upstream_on(&up, "tools/list", 200, "application/json",
                    "{\"jsonrpc\":\"2.0\",\"id\":$ID,\"result\":{\"tools\":[{\"name\":\"echo\"},"
                    "{\"name\":\"no\"}]}}");
    struct flow_client *c = client_posts(
        k, "some", PATH "/", NULL, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}");
    expect_status(c, 200);
    expect_body_has(c, "\"tools\":[{\"name\":\"echo\"}]");
    expect_status(client_posts(k, "some", PATH "/more", NULL, HELLO), 404);
    mcp_upstream_close(&up);
}

FLOW(an_item_that_cannot_be_read_is_left_out_alone)
{
    char deep[1200] = "", list[4000];
    begin(k);
    memset(deep, '[', 500);
    memset(deep + 500, ']', 500);
    snprintf(
        list, sizeof(list),
        "{\"jsonrpc\":\"2.0\",\"id\":$ID,\"result\":{\"tools\":[{\"name\":\"ha\\ud800lf\"},"
        "{\"name\":\"echo\",\"description\":\"ha\\udc00lf\",\"x\":%s},7,{\"name\":\"other\"}]}}",
        deep);
    mcp_upstream_on(&up, "tools/list", 200, "application/json", list);
    struct flow_client *c = client_posts(
        k, "whole", PATH, NULL, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}");
    expect_status(c, 200);
    expect_body_has(c, "\"tools\":[{\"name\":\"echo\",\"description\":\"ha\\udc00lf\",\"x\":[[");
    expect_body_has(c, "]},{\"name\":\"other\"}]}");
    mcp_upstream_close(&up);
}

FLOW(a_long_session_id_of_an_upstream_is_kept)
{
    static char upstream_id[3000];
    struct mcp_heard *h = NULL;
    begin(k);
    mcp_upstream_hangs_on(&up, "initialize");
    struct flow_client *c = client_posts(k, "whole", PATH, NULL, HELLO);
    WAIT(k, mcp_upstream_count(&up, "initialize", &h) == 1);
    memset(upstream_id, 'u', sizeof(upstream_id) - 1);
    const struct http_header headers[] = {{SLICE("content-type"), SLICE("application/json")},
                                          {SLICE("mcp-session-id"), slice_str(upstream_id)}};
    h->answered = true;
    assert_int_equal(
        http_response(h->x, 200, headers, 2,
                      SLICE("{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{"
                            "\"protocolVersion\":\"2025-11-25\",\"capabilities\":{}}}")),
        ERR_OK);
    expect_status(c, 200);
    char session[700];
    struct slice id = client_header(c, "mcp-session-id");
    assert_true(id.len <= 512);
    snprintf(session, sizeof(session), "Mcp-Session-Id: %.*s\r\n", SLICE_ARG(id));
    expect_part(ask(k, "whole", session, "prompts/list", "{}"), "\"result\":{}");
    mcp_upstream_count(&up, "prompts/list", &h);
    assert_int_equal(h->session_len, sizeof(upstream_id) - 1);
    mcp_upstream_close(&up);
}

FLOW(a_server_that_refuses_a_revision_and_names_others_is_asked_once_more)
{
    struct mcp_heard *h;
    begin(k);
    mcp_upstream_once(&up, "initialize", 400, "application/json",
                      "{\"jsonrpc\":\"2.0\",\"id\":$ID,\"error\":{\"code\":-32602,\"message\":"
                      "\"Unsupported protocol version\",\"data\":{\"supported\":"
                      "[\"2024-11-05\",\"2025-03-26\"],\"requested\":\"2025-11-25\"}}}");
    expect_status(client_posts(k, "whole", PATH, NULL, HELLO), 200);
    assert_int_equal(mcp_upstream_count(&up, "initialize", &h), 2);
    assert_true(slice_search(buf_slice(&h->body),
                             SLICE("\"params\":{\"protocolVersion\":\"2025-03-26\"")) > 0);
    mcp_upstream_close(&up);
}

#define WRONG(error) "{\"jsonrpc\":\"2.0\",\"id\":$ID,\"error\":" error "}"

FLOW(an_invalid_json_rpc_error_is_replaced_by_one_of_the_gateway)
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

FLOW(a_grant_of_some_tools_neither_shows_nor_opens_the_rest)
{
    begin(k);
    const char *session =
        open_session(k, "some", "\"capabilities\":{\"tools\":{\"listChanged\":true},\"tasks\":{}}");
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
    const char *session = open_session(
        k, "tasked", "\"capabilities\":{\"tools\":{\"listChanged\":true},\"tasks\":{}}");
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
        SCENARIO(a_grant_of_all_tools_includes_the_rest_of_the_server),
        SCENARIO(a_task_is_reached_by_the_principal_that_made_it),
        SCENARIO(a_slash_at_the_end_of_a_path_and_a_list_without_a_session_are_served),
        SCENARIO(an_item_that_cannot_be_read_is_left_out_alone),
        SCENARIO(a_long_session_id_of_an_upstream_is_kept),
        SCENARIO(a_server_that_refuses_a_revision_and_names_others_is_asked_once_more),
        SCENARIO(an_invalid_json_rpc_error_is_replaced_by_one_of_the_gateway),
        SCENARIO(a_grant_of_some_tools_neither_shows_nor_opens_the_rest),
        SCENARIO(a_grant_on_a_task_counts_on_that_task_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
