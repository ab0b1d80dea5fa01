/* mcp_sessions — how many a principal may hold, and what becomes of those that are not used. */
#include <stdio.h>

#include "common/base/clock.h"
#include "mcp-gateway/session_directory.h"
#include "mcp-gateway/tool_gate.h"
#include "tests/kit/flow/mcp_upstream.h"

#define PATH "/mcp/tools"
#define HELLO                                                                                      \
    "{\"jsonrpc\":\"2.0\",\"id\":\"h\",\"method\":\"initialize\",\"params\":{"                     \
    "\"protocolVersion\":\"2025-11-25\",\"capabilities\":{},"                                      \
    "\"clientInfo\":{\"name\":\"c\",\"version\":\"1\"}}}"
#define LIST "{\"jsonrpc\":\"2.0\",\"id\":\"l\",\"method\":\"tools/list\"}"
#define IDLE_US (LIMIT_MCP_IDLE_MS * 1000ull)

static struct mcp_upstream up;

static void begin(struct flow *k)
{
    mcp_upstream_open(k, &up);
    const struct flow_policy p = {
        .keys = {{.name = "alice", .agent = "bot"}, {.name = "bob", .agent = "rob"}},
        .agents = {{.name = "bot", .team = "team"}, {.name = "rob", .team = "team"}},
        .teams = {{.name = "team"}},
        .servers = {{.name = "tools", .port = up.port}},
        .grants = {{.team = "team", .server = "tools", .tools = {"*"}}},
    };
    policy_says(k, &p);
}

/* Sessions of this principal, as many as there may be, without a client each. */
static void fill(struct client_session **all, size_t n, const char *agent_id)
{
    for (size_t i = 0; i < n; i++) {
        all[i] = client_session_new(&(struct client_session_spec){.hello = SLICE("{}")});
        assert_non_null(all[i]);
        assert_int_equal(session_directory_count(all[i], slice_str(agent_id)), ERR_OK);
    }
}

FLOW(one_session_too_many_is_429_and_opens_nothing_upstream)
{
    static struct client_session *all[LIMIT_MCP_SESSIONS_EACH - 1];
    begin(k);
    struct flow_client *first = client_posts(k, "alice", PATH, NULL, HELLO);
    expect_status(first, 200);
    fill(all, ARRAY_LEN(all), "a_bot");
    struct flow_client *c = client_posts(k, "alice", PATH, NULL, HELLO);
    expect_status(c, 429);
    expect_body_has(c, "{\"jsonrpc\":\"2.0\",\"id\":\"h\",\"error\":{\"code\":-32000,");
    expect_body_has(c, "\"data\":{\"code\":\"session_limit_exceeded\"}");
    assert_int_equal(mcp_upstream_count(&up, "initialize", NULL), 1);
    expect_status(client_posts(k, "bob", PATH, NULL, HELLO), 200); /* another's are not counted */
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        client_session_drop(all[i]);
    expect_status(client_posts(k, "alice", PATH, NULL, HELLO), 200);
    mcp_upstream_close(&up);
}

FLOW(a_session_that_is_not_used_ends_here_and_upstream_without_a_new_one)
{
    char session[600];
    struct mcp_heard *h;
    begin(k);
    struct flow_client *c = client_posts(k, "alice", PATH, NULL, HELLO);
    expect_status(c, 200);
    snprintf(session, sizeof(session), "Mcp-Session-Id: %.*s\r\n",
             SLICE_ARG(client_header(c, "mcp-session-id")));
    uint64_t now = clock_mono_us();
    mcp_sweep(&k->env, now);
    mcp_sweep(&k->env, now + IDLE_US / 2);
    assert_int_equal(session_directory_size(), 1);
    mcp_sweep(&k->env, now + IDLE_US + 1);
    assert_int_equal(session_directory_size(), 0);
    assert_int_equal(session_directory_remembered(), 1);
    WAIT(k, mcp_upstream_count(&up, "DELETE", &h) == 1 && h->answered);
    assert_string_equal(h->session, "up-1");
    expect_status(client_posts(k, "alice", PATH, session, LIST), 404);
    mcp_upstream_close(&up);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(one_session_too_many_is_429_and_opens_nothing_upstream),
        SCENARIO(a_session_that_is_not_used_ends_here_and_upstream_without_a_new_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
