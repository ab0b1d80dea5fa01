/* discovery — a server's tools as the lister finds them, whatever the server does. */
#include <stdio.h>
#include <string.h>

#include "mcp-gateway/changes.h"
#include "mcp-gateway/lister.h"
#include "tests/kit/flow/mcp_upstream.h"

#define SECRET "upstream-key-0123456789"
#define JSON "application/json"
#define STREAM "text/event-stream"
#define PAGE(tools, more)                                                                          \
    "{\"jsonrpc\":\"2.0\",\"id\":$ID,\"result\":{\"tools\":[" tools "]" more "}}"

static struct mcp_upstream up;
static struct tool_list *found;

static void begin(struct flow *k)
{
    mcp_upstream_open(k, &up);
    struct flow_policy p = {
        .keys = {{.name = "alice", .agent = "bot"}},
        .agents = {{.name = "bot", .team = "team"}},
        .teams = {{.name = "team"}},
        .servers = {{.name = "tools", .port = up.port, .secret = SECRET}},
        .grants = {{.agent = "bot", .server = "tools", .tools = {"*"}}},
    };
    policy_says(k, &p);
}

static void on_listed(void *arg, struct tool_list **list)
{
    (void)arg;
    assert_null(found);
    found = *list;
    *list = NULL;
}

static struct tool_order order_of(struct flow *k)
{
    struct tool_order o = {.server_id = "mcp_tools", .name = "tools", .ask = 7};
    const struct policy_key *key = snapshot_key(k->env.policy, SLICE("k_alice"));
    assert_non_null(key);
    snprintf(o.org_id, sizeof(o.org_id), "%.*s", SLICE_ARG(key->o.org_id));
    return o;
}

static void start(struct flow *k)
{
    struct tool_order o = order_of(k);
    struct tool_list *list = tool_list_new(&o);
    assert_non_null(list);
    assert_int_equal(mcp_lister_start(&k->env, &list, on_listed, NULL), ERR_OK);
    assert_null(list);
}

static void list(struct flow *k)
{
    start(k);
    WAIT(k, found != NULL);
}

static void end(void)
{
    tool_list_free(found);
    found = NULL;
    mcp_upstream_close(&up);
}

static void expect_error(const char *text)
{
    if (strcmp(found->error, text) != 0)
        fail_msg("the error is \"%s\" and not \"%s\"", found->error, text);
    assert_int_equal(found->count, 0);
}

FLOW(a_list_is_read_page_by_page_in_a_session_of_its_own_that_is_ended)
{
    struct mcp_heard *h = NULL;
    begin(k);
    mcp_upstream_on(&up, "tools/list", 200, JSON, PAGE("{\"name\":\"b\"}", ",\"nextCursor\":null"));
    mcp_upstream_once(&up, "tools/list", 200, JSON,
                      PAGE("{\"name\":\"a\"}", ",\"nextCursor\":\"p\\\"2\""));
    list(k);
    assert_string_equal(found->error, "");
    assert_int_equal(found->count, 2);
    assert_true(slice_eq(found->tools[1].name, SLICE("b")));
    assert_int_equal(found->order.ask, 7);
    assert_int_equal(mcp_upstream_count(&up, "initialize", &h), 1);
    assert_string_equal(h->secret, SECRET);
    assert_int_equal(mcp_upstream_count(&up, "notifications/initialized", &h), 1);
    assert_string_equal(h->session, "up-1");
    assert_int_equal(mcp_upstream_count(&up, "tools/list", &h), 2);
    assert_string_equal(h->session, "up-1");
    assert_true(slice_search(buf_slice(&h->body), SLICE("\"cursor\":\"p\\\"2\"")) > 0);
    WAIT(k, mcp_upstream_count(&up, "DELETE", &h) == 1);
    assert_string_equal(h->session, "up-1");
    end();
}

FLOW(a_response_may_be_an_event_stream_with_other_messages_before_it)
{
    begin(k);
    mcp_upstream_on(&up, "tools/list", 200, STREAM,
                    ": hello\n\nid: 1\ndata:\n\n"
                    "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\"}\n\n"
                    "data: {\"jsonrpc\":\"2.0\",\"id\":99,\"result\":{\"tools\":5}}\n\n"
                    "event: message\ndata: " PAGE("{\"name\":\"a\"}", "") "\n\n");
    list(k);
    assert_string_equal(found->error, "");
    assert_int_equal(found->count, 1);
    end();
}

FLOW(a_server_without_tools_has_an_empty_list_and_is_not_asked)
{
    begin(k);
    mcp_upstream_on(
        &up, "initialize", 200, JSON,
        "{\"jsonrpc\":\"2.0\",\"id\":$ID,\"result\":{\"protocolVersion\":\"2025-06-18\","
        "\"capabilities\":{\"prompts\":{}}}}");
    list(k);
    assert_string_equal(found->error, "");
    assert_int_equal(found->count, 0);
    assert_int_equal(mcp_upstream_count(&up, "tools/list", NULL), 0);
    end();
}

FLOW(every_failure_is_reported_with_the_step_that_failed)
{
    static const struct {
        const char *on;
        unsigned status;
        const char *type, *body, *error;
    } rows[] = {
        {"initialize", 401, JSON, "{}", "initialize: it answered with status 401"},
        {"initialize", 200, "text/html", "<p>",
         "initialize: it responded with neither JSON nor an event stream"},
        {"initialize", 200, JSON, "nonsense", "initialize: it sent a message that cannot be read"},
        {"initialize", 200, STREAM, ": nothing\n\n",
         "initialize: its stream ended without the response"},
        {"initialize", 200, JSON,
         "{\"jsonrpc\":\"2.0\",\"id\":$ID,\"error\":{\"code\":-32000,\"message\":\"m\"}}",
         "initialize: it answered with the error -32000"},
        {"initialize", 200, JSON,
         "{\"jsonrpc\":\"2.0\",\"id\":$ID,\"result\":{\"protocolVersion\":\"1999-01-01\"}}",
         "initialize: it chose a revision that the gateway does not speak"},
        {"notifications/initialized", 500, JSON, "{}", "initialized: it answered with status 500"},
        {"tools/list", 404, JSON, "{}", "tools/list: it answered with status 404"},
        {"tools/list", 200, JSON, "{\"jsonrpc\":\"2.0\",\"id\":$ID,\"result\":{\"tools\":{}}}",
         "tools/list: its result is no list of tools"},
        {"tools/list", 200, JSON, PAGE("{\"name\":\"a\"}", ",\"nextCursor\":7"),
         "tools/list: its result is no list of tools"},
        {"tools/list", 200, JSON, PAGE("{\"name\":\"a\"}", ",\"nextCursor\":\"same\""),
         "tools/list: its cursors run in a circle"},
        {"tools/list", 200, JSON, "{\"jsonrpc\":\"2.0\",\"id\":77,\"result\":{\"tools\":[]}}",
         "tools/list: its stream ended without the response"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        begin(k);
        mcp_upstream_on(&up, "tools/list", 200, JSON, PAGE("{\"name\":\"a\"}", ""));
        mcp_upstream_on(&up, rows[i].on, rows[i].status, rows[i].type, rows[i].body);
        list(k);
        expect_error(rows[i].error);
        bool opened = strcmp(rows[i].on, "initialize") != 0;
        if (opened)
            WAIT(k, mcp_upstream_count(&up, "DELETE", NULL) == 1);
        end();
    }
}

FLOW(a_server_that_cannot_be_reached_is_an_error)
{
    begin(k);
    uint16_t port = up.port;
    mcp_upstream_close(&up);
    (void)port;
    list(k);
    assert_true(slice_starts(slice_str(found->error), SLICE("initialize: ")));
    tool_list_free(found);
    found = NULL;
}

FLOW(a_listing_that_is_under_way_when_the_worker_ends_is_reported_as_failed)
{
    begin(k);
    mcp_upstream_hangs_on(&up, "tools/list");
    start(k);
    WAIT(k, mcp_upstream_count(&up, "tools/list", NULL) == 1);
    mcp_upstream_close(&up);
    WAIT(k, found != NULL);
    assert_int_equal(found->count, 0);
    assert_true(found->error[0]);
    tool_list_free(found);
    found = NULL;
}

/* ---- changes ---- */

static unsigned told;

static void on_changed(void *arg, struct slice server_id)
{
    (void)arg;
    assert_true(slice_eq(server_id, SLICE("mcp_tools")));
    told++;
}

#define CHANGED                                                                                    \
    "event: message\ndata: "                                                                       \
    "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}\n\n"

FLOW(changes_that_a_server_announces_in_any_session_are_reported_once_per_interval)
{
    begin(k);
    told = 0;
    assert_int_equal(mcp_changes_tell(&k->env, on_changed, NULL), ERR_OK);
    mcp_upstream_on(&up, "tools/call", 200, STREAM,
                    CHANGED CHANGED
                    "event: message\ndata: "
                    "{\"jsonrpc\":\"2.0\",\"id\":$ID,\"result\":{\"content\":[]}}\n\n");
    static const char call[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\","
                               "\"params\":{\"name\":\"a\"}}";
    char head[1024];
    snprintf(head, sizeof(head),
             "POST /mcp/tools HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\n"
             "Accept: application/json, text/event-stream\r\nContent-Type: application/json\r\n"
             "Content-Length: %zu\r\n\r\n%s",
             flow_secret(k, "alice"), strlen(call), call);
    struct flow_client *c = client_says(k, head);
    expect_status(c, 200);
    WAIT(k, told > 0);
    assert_int_equal(told, 1);
    mcp_changes_stop(&k->env);
    mcp_upstream_close(&up);
}

int main(void)
{
    const struct CMUnitTest scenarios[] = {
        SCENARIO(a_list_is_read_page_by_page_in_a_session_of_its_own_that_is_ended),
        SCENARIO(a_response_may_be_an_event_stream_with_other_messages_before_it),
        SCENARIO(a_server_without_tools_has_an_empty_list_and_is_not_asked),
        SCENARIO(every_failure_is_reported_with_the_step_that_failed),
        SCENARIO(a_server_that_cannot_be_reached_is_an_error),
        SCENARIO(a_listing_that_is_under_way_when_the_worker_ends_is_reported_as_failed),
        SCENARIO(changes_that_a_server_announces_in_any_session_are_reported_once_per_interval),
    };
    return cmocka_run_group_tests(scenarios, NULL, NULL);
}
