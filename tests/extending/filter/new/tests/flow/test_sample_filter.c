/* A filter that was added refuses requests and changes responses. */
#include "tests/kit/flow/flow.h"

#define HELLO "{\"model\":\"small\",\"messages\":[]}"
#define ANSWER "{\"choices\":[{\"message\":{\"content\":\"hi\"}}]}"

static const struct flow_policy alice = {
    .keys = {{.name = "alice", .models = {"small"}}},
    .models = {{.name = "small", .upstreams = {0}, .upstream_count = 1}},
};

FLOW(a_filter_sees_the_request_and_the_response)
{
    policy_says(k, &alice);
    upstream_answers(k, 0, 200, ANSWER);
    struct flow_client *c = client_posts(k, "alice", "/v1/chat/completions", NULL, HELLO);
    expect_status(c, 200);
    assert_true(slice_eq(client_header(c, "x-sample"), SLICE("passed")));
    expect_status(client_posts(k, "alice", "/v1/chat/completions", "x-sample: no\r\n", HELLO), 400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {SCENARIO(a_filter_sees_the_request_and_the_response)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
