/* A span attribute that was added is in the record of a call. */
#include "tests/kit/flow/flow.h"

static const struct flow_policy alice = {
    .keys = {{.name = "alice", .models = {"small"}}},
    .models = {{.name = "small", .upstreams = {0}, .upstream_count = 1}},
};

FLOW(a_record_tells_the_colour)
{
    policy_says(k, &alice);
    upstream_answers(k, 0, 200, "{\"choices\":[{\"message\":{\"content\":\"hi\"}}]}");
    expect_status(client_posts(k, "alice", "/v1/chat/completions", NULL,
                               "{\"model\":\"small\",\"messages\":[]}"),
                  200);
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_string_equal(r->span->colour, "blue");
    flow_record_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {SCENARIO(a_record_tells_the_colour)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
