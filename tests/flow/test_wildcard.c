/* wildcard — models whose name is a pattern: whose they are, where they go, and what ends them. */
#include "tests/kit/flow/flow.h"

#include <stdio.h>

#define CHAT "/v1/chat/completions"
#define RESPONSE                                                                                   \
    "{\"id\":\"c1\",\"object\":\"chat.completion\",\"model\":\"x\",\"choices\":[{\"index\":0,"     \
    "\"message\":{\"role\":\"assistant\",\"content\":\"hi\"},\"finish_reason\":\"stop\"}],"        \
    "\"usage\":{\"prompt_tokens\":1000,\"completion_tokens\":500,\"total_tokens\":1500}}"

static const struct flow_policy patterns = {
    .keys = {{.name = "all", .models = {"*"}},
             {.name = "some", .models = {"vendor/small", "vendor/large"}},
             {.name = "vendors", .models = {"vendor/*"}}},
    .models = {{.name = "vendor/*", .target_model = "*", .upstreams = {0}, .upstream_count = 1},
               {.name = "aws/*", .target_model = "us.*", .upstreams = {1}, .upstream_count = 1},
               {.name = "vendor/own", .upstreams = {1}, .upstream_count = 1}},
};

static struct flow_client *asks(struct flow *k, const char *key, const char *model)
{
    char body[256];
    snprintf(body, sizeof(body),
             "{\"model\":\"%s\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}", model);
    return client_posts(k, key, CHAT, NULL, body);
}

FLOW(a_pattern_takes_what_it_stands_for_to_its_target)
{
    static const struct {
        const char *asked, *sent;
        size_t upstream;
    } rows[] = {
        {"vendor/large", "\"model\":\"large\"", 0},
        {"vendor/deep/er", "\"model\":\"deep/er\"", 0},
        {"aws/claude", "\"model\":\"us.claude\"", 1},
        {"vendor/own", "\"model\":\"vendor/own\"", 1},
    };
    policy_says(k, &patterns);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        upstream_answers(k, rows[i].upstream, 200, RESPONSE);
        size_t before = k->upstreams[rows[i].upstream].call_count;
        struct flow_client *c = asks(k, "all", rows[i].asked);
        expect_status(c, 200);
        assert_true(slice_eq(client_header(c, "x-gatehouse-model"), slice_str(rows[i].asked)));
        assert_true(slice_eq(client_header(c, "x-gatehouse-cost-usd"), SLICE("0.002000000")));
        const struct upstream_call *call = &k->upstreams[rows[i].upstream].calls[before];
        if (slice_search(call->body, slice_str(rows[i].sent)) < 0)
            fail_msg("%s", rows[i].asked);
        Gatehouse__JournalRecord *r = flow_record(k);
        assert_string_equal(r->span->model, rows[i].asked);
        flow_record_free(r);
    }
}

FLOW(lists_are_held_against_the_name_that_was_asked_for)
{
    policy_says(k, &patterns);
    upstream_answers(k, 0, 200, RESPONSE);
    expect_status(asks(k, "some", "vendor/large"), 200);
    expect_status(asks(k, "some", "vendor/huge"), 404);
    upstream_answers(k, 0, 200, RESPONSE);
    expect_status(asks(k, "vendors", "vendor/huge"), 200);
    expect_status(asks(k, "vendors", "aws/claude"), 404);
    expect_status(asks(k, "all", "vendor/*"), 404);
    expect_status(asks(k, "all", "unknown"), 404);
}

FLOW(a_pattern_is_not_listed_and_what_it_stands_for_is_found)
{
    policy_says(k, &patterns);
    struct flow_client *c = client_gets(k, "all", "/v1/models");
    expect_status(c, 200);
    assert_true(slice_search(buf_slice(&c->body), SLICE("\"vendor/own\"")) > 0);
    assert_true(slice_search(buf_slice(&c->body), SLICE("*")) < 0);
    c = client_gets(k, "all", "/v1/models/vendor/large");
    expect_status(c, 200);
    assert_true(slice_search(buf_slice(&c->body), SLICE("\"vendor/large\"")) > 0);
}

FLOW(a_stream_by_a_pattern_ends_when_the_pattern_goes)
{
    policy_says(k, &patterns);
    upstream_opens_stream(k, 0);
    upstream_sends(k, 0, "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n");
    upstream_hangs(k, 0);
    struct flow_client *c = client_posts(
        k, "all", CHAT, NULL, "{\"model\":\"vendor/x\",\"stream\":true,\"messages\":[]}");
    WAIT(k, c->has_head && c->body.len);
    struct flow_policy less = patterns;
    less.models[0] = less.models[2];
    less.models[2] = (struct flow_model){0};
    policy_says(k, &less);
    WAIT(k, c->whole);
    assert_true(slice_search(buf_slice(&c->body), SLICE("\"error\"")) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(a_pattern_takes_what_it_stands_for_to_its_target),
        SCENARIO(lists_are_held_against_the_name_that_was_asked_for),
        SCENARIO(a_pattern_is_not_listed_and_what_it_stands_for_is_found),
        SCENARIO(a_stream_by_a_pattern_ends_when_the_pattern_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
