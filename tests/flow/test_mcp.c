/* mcp — the tool gate between a raw client and a scripted server. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/kit/flow/mcp_upstream.h"

#define PATH "/mcp/tools"
#define SECRET "upstream-key-0123456789"
#define HELLO                                                                                      \
    "{\"jsonrpc\":\"2.0\",\"id\":\"h\",\"method\":\"initialize\",\"params\":{"                     \
    "\"protocolVersion\":\"2025-11-25\",\"capabilities\":{\"roots\":{}},"                          \
    "\"clientInfo\":{\"name\":\"c\",\"version\":\"1\"}}}"
#define LIST "{\"jsonrpc\":\"2.0\",\"id\":\"l\",\"method\":\"tools/list\"}"
#define ECHO                                                                                       \
    "{\"jsonrpc\":\"2.0\",\"id\":\"c\",\"method\":\"tools/call\",\"params\":{\"name\":\"echo\"}}"
#define OTHER                                                                                      \
    "{\"jsonrpc\":\"2.0\",\"id\":\"c\",\"method\":\"tools/call\",\"params\":{\"name\":\"other\"}}"
#define TOOLS                                                                                      \
    "{\"jsonrpc\":\"2.0\",\"id\":$ID,\"result\":{\"tools\":[{\"name\":\"other\"},"                 \
    "{\"name\":\"echo\",\"x\":1.0}],\"nextCursor\":\"more\"}}"
#define CUT                                                                                        \
    "{\"jsonrpc\":\"2.0\",\"id\":\"l\",\"result\":{\"tools\":[{\"name\":\"echo\",\"x\":1.0}],"     \
    "\"nextCursor\":\"more\"}}"
#define RESULT "{\"jsonrpc\":\"2.0\",\"id\":$ID,\"result\":{\"content\":[]}}"
#define EVENT_RESULT "event: message\ndata: " RESULT "\n\n"
#define JSON "application/json"

static struct mcp_upstream up;

static struct flow_policy policy(void)
{
    return (struct flow_policy){
        .keys = {{.name = "alice", .agent = "bot"}, {.name = "bob", .agent = "rob"}},
        .agents = {{.name = "bot", .team = "team"}, {.name = "rob", .team = "team"}},
        .teams = {{.name = "team"}},
        .servers = {{.name = "tools", .port = up.port, .secret = SECRET},
                    {.name = "more", .port = up.port}},
        .grants = {{.agent = "bot", .server = "tools", .tools = {"echo"}},
                   {.agent = "rob", .server = "tools", .tools = {"*"}},
                   {.agent = "rob", .server = "more", .tools = {"*"}}},
    };
}

static void begin(struct flow *k)
{
    mcp_upstream_open(k, &up);
    struct flow_policy p = policy();
    policy_says(k, &p);
}

static struct flow_client *ask(struct flow *k, const char *key, const char *verb, const char *path,
                               const char *session, const char *json)
{
    char head[2048];
    snprintf(head, sizeof(head),
             "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\n"
             "Accept: application/json, text/event-stream\r\n%s%s%s"
             "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
             verb, path, flow_secret(k, key), session ? "Mcp-Session-Id: " : "",
             session ? session : "", session ? "\r\n" : "", json ? strlen(json) : 0,
             json ? json : "");
    return client_says(k, head);
}

/* A call that reached the upstream, which does not respond yet. */
static struct flow_client *call_under_way(struct flow *k, const char *session, struct mcp_heard **h)
{
    mcp_upstream_hangs_on(&up, "tools/call");
    struct flow_client *c = ask(k, "alice", "POST", PATH, session, ECHO);
    WAIT(k, mcp_upstream_count(&up, "tools/call", h) == 1);
    return c;
}

/* of a response in HTTP 200, once it is whole */
static void expect_whole(struct flow_client *c, const char *text)
{
    expect_status(c, 200);
    expect_body(c, text);
}

static void expect_part(struct flow_client *c, const char *text)
{
    expect_status(c, 200);
    expect_body_has(c, text);
}

/* The client's session, opened and initialized. */
static char *open_session(struct flow *k)
{
    static char session[600];
    struct flow_client *c = ask(k, "alice", "POST", PATH, NULL, HELLO);
    expect_status(c, 200);
    snprintf(session, sizeof(session), "%.*s", SLICE_ARG(client_header(c, "mcp-session-id")));
    assert_true(session[0]);
    c = ask(k, "alice", "POST", PATH, session,
            "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}");
    expect_status(c, 202);
    return session;
}

static Gatehouse__JournalRecord *last_record(struct flow *k)
{
    Gatehouse__JournalRecord *r, *last = NULL;
    while ((r = flow_record(k))) {
        if (last)
            flow_record_free(last);
        last = r;
    }
    assert_non_null(last);
    return last;
}

static void expect_span(struct flow *k, const char *name, const char *status, const char *code)
{
    Gatehouse__JournalRecord *r = last_record(k);
    assert_string_equal(r->span->gate, "tool");
    assert_string_equal(r->span->name, name);
    assert_string_equal(r->span->status, status);
    if (code)
        assert_string_equal(r->span->code, code);
    else
        assert_null(r->span->code);
    flow_record_free(r);
}

FLOW(a_session_is_opened_with_what_the_client_declared_and_answered_narrowed)
{
    begin(k);
    struct flow_client *c = ask(k, "alice", "POST", PATH, NULL, HELLO);
    expect_whole(c, "{\"jsonrpc\":\"2.0\",\"id\":\"h\",\"result\":{\"protocolVersion\":"
                    "\"2025-11-25\",\"capabilities\":{\"tools\":{\"listChanged\":true}},"
                    "\"serverInfo\":{\"name\":\"fake\",\"version\":\"1\"},"
                    "\"instructions\":\"be kind\"}}");
    struct mcp_heard *h;
    assert_int_equal(mcp_upstream_count(&up, "initialize", &h), 1);
    assert_true(slice_search(buf_slice(&h->body), SLICE("\"capabilities\":{\"roots\":{}}")) > 0);
    assert_string_equal(h->authorization, "");
    assert_string_equal(h->secret, SECRET);
    assert_int_equal(strlen(h->traceparent), 55);
    assert_string_equal(h->version, "");
    expect_span(k, "initialize", "ok", NULL);
    mcp_upstream_close(&up);
}

FLOW(a_list_is_cut_to_the_grants_and_its_cursor_stays)
{
    begin(k);
    mcp_upstream_on(&up, "tools/list", 200, JSON, TOOLS);
    char *session = open_session(k);
    expect_whole(ask(k, "alice", "POST", PATH, session, LIST), CUT);
    struct mcp_heard *h;
    mcp_upstream_count(&up, "tools/list", &h);
    assert_string_equal(h->session, "up-1");
    assert_string_equal(h->version, "2025-06-18"); /* what the upstream speaks */
    expect_span(k, "tools/list", "ok", NULL);
    mcp_upstream_close(&up);
}

FLOW(a_tool_that_is_not_granted_reaches_no_server)
{
    begin(k);
    char *session = open_session(k);
    size_t before = up.heard_count;
    struct flow_client *c = ask(k, "alice", "POST", PATH, session, OTHER);
    expect_whole(c, "{\"jsonrpc\":\"2.0\",\"id\":\"c\",\"error\":{\"code\":-32602,\"message\":"
                    "\"Unknown tool: other.\",\"data\":{\"code\":\"tool_not_found\"}}}");
    assert_int_equal(c->head.status, 200);
    expect_status(ask(k, "alice", "POST", PATH, NULL, OTHER), 200);
    assert_int_equal(up.heard_count, before);
    expect_span(k, "tools/call other", "refused", "tool_not_found");
    mcp_upstream_close(&up);
}

FLOW(progress_arrives_before_the_response)
{
    begin(k);
    char *session = open_session(k);
    struct mcp_heard *h = NULL;
    struct flow_client *c = call_under_way(k, session, &h);
    assert_string_equal(h->id, "2"); /* the gateway's, not the client's */
    mcp_upstream_begins(h);
    mcp_upstream_tells(h, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}\n\n");
    WAIT(k, slice_search(buf_slice(&c->body), SLICE("notifications/progress")) > 0);
    assert_false(c->whole);
    mcp_upstream_tells(h, EVENT_RESULT);
    expect_whole(c, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}\n\n"
                    "event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":\"c\",\"result\":{"
                    "\"content\":[]}}\n\n");
    assert_true(slice_eq(client_header(c, "x-accel-buffering"), SLICE("no")));
    expect_span(k, "tools/call echo", "ok", NULL);
    mcp_upstream_ends(h);
    mcp_upstream_close(&up);
}

FLOW(hanging_up_does_not_cancel)
{
    begin(k);
    char *session = open_session(k);
    struct mcp_heard *h = NULL;
    struct flow_client *c = call_under_way(k, session, &h);
    client_hangs_up(c);
    WAIT(k, k->env.request_count == 0);
    for (int i = 0; i < 10; i++)
        flow_turn(k);
    assert_non_null(h->x); /* the call goes on */
    assert_int_equal(mcp_upstream_count(&up, "notifications/cancelled", NULL), 0);
    mcp_upstream_begins(h);
    mcp_upstream_tells(h, EVENT_RESULT);
    mcp_upstream_ends(h);
    expect_span(k, "tools/call echo", "cancelled", "client_gone");
    WAIT(k, h->x == NULL);
    mcp_upstream_close(&up);
}

FLOW(a_lone_call_whose_client_left_still_ends_its_session)
{
    begin(k);
    struct mcp_heard *h = NULL;
    struct flow_client *c = call_under_way(k, NULL, &h);
    client_hangs_up(c);
    WAIT(k, k->env.request_count == 0);
    for (int i = 0; i < 10; i++)
        flow_turn(k);
    assert_non_null(h->x);
    assert_int_equal(mcp_upstream_count(&up, "DELETE", NULL), 0);
    mcp_upstream_begins(h);
    mcp_upstream_tells(h, EVENT_RESULT);
    mcp_upstream_ends(h);
    WAIT(k, mcp_upstream_count(&up, "DELETE", &h) == 1);
    assert_string_equal(h->session, "up-1");
    mcp_upstream_close(&up);
}

FLOW(a_session_whose_client_left_is_ended_as_it_is_opened)
{
    begin(k);
    mcp_upstream_hangs_on(&up, "initialize");
    struct flow_client *c = ask(k, "alice", "POST", PATH, NULL, HELLO);
    struct mcp_heard *h = NULL;
    WAIT(k, mcp_upstream_count(&up, "initialize", &h) == 1);
    client_hangs_up(c);
    WAIT(k, k->env.request_count == 0);
    const struct http_header headers[] = {{SLICE("content-type"), SLICE(JSON)},
                                          {SLICE("mcp-session-id"), SLICE("late")}};
    h->answered = true;
    assert_int_equal(http_response(h->x, 200, headers, 2, SLICE("{}")), ERR_OK);
    WAIT(k, mcp_upstream_count(&up, "DELETE", &h) == 1);
    assert_string_equal(h->session, "late");
    mcp_upstream_close(&up);
}

#define LARGE (12 * 1024 * 1024) /* more than the sockets of the loopback take */

FLOW(a_slow_client_gets_all_of_a_large_response)
{
    begin(k);
    char *session = open_session(k);
    struct mcp_heard *h = NULL;
    struct flow_client *c = call_under_way(k, session, &h);
    client_stops_reading(c);
    mcp_upstream_begins(h);
    char *events = malloc(LARGE + 1024 * 1024), *p = events;
    assert_non_null(events);
    p += sprintf(p, "data: {\"method\":\"notifications/message\",\"params\":\"");
    memset(p, 'a', LARGE);
    p += LARGE;
    p += sprintf(p, "\"}\n\ndata: {\"id\":$ID,\"result\":\"");
    memset(p, 'b', 900 * 1024);
    strcpy(p + 900 * 1024, "\"}\n\n");
    mcp_upstream_tells(h, events);
    mcp_upstream_ends(h);
    free(events);
    for (int i = 0; i < 100; i++)
        flow_turn(k);
    assert_false(c->whole);
    client_reads_on(c);
    WAIT(k, c->whole);
    assert_true(slice_ends(buf_slice(&c->body), SLICE("bbbb\"}\n\n")));
    assert_true(slice_search(buf_slice(&c->body), SLICE("data: {\"id\":\"c\",\"result\"")) > LARGE);
    mcp_upstream_close(&up);
}

FLOW(requests_are_counted_and_upkeep_is_not)
{
    begin(k);
    struct flow_policy p = policy();
    p.keys[0].rpm = 2;
    policy_says(k, &p);
    char *session = open_session(k);
    expect_status(ask(k, "alice", "POST", PATH, session, LIST), 200);
    struct flow_client *c = ask(k, "alice", "POST", PATH, session, LIST);
    expect_status(c, 200); /* another status would end the session of some clients */
    expect_body_has(c, "\"id\":\"l\",\"error\":{\"code\":-32000");
    expect_body_has(c, "\"code\":\"rate_limit_exceeded\",\"retry_after\":");
    expect_status(ask(k, "alice", "DELETE", PATH, session, NULL), 204);
    static const char *const names[] = {"initialize", "tools/list", "tools/list"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        Gatehouse__JournalRecord *r = flow_record(k);
        assert_non_null(r);
        assert_string_equal(r->span->name, names[i]);
        assert_string_equal(r->span->status, i == 2 ? "refused" : "ok");
        flow_record_free(r);
    }
    assert_null(flow_record(k));
    mcp_upstream_close(&up);
}

FLOW(a_cancellation_names_the_request_as_the_upstream_knows_it)
{
    begin(k);
    char *session = open_session(k);
    struct mcp_heard *h = NULL, *note = NULL;
    call_under_way(k, session, &h);
    expect_status(ask(k, "alice", "POST", PATH, session,
                      "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\","
                      "\"params\":{\"requestId\":\"c\",\"reason\":\"tired\"}}"),
                  202);
    assert_int_equal(mcp_upstream_count(&up, "notifications/cancelled", &note), 1);
    char want[128];
    snprintf(want, sizeof(want), "{\"requestId\":%s,\"reason\":\"tired\"}", h->id);
    assert_true(slice_search(buf_slice(&note->body), slice_str(want)) > 0);
    expect_status(ask(k, "alice", "POST", PATH, session,
                      "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\","
                      "\"params\":{\"requestId\":\"unknown\"}}"),
                  202);
    assert_int_equal(mcp_upstream_count(&up, "notifications/cancelled", NULL), 1);
    mcp_upstream_close(&up);
}

FLOW(a_lost_session_is_opened_again_and_what_was_not_taken_is_sent_again_once)
{
    static const char *const requests[] = {LIST, ECHO};
    static const char *const methods[] = {"tools/list", "tools/call"};
    begin(k);
    char *session = open_session(k);
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        struct mcp_heard *h;
        size_t opened = mcp_upstream_count(&up, "initialize", NULL);
        mcp_upstream_once(&up, methods[i], 404, NULL, NULL); /* as after its restart */
        struct flow_client *c = ask(k, "alice", "POST", PATH, session, requests[i]);
        expect_part(c, "\"result\":{}");
        assert_int_equal(mcp_upstream_count(&up, "initialize", NULL), opened + 1);
        assert_int_equal(mcp_upstream_count(&up, methods[i], &h), 2);
        char want[16];
        snprintf(want, sizeof(want), "up-%zu", opened + 1);
        assert_string_equal(h->session, want);
    }
    expect_span(k, "tools/call echo", "ok", NULL);
    mcp_upstream_on(&up, "tools/call", 404, NULL, NULL); /* once more, and not for ever */
    struct flow_client *c = ask(k, "alice", "POST", PATH, session, ECHO);
    expect_part(c, "\"isError\":true");
    expect_part(c, "its session had ended");
    assert_int_equal(mcp_upstream_count(&up, "tools/call", NULL), 4);
    mcp_upstream_close(&up);
}

FLOW(a_lost_session_is_opened_once_for_all_waiting_requests)
{
    begin(k);
    char *session = open_session(k);
    mcp_upstream_hangs_on(&up, "initialize");
    mcp_upstream_once(&up, "tools/call", 404, NULL, NULL);
    struct mcp_heard *hello = NULL;
    struct flow_client *c[3];
    for (size_t i = 0; i < ARRAY_LEN(c); i++) {
        char json[128];
        snprintf(json, sizeof(json),
                 "{\"jsonrpc\":\"2.0\",\"id\":%zu,\"method\":\"tools/call\","
                 "\"params\":{\"name\":\"echo\"}}",
                 i);
        c[i] = ask(k, "alice", "POST", PATH, session, json);
        WAIT(k, mcp_upstream_count(&up, "initialize", &hello) == 2);
    }
    const struct http_header headers[] = {{SLICE("content-type"), SLICE(JSON)},
                                          {SLICE("mcp-session-id"), SLICE("again")}};
    hello->answered = true;
    assert_int_equal(http_response(hello->x, 200, headers, 2,
                                   SLICE("{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{"
                                         "\"protocolVersion\":\"2025-06-18\","
                                         "\"capabilities\":{}}}")),
                     ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(c); i++) {
        char want[16];
        snprintf(want, sizeof(want), "\"id\":%zu,", i);
        expect_part(c[i], want);
    }
    assert_int_equal(mcp_upstream_count(&up, "initialize", NULL), 2);
    assert_int_equal(mcp_upstream_count(&up, "notifications/initialized", NULL), 2);
    assert_int_equal(mcp_upstream_count(&up, "tools/call", NULL), 4);
    mcp_upstream_close(&up);
}

FLOW(all_requests_that_wait_for_an_opening_get_its_failure)
{
    begin(k);
    char *session = open_session(k);
    mcp_upstream_hangs_on(&up, "initialize");
    mcp_upstream_once(&up, "tools/call", 404, NULL, NULL);
    struct mcp_heard *hello = NULL;
    struct flow_client *c = ask(k, "alice", "POST", PATH, session, ECHO);
    WAIT(k, mcp_upstream_count(&up, "initialize", &hello) == 2);
    struct flow_client *other = ask(k, "alice", "POST", PATH, session, LIST);
    WAIT(k, k->env.request_count == 2);
    flow_turn(k);
    hello->answered = true;
    const struct http_header type = {SLICE("content-type"), SLICE(JSON)};
    assert_int_equal(http_response(hello->x, 401, &type, 1, SLICE("{\"error\":\"no\"}")), ERR_OK);
    expect_part(c, "it refuses the gateway's credential (status 401)");
    expect_part(other, "it refuses the gateway's credential (status 401)");
    assert_int_equal(mcp_upstream_count(&up, "initialize", NULL), 2);
    mcp_upstream_close(&up);
}

FLOW(an_error_keeps_its_code_message_and_data)
{
    begin(k);
    mcp_upstream_on(&up, "tools/call", 200, JSON,
                    "{\"jsonrpc\":\"2.0\",\"id\":$ID,\"error\":{\"code\":-32042,\"message\":\"m\","
                    "\"data\":{\"elicitations\":[1.0]}}}");
    char *session = open_session(k);
    expect_whole(ask(k, "alice", "POST", PATH, session, ECHO),
                 "{\"jsonrpc\":\"2.0\",\"id\":\"c\",\"error\":{\"code\":-32042,\"message\":\"m\","
                 "\"data\":{\"elicitations\":[1.0]}}}");
    expect_span(k, "tools/call echo", "error", "-32042");
    mcp_upstream_close(&up);
}

FLOW(a_failing_upstream_is_a_result_a_model_can_read)
{
    begin(k);
    char *session = open_session(k);
    mcp_upstream_on(&up, "tools/call", 503, "text/plain", "away");
    assert_int_equal(k->env.upstreams.log.told_us, 0);
    struct flow_client *c = ask(k, "alice", "POST", PATH, session, ECHO);
    expect_status(c, 200);
    expect_part(c, "\"isError\":true");
    expect_part(c, "status 503");
    assert_true(k->env.upstreams.log.told_us > 0);    /* a line in the log */
    assert_int_equal(k->env.upstreams.log.untold, 0); /* and one only */
    expect_span(k, "tools/call echo", "error", "upstream_error");
    mcp_upstream_on(&up, "tools/call", 200, JSON,
                    "{\"jsonrpc\":\"2.0\",\"id\":$ID,\"result\":{},\"result\":{}}");
    c = ask(k, "alice", "POST", PATH, session, ECHO);
    expect_part(c, "could not be read");
    mcp_upstream_close(&up);
}

FLOW(the_servers_credential_does_not_reach_the_client)
{
    begin(k);
    mcp_upstream_on(&up, "tools/call", 200, JSON,
                    "{\"jsonrpc\":\"2.0\",\"id\":$ID,\"result\":{\"content\":[{\"type\":\"text\","
                    "\"text\":\"" SECRET "\"}]}}");
    char *session = open_session(k);
    struct flow_client *c = ask(k, "alice", "POST", PATH, session, ECHO);
    expect_status(c, 200);
    assert_true(slice_search(buf_slice(&c->body), SLICE(SECRET)) < 0);
    expect_part(c, "\"text\":\"***********************\"");
    mcp_upstream_close(&up);
}

static struct flow_client *get(struct flow *k, const char *session, const char *last_event_id)
{
    char headers[800];
    snprintf(headers, sizeof(headers), "Mcp-Session-Id: %s\r\nAccept: text/event-stream\r\n%s%s%s",
             session, last_event_id ? "Last-Event-ID: " : "", last_event_id ? last_event_id : "",
             last_event_id ? "\r\n" : "");
    return client_asks(k, "GET", "alice", PATH, headers);
}

FLOW(a_lost_response_is_resumed_as_often_as_it_is_asked_for)
{
    begin(k);
    char *session = open_session(k);
    mcp_upstream_hangs_on(&up, "GET");
    mcp_upstream_hangs_on(&up, "tools/list");
    struct flow_client *lost = ask(k, "alice", "POST", PATH, session, LIST);
    struct mcp_heard *list = NULL, *h = NULL;
    WAIT(k, mcp_upstream_count(&up, "tools/list", &list) == 1);
    mcp_upstream_begins(list);
    mcp_upstream_tells(list, "id: 1\ndata:\n\n");
    WAIT(k, slice_search(buf_slice(&lost->body), SLICE("id: 1")) >= 0);
    client_hangs_up(lost);
    WAIT(k, k->env.request_count == 0);
    char event[512];
    snprintf(event, sizeof(event), "id: 2\ndata: %s\n\n", TOOLS);
    for (size_t i = 1; i <= 3; i++) {
        struct flow_client *c = get(k, session, "1");
        WAIT(k, mcp_upstream_count(&up, "GET", &h) == i);
        mcp_upstream_begins(h);
        snprintf(h->id, sizeof(h->id), "%s", list->id);
        mcp_upstream_tells(h, event);
        mcp_upstream_ends(h);
        expect_whole(c, "id: 2\ndata: " CUT "\n\n");
    }
    mcp_upstream_close(&up);
}

FLOW(the_last_event_of_a_call_keeps_its_id)
{
    begin(k);
    char *session = open_session(k);
    mcp_upstream_on(&up, "tools/call", 200, "text/event-stream", "id: 7\ndata: " RESULT "\n\n");
    expect_whole(ask(k, "alice", "POST", PATH, session, ECHO),
                 "event: message\nid: 7\ndata: "
                 "{\"jsonrpc\":\"2.0\",\"id\":\"c\",\"result\":{\"content\":[]}}\n\n");
    mcp_upstream_close(&up);
}

FLOW(a_blocked_principal_is_cut_from_its_stream_with_the_reason)
{
    begin(k);
    char *session = open_session(k);
    mcp_upstream_hangs_on(&up, "GET");
    struct flow_client *c = get(k, session, NULL);
    struct mcp_heard *h = NULL;
    WAIT(k, mcp_upstream_count(&up, "GET", &h) == 1);
    mcp_upstream_begins(h);
    mcp_upstream_tells(h, ": hello\n\n");
    WAIT(k, c->has_head);
    struct flow_policy p = policy();
    p.blocks[0] = (struct flow_block){"agent", "a_bot"};
    policy_says(k, &p);
    WAIT(k, c->whole && h->x == NULL);
    expect_body_has(c, "event: error\ndata: {\"jsonrpc\":\"2.0\",\"id\":null,\"error\":");
    expect_body_has(c, "\"code\":\"invalid_api_key\"");
    mcp_upstream_close(&up);
}

FLOW(a_blocked_call_in_mid_stream_gets_an_error_and_the_trace_has_the_reason)
{
    begin(k);
    char *session = open_session(k);
    struct mcp_heard *h = NULL;
    struct flow_client *c = call_under_way(k, session, &h);
    mcp_upstream_begins(h);
    WAIT(k, c->has_head);
    struct flow_policy p = policy();
    p.keys[0].revoked = true;
    policy_says(k, &p);
    expect_status(c, 200);
    expect_body_has(c, "event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":\"c\",\"error\":");
    expect_body_has(c, "\"code\":\"invalid_api_key\"");
    WAIT(k, h->x == NULL);
    Gatehouse__JournalRecord *r = last_record(k);
    assert_string_equal(r->span->status, "refused");
    assert_string_equal(r->attempts[0]->code, "revoked");
    flow_record_free(r);
    mcp_upstream_close(&up);
}

FLOW(a_lone_call_has_a_session_of_its_own)
{
    begin(k);
    mcp_upstream_on(&up, "tools/call", 200, JSON, RESULT);
    struct flow_client *c = ask(k, "alice", "POST", PATH, NULL, ECHO);
    expect_whole(c, "{\"jsonrpc\":\"2.0\",\"id\":\"c\",\"result\":{\"content\":[]}}");
    assert_null(client_header(c, "mcp-session-id").ptr);
    WAIT(k, mcp_upstream_count(&up, "DELETE", NULL) == 1);
    static const char *const order[] = {"initialize", "notifications/initialized", "tools/call",
                                        "DELETE"};
    assert_int_equal(up.heard_count, ARRAY_LEN(order));
    for (size_t i = 0; i < ARRAY_LEN(order); i++) {
        assert_string_equal(up.heard[i].what, order[i]);
        assert_string_equal(up.heard[i].session, i ? "up-1" : "");
    }
    expect_span(k, "tools/call echo", "ok", NULL);
    mcp_upstream_close(&up);
}

FLOW(ending_a_session_ends_the_upstreams_and_it_stays_ended)
{
    begin(k);
    char *session = open_session(k);
    expect_status(ask(k, "bob", "DELETE", PATH, session, NULL), 404);
    expect_status(ask(k, "alice", "DELETE", PATH, session, NULL), 204);
    struct mcp_heard *h = NULL;
    WAIT(k, mcp_upstream_count(&up, "DELETE", &h) == 1);
    assert_string_equal(h->session, "up-1");
    expect_status(ask(k, "alice", "DELETE", PATH, session, NULL), 404);
    expect_status(ask(k, "alice", "POST", PATH, session, LIST), 404);
    assert_int_equal(mcp_upstream_count(&up, "tools/list", NULL), 0);
    mcp_upstream_close(&up);
}

FLOW(mcp_alone_is_the_only_server_or_says_which_there_are)
{
    begin(k);
    mcp_upstream_on(&up, "tools/call", 200, JSON, RESULT);
    expect_status(ask(k, "alice", "POST", "/mcp", NULL, ECHO), 200);
    struct flow_client *c = ask(k, "bob", "POST", "/mcp", NULL, ECHO);
    expect_status(c, 400);
    expect_body_has(c, "/mcp/{server}: more, tools.");
    expect_status(ask(k, "alice", "POST", "/mcp/more", NULL, ECHO), 404);
    expect_status(ask(k, "alice", "POST", "/mcp/none", NULL, ECHO), 404);
    mcp_upstream_close(&up);
}

FLOW(a_silent_call_becomes_a_stream_that_stays_alive)
{
    begin(k);
    char *session = open_session(k);
    struct mcp_heard *h = NULL;
    struct flow_client *c = call_under_way(k, session, &h);
    uint64_t until = flow_now_ms() + LIMIT_MCP_KEEPALIVE_MS + 5000;
    while (!c->body.len && flow_now_ms() < until)
        flow_turn(k);
    assert_true(slice_eq(buf_slice(&c->body), SLICE(": keepalive\n\n")));
    h->answered = true;
    const struct http_header type = {SLICE("content-type"), SLICE(JSON)};
    assert_int_equal(
        http_response(h->x, 200, &type, 1, SLICE("{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}}")),
        ERR_OK);
    expect_whole(c, ": keepalive\n\nevent: message\ndata: "
                    "{\"jsonrpc\":\"2.0\",\"id\":\"c\",\"result\":{}}\n\n");
    mcp_upstream_close(&up);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(a_session_is_opened_with_what_the_client_declared_and_answered_narrowed),
        SCENARIO(a_list_is_cut_to_the_grants_and_its_cursor_stays),
        SCENARIO(a_tool_that_is_not_granted_reaches_no_server),
        SCENARIO(progress_arrives_before_the_response),
        SCENARIO(hanging_up_does_not_cancel),
        SCENARIO(a_lone_call_whose_client_left_still_ends_its_session),
        SCENARIO(a_session_whose_client_left_is_ended_as_it_is_opened),
        SCENARIO(a_slow_client_gets_all_of_a_large_response),
        SCENARIO(requests_are_counted_and_upkeep_is_not),
        SCENARIO(a_cancellation_names_the_request_as_the_upstream_knows_it),
        SCENARIO(a_lost_session_is_opened_again_and_what_was_not_taken_is_sent_again_once),
        SCENARIO(a_lost_session_is_opened_once_for_all_waiting_requests),
        SCENARIO(all_requests_that_wait_for_an_opening_get_its_failure),
        SCENARIO(an_error_keeps_its_code_message_and_data),
        SCENARIO(a_failing_upstream_is_a_result_a_model_can_read),
        SCENARIO(the_servers_credential_does_not_reach_the_client),
        SCENARIO(a_lost_response_is_resumed_as_often_as_it_is_asked_for),
        SCENARIO(the_last_event_of_a_call_keeps_its_id),
        SCENARIO(a_blocked_principal_is_cut_from_its_stream_with_the_reason),
        SCENARIO(a_blocked_call_in_mid_stream_gets_an_error_and_the_trace_has_the_reason),
        SCENARIO(a_lone_call_has_a_session_of_its_own),
        SCENARIO(ending_a_session_ends_the_upstreams_and_it_stays_ended),
        SCENARIO(mcp_alone_is_the_only_server_or_says_which_there_are),
        SCENARIO(a_silent_call_becomes_a_stream_that_stays_alive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
