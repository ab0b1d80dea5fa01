/* anthropic — a client of OpenAI's dialect on a provider that speaks Anthropic's. */
#include "tests/kit/flow/flow.h"

#include "common/base/json.h"

#define CHAT "/v1/chat/completions"
#define HELLO                                                                                      \
    "{\"model\":\"claude\",\"messages\":[{\"role\":\"system\",\"content\":\"be kind\"},"           \
    "{\"role\":\"user\",\"content\":\"hello\"}]}"
#define STREAM                                                                                     \
    "{\"model\":\"claude\",\"stream\":true,\"messages\":[{\"role\":\"user\","                      \
    "\"content\":\"hello\"}]}"
#define STREAM_USAGE                                                                               \
    "{\"model\":\"claude\",\"stream\":true,\"stream_options\":{\"include_usage\":true},"           \
    "\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}"
#define MESSAGE                                                                                    \
    "{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude-x\","        \
    "\"content\":[{\"type\":\"text\",\"text\":\"hi \"},{\"type\":\"text\",\"text\":\"there\"}],"   \
    "\"stop_reason\":\"end_turn\",\"stop_sequence\":null,\"usage\":{\"input_tokens\":10,"          \
    "\"cache_creation_input_tokens\":5,\"cache_read_input_tokens\":85,\"output_tokens\":50}}"

static const struct flow_policy alice = {
    .providers = {{.dialect = "anthropic"}},
    .keys = {{.name = "alice", .models = {"claude"}}},
    .models = {{.name = "claude", .upstreams = {0}, .upstream_count = 1}},
};

static const struct flow_policy with_fallback = {
    .providers = {{.dialect = "anthropic"}},
    .keys = {{.name = "alice", .models = {"claude"}}},
    .models = {{.name = "claude", .upstreams = {0, 1}, .upstream_count = 2}},
};

static const struct flow_policy as_second = {
    .providers = {{.dialect = "anthropic"}},
    .keys = {{.name = "alice", .models = {"claude"}}},
    .models = {{.name = "claude", .upstreams = {1, 0}, .upstream_count = 2}},
};

static json_t *body_of(struct slice body)
{
    struct json_problem problem;
    json_t *tree = NULL;
    if (json_read(body, &tree, &problem))
        fail_msg("not JSON: %.*s", SLICE_ARG(body));
    return tree;
}

static void says(struct flow *k, const char *type, const char *rest)
{
    char event[1024];
    snprintf(event, sizeof(event), "event: %s\ndata: {\"type\":\"%s\"%s}\n\n", type, type, rest);
    upstream_sends(k, 0, event);
}

static void starts(struct flow *k)
{
    upstream_opens_stream(k, 0);
    says(k, "message_start",
         ",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\","
         "\"model\":\"claude-x\",\"content\":[],\"stop_reason\":null,\"usage\":{"
         "\"input_tokens\":10,\"cache_read_input_tokens\":90,\"output_tokens\":1}}");
    says(k, "ping", "");
}

static void stops(struct flow *k, const char *reason)
{
    char rest[256];
    snprintf(rest, sizeof(rest),
             ",\"delta\":{\"stop_reason\":\"%s\",\"stop_sequence\":null},"
             "\"usage\":{\"input_tokens\":null,\"output_tokens\":20}",
             reason);
    says(k, "message_delta", rest);
    says(k, "message_stop", "");
    upstream_ends_stream(k, 0);
}

FLOW(a_plain_call_is_translated_both_ways_and_billed_by_its_parts)
{
    policy_says(k, &alice);
    upstream_answers(k, 0, 200, MESSAGE);

    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);

    expect_status(c, 200);
    JSON_AUTO json_t *got = body_of(buf_slice(&c->body));
    const json_t *choice = json_array_get(json_object_get(got, "choices"), 0);
    const json_t *usage = json_object_get(got, "usage");
    assert_string_equal(json_string_value(json_object_get(got, "object")), "chat.completion");
    assert_true(
        slice_eq(json_text(json_object_get(choice, "message"), "content"), SLICE("hi there")));
    assert_true(slice_eq(json_text(choice, "finish_reason"), SLICE("stop")));
    assert_int_equal(json_integer_value(json_object_get(usage, "prompt_tokens")), 100);
    assert_int_equal(json_integer_value(json_object_get(usage, "completion_tokens")), 50);

    const struct upstream_call *call = &k->upstreams[0].calls[0];
    assert_true(slice_starts(call->head, SLICE("POST /v1/messages HTTP/1.1\r\n")));
    assert_true(slice_eq(upstream_heard(call, "anthropic-version"), SLICE("2023-06-01")));
    assert_true(slice_starts(upstream_heard(call, "x-api-key"), SLICE("sk-upstream-secret")));
    assert_null(upstream_heard(call, "authorization").ptr);
    JSON_AUTO json_t *sent = body_of(call->body);
    assert_int_equal(json_integer_value(json_object_get(sent, "max_tokens")), 4096);
    assert_true(slice_eq(json_text(json_array_get(json_object_get(sent, "system"), 0), "text"),
                         SLICE("be kind")));
    assert_int_equal(json_array_size(json_object_get(sent, "messages")), 1);

    Gatehouse__JournalRecord *r = flow_record(k);
    assert_int_equal(r->span->tokens->input, 100);
    assert_int_equal(r->span->tokens->cache_read, 85);
    assert_int_equal(r->span->tokens->cache_write, 5);
    assert_int_equal(r->span->tokens->output, 50);
    assert_string_equal(r->span->usage_source, "provider");
    flow_record_free(r);
}

FLOW(a_stream_becomes_chunks)
{
    policy_says(k, &alice);
    starts(k);
    says(k, "content_block_start",
         ",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}");
    says(k, "content_block_delta",
         ",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"hi \"}");
    says(k, "content_block_delta",
         ",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"you\"}");
    says(k, "content_block_stop", ",\"index\":0");
    stops(k, "max_tokens");

    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, STREAM_USAGE);

    expect_status(c, 200);
    expect_body_has(c,
                    "\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null");
    expect_body_has(c, "\"model\":\"claude-x\"");
    expect_body_has(c,
                    "\"delta\":{\"content\":\"hi \"},\"finish_reason\":null}],\"usage\":null}\n\n");
    expect_body_has(c, "\"delta\":{},\"finish_reason\":\"length\"");
    expect_body_has(c, "\"choices\":[],\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":20,"
                       "\"total_tokens\":120,\"prompt_tokens_details\":{\"cached_tokens\":90,");
    assert_true(slice_ends(buf_slice(&c->body), SLICE("data: [DONE]\n\n")));
    assert_true(slice_search(buf_slice(&c->body), SLICE("event:")) < 0);
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_int_equal(r->span->tokens->input, 100);
    assert_int_equal(r->span->tokens->output, 20);
    assert_string_equal(r->span->usage_source, "provider");
    flow_record_free(r);
}

FLOW(a_client_that_did_not_ask_for_usage_gets_none)
{
    policy_says(k, &alice);
    starts(k);
    says(k, "content_block_delta",
         ",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"hi\"}");
    stops(k, "end_turn");
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, STREAM);
    expect_status(c, 200);
    expect_body_has(c, "\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n");
    assert_true(slice_search(buf_slice(&c->body), SLICE("usage")) < 0);
}

FLOW(parallel_tool_calls_are_counted_from_zero)
{
    policy_says(k, &alice);
    starts(k);
    says(k, "content_block_delta",
         ",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"a\"}");
    says(k, "content_block_start",
         ",\"index\":1,\"content_block\":{\"type\":\"tool_use\",\"id\":\"t1\",\"name\":\"f\","
         "\"input\":{}}");
    says(k, "content_block_delta",
         ",\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"\"}");
    says(k, "content_block_delta",
         ",\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"x\\\":\"}");
    says(k, "content_block_delta",
         ",\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"1}\"}");
    says(k, "content_block_stop", ",\"index\":1");
    says(k, "content_block_start",
         ",\"index\":2,\"content_block\":{\"type\":\"tool_use\",\"id\":\"t2\",\"name\":\"g\","
         "\"input\":{}}");
    says(k, "content_block_stop", ",\"index\":2");
    stops(k, "tool_use");

    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, STREAM);

    expect_status(c, 200);
    expect_body_has(c, "\"tool_calls\":[{\"index\":0,\"id\":\"t1\",\"type\":\"function\","
                       "\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]");
    expect_body_has(c,
                    "\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{\\\"x\\\":\"}}]");
    expect_body_has(c, "\"tool_calls\":[{\"index\":1,\"id\":\"t2\"");
    expect_body_has(c, "\"tool_calls\":[{\"index\":1,\"function\":{\"arguments\":\"{}\"}}]");
    expect_body_has(c, "\"finish_reason\":\"tool_calls\"");
}

FLOW(thinking_is_reasoning_with_what_its_replay_needs)
{
    policy_says(k, &alice);
    starts(k);
    says(k, "content_block_start",
         ",\"index\":0,\"content_block\":{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":"
         "\"\"}");
    says(k, "content_block_delta",
         ",\"index\":0,\"delta\":{\"type\":\"thinking_delta\",\"thinking\":\"hm\"}");
    says(k, "content_block_delta",
         ",\"index\":0,\"delta\":{\"type\":\"signature_delta\",\"signature\":\"s1\"}");
    says(k, "content_block_stop", ",\"index\":0");
    says(k, "content_block_delta",
         ",\"index\":1,\"delta\":{\"type\":\"text_delta\",\"text\":\"a\"}");
    stops(k, "end_turn");
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, STREAM);
    expect_status(c, 200);
    expect_body_has(c, "\"delta\":{\"reasoning_content\":\"hm\"}");
    expect_body_has(c, "\"signature\":\"s1\"");
}

FLOW(an_overloaded_target_is_followed_by_one_of_another_dialect)
{
    policy_says(k, &with_fallback);
    upstream_answers(k, 0, 529,
                     "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":"
                     "\"Overloaded\"}}");
    upstream_answers(k, 1, 200,
                     "{\"choices\":[{\"message\":{\"content\":\"hi\"}}],\"usage\":{"
                     "\"prompt_tokens\":7,\"completion_tokens\":3}}");
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
    expect_status(c, 200);
    assert_true(slice_eq(client_header(c, "x-gatehouse-provider"), SLICE("provider-1")));
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_int_equal(r->n_attempts, 2);
    assert_string_equal(r->attempts[0]->code, "status_529");
    assert_int_equal(r->span->cost_nano, 7 * 1000 + 3 * 2000);
    flow_record_free(r);
}

FLOW(an_error_as_first_event_falls_back_and_a_later_one_is_passed_on)
{
    policy_says(k, &with_fallback);
    starts(k);
    says(k, "error", ",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}");
    upstream_ends_stream(k, 0);
    upstream_opens_stream(k, 1);
    upstream_sends(k, 1,
                   "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"},"
                   "\"finish_reason\":\"stop\"}]}\n\n");
    upstream_sends(k, 1, "data: [DONE]\n\n");
    upstream_ends_stream(k, 1);
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, STREAM);
    expect_status(c, 200);
    expect_body(c, "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"},"
                   "\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n");

    upstream_forget_script(k, 0);
    starts(k);
    says(k, "content_block_delta",
         ",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"a\"}");
    says(k, "error", ",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}");
    upstream_ends_stream(k, 0);
    c = client_posts(k, "alice", CHAT, NULL, STREAM);
    expect_status(c, 200);
    expect_body_has(c, "data: {\"error\":{\"message\":\"Overloaded\",\"type\":\"server_error\","
                       "\"param\":null,\"code\":\"overloaded_error\"}}\n\n");
    assert_true(slice_search(buf_slice(&c->body), SLICE("[DONE]")) < 0);
}

FLOW(the_body_of_a_failure_is_no_part_of_the_next_targets_stream)
{
    policy_says(k, &as_second);
    upstream_answers(k, 1, 500, "{\"error\":{\"message\":\"broken\"}}");
    starts(k);
    says(k, "content_block_delta",
         ",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"a\"}");
    stops(k, "end_turn");
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, STREAM);
    expect_status(c, 200);
    expect_body_has(c, "\"content\":\"a\"");
    assert_true(slice_starts(buf_slice(&c->body), SLICE("data: {\"id\":")));
    assert_true(slice_search(buf_slice(&c->body), SLICE("broken")) < 0);
}

FLOW(a_stream_cut_before_its_stop_is_an_error)
{
    policy_says(k, &alice);
    starts(k);
    says(k, "content_block_delta",
         ",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"a\"}");
    upstream_ends_stream(k, 0);
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, STREAM);
    expect_status(c, 200);
    expect_body_has(c, "\"code\":\"upstream_error\"");
    assert_true(slice_search(buf_slice(&c->body), SLICE("[DONE]")) < 0);
}

#define SAYS(text)                                                                                 \
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{"  \
    "\"type\":\"text_delta\",\"text\":\"" text "\"}}\n\n"

FLOW(events_of_one_read_leave_in_one_piece)
{
    policy_says(k, &alice);
    starts(k);
    upstream_sends(k, 0, SAYS("one") SAYS("two") SAYS("three"));
    stops(k, "end_turn");

    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, STREAM);

    expect_status(c, 200);
    struct slice got = buf_slice(&c->got);
    ptrdiff_t first = slice_search(got, SLICE("\"content\":\"one\""));
    ptrdiff_t last = slice_search(got, SLICE("\"content\":\"three\""));
    assert_true(first > 0 && last > first);
    struct slice between = slice_of(got.ptr + first, (size_t)(last - first));
    assert_true(slice_search(between, SLICE("\"content\":\"two\"")) > 0);
    assert_true(slice_search(between, SLICE("\r\n")) < 0); /* which ends a chunk */
}

FLOW(what_came_before_a_broken_event_of_the_same_read_is_told)
{
    policy_says(k, &alice);
    starts(k);
    upstream_sends(k, 0, SAYS("one") SAYS("two") "data: {\"type\":\n\n" SAYS("never"));

    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, STREAM);

    expect_status(c, 200);
    expect_body_has(c, "\"content\":\"one\"");
    expect_body_has(c, "\"content\":\"two\"");
    expect_body_has(c, "data: {\"error\":");
    assert_true(slice_search(buf_slice(&c->body), SLICE("never")) < 0);
}

FLOW(what_has_no_counterpart_is_left_out_and_named_or_refused)
{
    policy_says(k, &alice);
    upstream_answers(k, 0, 200, MESSAGE);
    struct flow_client *c = client_posts(
        k, "alice", CHAT, NULL,
        "{\"model\":\"claude\",\"seed\":1,\"temperature\":1.5,\"user\":\"a@b.test\",\"messages\":"
        "[{\"role\":\"user\",\"content\":\"hello\"}]}");
    expect_status(c, 200);
    struct slice notice = client_header(c, "x-gatehouse-notice");
    assert_true(slice_search(notice, SLICE("seed")) >= 0);
    assert_true(slice_search(notice, SLICE("temperature above 1")) >= 0);
    assert_true(slice_search(notice, SLICE("user")) >= 0);

    c = client_posts(k, "alice", CHAT, NULL,
                     "{\"model\":\"claude\",\"n\":2,\"messages\":[{\"role\":\"user\","
                     "\"content\":\"hello\"}]}");
    expect_status(c, 400);
    expect_code(c, "unsupported_parameter");
    expect_body_has(c, "\"param\":\"n\"");
    assert_int_equal(k->upstreams[0].call_count, 1);
}

FLOW(a_parameter_that_one_target_lacks_may_go_to_another)
{
    policy_says(k, &with_fallback);
    upstream_answers(k, 1, 200,
                     "{\"choices\":[{\"message\":{\"content\":\"hi\"}}],\"usage\":{"
                     "\"prompt_tokens\":7,\"completion_tokens\":3}}");
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL,
                                         "{\"model\":\"claude\",\"n\":2,\"messages\":[{\"role\":"
                                         "\"user\",\"content\":\"hello\"}]}");
    expect_status(c, 200);
    assert_int_equal(k->upstreams[0].call_count, 0);
    assert_int_equal(k->upstreams[1].call_count, 1);
}

FLOW(a_refusal_of_the_provider_is_passed_on_in_the_clients_envelope)
{
    policy_says(k, &alice);
    upstream_answers(k, 0, 400,
                     "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\","
                     "\"message\":\"prompt is too long: 250000 tokens > 200000 maximum\"}}");
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
    expect_status(c, 400);
    expect_code(c, "context_length_exceeded");
    expect_body_has(c, "prompt is too long: 250000 tokens");
}

FLOW(embeddings_are_not_served_by_it)
{
    policy_says(k, &alice);
    struct flow_client *c =
        client_posts(k, "alice", "/v1/embeddings", NULL, "{\"model\":\"claude\",\"input\":\"a\"}");
    expect_status(c, 503);
    expect_code(c, "no_target");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(a_plain_call_is_translated_both_ways_and_billed_by_its_parts),
        SCENARIO(a_stream_becomes_chunks),
        SCENARIO(a_client_that_did_not_ask_for_usage_gets_none),
        SCENARIO(parallel_tool_calls_are_counted_from_zero),
        SCENARIO(thinking_is_reasoning_with_what_its_replay_needs),
        SCENARIO(an_overloaded_target_is_followed_by_one_of_another_dialect),
        SCENARIO(an_error_as_first_event_falls_back_and_a_later_one_is_passed_on),
        SCENARIO(the_body_of_a_failure_is_no_part_of_the_next_targets_stream),
        SCENARIO(a_stream_cut_before_its_stop_is_an_error),
        SCENARIO(events_of_one_read_leave_in_one_piece),
        SCENARIO(what_came_before_a_broken_event_of_the_same_read_is_told),
        SCENARIO(what_has_no_counterpart_is_left_out_and_named_or_refused),
        SCENARIO(a_parameter_that_one_target_lacks_may_go_to_another),
        SCENARIO(a_refusal_of_the_provider_is_passed_on_in_the_clients_envelope),
        SCENARIO(embeddings_are_not_served_by_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
