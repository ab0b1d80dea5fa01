/* messages — clients of Anthropic's dialect, on a provider that speaks it too and on one that does
 * not. */
#include "tests/kit/flow/flow.h"

#include "common/base/json.h"
#include "dataplane/ai/ai_stream.h"

#define MESSAGES "/v1/messages"
#define HI "\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]"
#define HELLO "{\"model\":\"claude\",\"max_tokens\":64," HI "}"
#define STREAM "{\"model\":\"claude\",\"max_tokens\":64,\"stream\":true," HI "}"
#define VERSION "anthropic-version: 2023-06-01\r\n"

#define MESSAGE                                                                                    \
    "{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude-x\","        \
    "\"content\":[{\"type\":\"text\",\"text\":\"hi\"}],\"stop_reason\":\"end_turn\","              \
    "\"stop_sequence\":null,\"stop_details\":null,\"usage\":{\"input_tokens\":10,"                 \
    "\"cache_creation_input_tokens\":5,\"cache_read_input_tokens\":85,\"output_tokens\":50}}"
#define OVERLOADED                                                                                 \
    "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"},"    \
    "\"request_id\":\"req_up\"}"

static const struct flow_policy claude = {
    .providers = {{.dialect = "anthropic"}},
    .keys = {{.name = "alice", .models = {"claude"}}},
    .models = {{.name = "claude",
                .target_model = "claude-sonnet-4-5",
                .upstreams = {0},
                .upstream_count = 1}},
};

static const struct flow_policy openai = {
    .keys = {{.name = "alice", .models = {"claude"}}},
    .models = {{.name = "claude", .target_model = "gpt-x", .upstreams = {0}, .upstream_count = 1}},
};

static json_t *body_of(struct slice body)
{
    struct json_problem problem;
    json_t *tree = NULL;
    if (json_read(body, &tree, &problem))
        fail_msg("not JSON: %.*s", SLICE_ARG(body));
    return tree;
}

static struct flow_client *ask(struct flow *k, const char *json)
{
    return client_posts(k, "alice", MESSAGES, VERSION, json);
}

static bool body_lacks(const struct flow_client *c, struct slice text)
{
    return slice_search(buf_slice(&c->body), text) < 0;
}

static void expect_tokens(struct flow *k, uint64_t input, uint64_t output)
{
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_non_null(r);
    assert_int_equal(r->span->tokens->input, input);
    assert_int_equal(r->span->tokens->output, output);
    flow_record_free(r);
}

/* ---- a provider that speaks it too ---- */

#define START(usage)                                                                               \
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\","       \
    "\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude-x\",\"content\":[],"           \
    "\"stop_reason\":null,\"stop_sequence\":null,\"usage\":" usage "}}\n\n"
#define PING "event: ping\ndata: {\"type\": \"ping\"}\n\n"
#define OPEN                                                                                       \
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,"             \
    "\"content_block\":{\"type\":\"text\",\"text\":\"\"} }\n\n"
#define SAY(text)                                                                                  \
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,"             \
    "\"delta\":{\"type\":\"text_delta\",\"text\":\"" text "\"}  }\n\n"
#define SHUT "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
#define END(usage)                                                                                 \
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":"          \
    "\"end_turn\",\"stop_sequence\":null},\"usage\":" usage "}\n\n"                                \
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"

static void streams(struct flow *k, const char *const *events, size_t n)
{
    upstream_opens_stream(k, 0);
    for (size_t i = 0; i < n; i++)
        upstream_sends(k, 0, events[i]);
    upstream_ends_stream(k, 0);
}

FLOW(a_body_and_its_response_pass_byte_for_byte_but_for_the_models_name)
{
    policy_says(k, &claude);
    upstream_answers(k, 0, 200, MESSAGE);
    struct flow_client *c = client_posts(
        k, "alice", MESSAGES "?beta=true",
        "anthropic-version: 2026-10-21\r\nanthropic-beta: a-1, b-2\r\nanthropic-beta: c-3\r\n",
        "{ \"max_tokens\": 64,\"model\": \"claude\" ,\"unheard_of\":[1.50],"
        "\"context_management\":{\"edits\":[{\"type\":\"clear_thinking_20251015\"}]},"
        "\"tools\":[{\"name\":\"f\",\"input_schema\":{},\"eager_input_streaming\":true},"
        "{\"type\":\"web_search_20250305\",\"name\":\"web_search\"}],"
        "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"\\u0068i\","
        "\"cache_control\":{\"type\":\"ephemeral\",\"ttl\":\"1h\"}}]},"
        "{\"role\":\"system\",\"content\":\"now\"}]}");
    expect_status(c, 200);
    expect_body(c, MESSAGE);
    assert_null(client_header(c, "x-gatehouse-notice").ptr);
    assert_true(
        slice_eq(client_header(c, "request-id"), client_header(c, "x-gatehouse-request-id")));
    const struct upstream_call *call = &k->upstreams[0].calls[0];
    assert_true(slice_starts(call->head, SLICE("POST /v1/messages HTTP/1.1\r\n")));
    assert_true(slice_eq(upstream_heard(call, "anthropic-version"), SLICE("2026-10-21")));
    assert_true(slice_eq(upstream_heard(call, "anthropic-beta"), SLICE("a-1, b-2,c-3")));
    assert_true(slice_starts(upstream_heard(call, "x-api-key"), SLICE("sk-upstream-secret")));
    assert_true(
        slice_starts(call->body, SLICE("{ \"max_tokens\": 64,\"model\": \"claude-sonnet-4-5\" ,"
                                       "\"unheard_of\":[1.50],\"context_management\":")));
    assert_true(slice_search(call->body, SLICE("\\u0068i")) > 0);
    expect_tokens(k, 100, 50);
}

FLOW(a_key_is_taken_from_either_header)
{
    char request[1024];
    static const char *const forms[] = {"x-api-key: %s", "Authorization: Bearer %s"};
    policy_says(k, &claude);
    upstream_answers(k, 0, 200, MESSAGE);
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        char line[256];
        snprintf(line, sizeof(line), forms[i], flow_secret(k, "alice"));
        snprintf(request, sizeof(request),
                 "POST /v1/messages HTTP/1.1\r\nHost: h\r\n%s\r\ncontent-type: application/json\r\n"
                 "content-length: %zu\r\n\r\n%s",
                 line, sizeof(HELLO) - 1, HELLO);
        struct flow_client *c = client_says(k, request);
        expect_status(c, 200);
    }
    /* where the client names no version, the one that all accounts have is sent */
    assert_true(slice_eq(upstream_heard(&k->upstreams[0].calls[0], "anthropic-version"),
                         SLICE("2023-06-01")));
}

/* vercel/ai#17326: the input stands in message_start. tensorzero#5481: the last report wins. */
FLOW(a_stream_passes_byte_for_byte_and_is_billed_by_its_last_report)
{
    static const char *const events[] = {START("{\"input_tokens\":311,\"output_tokens\":1}"),
                                         PING,
                                         OPEN,
                                         SAY("he"),
                                         PING,
                                         SAY("llo"),
                                         SHUT,
                                         END("{\"input_tokens\":null,\"output_tokens\":15}")};
    policy_says(k, &claude);
    streams(k, events, ARRAY_LEN(events));
    struct flow_client *c = ask(k, STREAM);
    expect_status(c, 200);
    struct buf all;
    buf_init(&all, 1 << 16);
    for (size_t i = 0; i < ARRAY_LEN(events); i++)
        assert_int_equal(buf_append(&all, slice_str(events[i])), ERR_OK);
    if (!slice_eq(buf_slice(&c->body), buf_slice(&all)))
        fail_msg("%.*s", SLICE_ARG(buf_slice(&c->body)));
    buf_fini(&all);
    expect_tokens(k, 311, 15);
}

/* envoy#2290: a start without usage, and all of it in the delta. */
#define KEPT                                                                                       \
    "{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"x\",\"content\":["  \
    "{\"type\":\"text\",\"text\":\"hi\"}],\"stop_reason\":\"end_turn\",\"usage\":{\"input_"        \
    "tokens\":10,"                                                                                 \
    "\"cache_creation_input_tokens\":50,\"cache_read_input_tokens\":0,\"cache_creation\":{"        \
    "\"ephemeral_5m_input_tokens\":20,\"ephemeral_1h_input_tokens\":30},\"output_tokens\":1}}"
#define KEEP                                                                                       \
    "{\"model\":\"claude\",\"max_tokens\":1,\"messages\":[{\"role\":\"user\",\"content\":[{"       \
    "\"type\":"                                                                                    \
    "\"text\",\"text\":\"hello\",\"cache_control\":{\"type\":\"ephemeral\",\"ttl\":\"1h\"}}]}]}"

/* At its own price, which the worst case holds where the client wants it. */
FLOW(what_is_kept_for_an_hour_is_told_and_paid_apart)
{
    struct flow_policy p = claude;
    p.models[0].hour_price = 20;
    policy_says(k, &p);
    upstream_answers(k, 0, 200, KEPT);
    expect_status(ask(k, KEEP), 200);
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_int_equal(r->span->tokens->input, 60);
    assert_int_equal(r->span->tokens->cache_write, 50);
    assert_int_equal(r->span->cost_nano, 30 * 1000 + 30 * 20000 + 1 * 2000);
    flow_record_free(r);

    /* Anthropic's own part is a prompt of 600 tokens, and this one less than 100 */
    p.keys[0].budget = 600 * 20000;
    policy_says(k, &p);
    struct flow_client *c = ask(k, KEEP);
    expect_status(c, 429);
    expect_code(c, "budget_exceeded");
    expect_status(ask(k, "{\"model\":\"claude\",\"max_tokens\":1," HI "}"), 200);
}

FLOW(usage_that_comes_at_the_end_alone_counts)
{
    static const char *const events[] = {
        START("{\"input_tokens\":0,\"output_tokens\":0}"), OPEN, SAY("a"), SHUT,
        END("{\"input_tokens\":4522,\"cache_creation_input_tokens\":4511,\"output_tokens\":5}")};
    policy_says(k, &claude);
    streams(k, events, ARRAY_LEN(events));
    expect_status(ask(k, STREAM), 200);
    expect_tokens(k, 4522 + 4511, 5);
}

FLOW(an_error_before_any_word_is_a_status_and_a_later_one_an_event)
{
    policy_says(k, &claude);
    static const char *const early[] = {START("{\"input_tokens\":9,\"output_tokens\":1}"), PING,
                                        "event: error\ndata: " OVERLOADED "\n\n"};
    streams(k, early, ARRAY_LEN(early));
    struct flow_client *c = ask(k, STREAM);
    expect_status(c, 502);
    expect_body_has(c, "{\"type\":\"error\",\"error\":{\"type\":\"api_error\",");
    expect_body_has(c, "\"request_id\":\"");

    upstream_forget_script(k, 0);
    static const char *const late[] = {START("{\"input_tokens\":9,\"output_tokens\":1}"), OPEN,
                                       SAY("a"), "event: error\ndata: " OVERLOADED "\n\n"};
    streams(k, late, ARRAY_LEN(late));
    c = ask(k, STREAM);
    expect_status(c, 200);
    assert_true(slice_ends(buf_slice(&c->body), SLICE("event: error\ndata: " OVERLOADED "\n\n")));
    assert_true(body_lacks(c, SLICE("message_stop")));
}

FLOW(a_stream_that_breaks_off_ends_in_an_error)
{
    static const char *const events[] = {START("{\"input_tokens\":9,\"output_tokens\":1}"), OPEN,
                                         SAY("a")};
    policy_says(k, &claude);
    streams(k, events, ARRAY_LEN(events));
    struct flow_client *c = ask(k, STREAM);
    expect_status(c, 200);
    expect_body_has(c, SAY("a") "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":");
    expect_body_has(c, "\"error_code\":\"upstream_error\"");
    assert_true(body_lacks(c, SLICE("message_stop")));
}

/* bifrost 2.1.0, in this dialect */
FLOW(a_stream_that_does_not_end_behind_its_stop_is_ended)
{
    static const char *const events[] = {
        START("{\"input_tokens\":9,\"output_tokens\":1}"), OPEN, SAY("a"), SHUT,
        "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":"
        "\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":4}}\n\n"};
    unsigned usual = ai_stream_grace_ms;
    ai_stream_grace_ms = 60;
    policy_says(k, &claude);
    upstream_opens_stream(k, 0);
    for (size_t i = 0; i < ARRAY_LEN(events); i++)
        upstream_sends(k, 0, events[i]);
    for (size_t i = 0; i < 8; i++) {
        upstream_rests(k, 0, 20);
        upstream_sends(k, 0, PING);
    }
    upstream_hangs(k, 0);
    struct flow_client *c = ask(k, STREAM);
    expect_status(c, 200);
    assert_true(slice_ends(buf_slice(&c->body),
                           SLICE("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n")));
    expect_tokens(k, 9, 4);
    ai_stream_grace_ms = usual;
}

FLOW(its_own_refusals_pass_as_they_are)
{
    policy_says(k, &claude);
    const char *long_prompt =
        "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":"
        "\"prompt is too long: 250000 tokens > 200000 maximum\"},\"request_id\":\"req_up\"}";
    upstream_answers(k, 0, 400, long_prompt);
    struct flow_client *c = ask(k, HELLO);
    expect_status(c, 400);
    expect_body(c, long_prompt);
}

FLOW(an_overloaded_target_is_told_by_the_apis_own_status)
{
    policy_says(k, &claude);
    upstream_answers(k, 0, 529, OVERLOADED);
    struct flow_client *c = ask(k, STREAM);
    expect_status(c, 529);
    expect_body_has(c, "\"type\":\"overloaded_error\",\"message\":\"");
    expect_body_has(c, "Overloaded");
}

FLOW(a_stream_under_a_budget_needs_no_limit_put_in)
{
    struct flow_policy p = claude;
    p.keys[0].budget = MONEY_DOLLAR;
    policy_says(k, &p);
    upstream_answers(k, 0, 200, MESSAGE);
    struct flow_client *c = ask(k, HELLO);
    expect_status(c, 200);
    expect_body(c, MESSAGE);
    assert_true(slice_search(k->upstreams[0].calls[0].body, SLICE("\"max_tokens\":64")) > 0);
    assert_true(slice_eq(client_header(c, "x-gatehouse-cost-usd"), SLICE("0.000200000")));
}

/* ---- refusals of this gate ---- */

FLOW(refusals_stand_in_anthropics_envelope)
{
    struct flow_policy p = claude;
    p.keys[0].rpm = 1;
    policy_says(k, &p);
    upstream_answers(k, 0, 200, MESSAGE);

    struct flow_client *c = client_posts(k, NULL, MESSAGES, VERSION, HELLO);
    expect_status(c, 401);
    expect_body_has(c, "{\"type\":\"error\",\"error\":{\"type\":\"authentication_error\",");
    c = ask(k, "{\"model\":\"claude\"," HI "}");
    expect_status(c, 400);
    expect_body_has(c, "\"type\":\"invalid_request_error\",\"message\":\"");
    expect_body_has(c, "max_tokens");
    c = ask(k, "{\"model\":\"other\",\"max_tokens\":1," HI "}");
    expect_status(c, 404);
    expect_body_has(c, "\"type\":\"not_found_error\"");
    expect_code(c, "model_not_found");
    assert_true(client_header(c, "request-id").len > 0);

    c = ask(k, HELLO);
    expect_status(c, 200);
    assert_true(slice_eq(client_header(c, "anthropic-ratelimit-requests-limit"), SLICE("1")));
    assert_true(slice_eq(client_header(c, "anthropic-ratelimit-requests-remaining"), SLICE("0")));
    struct slice reset = client_header(c, "anthropic-ratelimit-requests-reset");
    assert_true(reset.len == 20 && reset.ptr[10] == 'T' && reset.ptr[19] == 'Z');
    assert_null(client_header(c, "x-ratelimit-limit-requests").ptr);
    c = ask(k, HELLO);
    expect_status(c, 429);
    expect_body_has(c, "\"type\":\"rate_limit_error\"");
    expect_code(c, "rate_limit_exceeded");
    assert_true(client_header(c, "retry-after").len > 0);
}

FLOW(a_path_that_is_not_served_is_refused_in_anthropics_envelope_too)
{
    policy_says(k, &claude);
    struct flow_client *c = client_posts(k, "alice", MESSAGES "/batches", VERSION, "{}");
    expect_status(c, 404);
    expect_body_has(c, "{\"type\":\"error\",\"error\":{\"type\":\"not_found_error\",");
    assert_true(client_header(c, "request-id").len > 0);
}

FLOW(the_session_that_a_client_writes_into_its_user_is_the_calls)
{
    policy_says(k, &claude);
    upstream_answers(k, 0, 200, MESSAGE);
    ask(k, "{\"model\":\"claude\",\"max_tokens\":1," HI ",\"metadata\":{\"user_id\":"
           "\"{\\\"device_id\\\":\\\"d\\\",\\\"session_id\\\":\\\"5f-6a\\\"}\"}}");
    WAIT(k, k->clients[0].whole);
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_string_equal(r->span->external_id, "5f-6a");
    assert_string_equal(r->span->named_by, "metadata.user_id");
    flow_record_free(r);
}

/* ---- a provider that speaks OpenAI's ---- */

static void chunk(struct flow *k, const char *choice)
{
    char event[1024];
    snprintf(
        event, sizeof(event),
        "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"model\":\"gpt-x\","
        "\"choices\":[{\"index\":0,%s}]}\n\n",
        choice);
    upstream_sends(k, 0, event);
}

#define COUNTS                                                                                     \
    "\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":7,\"total_tokens\":107,"               \
    "\"prompt_tokens_details\":{\"cached_tokens\":90}}"
#define ENDS                                                                                       \
    "data: {\"id\":\"chatcmpl-1\",\"model\":\"gpt-x\",\"choices\":[]," COUNTS "}\n\n"              \
    "data: [DONE]\n\n"

/* The events of a stream by their names, and a blank behind each. */
static struct slice event_names(const struct flow_client *c, char *out, size_t size)
{
    struct slice rest = buf_slice(&c->body), line;
    size_t n = 0;
    while (slice_split(&rest, '\n', &line)) {
        if (!slice_starts(line, SLICE("event: ")))
            continue;
        line = slice_from(line, 7);
        assert_true(n + line.len + 1 < size);
        memcpy(out + n, line.ptr, line.len);
        n += line.len;
        out[n++] = ' ';
    }
    return slice_of(out, n);
}

static void expect_events(struct flow_client *c, const char *names)
{
    char out[2048];
    struct slice got = event_names(c, out, sizeof(out));
    if (!slice_eq(got, slice_str(names)))
        fail_msg("%.*s\n%.*s", SLICE_ARG(got), SLICE_ARG(buf_slice(&c->body)));
}

FLOW(a_plain_call_is_translated_and_its_usage_told_in_parts)
{
    policy_says(k, &openai);
    upstream_answers(k, 0, 200,
                     "{\"id\":\"chatcmpl-1\",\"model\":\"gpt-x\",\"choices\":[{\"index\":0,"
                     "\"message\":{\"role\":\"assistant\",\"content\":\"hi\"},\"finish_reason\":"
                     "\"stop\"}]," COUNTS "}");
    struct flow_client *c = client_posts(
        k, "alice", MESSAGES, VERSION "anthropic-beta: a-2025-01-01,b-2\r\n",
        "{\"model\":\"claude\",\"max_tokens\":64,\"system\":\"be kind\",\"stop_sequences\":[\"E\"],"
        "\"context_management\":{\"edits\":[]},\"messages\":[{\"role\":\"user\",\"content\":[{"
        "\"type\":\"text\",\"text\":\"hello\",\"cache_control\":{\"type\":\"ephemeral\"}}]}]}");
    expect_status(c, 200);
    JSON_AUTO json_t *got = body_of(buf_slice(&c->body));
    const json_t *usage = json_object_get(got, "usage");
    assert_true(slice_eq(json_text(got, "type"), SLICE("message")));
    assert_true(slice_eq(json_text(got, "stop_reason"), SLICE("end_turn")));
    assert_int_equal(json_integer_value(json_object_get(usage, "input_tokens")), 10);
    assert_int_equal(json_integer_value(json_object_get(usage, "cache_read_input_tokens")), 90);
    struct slice notice = client_header(c, "x-gatehouse-notice");
    static const char *const left_out[] = {"context_management", "a-2025-01-01", "b-2"};
    for (size_t i = 0; i < ARRAY_LEN(left_out); i++)
        assert_true(slice_search(notice, slice_str(left_out[i])) >= 0);
    JSON_AUTO json_t *sent = body_of(k->upstreams[0].calls[0].body);
    assert_true(slice_eq(json_text(sent, "model"), SLICE("gpt-x")));
    assert_null(json_object_get(sent, "context_management"));
    assert_null(upstream_heard(&k->upstreams[0].calls[0], "anthropic-beta").ptr);
    expect_tokens(k, 100, 7);
}

FLOW(a_stream_of_chunks_becomes_events)
{
    policy_says(k, &openai);
    upstream_opens_stream(k, 0);
    chunk(k, "\"delta\":{\"role\":\"assistant\",\"content\":\"\"}");
    chunk(k, "\"delta\":{\"content\":\"he\"}");
    chunk(k, "\"delta\":{\"content\":\"llo\"},\"finish_reason\":\"stop\""); /* 2.10, 1 */
    upstream_sends(k, 0, ENDS);
    upstream_ends_stream(k, 0);
    struct flow_client *c = ask(k, STREAM);
    expect_status(c, 200);
    expect_events(c, "message_start content_block_start content_block_delta content_block_delta "
                     "content_block_stop message_delta message_stop ");
    /* vercel/ai#17326: a rough number first, and what was counted last */
    expect_body_has(c, "\"stop_sequence\":null,\"usage\":{\"input_tokens\":16,");
    expect_body_has(c, "\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{"
                       "\"input_tokens\":10,\"cache_creation_input_tokens\":0,"
                       "\"cache_read_input_tokens\":90,\"output_tokens\":7}}");
    expect_tokens(k, 100, 7);
}

/* bifrost#1829 */
FLOW(pieces_of_parallel_calls_in_turn_become_blocks_one_after_the_other)
{
    policy_says(k, &openai);
    upstream_opens_stream(k, 0);
    chunk(k,
          "\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"type\":\"function\",\"function\":"
          "{\"name\":\"f\",\"arguments\":\"{\\\"x\\\":\"}}]}");
    chunk(k,
          "\"delta\":{\"tool_calls\":[{\"index\":1,\"id\":\"b\",\"type\":\"function\",\"function\":"
          "{\"name\":\"g\",\"arguments\":\"{\\\"y\\\":\"}}]}");
    chunk(k, "\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"1}\"}}]}");
    chunk(k, "\"delta\":{\"tool_calls\":[{\"index\":1,\"function\":{\"arguments\":\"2}\"}}]}");
    chunk(k, "\"delta\":{},\"finish_reason\":\"tool_calls\"");
    upstream_sends(k, 0, ENDS);
    upstream_ends_stream(k, 0);
    struct flow_client *c = ask(k, STREAM);
    expect_status(c, 200);
    expect_events(c, "message_start content_block_start content_block_delta content_block_delta "
                     "content_block_stop content_block_start content_block_delta "
                     "content_block_delta content_block_stop message_delta message_stop ");
    expect_body_has(c, "\"index\":1,\"content_block\":{\"type\":\"tool_use\",\"id\":\"b\"");
    expect_body_has(c, "\"stop_reason\":\"tool_use\"");
}

/* bifrost#6888 */
FLOW(any_tool_is_required)
{
    policy_says(k, &openai);
    upstream_answers(k, 0, 200, "{}");
    ask(k, "{\"model\":\"claude\",\"max_tokens\":64," HI ",\"tools\":[{\"name\":\"f\","
           "\"input_schema\":{\"type\":\"object\"}}],\"tool_choice\":{\"type\":\"any\","
           "\"disable_parallel_tool_use\":true}}");
    WAIT(k, k->clients[0].whole);
    JSON_AUTO json_t *sent = body_of(k->upstreams[0].calls[0].body);
    assert_true(slice_eq(json_text(sent, "tool_choice"), SLICE("required")));
    assert_true(json_is_false(json_object_get(sent, "parallel_tool_calls")));
}

FLOW(a_stream_that_breaks_off_in_translation_ends_in_an_error)
{
    policy_says(k, &openai);
    upstream_opens_stream(k, 0);
    chunk(k, "\"delta\":{\"content\":\"he\"}");
    upstream_ends_stream(k, 0);
    struct flow_client *c = ask(k, STREAM);
    expect_status(c, 200);
    expect_events(c, "message_start content_block_start content_block_delta error ");
}

FLOW(what_only_anthropic_has_is_refused_by_its_name)
{
    policy_says(k, &openai);
    struct flow_client *c =
        ask(k, "{\"model\":\"claude\",\"max_tokens\":64," HI ",\"container\":\"c_1\"}");
    expect_status(c, 400);
    expect_code(c, "unsupported_parameter");
    expect_body_has(c, "\"param\":\"container\"");
    c = ask(k, "{\"model\":\"claude\",\"max_tokens\":64," HI ",\"tools\":[{\"type\":"
               "\"web_search_20250305\",\"name\":\"web_search\"}]}");
    expect_status(c, 400);
    expect_body_has(c, "\"param\":\"tools\"");
    assert_int_equal(k->upstreams[0].call_count, 0);
}

/* ---- the first target fails, and the other speaks another dialect ---- */

#define CHUNKS                                                                                     \
    "data: {\"id\":\"c\",\"model\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"role\":"           \
    "\"assistant\",\"content\":\"hi\"},\"finish_reason\":\"stop\"}]}\n\n" ENDS
#define CHAT_ANSWER                                                                                \
    "{\"id\":\"c\",\"model\":\"x\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\"," \
    "\"content\":\"hi\"},\"finish_reason\":\"stop\"}]," COUNTS "}"
#define EVENTS                                                                                     \
    START("{\"input_tokens\":10,\"cache_read_input_tokens\":90,\"output_tokens\":1}")              \
    OPEN SAY("hi") SHUT END("{\"output_tokens\":7}")

static void fails_overloaded(struct flow *k, bool stream)
{
    (void)stream;
    upstream_answers(k, 0, 529, OVERLOADED);
}

static void fails_silent(struct flow *k, bool stream)
{
    (void)stream;
    upstream_hangs(k, 0);
}

static void fails_cut(struct flow *k, bool stream)
{
    if (stream)
        upstream_opens_stream(k, 0);
    upstream_cuts(k, 0);
}

/* The first target is one that the row's client does not speak, so that the second is its own. */
static const struct {
    const char *row, *path, *plain, *stream;
    const char *dialects[2];
    const char *answer, *events; /* of the second */
    const char *seen;            /* the word, as this client is told it */
} seeds[] = {
    {"openai",
     "/v1/chat/completions",
     "{\"model\":\"m\"," HI "}",
     "{\"model\":\"m\",\"stream\":true," HI "}",
     {"anthropic", "openai"},
     CHAT_ANSWER,
     CHUNKS,
     "\"content\":\"hi\""},
    {"anthropic",
     MESSAGES,
     "{\"model\":\"m\",\"max_tokens\":64," HI "}",
     "{\"model\":\"m\",\"max_tokens\":64,\"stream\":true," HI "}",
     {"openai", "anthropic"},
     MESSAGE,
     EVENTS,
     "\"text\":\"hi\""},
    {"anthropic, away from home",
     MESSAGES,
     "{\"model\":\"m\",\"max_tokens\":64," HI "}",
     "{\"model\":\"m\",\"max_tokens\":64,\"stream\":true," HI "}",
     {"anthropic", "openai"},
     CHAT_ANSWER,
     CHUNKS,
     "\"text\":\"hi\""},
};

static void try_seed(struct flow *k, size_t row, void (*fails)(struct flow *k, bool stream),
                     bool stream)
{
    struct flow_policy p = {
        .providers = {{.dialect = seeds[row].dialects[0], .first_byte_ms = 100},
                      {.dialect = seeds[row].dialects[1]}},
        .keys = {{.name = "alice", .models = {"m"}}},
        .models = {{.name = "m", .upstreams = {0, 1}, .upstream_count = 2}},
    };
    policy_says(k, &p);
    upstream_forget_script(k, 0);
    upstream_forget_script(k, 1);
    fails(k, stream);
    if (stream) {
        upstream_opens_stream(k, 1);
        upstream_sends(k, 1, seeds[row].events);
        upstream_ends_stream(k, 1);
    } else {
        upstream_answers(k, 1, 200, seeds[row].answer);
    }
    struct flow_client *c = client_posts(k, "alice", seeds[row].path, NULL,
                                         stream ? seeds[row].stream : seeds[row].plain);
    expect_status(c, 200);
    if (slice_search(buf_slice(&c->body), slice_str(seeds[row].seen)) < 0)
        fail_msg("%s: %.*s", seeds[row].row, SLICE_ARG(buf_slice(&c->body)));
    assert_true(slice_eq(client_header(c, "x-gatehouse-provider"), SLICE("provider-1")));
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_int_equal(r->n_attempts, 2);
    assert_true(r->span->cost_known && r->span->cost_nano >= 100 * 1000 + 7 * 2000);
    flow_record_free(r);
    client_is_forgotten(c);
}

FLOW(a_target_that_fails_before_its_first_event_is_followed_by_one_of_another_dialect)
{
    static void (*const failures[])(struct flow * k, bool stream) = {fails_overloaded, fails_silent,
                                                                     fails_cut};
    for (size_t i = 0; i < ARRAY_LEN(seeds); i++)
        for (size_t j = 0; j < ARRAY_LEN(failures); j++)
            for (int stream = 0; stream < 2; stream++) {
                k->upstreams[0].forgets = k->upstreams[1].forgets = true;
                try_seed(k, i, failures[j], stream);
            }
}

/* ---- count_tokens ---- */

FLOW(tokens_are_counted_by_the_target_and_cost_nothing)
{
    struct flow_policy p = claude;
    p.keys[0].budget = MONEY_DOLLAR;
    policy_says(k, &p);
    upstream_answers(k, 0, 200, "{\"input_tokens\":2095}");
    struct flow_client *c = client_posts(k, "alice", MESSAGES "/count_tokens", VERSION,
                                         "{\"model\":\"claude\"," HI "}");
    expect_status(c, 200);
    expect_body(c, "{\"input_tokens\":2095}");
    assert_true(slice_starts(k->upstreams[0].calls[0].head,
                             SLICE("POST /v1/messages/count_tokens HTTP/1.1\r\n")));
    assert_true(
        slice_search(k->upstreams[0].calls[0].body, SLICE("\"model\":\"claude-sonnet-4-5\"")) > 0);
    assert_null(client_header(c, "x-gatehouse-cost-usd").ptr);
    assert_int_equal(flow_taken(k, "key:k_alice"), 0);
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_string_equal(r->span->name, "count_tokens");
    assert_int_equal(r->n_charges ? r->charges[0]->amount_nano : 0, 0);
    flow_record_free(r);
}

FLOW(tokens_are_estimated_where_no_target_counts_them)
{
    policy_says(k, &openai);
    struct flow_client *c = client_posts(k, "alice", MESSAGES "/count_tokens", VERSION,
                                         "{\"model\":\"claude\"," HI "}");
    expect_status(c, 200);
    JSON_AUTO json_t *got = body_of(buf_slice(&c->body));
    assert_in_range(json_integer_value(json_object_get(got, "input_tokens")), 2, 60);
    assert_true(slice_search(client_header(c, "x-gatehouse-notice"), SLICE("estimate")) >= 0);
    assert_int_equal(k->upstreams[0].call_count, 0);
}

FLOW(tokens_are_estimated_where_the_target_fails)
{
    policy_says(k, &claude);
    upstream_answers(k, 0, 529, OVERLOADED);
    struct flow_client *c = client_posts(k, "alice", MESSAGES "/count_tokens", VERSION,
                                         "{\"model\":\"claude\"," HI "}");
    expect_status(c, 200);
    expect_body_has(c, "{\"input_tokens\":");
    c = client_posts(k, "alice", MESSAGES "/count_tokens", VERSION, "{\"model\":\"claude\"}");
    expect_status(c, 400);
}

/* ---- the list of models ---- */

FLOW(models_are_listed_as_the_client_knows_them)
{
    struct flow_policy p = claude;
    p.models[0].max_output_tokens = 64000;
    policy_says(k, &p);
    struct flow_client *c = client_asks(k, "GET", "alice", "/v1/models", VERSION);
    expect_status(c, 200);
    JSON_AUTO json_t *list = body_of(buf_slice(&c->body));
    const json_t *one = json_array_get(json_object_get(list, "data"), 0);
    assert_true(slice_eq(json_text(one, "type"), SLICE("model")));
    assert_true(slice_eq(json_text(one, "id"), SLICE("claude")));
    assert_int_equal(json_integer_value(json_object_get(one, "max_tokens")), 64000);
    assert_true(json_is_false(json_object_get(list, "has_more")));
    assert_true(slice_eq(json_text(list, "first_id"), SLICE("claude")));

    c = client_asks(k, "GET", "alice", "/v1/models/claude", VERSION);
    expect_status(c, 200);
    expect_body_has(c, "{\"type\":\"model\",\"id\":\"claude\"");
    c = client_asks(k, "GET", "alice", "/v1/models/other", VERSION);
    expect_status(c, 404);
    expect_body_has(c, "\"type\":\"not_found_error\"");
    c = client_asks(k, "GET", "alice", "/v1/models", NULL);
    expect_status(c, 200);
    expect_body_has(c, "{\"object\":\"list\",\"data\":[{\"id\":\"claude\",\"object\":\"model\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(a_body_and_its_response_pass_byte_for_byte_but_for_the_models_name),
        SCENARIO(a_key_is_taken_from_either_header),
        SCENARIO(a_stream_passes_byte_for_byte_and_is_billed_by_its_last_report),
        SCENARIO(what_is_kept_for_an_hour_is_told_and_paid_apart),
        SCENARIO(usage_that_comes_at_the_end_alone_counts),
        SCENARIO(an_error_before_any_word_is_a_status_and_a_later_one_an_event),
        SCENARIO(a_stream_that_breaks_off_ends_in_an_error),
        SCENARIO(a_stream_that_does_not_end_behind_its_stop_is_ended),
        SCENARIO(its_own_refusals_pass_as_they_are),
        SCENARIO(an_overloaded_target_is_told_by_the_apis_own_status),
        SCENARIO(a_stream_under_a_budget_needs_no_limit_put_in),
        SCENARIO(refusals_stand_in_anthropics_envelope),
        SCENARIO(a_path_that_is_not_served_is_refused_in_anthropics_envelope_too),
        SCENARIO(the_session_that_a_client_writes_into_its_user_is_the_calls),
        SCENARIO(a_plain_call_is_translated_and_its_usage_told_in_parts),
        SCENARIO(a_stream_of_chunks_becomes_events),
        SCENARIO(pieces_of_parallel_calls_in_turn_become_blocks_one_after_the_other),
        SCENARIO(any_tool_is_required),
        SCENARIO(a_stream_that_breaks_off_in_translation_ends_in_an_error),
        SCENARIO(what_only_anthropic_has_is_refused_by_its_name),
        SCENARIO(a_target_that_fails_before_its_first_event_is_followed_by_one_of_another_dialect),
        SCENARIO(tokens_are_counted_by_the_target_and_cost_nothing),
        SCENARIO(tokens_are_estimated_where_no_target_counts_them),
        SCENARIO(tokens_are_estimated_where_the_target_fails),
        SCENARIO(models_are_listed_as_the_client_knows_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
