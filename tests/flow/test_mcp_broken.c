/* mcp_broken — a server that goes away while a client listens, or that asks to come again later. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/kit/flow/mcp_upstream.h"

#define CALL                                                                                       \
    "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"tools/call\",\"params\":{\"name\":\"echo\"}}"
#define PROGRESS                                                                                   \
    "event: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\","            \
    "\"params\":{\"progressToken\":1,\"progress\":1}}\n\n"

static struct mcp_upstream up;

/* A lone call whose response has begun as a stream. */
static struct flow_client *listen_to_call(struct flow *k, struct mcp_heard **call)
{
    mcp_upstream_hangs_on(&up, "tools/call");
    struct flow_client *c = client_posts(k, "alice", "/mcp/tools", NULL, CALL);
    WAIT(k, mcp_upstream_count(&up, "tools/call", call) == 1);
    mcp_upstream_begins(*call);
    mcp_upstream_tells(*call, PROGRESS);
    WAIT(k, slice_search(buf_slice(&c->body), SLICE("notifications/progress")) > 0);
    return c;
}

/* The client's last event is a result that a model can read, and the trace has the cause. */
static void expect_told(struct flow *k, struct flow_client *c)
{
    expect_status(c, 200);
    assert_true(c->whole);
    expect_body_has(c, "data: {\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{\"content\":[");
    expect_body_has(c, "\"isError\":true");
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_non_null(r);
    assert_string_equal(r->span->name, "tools/call echo");
    assert_string_equal(r->span->status, "error");
    assert_int_equal(r->n_attempts, 1);
    assert_string_equal(r->attempts[0]->status, "error");
    flow_record_free(r);
}

FLOW(a_server_that_breaks_off_in_mid_stream_becomes_a_failed_result)
{
    struct mcp_heard *call;
    mcp_upstream_for_alice(k, &up);
    struct flow_client *c = listen_to_call(k, &call);
    http_response_abort(call->x);
    expect_told(k, c);
    mcp_upstream_close(&up);
}

FLOW(a_stream_that_ends_without_the_response_is_a_failed_result_too)
{
    struct mcp_heard *call;
    mcp_upstream_for_alice(k, &up);
    struct flow_client *c = listen_to_call(k, &call);
    mcp_upstream_ends(call);
    expect_told(k, c);
    mcp_upstream_close(&up);
}

FLOW(a_server_that_asks_to_wait_is_reported_in_a_sentence)
{
    mcp_upstream_for_alice(k, &up);
    mcp_upstream_on(&up, "tools/call", 429, "text/plain", "slow down");
    up.rules[up.rule_count - 1].retry_after = "9";
    char head[2048];
    snprintf(head, sizeof(head),
             "POST /mcp/tools HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\n"
             "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
             flow_secret(k, "alice"), strlen(CALL), CALL);
    struct flow_client *c = client_says(k, head);
    expect_status(c, 200);
    expect_body_has(c, "status 429, and asks to wait 9 s");
    expect_body_has(c, "\"isError\":true");
    mcp_upstream_close(&up);
}

#define PATH "/mcp/tools"
#define HELLO                                                                                      \
    "{\"jsonrpc\":\"2.0\",\"id\":\"h\",\"method\":\"initialize\",\"params\":{"                     \
    "\"protocolVersion\":\"2025-11-25\",\"capabilities\":{},"                                      \
    "\"clientInfo\":{\"name\":\"c\",\"version\":\"1\"}}}"

static void asks_to_wait(const char *on, const char *seconds)
{
    mcp_upstream_once(&up, on, 429, "text/plain", "slow down");
    up.rules[up.rule_count - 1].retry_after = seconds;
}

static void expect_told_to_wait(struct flow_client *c, const char *seconds)
{
    expect_status(c, 429);
    expect_body_has(c, "\"error\":{\"code\":-32000,");
    expect_body_has(c, "\"data\":{\"code\":\"upstream_rate_limited\"");
    struct slice told = client_header(c, "retry-after");
    assert_true(seconds ? slice_eq(told, slice_str(seconds)) : !told.ptr);
}

FLOW(a_server_that_takes_no_session_now_says_so_to_the_client_and_when)
{
    mcp_upstream_for_alice(k, &up);
    asks_to_wait("initialize", "9");
    expect_told_to_wait(client_posts(k, "alice", PATH, NULL, HELLO), "9");
    asks_to_wait("initialize", NULL);
    expect_told_to_wait(client_posts(k, "alice", PATH, NULL, HELLO), NULL);
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_string_equal(r->span->status, "error");
    assert_string_equal(r->span->code, "upstream_rate_limited");
    assert_string_equal(r->attempts[0]->code, "upstream_rate_limited");
    flow_record_free(r);
    expect_status(client_posts(k, "alice", PATH, NULL, HELLO), 200);
    mcp_upstream_close(&up);
}

FLOW(a_lone_call_that_gets_no_session_now_is_refused_with_a_sentence)
{
    static const char *const steps[] = {"initialize", "notifications/initialized"};
    mcp_upstream_for_alice(k, &up);
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        asks_to_wait(steps[i], "9");
        struct flow_client *c = client_posts(k, "alice", PATH, NULL, CALL);
        expect_status(c, 200);
        expect_body_has(c, "it opens no session for us now, and asks to wait 9 s");
        expect_body_has(c, "\"isError\":true");
        assert_int_equal(mcp_upstream_count(&up, "tools/call", NULL), 0);
    }
    mcp_upstream_close(&up);
}

FLOW(in_a_session_too_the_server_may_ask_to_wait)
{
    char session[1024];
    mcp_upstream_for_alice(k, &up);
    struct flow_client *c = client_posts(k, "alice", PATH, NULL, HELLO);
    expect_status(c, 200);
    snprintf(session, sizeof(session), "Mcp-Session-Id: %.*s\r\n",
             SLICE_ARG(client_header(c, "mcp-session-id")));
    asks_to_wait("notifications/initialized", "9");
    c = client_posts(k, "alice", PATH, session,
                     "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}");
    expect_told_to_wait(c, "9");
    asks_to_wait("GET", "8");
    strcat(session, "Accept: text/event-stream\r\n");
    expect_told_to_wait(client_asks(k, "GET", "alice", PATH, session), "8");
    mcp_upstream_close(&up);
}

FLOW(a_failure_of_a_server_is_reported_with_its_cause)
{
    static const struct {
        unsigned status;
        const char *body, *told;
    } rows[] = {
        {401, "{\"error\":\"invalid_token\"}", "it refuses the gateway's credential (status 401)"},
        {403, "{\"message\":\"no\"}", "it refuses the gateway's credential (status 403)"},
        {429, "{\"message\":\"slow\"}",
         "no more calls at the moment: it answered with status 429, and "
         "said: slow"},
        {500, "{\"error\":{\"message\":\"disk\\u0007 full\"}}", "status 500, and said: disk  full"},
        {502, "[1]", "The upstream failed: it answered with status 502."},
        {200, "{\"jsonrpc\":\"2.0\",\"id\":$ID}", " could not be read."},
    };
    mcp_upstream_for_alice(k, &up);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        mcp_upstream_once(&up, "tools/call", rows[i].status, "application/json", rows[i].body);
        struct flow_client *c = client_posts(k, "alice", PATH, NULL, CALL);
        expect_status(c, 200);
        expect_body_has(c, "\"isError\":true");
        if (slice_search(buf_slice(&c->body), slice_str(rows[i].told)) < 0)
            fail_msg("row %zu: %.*s", i, SLICE_ARG(buf_slice(&c->body)));
    }
    mcp_upstream_close(&up);
}

#define TOO_LARGE (17 * 1024 * 1024)

FLOW(a_result_that_is_too_large_is_reported_as_too_large)
{
    mcp_upstream_for_alice(k, &up);
    char *body = malloc(TOO_LARGE), *p = body;
    assert_non_null(body);
    p += sprintf(p, "{\"jsonrpc\":\"2.0\",\"id\":$ID,\"result\":{\"x\":\"");
    memset(p, 'x', TOO_LARGE - 100);
    strcpy(p + TOO_LARGE - 100, "\"}}");
    mcp_upstream_once(&up, "tools/call", 200, "application/json", body);
    struct flow_client *c = client_posts(k, "alice", PATH, NULL, CALL);
    expect_status(c, 200);
    expect_body_has(c, "its response is larger than 16 MiB");
    free(body);
    mcp_upstream_close(&up);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(a_server_that_breaks_off_in_mid_stream_becomes_a_failed_result),
        SCENARIO(a_stream_that_ends_without_the_response_is_a_failed_result_too),
        SCENARIO(a_server_that_asks_to_wait_is_reported_in_a_sentence),
        SCENARIO(a_server_that_takes_no_session_now_says_so_to_the_client_and_when),
        SCENARIO(a_lone_call_that_gets_no_session_now_is_refused_with_a_sentence),
        SCENARIO(in_a_session_too_the_server_may_ask_to_wait),
        SCENARIO(a_failure_of_a_server_is_reported_with_its_cause),
        SCENARIO(a_result_that_is_too_large_is_reported_as_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
