/* counts — the tokens of a call in its record: the provider's own, or the gateway's estimate. */
#include "tests/kit/flow/flow.h"

#include <stdio.h>

#define CHAT "/v1/chat/completions"
#define HELLO                                                                                      \
    "{\"model\":\"small\",\"max_tokens\":100,\"messages\":[{\"role\":\"user\","                    \
    "\"content\":\"hello\"}]}"
#define STREAM "{\"model\":\"small\",\"stream\":true,\"max_tokens\":100,\"messages\":[]}"

static const struct flow_policy alice = {
    .keys = {{.name = "alice", .models = {"small"}, .budget = MONEY_DOLLAR}},
    .models = {{.name = "small", .upstreams = {0}, .upstream_count = 1}},
};

static money leased(struct flow *k)
{
    return flow_taken(k, "key:k_alice");
}

static void expect_estimated(struct flow *k, const char *usage)
{
    char json[256];
    upstream_forget_script(k, 0);
    snprintf(json, sizeof(json),
             "{\"choices\":[{\"message\":{\"content\":\"twenty bytes of text\"}}],\"usage\":{%s}}",
             usage);
    upstream_answers(k, 0, 200, json);
    expect_status(client_posts(k, "alice", CHAT, NULL, HELLO), 200);
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_string_equal(r->span->usage_source, "estimate");
    assert_true(r->span->tokens->input > 0);
    assert_int_equal(r->span->tokens->output, 5);
    assert_int_equal(r->charges[0]->amount_nano, r->span->cost_nano);
    flow_record_free(r);
}

FLOW(counts_that_cannot_be_are_not_billed_as_the_providers)
{
    policy_says(k, &alice);
    expect_estimated(k, "\"prompt_tokens\":20");
    expect_estimated(k, "\"prompt_tokens\":20,\"completion_tokens\":-5");
    expect_estimated(k, "\"prompt_tokens\":20.5,\"completion_tokens\":5");
    expect_estimated(k, "\"prompt_tokens\":20,\"completion_tokens\":9223372036854775808");
    assert_true(leased(k) < MONEY_DOLLAR); /* a false count does not block the budget */
}

FLOW(an_embeddings_response_is_billed_by_its_one_count)
{
    policy_says(k, &alice);
    upstream_answers(k, 0, 200, "{\"data\":[],\"usage\":{\"prompt_tokens\":1200.0}}");
    expect_status(
        client_posts(k, "alice", "/v1/embeddings", NULL, "{\"model\":\"small\",\"input\":\"x\"}"),
        200);
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_string_equal(r->span->usage_source, "provider");
    assert_int_equal(r->span->tokens->input, 1200);
    assert_int_equal(r->span->cost_nano, 1200 * 1000);
    flow_record_free(r);
}

/* a plain response, or a chunk, of so many bytes of text without a count */
static void long_text(char *json, size_t cap, const char *open, size_t bytes, const char *close)
{
    int at = snprintf(json, cap, "%s", open);
    assert_true(at > 0 && (size_t)at + bytes + strlen(close) < cap);
    memset(json + at, 'w', bytes);
    strcpy(json + at + bytes, close);
}

static void expect_output(struct flow *k, uint64_t tokens)
{
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_non_null(r);
    assert_string_equal(r->span->usage_source, "estimate");
    assert_int_equal(r->span->tokens->output, tokens);
    assert_int_equal(r->charges[0]->amount_nano, r->span->cost_nano);
    flow_record_free(r);
}

FLOW(an_estimate_is_never_above_the_ceiling_that_the_client_named)
{
    char json[4096];
    policy_says(k, &alice);
    long_text(json, sizeof(json), "{\"choices\":[{\"message\":{\"content\":\"", 2000, "\"}}]}");
    upstream_answers(k, 0, 200, json);
    expect_status(client_posts(k, "alice", CHAT, NULL, HELLO), 200);
    expect_output(k, 100);

    expect_status(client_posts(k, "alice", CHAT, NULL,
                               "{\"model\":\"small\",\"max_tokens\":100,\"n\":3,\"messages\":[]}"),
                  200);
    expect_output(k, 300);

    upstream_forget_script(k, 0);
    upstream_opens_stream(k, 0);
    long_text(json, sizeof(json), "data: {\"choices\":[{\"delta\":{\"content\":\"", 2000,
              "\"},\"finish_reason\":\"stop\"}]}\n\n");
    upstream_sends(k, 0, json);
    upstream_ends_stream(k, 0);
    expect_status(client_posts(k, "alice", CHAT, NULL, STREAM), 200);
    expect_output(k, 100);
}

FLOW(an_estimate_is_never_above_the_models_own_ceiling)
{
    struct flow_policy p = alice;
    char json[4096];
    p.models[0].max_output_tokens = 70;
    policy_says(k, &p);
    long_text(json, sizeof(json), "{\"choices\":[{\"message\":{\"content\":\"", 2000, "\"}}]}");
    upstream_answers(k, 0, 200, json);
    expect_status(client_posts(k, "alice", CHAT, NULL, "{\"model\":\"small\",\"messages\":[]}"),
                  200);
    expect_output(k, 70);
}

FLOW(what_the_provider_counted_above_the_ceiling_is_billed_as_it_says)
{
    policy_says(k, &alice);
    upstream_answers(k, 0, 200,
                     "{\"choices\":[],\"usage\":{\"prompt_tokens\":20,\"completion_tokens\":700}}");
    expect_status(client_posts(k, "alice", CHAT, NULL, HELLO), 200);
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_string_equal(r->span->usage_source, "provider");
    assert_int_equal(r->span->tokens->output, 700);
    flow_record_free(r);
}

static void expect_end(struct flow *k, const char *event, const char *status, const char *code)
{
    upstream_forget_script(k, 0);
    upstream_opens_stream(k, 0);
    upstream_sends(k, 0,
                   "data: {\"choices\": [{\"delta\": {\"content\": \"hi\"}, "
                   "\"finish_reason\": null}]}\n\n");
    upstream_sends(k, 0, event);
    upstream_ends_stream(k, 0);
    expect_status(client_posts(k, "alice", CHAT, NULL, STREAM), 200);
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_non_null(r);
    assert_string_equal(r->span->status, status);
    if (code)
        assert_string_equal(r->span->code, code);
    flow_record_free(r);
}

FLOW(a_stream_without_its_done_is_whole_where_a_choice_has_ended_however_it_is_spaced)
{
    policy_says(k, &alice);
    expect_end(k,
               "data: {\"choices\": [{\"index\": 0, \"finish_reason\": null}, "
               "{\"index\": 1, \"delta\": {}, \"finish_reason\": \"stop\"}]}\n\n",
               "ok", NULL);
    expect_end(k, "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n", "ok",
               NULL);
    expect_end(k, "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n", "error",
               "upstream_error");
}

FLOW(an_error_inside_a_stream_is_one_wherever_its_member_stands)
{
    policy_says(k, &alice);
    expect_end(k, "data: {\"id\": \"x\", \"error\": {\"message\": \"overloaded\"}}\n\n", "error",
               "error_in_stream");
    expect_end(k, "data: {\"error\":{\"message\":\"overloaded\"}}\n\n", "error", "error_in_stream");
    expect_end(k,
               "data: {\"error\":null,\"choices\":[{\"delta\":{\"content\":\"x\"},"
               "\"finish_reason\":\"stop\"}]}\n\n",
               "ok", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(counts_that_cannot_be_are_not_billed_as_the_providers),
        SCENARIO(an_embeddings_response_is_billed_by_its_one_count),
        SCENARIO(an_estimate_is_never_above_the_ceiling_that_the_client_named),
        SCENARIO(an_estimate_is_never_above_the_models_own_ceiling),
        SCENARIO(what_the_provider_counted_above_the_ceiling_is_billed_as_it_says),
        SCENARIO(a_stream_without_its_done_is_whole_where_a_choice_has_ended_however_it_is_spaced),
        SCENARIO(an_error_inside_a_stream_is_one_wherever_its_member_stands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
