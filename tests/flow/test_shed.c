/* shed — a worker of a plane that is short of memory: what is begun is ended, nothing is begun. */
#include <stdio.h>
#include <sys/resource.h>

#include "tests/kit/flow/flow.h"

#define CHAT "{\"model\":\"m\",\"messages\":[]}"
#define STREAM "{\"model\":\"m\",\"stream\":true,\"messages\":[]}"
#define CALL                                                                                       \
    "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"tools/call\",\"params\":{\"name\":\"echo\"}}"

static atomic_bool shedding;

static void begin(struct flow *k, bool now)
{
    const struct flow_policy p = {
        .keys = {{.name = "alice", .models = {"m"}}},
        .models = {{.name = "m", .upstreams = {0}, .upstream_count = 1}},
    };
    policy_says(k, &p);
    atomic_store(&shedding, now);
    k->env.shedding = &shedding;
}

static void ask_again(struct flow *k, struct flow_client *c)
{
    char request[512];
    snprintf(request, sizeof(request),
             "POST /v1/chat/completions HTTP/1.1\r\nHost: gate\r\nAuthorization: Bearer %s\r\n"
             "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
             flow_secret(k, "alice"), strlen(CHAT), CHAT);
    client_adds(c, request);
}

static void expect_shed(struct flow_client *c)
{
    expect_status(c, 503);
    assert_true(slice_eq(client_header(c, "retry-after"), SLICE("2")));
}

FLOW(new_work_is_refused_in_the_dialect_of_its_path)
{
    begin(k, true);
    struct flow_client *ai = client_posts(k, "alice", "/v1/chat/completions", NULL, CHAT);
    expect_shed(ai);
    expect_code(ai, "memory_pressure");
    expect_body_has(ai, "{\"error\":{");
    struct flow_client *api = client_gets(k, "alice", "/api/crm/customers");
    expect_shed(api);
    expect_code(api, "memory_pressure");
    assert_true(slice_eq(client_header(api, "content-type"), SLICE("application/problem+json")));
    struct flow_client *tool = client_posts(k, "alice", "/mcp/tools", NULL, CALL);
    expect_shed(tool);
    expect_body_has(tool, "\"jsonrpc\":\"2.0\"");
    expect_body_has(tool, "\"data\":{\"code\":\"memory_pressure\",\"retry_after\":2}");
    assert_int_equal(k->upstreams[0].call_count, 0);
}

FLOW(health_checks_are_still_served)
{
    begin(k, true);
    expect_status(client_gets(k, NULL, "/healthz"), 200);
    expect_status(client_gets(k, NULL, "/readyz"), 200);
}

FLOW(what_was_begun_is_ended_and_work_is_taken_again_afterwards)
{
    begin(k, false);
    upstream_opens_stream(k, 0);
    upstream_sends(k, 0, "data: {\"choices\":[{\"delta\":{\"content\":\"one\"}}]}\n\n");
    upstream_waits_for_go(k, 0);
    upstream_sends(k, 0, "data: {\"choices\":[{\"finish_reason\":\"stop\"}]}\n\n");
    upstream_sends(k, 0, "data: [DONE]\n\n");
    upstream_ends_stream(k, 0);
    struct flow_client *c = client_posts(k, "alice", "/v1/chat/completions", NULL, STREAM);
    WAIT(k, slice_search(buf_slice(&c->body), SLICE("one")) > 0);
    atomic_store(&shedding, true);
    expect_shed(client_posts(k, "alice", "/v1/chat/completions", NULL, CHAT));
    upstream_goes(k, 0);
    expect_status(c, 200);
    expect_body_has(c, "[DONE]");
    atomic_store(&shedding, false);
    upstream_forget_script(k, 0);
    upstream_answers(k, 0, 200, "{\"choices\":[{\"message\":{\"content\":\"hi\"}}]}");
    expect_status(client_posts(k, "alice", "/v1/chat/completions", NULL, CHAT), 200);
}

/* Nothing can be opened while the limit is at what is open; the client's connection stands. */
FLOW(without_descriptors_a_call_is_503_and_served_when_there_are_some_again)
{
    struct rlimit was, low;
    begin(k, false);
    upstream_answers(k, 0, 200, "{\"choices\":[{\"message\":{\"content\":\"hi\"}}]}");
    struct flow_client *c = client_gets(k, "alice", "/v1/models");
    expect_status(c, 200);
    client_begins_anew(c);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
    low = (struct rlimit){3, was.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    ask_again(k, c);
    WAIT(k, c->whole || c->closed);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
    expect_status(c, 503);
    expect_code(c, "overloaded");
    client_begins_anew(c);
    ask_again(k, c);
    expect_status(c, 200);
    assert_int_equal(k->upstreams[0].call_count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(new_work_is_refused_in_the_dialect_of_its_path),
        SCENARIO(health_checks_are_still_served),
        SCENARIO(without_descriptors_a_call_is_503_and_served_when_there_are_some_again),
        SCENARIO(what_was_begun_is_ended_and_work_is_taken_again_afterwards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
