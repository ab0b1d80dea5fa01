/* field cases — small inputs that broke other gateways in public (cases.md, dialects.md 2.10),
 * where no other test of a dialect or a provider has them. The reference stands above each. */
#include "tests/kit/flow/flow.h"

#include "common/base/json.h"

#define CHAT "/v1/chat/completions"
#define MESSAGES "/v1/messages"
#define VERSION "anthropic-version: 2023-06-01\r\n"
#define ASK(model)                                                                                 \
    "{\"model\":\"" model "\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"q\"}" \
    "]}"
#define TELL                                                                                       \
    "{\"model\":\"gpt\",\"stream\":true,\"max_tokens\":64,\"messages\":[{\"role\":\"user\","       \
    "\"content\":\"q\"}]}"

/* ---- what upstreams say ---- */

#define BEGINS                                                                                     \
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"type\":"  \
    "\"message\",\"role\":\"assistant\",\"model\":\"c\",\"content\":[],\"usage\":{\"input_"        \
    "tokens\":1,"                                                                                  \
    "\"output_tokens\":1}}}\n\n"
#define CALLS(name)                                                                                \
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,"             \
    "\"content_block\":{\"type\":\"tool_use\",\"id\":\"t_" name "\",\"name\":\"" name              \
    "\",\"input\":{}}}\n\n"
#define GIVES(json)                                                                                \
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{"  \
    "\"type\":\"input_json_delta\",\"partial_json\":\"" json "\"}}\n\n"
#define CLOSES                                                                                     \
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"           \
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":"          \
    "\"tool_use\"},\"usage\":{\"output_tokens\":2}}\n\n"                                           \
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
#define CHUNK(delta, finish)                                                                       \
    "{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"gpt-x\","        \
    "\"choices\":[{\"index\":0,\"delta\":{" delta "},\"finish_reason\":" finish "}]}"
#define SAYS(delta) "data: " CHUNK(delta, "null") "\n\n"
#define ENDS "data: " CHUNK("", "\"stop\"") "\n\ndata: [DONE]\n\n"

static const struct flow_policy policy = {
    .providers = {{.dialect = "anthropic"}, {.dialect = "anthropic"}, {.dialect = "openai"}},
    .keys = {{.name = "alice", .models = {"one", "two", "gpt"}}},
    .models =
        {
            {.name = "one", .upstreams = {0}, .upstream_count = 1},
            {.name = "two", .upstreams = {1}, .upstream_count = 1},
            {.name = "gpt", .upstreams = {2}, .upstream_count = 1},
        },
};

static const struct flow_policy on_azure = {
    .providers = {{.dialect = "azure", .path = "/openai"}},
    .keys = {{.name = "alice", .models = {"gpt"}}},
    .models = {{.name = "gpt", .upstreams = {0}, .upstream_count = 1}},
};

static bool has(const struct flow_client *c, const char *text)
{
    return slice_search(buf_slice(&c->body), slice_str(text)) >= 0;
}

static void expect_times(const struct flow_client *c, const char *text, size_t want)
{
    struct slice rest = buf_slice(&c->body);
    size_t n = 0;
    for (ptrdiff_t at; (at = slice_search(rest, slice_str(text))) >= 0; n++)
        rest = slice_from(rest, (size_t)at + strlen(text));
    if (n != want)
        fail_msg("%s stands %zu times in\n%.*s", text, n, SLICE_ARG(buf_slice(&c->body)));
}

/* ---- tools ---- */

/* dialects.md 2.10, 3; litellm#32004 */
FLOW(a_tool_call_begins_as_soon_as_its_provider_begins_it)
{
    policy_says(k, &policy);
    upstream_opens_stream(k, 0);
    upstream_sends(k, 0, BEGINS CALLS("f"));
    upstream_waits_for_go(k, 0);
    upstream_sends(k, 0, CLOSES);
    upstream_ends_stream(k, 0);
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, ASK("one"));
    WAIT(k, has(c, "\"name\":\"f\""));
    assert_false(has(c, "[DONE]"));
    upstream_goes(k, 0);
    expect_status(c, 200);
    expect_body_has(c, "\"finish_reason\":\"tool_calls\"");

    upstream_opens_stream(k, 2);
    upstream_sends(
        k, 2,
        SAYS("\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"type\":\"function\",\"function\":{"
             "\"name\":\"g\",\"arguments\":\"\"}}]"));
    upstream_waits_for_go(k, 2);
    upstream_sends(k, 2, "data: " CHUNK("", "\"tool_calls\"") "\n\ndata: [DONE]\n\n");
    upstream_ends_stream(k, 2);
    c = client_posts(k, "alice", MESSAGES, VERSION, TELL);
    WAIT(k, has(c, "\"name\":\"g\""));
    assert_false(has(c, "message_stop"));
    upstream_goes(k, 2);
    expect_status(c, 200);
    expect_body_has(c, "\"stop_reason\":\"tool_use\"");
}

/* dialects.md 2.10, 5 */
FLOW(streams_at_the_same_time_keep_their_own_calls)
{
    static const char *const models[] = {ASK("one"), ASK("two")};
    struct flow_client *c[2];
    policy_says(k, &policy);
    for (size_t i = 0; i < 2; i++) {
        upstream_opens_stream(k, i);
        upstream_sends(k, i, i ? BEGINS CALLS("second") : BEGINS CALLS("first"));
        upstream_waits_for_go(k, i);
        upstream_sends(k, i, i ? GIVES("{\\\"b\\\":2}") : GIVES("{\\\"a\\\":1}"));
        upstream_sends(k, i, CLOSES);
        upstream_ends_stream(k, i);
        c[i] = client_posts(k, "alice", CHAT, NULL, models[i]);
    }
    WAIT(k, has(c[0], "\"name\":\"first\"") && has(c[1], "\"name\":\"second\""));
    upstream_goes(k, 1);
    upstream_goes(k, 0);
    for (size_t i = 0; i < 2; i++) {
        expect_status(c[i], 200);
        expect_times(c[i], i ? "first" : "second", 0);
        expect_times(c[i], i ? "t_second" : "t_first", 1);
        expect_body_has(c[i], i ? "{\\\"b\\\":2}" : "{\\\"a\\\":1}");
        expect_times(c[i], "\"index\":1", 0);
    }
}

/* ---- streams ---- */

/* dialects.md 2.10, 20: a filter that runs beside the model has its say at the end. */
FLOW(late_results_of_azures_filter_end_nothing)
{
#define LATE                                                                                       \
    "data: {\"id\":\"\",\"object\":\"\",\"created\":0,\"model\":\"\",\"choices\":[{\"index\":0,"   \
    "\"finish_reason\":null,\"content_filter_results\":{\"hate\":{\"filtered\":false}},"           \
    "\"content_filter_offsets\":{\"start_offset\":0,\"end_offset\":2}}]}\n\n"
    policy_says(k, &on_azure);
    upstream_opens_stream(k, 0);
    upstream_sends(k, 0, SAYS("\"content\":\"hi\"") LATE SAYS("\"content\":\" you\"") LATE ENDS);
    upstream_ends_stream(k, 0);
    struct flow_client *c = client_posts(k, "alice", MESSAGES, VERSION, TELL);
    expect_status(c, 200);
    expect_times(c, "\"text\":\"hi\"", 1);
    expect_times(c, "\"text\":\" you\"", 1);
    expect_times(c, "content_block_start", 2); /* the event's name, and its type */
    expect_body_has(c, "\"stop_reason\":\"end_turn\"");

    c = client_posts(k, "alice", CHAT, NULL, ASK("gpt"));
    expect_status(c, 200);
    expect_times(c, "content_filter_offsets", 2); /* as they came */
    expect_times(c, "[DONE]", 1);
}

/* dialects.md 2.10, 21; praxis#739; eventsource-parser#17 */
FLOW(comments_and_line_ends_of_http_lose_and_double_nothing)
{
    policy_says(k, &policy);
    upstream_opens_stream(k, 2);
    upstream_sends(k, 2, ": OPENROUTER PROCESSING\r\n\r\n");
    upstream_sends(k, 2, "data:" CHUNK("\"content\":\"one \"", "null") "\r");
    upstream_rests(k, 2, 20);
    upstream_sends(k, 2, "\n\r\n:\r\n\r\n");
    upstream_sends(k, 2, "data:" CHUNK("\"content\":\"two\"", "null") "\r\n\r");
    upstream_rests(k, 2, 20);
    upstream_sends(k, 2, "\ndata:" CHUNK("", "\"stop\"") "\r\n\r\ndata:[DONE]\r\n\r\n");
    upstream_ends_stream(k, 2);
    struct flow_client *c = client_posts(k, "alice", MESSAGES, VERSION, TELL);
    expect_status(c, 200);
    expect_times(c, "\"text\":\"one \"", 1);
    expect_times(c, "\"text\":\"two\"", 1);
    expect_times(c, "event: message_stop", 1);
    c = client_posts(k, "alice", CHAT, NULL, ASK("gpt"));
    expect_status(c, 200);
    expect_times(c, "\"content\":\"one \"", 1);
    expect_times(c, "\"content\":\"two\"", 1);
    expect_times(c, "[DONE]", 1);
}

/* aisix#111 */
FLOW(a_character_that_was_cut_is_whole)
{
    static const char word[] = "\"content\":\"\xe5\x8c\x97\"";
    char first[512], rest[512];
    struct slice all = SLICE("data: " CHUNK("\"content\":\"\xe5\x8c\x97\"", "null") "\n\n");
    size_t at = (size_t)slice_search(all, slice_str(word)) + sizeof("\"content\":\"");
    snprintf(first, sizeof(first), "%.*s", (int)at, all.ptr);
    snprintf(rest, sizeof(rest), "%.*s", (int)(all.len - at), all.ptr + at);
    policy_says(k, &policy);
    upstream_opens_stream(k, 2);
    upstream_sends(k, 2, first);
    upstream_rests(k, 2, 30);
    upstream_sends(k, 2, rest);
    upstream_sends(k, 2, ENDS);
    upstream_ends_stream(k, 2);
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, ASK("gpt"));
    expect_status(c, 200);
    assert_true(slice_starts(buf_slice(&c->body), all));
    c = client_posts(k, "alice", MESSAGES, VERSION, TELL);
    expect_status(c, 200);
    expect_times(c, "\"text\":\"\xe5\x8c\x97\"", 1);
}

/* langwatch#7421 */
FLOW(a_stream_without_usage_has_no_frame_of_it_and_is_estimated)
{
    struct slice rest, line;
    policy_says(k, &policy);
    upstream_opens_stream(k, 2);
    upstream_sends(k, 2, SAYS("\"content\":\"hello\"") ENDS);
    upstream_ends_stream(k, 2);
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, ASK("gpt"));
    expect_status(c, 200);
    rest = buf_slice(&c->body);
    while (slice_split(&rest, '\n', &line))
        assert_true(!line.len || slice_eq(line, SLICE("data: [DONE]")) ||
                    slice_search(line, SLICE("\"choices\":[{")) >= 0);
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_string_equal(r->span->usage_source, "estimate");
    assert_true(r->span->tokens->output > 0);
    flow_record_free(r);
}

/* gpustack#6155 */
FLOW(a_stream_with_usage_has_data_in_each_line_and_one_end)
{
    struct slice rest, line;
    policy_says(k, &policy);
    upstream_opens_stream(k, 2);
    upstream_sends(k, 2,
                   SAYS("\"content\":\"a\"") SAYS("\"content\":\"b\"") SAYS("\"content\":\"c\""));
    upstream_sends(k, 2, "data: " CHUNK("", "\"stop\"") "\n\n");
    upstream_sends(k, 2,
                   "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":3,"
                   "\"total_tokens\":6}}\n\ndata: [DONE]\n\n");
    upstream_ends_stream(k, 2);
    struct flow_client *c = client_posts(
        k, "alice", CHAT, NULL,
        "{\"model\":\"gpt\",\"stream\":true,\"stream_options\":{\"include_usage\":true},"
        "\"messages\":[{\"role\":\"user\",\"content\":\"q\"}]}");
    expect_status(c, 200);
    rest = buf_slice(&c->body);
    while (slice_split(&rest, '\n', &line))
        assert_true(!line.len || slice_starts(line, SLICE("data: ")));
    expect_times(c, "\"total_tokens\":6", 1);
    expect_times(c, "[DONE]", 1);
    assert_true(slice_ends(buf_slice(&c->body), SLICE("data: [DONE]\n\n")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(a_tool_call_begins_as_soon_as_its_provider_begins_it),
        SCENARIO(streams_at_the_same_time_keep_their_own_calls),
        SCENARIO(late_results_of_azures_filter_end_nothing),
        SCENARIO(comments_and_line_ends_of_http_lose_and_double_nothing),
        SCENARIO(a_character_that_was_cut_is_whole),
        SCENARIO(a_stream_without_usage_has_no_frame_of_it_and_is_estimated),
        SCENARIO(a_stream_with_usage_has_data_in_each_line_and_one_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
