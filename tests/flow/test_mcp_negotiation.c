/* mcp_negotiation — which revision and which form a client is answered in. */
#include <stdio.h>

#include "tests/kit/flow/mcp_upstream.h"

#define PATH "/mcp/tools"
#define LIST "{\"jsonrpc\":\"2.0\",\"id\":\"l\",\"method\":\"tools/list\"}"

static struct mcp_upstream up;

static struct flow_client *initialize(struct flow *k, const char *version, const char *headers)
{
    char json[256];
    snprintf(json, sizeof(json),
             "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{"
             "\"protocolVersion\":\"%s\",\"capabilities\":{},"
             "\"clientInfo\":{\"name\":\"c\",\"version\":\"1\"}}}",
             version);
    return client_posts(k, "alice", PATH, headers, json);
}

FLOW(a_client_is_answered_in_its_own_revision_where_it_is_served)
{
    static const struct {
        const char *wanted, *headers, *got;
    } rows[] = {
        {"2025-03-26", NULL, "2025-03-26"},
        {"2025-06-18", NULL, "2025-06-18"},
        {"2025-11-25", NULL, "2025-11-25"},
        {"1999-01-01", NULL, "2025-11-25"},
        {"2024-11-05", NULL, "2025-11-25"},
        /* a header of before the negotiation has no meaning */
        {"2025-06-18", "MCP-Protocol-Version: 2099-01-01\r\n", "2025-06-18"},
    };
    mcp_upstream_for_alice(k, &up);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char want[64];
        struct mcp_heard *h;
        struct flow_client *c = initialize(k, rows[i].wanted, rows[i].headers);
        expect_status(c, 200);
        snprintf(want, sizeof(want), "\"result\":{\"protocolVersion\":\"%s\"", rows[i].got);
        expect_body_has(c, want);
        mcp_upstream_count(&up, "initialize", &h);
        snprintf(want, sizeof(want), "\"params\":{\"protocolVersion\":\"%s\"", rows[i].got);
        assert_true(slice_search(buf_slice(&h->body), slice_str(want)) > 0);
    }
    mcp_upstream_close(&up);
}

FLOW(a_session_of_the_oldest_revision_works_and_a_later_header_must_be_served)
{
    char headers[1200];
    mcp_upstream_for_alice(k, &up);
    struct flow_client *c = initialize(k, "2025-03-26", NULL);
    expect_status(c, 200);
    struct slice session = client_header(c, "mcp-session-id");
    snprintf(headers, sizeof(headers), "Mcp-Session-Id: %.*s\r\n", SLICE_ARG(session));
    c = client_posts(k, "alice", PATH, headers, LIST); /* these clients send no version */
    expect_status(c, 200);
    expect_body_has(c, "\"id\":\"l\",\"result\":{}");
    strcat(headers, "MCP-Protocol-Version: 2099-01-01\r\n");
    c = client_posts(k, "alice", PATH, headers, LIST);
    expect_status(c, 400);
    expect_body_has(c, "2025-11-25, 2025-06-18 and 2025-03-26");
    mcp_upstream_close(&up);
}

FLOW(each_form_that_a_client_accepts_is_answered_in_it)
{
    static const struct {
        const char *accept;
        unsigned status;
        const char *type;
    } rows[] = {
        {NULL, 200, "application/json"},
        {"*/*", 200, "application/json"},
        {"application/json", 200, "application/json"},
        {"application/*;q=0.8", 200, "application/json"},
        {"text/event-stream", 200, "text/event-stream"},
        {"text/plain", 406, "application/json"},
    };
    mcp_upstream_for_alice(k, &up);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char headers[64] = "";
        if (rows[i].accept)
            snprintf(headers, sizeof(headers), "Accept: %s\r\n", rows[i].accept);
        struct flow_client *c = initialize(k, "2025-11-25", headers);
        expect_status(c, rows[i].status);
        if (!slice_eq(client_header(c, "content-type"), slice_str(rows[i].type)))
            fail_msg("row %zu: %s", i, rows[i].accept);
        bool event = strncmp(rows[i].type, "text", 4) == 0;
        assert_true(slice_starts(buf_slice(&c->body),
                                 event ? SLICE("event: message\ndata: {") : SLICE("{\"jsonrpc\"")));
    }
    mcp_upstream_close(&up);
}

FLOW(a_client_that_reads_json_only_gets_json_of_an_upstream_that_streams)
{
    mcp_upstream_for_alice(k, &up);
    mcp_upstream_on(&up, "tools/list", 200, "text/event-stream",
                    "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}\n\n"
                    "data: {\"jsonrpc\":\"2.0\",\"id\":$ID,\"result\":{\"tools\":[]}}\n\n");
    struct flow_client *c = initialize(k, "2025-11-25", NULL);
    char headers[1200];
    expect_status(c, 200);
    snprintf(headers, sizeof(headers), "Mcp-Session-Id: %.*s\r\nAccept: application/json\r\n",
             SLICE_ARG(client_header(c, "mcp-session-id")));
    c = client_posts(k, "alice", PATH, headers, LIST);
    expect_status(c, 200);
    expect_body(c, "{\"jsonrpc\":\"2.0\",\"id\":\"l\",\"result\":{\"tools\":[]}}");
    mcp_upstream_close(&up);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(a_client_is_answered_in_its_own_revision_where_it_is_served),
        SCENARIO(a_session_of_the_oldest_revision_works_and_a_later_header_must_be_served),
        SCENARIO(each_form_that_a_client_accepts_is_answered_in_it),
        SCENARIO(a_client_that_reads_json_only_gets_json_of_an_upstream_that_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
