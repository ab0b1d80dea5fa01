/* mcp_origin — the names that the tool gate is reached by, and the pages that may use it. */
#include <stdio.h>

#include "common/net/host_list.h"
#include "tests/kit/flow/mcp_upstream.h"

static struct mcp_upstream up;
static struct host_list names;

static void begin(struct flow *k, const char *allowed)
{
    mcp_upstream_for_alice(k, &up);
    assert_int_equal(host_list_read(slice_str(allowed), &names), ERR_OK);
    k->env.allowed_hosts = &names;
}

/* A ping is answered by the gate itself, once it is inside. */
static struct flow_client *knock(struct flow *k, const char *host, const char *origin)
{
    static const char ping[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}";
    char head[2048];
    snprintf(head, sizeof(head),
             "POST /mcp/tools HTTP/1.1\r\nHost: %s\r\n%s%s%sAuthorization: Bearer %s\r\n"
             "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
             host, origin ? "Origin: " : "", origin ? origin : "", origin ? "\r\n" : "",
             flow_secret(k, "alice"), sizeof(ping) - 1, ping);
    return client_says(k, head);
}

static void expect_turned_away(struct flow_client *c)
{
    expect_status(c, 403);
    expect_body_has(c, "\"data\":{\"code\":\"origin_not_allowed\"}");
}

FLOW(without_a_list_the_loopback_is_asked_by_its_own_names_only)
{
    begin(k, "");
    expect_status(knock(k, "127.0.0.1:8080", NULL), 200);
    expect_status(knock(k, "localhost", NULL), 200);
    expect_status(knock(k, "[::1]:8080", "http://localhost:3000"), 200);
    expect_turned_away(knock(k, "mcp.example.com", NULL));
    expect_turned_away(knock(k, "mcp.example.com", "http://mcp.example.com"));
    mcp_upstream_close(&up);
}

FLOW(listed_names_are_let_through_as_host_and_as_origin_with_any_port)
{
    begin(k, "mcp.example.com,10.1.2.3");
    expect_status(knock(k, "mcp.example.com", NULL), 200);
    expect_status(knock(k, "MCP.example.com:8443", "https://mcp.example.com"), 200);
    expect_status(knock(k, "10.1.2.3:80", NULL), 200);
    expect_status(knock(k, "localhost:80", "https://mcp.example.com:99"), 200);
    expect_turned_away(knock(k, "example.com", NULL));
    expect_turned_away(knock(k, "mcp.example.com.evil.net", NULL));
    mcp_upstream_close(&up);
}

FLOW(a_foreign_page_is_turned_away_under_a_listed_name_too)
{
    begin(k, "mcp.example.com");
    expect_turned_away(knock(k, "mcp.example.com", "https://evil.net"));
    expect_turned_away(knock(k, "mcp.example.com", "null"));
    expect_turned_away(knock(k, "mcp.example.com", "https://mcp.example.com.evil.net"));
    expect_turned_away(
        knock(k, "mcp.example.com", "https://evil.net\r\nOrigin: https://mcp.example.com"));
    mcp_upstream_close(&up);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(without_a_list_the_loopback_is_asked_by_its_own_names_only),
        SCENARIO(listed_names_are_let_through_as_host_and_as_origin_with_any_port),
        SCENARIO(a_foreign_page_is_turned_away_under_a_listed_name_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
