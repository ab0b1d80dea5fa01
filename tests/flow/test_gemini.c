/* gemini — clients of OpenAI's dialect on a provider that speaks Gemini's, and clients of Gemini's
 * dialect on every kind of provider. */
#include "tests/kit/flow/flow.h"

#include "common/base/digest.h"
#include "common/base/json.h"

#define CHAT "/v1/chat/completions"
#define GENERATE "/v1beta/models/g:generateContent"
#define STREAM_EVENTS "/v1beta/models/g:streamGenerateContent?alt=sse"
#define STREAM_ARRAY "/v1beta/models/g:streamGenerateContent"

#define HELLO                                                                                      \
    "{\"model\":\"g\",\"messages\":[{\"role\":\"system\",\"content\":\"be kind\"},"                \
    "{\"role\":\"user\",\"content\":\"hello\"}]}"
#define HELLO_STREAM                                                                               \
    "{\"model\":\"g\",\"stream\":true,\"stream_options\":{\"include_usage\":true},"                \
    "\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}"
#define CONTENTS "\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"hello\"}]}]"
#define SAFE                                                                                       \
    "{" CONTENTS ",\"safetySettings\":[{\"category\":\"HARM_CATEGORY_HARASSMENT\","                \
    "\"threshold\":\"BLOCK_NONE\"}], \"generationConfig\": { \"temperature\": 0.50 }}"
#define USAGE                                                                                      \
    "\"usageMetadata\":{\"promptTokenCount\":100,\"cachedContentTokenCount\":90,"                  \
    "\"candidatesTokenCount\":20,\"thoughtsTokenCount\":30,\"totalTokenCount\":150}"
#define ANSWER                                                                                     \
    "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"thinking\",\"thought\":true},"          \
    "{\"text\":\"hi \"},{\"text\":\"there\"}],\"role\":\"model\"},\"finishReason\":\"STOP\","      \
    "\"index\":0}]," USAGE ",\"modelVersion\":\"gemini-x\",\"responseId\":\"r1\"}"

static const struct flow_policy on_gemini = {
    .providers = {{.dialect = "gemini", .path = ""}},
    .keys = {{.name = "alice", .models = {"g"}}},
    .models =
        {{.name = "g", .target_model = "gemini-3-flash", .upstreams = {0}, .upstream_count = 1}},
};

static const struct flow_policy on_two_credentials = {
    .providers = {{.dialect = "gemini", .path = "", .second_secret = "second-secret"}},
    .keys = {{.name = "alice", .models = {"g"}}},
    .models = {{.name = "g", .upstreams = {0}, .upstream_count = 1}},
};

static json_t *body_of(struct slice body)
{
    struct json_problem problem;
    json_t *tree = NULL;
    if (json_read(body, &tree, &problem))
        fail_msg("not JSON: %.*s", SLICE_ARG(body));
    return tree;
}

static void expect_json(struct slice got, const char *want)
{
    JSON_AUTO json_t *a = body_of(got);
    JSON_AUTO json_t *b = body_of(slice_str(want));
    if (!json_equal(a, b))
        fail_msg("%.*s\nis not %s", SLICE_ARG(got), want);
}

static void says(struct flow *k, const char *json)
{
    char event[2048];
    snprintf(event, sizeof(event), "data: %s\r\n\r\n", json);
    upstream_sends(k, 0, event);
}

static void says_part(struct flow *k, const char *part, const char *rest)
{
    char json[1024];
    snprintf(json, sizeof(json),
             "{\"candidates\":[{\"content\":{\"parts\":[%s],\"role\":\"model\"}%s,\"index\":0}],"
             "\"usageMetadata\":{\"promptTokenCount\":10,\"candidatesTokenCount\":5},"
             "\"modelVersion\":\"gemini-x\",\"responseId\":\"r1\"}",
             part, rest);
    says(k, json);
}

/* ---- OpenAI's dialect on Gemini ---- */

FLOW(a_plain_call_is_translated_both_ways_and_its_thoughts_are_billed)
{
    policy_says(k, &on_gemini);
    upstream_answers(k, 0, 200, ANSWER);

    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);

    expect_status(c, 200);
    JSON_AUTO json_t *got = body_of(buf_slice(&c->body));
    const json_t *choice = json_array_get(json_object_get(got, "choices"), 0);
    const json_t *message = json_object_get(choice, "message");
    const json_t *usage = json_object_get(got, "usage");
    assert_true(slice_eq(json_text(message, "content"), SLICE("hi there")));
    assert_true(slice_eq(json_text(message, "reasoning_content"), SLICE("thinking")));
    assert_true(slice_eq(json_text(choice, "finish_reason"), SLICE("stop")));
    assert_int_equal(json_integer_value(json_object_get(usage, "prompt_tokens")), 100);
    assert_int_equal(json_integer_value(json_object_get(usage, "completion_tokens")), 50);
    assert_int_equal(json_integer_value(json_object_get(usage, "total_tokens")), 150);

    const struct upstream_call *call = &k->upstreams[0].calls[0];
    assert_true(slice_starts(call->head, SLICE("POST /v1beta/models/gemini-3-flash:"
                                               "generateContent HTTP/1.1\r\n")));
    assert_true(slice_starts(upstream_heard(call, "x-goog-api-key"), SLICE("sk-upstream-secret")));
    assert_null(upstream_heard(call, "authorization").ptr);
    expect_json(call->body, "{\"systemInstruction\":{\"parts\":[{\"text\":\"be kind\"}]}," CONTENTS
                            ",\"generationConfig\":{}}");

    Gatehouse__JournalRecord *r = flow_record(k);
    assert_int_equal(r->span->tokens->input, 100);
    assert_int_equal(r->span->tokens->cache_read, 90);
    assert_int_equal(r->span->tokens->output, 50);
    assert_int_equal(r->span->tokens->reasoning, 30);
    assert_string_equal(r->span->usage_source, "provider");
    flow_record_free(r);
}

FLOW(a_stream_with_text_and_a_call_in_one_event_loses_neither)
{
    policy_says(k, &on_gemini);
    upstream_opens_stream(k, 0);
    says_part(k, "{\"text\":\"hm\",\"thought\":true}", "");
    says_part(k,
              "{\"text\":\"let me \"},{\"functionCall\":{\"name\":\"f\",\"args\":{\"a\":1}},"
              "\"thoughtSignature\":\"c2ln\"},{\"functionCall\":{\"id\":\"own\",\"name\":\"g\"}}",
              "");
    says_part(k, "{\"text\":\"\"}", ",\"finishReason\":\"STOP\"");
    upstream_ends_stream(k, 0);

    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO_STREAM);

    expect_status(c, 200);
    assert_true(slice_starts(k->upstreams[0].calls[0].head,
                             SLICE("POST /v1beta/models/gemini-3-flash:streamGenerateContent"
                                   "?alt=sse HTTP/1.1\r\n")));
    expect_body_has(c, "\"reasoning_content\":\"hm\"");
    expect_body_has(c, "\"content\":\"let me \"");
    expect_body_has(c, "\"tool_calls\":[{\"index\":0,\"id\":\"call_");
    expect_body_has(c, "\"function\":{\"name\":\"f\",\"arguments\":\"\"},\"extra_content\":{"
                       "\"google\":{\"thought_signature\":\"c2ln\"}}}]");
    expect_body_has(c, "\"arguments\":\"{\\\"a\\\":1}\"");
    expect_body_has(c, "{\"index\":1,\"id\":\"own\"");
    expect_body_has(c, "\"finish_reason\":\"tool_calls\"");
    expect_body_has(c, "\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,");
    assert_true(slice_ends(buf_slice(&c->body), SLICE("data: [DONE]\n\n")));
}

FLOW(a_prompt_that_was_blocked_is_a_content_filter)
{
    policy_says(k, &on_gemini);
    upstream_answers(k, 0, 200,
                     "{\"promptFeedback\":{\"blockReason\":\"SAFETY\"},\"usageMetadata\":{"
                     "\"promptTokenCount\":10,\"totalTokenCount\":10},\"responseId\":\"r\"}");
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
    expect_status(c, 200);
    expect_body_has(c, "\"finish_reason\":\"content_filter\"");
}

FLOW(a_malformed_function_call_is_an_error_and_no_answer)
{
    policy_says(k, &on_gemini);
    upstream_answers(
        k, 0, 200,
        "{\"candidates\":[{\"content\":{},\"finishReason\":\"MALFORMED_FUNCTION_CALL\","
        "\"finishMessage\":\"no such tool\"}]," USAGE "}");
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
    expect_status(c, 502);
    expect_body_has(c, "no such tool");
}

FLOW(a_bad_key_is_told_as_an_argument_and_another_key_is_tried)
{
    policy_says(k, &on_two_credentials);
    upstream_answers(
        k, 0, 400,
        "{\"error\":{\"code\":400,\"message\":\"API key not valid. Please pass a valid "
        "API key.\",\"status\":\"INVALID_ARGUMENT\",\"details\":[{\"@type\":"
        "\"type.googleapis.com/google.rpc.ErrorInfo\",\"reason\":\"API_KEY_INVALID\"}]"
        "}}");
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
    expect_status(c, 502);
    assert_int_equal(k->upstreams[0].call_count, 2);
    assert_true(slice_search(buf_slice(&c->body), SLICE("\"code\":\"invalid_api_key\"")) < 0);
}

FLOW(a_wait_that_the_body_names_is_told_as_retry_after)
{
    policy_says(k, &on_gemini);
    upstream_answers(k, 0, 429,
                     "{\"error\":{\"code\":429,\"message\":\"quota\",\"status\":"
                     "\"RESOURCE_EXHAUSTED\",\"details\":[{\"@type\":\"type.googleapis.com/"
                     "google.rpc.RetryInfo\",\"retryDelay\":\"6.5s\"}]}}");
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
    expect_status(c, 429);
    assert_true(slice_eq(client_header(c, "retry-after"), SLICE("7")));
}

FLOW(an_error_in_mid_stream_is_no_end_of_a_model)
{
    policy_says(k, &on_gemini);
    upstream_opens_stream(k, 0);
    says_part(k, "{\"text\":\"half\"}", "");
    says(k, "{\"error\":{\"code\":503,\"message\":\"overloaded\",\"status\":\"UNAVAILABLE\"}}");
    upstream_ends_stream(k, 0);

    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO_STREAM);

    expect_status(c, 200);
    expect_body_has(c, "half");
    expect_body_has(c, "data: {\"error\":{\"message\":\"overloaded\"");
    assert_true(slice_search(buf_slice(&c->body), SLICE("\"finish_reason\":\"stop\"")) < 0);
}

FLOW(a_stream_that_breaks_off_is_no_end_of_a_model)
{
    policy_says(k, &on_gemini);
    upstream_opens_stream(k, 0);
    says_part(k, "{\"text\":\"half\"}", "");
    upstream_ends_stream(k, 0);
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO_STREAM);
    expect_status(c, 200);
    expect_body_has(c, "data: {\"error\":{");
    assert_true(slice_search(buf_slice(&c->body), SLICE("\"finish_reason\":\"stop\"")) < 0);
}

/* ---- Gemini's dialect on Gemini: as it came ---- */

FLOW(a_gemini_client_reaches_gemini_byte_for_byte)
{
    policy_says(k, &on_gemini);
    upstream_answers(k, 0, 200, ANSWER);

    struct flow_client *c = client_posts(k, "alice", GENERATE, NULL, SAFE);

    expect_status(c, 200);
    assert_true(slice_eq(buf_slice(&c->body), SLICE(ANSWER)));
    const struct upstream_call *call = &k->upstreams[0].calls[0];
    assert_true(slice_starts(call->head, SLICE("POST /v1beta/models/gemini-3-flash:"
                                               "generateContent HTTP/1.1\r\n")));
    assert_true(slice_eq(call->body, SLICE(SAFE)));
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_int_equal(r->span->tokens->output, 50);
    assert_string_equal(r->span->usage_source, "provider");
    flow_record_free(r);
}

FLOW(a_gemini_stream_passes_as_it_came)
{
    policy_says(k, &on_gemini);
    upstream_opens_stream(k, 0);
    says_part(k, "{\"text\":\"one\"}", "");
    says_part(k, "{\"text\":\" two\"}", ",\"finishReason\":\"STOP\"");
    upstream_ends_stream(k, 0);

    struct flow_client *c = client_posts(k, "alice", STREAM_EVENTS, NULL, "{" CONTENTS "}");

    expect_status(c, 200);
    const char *part = "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"%s\"}],"
                       "\"role\":\"model\"}%s,\"index\":0}],\"usageMetadata\":{"
                       "\"promptTokenCount\":10,\"candidatesTokenCount\":5},\"modelVersion\":"
                       "\"gemini-x\",\"responseId\":\"r1\"}\r\n\r\n";
    char both[2048];
    int n = snprintf(both, sizeof(both), part, "one", "");
    snprintf(both + n, sizeof(both) - (size_t)n, part, " two", ",\"finishReason\":\"STOP\"");
    assert_true(slice_eq(buf_slice(&c->body), slice_str(both)));
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_int_equal(r->span->tokens->output, 5);
    flow_record_free(r);
}

FLOW(the_version_of_the_path_is_the_clients)
{
    policy_says(k, &on_gemini);
    upstream_answers(k, 0, 200, ANSWER);
    struct flow_client *c =
        client_posts(k, "alice", "/v1/models/g:generateContent", NULL, "{" CONTENTS "}");
    expect_status(c, 200);
    assert_true(slice_starts(k->upstreams[0].calls[0].head,
                             SLICE("POST /v1/models/gemini-3-flash:generateContent ")));
}

FLOW(without_alt_sse_a_stream_is_one_json_array)
{
    policy_says(k, &on_gemini);
    upstream_opens_stream(k, 0);
    says_part(k, "{\"text\":\"one\"}", "");
    says_part(k, "{\"text\":\" two\"}", ",\"finishReason\":\"MAX_TOKENS\"");
    upstream_ends_stream(k, 0);

    struct flow_client *c = client_posts(k, "alice", STREAM_ARRAY, NULL, SAFE);

    expect_status(c, 200);
    assert_true(slice_eq(client_header(c, "content-type"), SLICE("application/json")));
    JSON_AUTO json_t *got = body_of(buf_slice(&c->body));
    assert_true(json_is_array(got));
    const json_t *last = json_array_get(got, json_array_size(got) - 1);
    assert_true(
        slice_eq(json_text(json_array_get(json_object_get(last, "candidates"), 0), "finishReason"),
                 SLICE("MAX_TOKENS")));
    assert_int_equal(json_integer_value(json_object_get(json_object_get(last, "usageMetadata"),
                                                        "totalTokenCount")),
                     15);
    /* the request went on as it came, its safety settings too */
    assert_true(slice_eq(k->upstreams[0].calls[0].body, SLICE(SAFE)));
}

/* ---- credentials and models ---- */

FLOW(the_key_of_the_query_names_the_principal_and_goes_nowhere_else)
{
    char path[256], line[256];
    policy_says(k, &on_gemini);
    upstream_answers(k, 0, 200, ANSWER);
    snprintf(path, sizeof(path), GENERATE "?key=%s", flow_secret(k, "alice"));

    struct flow_client *c = client_posts(k, NULL, path, NULL, "{" CONTENTS "}");

    expect_status(c, 200);
    const struct upstream_call *call = &k->upstreams[0].calls[0];
    assert_true(slice_search(call->head, slice_str(flow_secret(k, "alice"))) < 0);
    assert_true(slice_search(call->head, SLICE("?key=")) < 0);
    Gatehouse__JournalRecord *r = flow_record(k);
    uint8_t packed[4096];
    assert_true(gatehouse__journal_record__get_packed_size(r) <= sizeof(packed));
    size_t n = gatehouse__journal_record__pack(r, packed);
    assert_true(slice_search(slice_of(packed, n), slice_str(flow_secret(k, "alice"))) < 0);
    flow_record_free(r);

    /* elsewhere it is a member like any other */
    snprintf(line, sizeof(line), CHAT "?key=%s", flow_secret(k, "alice"));
    c = client_posts(k, NULL, line, NULL, HELLO);
    expect_status(c, 401);
    /* beside a header it must name the same principal */
    c = client_posts(k, "bob", path, NULL, "{" CONTENTS "}");
    expect_status(c, 401);
    c = client_posts(k, NULL, GENERATE "?key=AIzaNothing", NULL, "{" CONTENTS "}");
    expect_status(c, 401);
    expect_body_has(c, "\"status\":\"UNAUTHENTICATED\"");
}

FLOW(models_are_listed_as_the_client_reads_them)
{
    char line[160];
    policy_says(k, &on_gemini);
    snprintf(line, sizeof(line), "x-goog-api-key: %s\r\n", flow_secret(k, "alice"));
    static const char *const lists[] = {"/v1beta/models", "/v1/models?pageSize=50"};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        struct flow_client *c = client_asks(k, "GET", NULL, lists[i], line);
        expect_status(c, 200);
        expect_body(
            c,
            "{\"models\":[{\"name\":\"models/g\",\"version\":\"\",\"displayName\":"
            "\"g\",\"outputTokenLimit\":65536,\"supportedGenerationMethods\":[\"generateContent\","
            "\"countTokens\"]}]}");
    }
    struct flow_client *c = client_asks(k, "GET", NULL, "/v1beta/models/g", line);
    expect_status(c, 200);
    expect_body_has(c, "{\"name\":\"models/g\",");
    c = client_asks(k, "GET", NULL, "/v1/models/other", line);
    expect_status(c, 404);
    expect_body_has(c, "\"status\":\"NOT_FOUND\"");
    c = client_gets(k, "alice", "/v1/models");
    expect_status(c, 200);
    expect_body_has(c, "\"object\":\"list\"");
    c = client_gets(k, "alice", "/v1beta/none");
    expect_status(c, 404);
    expect_body_has(c, "\"status\":\"NOT_FOUND\"");
}

#define COUNT "/v1beta/models/g:countTokens"

FLOW(tokens_are_counted_by_gemini_and_cost_nothing)
{
    policy_says(k, &on_gemini);
    upstream_answers(k, 0, 200, "{\"totalTokens\":31,\"promptTokensDetails\":[]}");
    struct flow_client *c =
        client_posts(k, "alice", COUNT, NULL,
                     "{\"generateContentRequest\":{\"model\":\"models/g\"," CONTENTS "}}");
    expect_status(c, 200);
    expect_body(c, "{\"totalTokens\":31,\"promptTokensDetails\":[]}");
    const struct upstream_call *call = &k->upstreams[0].calls[0];
    assert_true(slice_starts(call->head, SLICE("POST /v1beta/models/gemini-3-flash:countTokens ")));
    assert_true(slice_eq(
        call->body,
        SLICE("{\"generateContentRequest\":{\"model\":\"models/gemini-3-flash\"," CONTENTS "}}")));
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_null(r->span->tokens);
    flow_record_free(r);

    c = client_posts(k, "alice", COUNT, NULL,
                     "{\"generateContentRequest\":{\"model\":\"models/other\"," CONTENTS "}}");
    expect_status(c, 400);
    expect_body_has(c, "must be the model of the path");
}

FLOW(tokens_of_another_provider_are_estimated)
{
    static const struct flow_policy on_openai = {
        .keys = {{.name = "alice", .models = {"g"}}},
        .models = {{.name = "g", .upstreams = {0}, .upstream_count = 1}},
    };
    policy_says(k, &on_openai);
    struct flow_client *c = client_posts(k, "alice", COUNT, NULL, "{" CONTENTS "}");
    expect_status(c, 200);
    expect_body_has(c, "{\"totalTokens\":");
    assert_true(slice_search(client_header(c, "x-gatehouse-notice"), SLICE("estimate")) >= 0);
    assert_int_equal(k->upstreams[0].call_count, 0);
}

/* Images that a model draws stand beside its words, as other gateways tell them. */
FLOW(an_image_that_a_model_draws_reaches_openais_clients)
{
#define DRAWN "{\"inlineData\":{\"mimeType\":\"image/png\",\"data\":\"iVBORw0=\"}}"
#define IMAGE                                                                                      \
    "\"images\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,"          \
    "iVBORw0=\"},\"index\":0}]"
    policy_says(k, &on_gemini);
    upstream_answers(k, 0, 200,
                     "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"see\"}," DRAWN
                     "],\"role\":\"model\"},\"finishReason\":\"STOP\",\"index\":0}]," USAGE "}");
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
    expect_status(c, 200);
    expect_body_has(c, "\"content\":\"see\"");
    expect_body_has(c, IMAGE);

    upstream_forget_script(k, 0);
    upstream_opens_stream(k, 0);
    says_part(k, "{\"text\":\"see\"}," DRAWN, ",\"finishReason\":\"STOP\"");
    upstream_ends_stream(k, 0);
    c = client_posts(k, "alice", CHAT, NULL, HELLO_STREAM);
    expect_status(c, 200);
    expect_body_has(c, "\"delta\":{" IMAGE "}");
}

/* ---- signatures of calls ---- */

#define CALL                                                                                       \
    "{\"functionCall\":{\"name\":\"f\",\"args\":{\"x\":1}},\"thoughtSignature\":\"c2VhbA==\"}"
#define SIGNED "\"thoughtSignature\":\"c2VhbA==\""
#define UNSIGNED "\"thoughtSignature\":\"skip_thought_signature_validator\""
#define BLOCKS(data)                                                                               \
    "{\"model\":\"g\",\"max_tokens\":64,\"messages\":[{\"role\":\"user\",\"content\":\"q\"},"      \
    "{\"role\":\"assistant\",\"content\":[" data                                                   \
    "{\"type\":\"tool_use\",\"id\":\"c1\",\"name\":\"f\",\"input\":{\"x\":1}}]},{\"role\":"        \
    "\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"c1\",\"content\":\"2\"}]}]" \
    "}"
#define ITEMS                                                                                      \
    "{\"model\":\"g\",\"store\":false,\"input\":[{\"role\":\"user\",\"content\":\"q\"},{\"type\":" \
    "\"reasoning\",\"summary\":[],\"encrypted_content\":\"%.*s\"},{\"type\":\"function_call\","    \
    "\"call_id\":\"c1\",\"name\":\"f\",\"arguments\":\"{\\\"x\\\":1}\"},{\"type\":"                \
    "\"function_call_output\",\"call_id\":\"c1\",\"output\":\"2\"}]}"

static const struct flow_policy for_two = {
    .providers = {{.dialect = "gemini", .path = ""}},
    .keys = {{.name = "alice", .models = {"g"}}, {.name = "bob", .models = {"g"}}},
    .models =
        {{.name = "g", .target_model = "gemini-3-flash", .upstreams = {0}, .upstream_count = 1}},
};

/* What stands between the first two of these in a stream. */
static struct slice between(struct slice body, const char *before, const char *behind)
{
    ptrdiff_t at = slice_search(body, slice_str(before));
    if (at < 0)
        fail_msg("no %s in %.*s", before, SLICE_ARG(body));
    body = slice_from(body, (size_t)at + strlen(before));
    return slice_first(body, (size_t)slice_search(body, slice_str(behind)));
}

static void expect_sent(struct flow *k, size_t call, const char *what)
{
    struct slice body = k->upstreams[0].calls[call].body;
    if (slice_search(body, slice_str(what)) < 0)
        fail_msg("no %s in %.*s", what, SLICE_ARG(body));
}

static void calls_in_a_stream(struct flow *k)
{
    upstream_opens_stream(k, 0);
    says_part(k, "{\"text\":\"I look.\"}", "");
    says_part(k, CALL, ",\"finishReason\":\"STOP\"");
    upstream_ends_stream(k, 0);
}

/* dialects.md 2.10, 13 */
FLOW(the_signature_of_a_call_goes_through_anthropics_dialect_and_back)
{
    char next[1024];
    policy_says(k, &for_two);
    calls_in_a_stream(k);
    struct flow_client *c =
        client_posts(k, "alice", "/v1/messages", "anthropic-version: 2023-06-01\r\n",
                     "{\"model\":\"g\",\"max_tokens\":64,\"stream\":true,\"messages\":[{\"role\":"
                     "\"user\",\"content\":\"q\"}]}");
    expect_status(c, 200);
    struct slice data =
        between(buf_slice(&c->body), "{\"type\":\"redacted_thinking\",\"data\":\"", "\"");
    assert_true(slice_starts(data, SLICE("c2VhbA==")));
    assert_true(data.len > 8);

    snprintf(next, sizeof(next), BLOCKS("{\"type\":\"redacted_thinking\",\"data\":\"%.*s\"},"),
             SLICE_ARG(data));
    static const struct {
        const char *who, *sent;
    } rows[] = {{"alice", SIGNED}, {"bob", UNSIGNED}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        c = client_posts(k, rows[i].who, "/v1/messages", "anthropic-version: 2023-06-01\r\n", next);
        expect_status(c, 200);
        expect_sent(k, i + 1, rows[i].sent);
    }
    c = client_posts(k, "alice", "/v1/messages", "anthropic-version: 2023-06-01\r\n", BLOCKS(""));
    expect_status(c, 200);
    expect_sent(k, 3, UNSIGNED);
}

FLOW(the_signature_of_a_call_goes_through_responses_and_back)
{
    char next[1024], sealed[256];
    policy_says(k, &for_two);
    calls_in_a_stream(k);
    struct flow_client *c =
        client_posts(k, "alice", "/v1/responses", NULL,
                     "{\"model\":\"g\",\"store\":false,\"stream\":true,\"input\":\"q\"}");
    expect_status(c, 200);
    expect_body_has(c, "\"output_index\":1,\"item\":{\"id\":\"rs_");
    expect_body_has(c, "\"output_index\":2,\"item\":{\"id\":\"fc_");
    snprintf(sealed, sizeof(sealed), "%.*s",
             SLICE_ARG(between(buf_slice(&c->body), "\"encrypted_content\":\"", "\"")));
    assert_true(strlen(sealed) > 8);

    snprintf(next, sizeof(next), ITEMS, (int)strlen(sealed), sealed);
    c = client_posts(k, "alice", "/v1/responses", NULL, next);
    expect_status(c, 200);
    expect_sent(k, 1, SIGNED);
    JSON_AUTO json_t *got = body_of(buf_slice(&c->body));
    const json_t *output = json_object_get(got, "output");
    assert_int_equal(json_array_size(output), 3); /* the stream again, gathered */
    assert_true(
        slice_eq(json_text(json_array_get(output, 1), "encrypted_content"), slice_str(sealed)));
    assert_true(slice_eq(json_text(json_array_get(output, 2), "type"), SLICE("function_call")));

    c = client_posts(k, "bob", "/v1/responses", NULL, next);
    expect_status(c, 200);
    expect_sent(k, 2, UNSIGNED);
}

#define CONVERSE_PARTS(data)                                                                       \
    "{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"q\"}]},{\"role\":\"assistant\","   \
    "\"content\":[" data "{\"toolUse\":{\"toolUseId\":\"c1\",\"name\":\"f\",\"input\":{\"x\":1}}}" \
    "]},{\"role\":\"user\",\"content\":[{\"toolResult\":{\"toolUseId\":\"c1\",\"content\":[{"      \
    "\"text\":\"2\"}]}}]}]}"
#define REDACTED "{\"reasoningContent\":{\"redactedContent\":\"%s\"}},"

static const struct flow_policy beside_bedrock = {
    .providers = {{.dialect = "gemini", .path = ""},
                  {.dialect = "bedrock", .path = "", .secret = "bearer-key"}},
    .keys = {{.name = "alice", .models = {"g", "b"}},
             {.name = "bob", .models = {"g"}},
             {.name = "poor", .models = {"g", "b"}, .budget = 5000000000}},
    .models =
        {{.name = "g", .target_model = "gemini-3-flash", .upstreams = {0}, .upstream_count = 1},
         {.name = "b",
          .target_model = "amazon.nova-pro-v1:0",
          .upstreams = {1},
          .upstream_count = 1,
          .max_output_tokens = 100}},
};

/* SDKs of this dialect read it as bytes and write these again: it is canonical base64. */
static void expect_base64(const char *text)
{
    uint8_t bytes[256];
    char again[400];
    size_t len;
    assert_int_equal(digest_unbase64(slice_str(text), bytes, sizeof(bytes), &len), ERR_OK);
    digest_base64(slice_of((const char *)bytes, len), again);
    assert_string_equal(again, text);
}

/* Once as it was streamed, and once whole. */
static void tell_in_converse(struct flow *k, const char *who, bool whole, char sealed[static 256])
{
    upstream_forget_script(k, 0);
    if (whole)
        upstream_answers(k, 0, 200,
                         "{\"candidates\":[{\"content\":{\"parts\":[" CALL
                         "],\"role\":\"model\"},\"finishReason\":\"STOP\",\"index\":0}]," USAGE
                         "}");
    else
        calls_in_a_stream(k);
    struct flow_client *c =
        client_posts(k, who, whole ? "/model/g/converse" : "/model/g/converse-stream", NULL,
                     "{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"q\"}]}]}");
    expect_status(c, 200);
    WAIT(k, c->whole);
    snprintf(sealed, 256, "%.*s",
             SLICE_ARG(between(buf_slice(&c->body), "\"redactedContent\":\"", "\"")));
    expect_base64(sealed);
}

FLOW(the_signature_of_a_call_goes_through_converse_and_back)
{
    char next[1024], sealed[256];
    policy_says(k, &beside_bedrock);
    for (int whole = 0; whole < 2; whole++) {
        static const struct {
            const char *who, *sent;
        } rows[] = {{"alice", SIGNED}, {"bob", UNSIGNED}};
        tell_in_converse(k, "alice", whole, sealed);
        snprintf(next, sizeof(next), CONVERSE_PARTS(REDACTED), sealed);
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
            expect_status(client_posts(k, rows[i].who, "/model/g/converse", NULL, next), 200);
            expect_sent(k, k->upstreams[0].call_count - 1, rows[i].sent);
        }
    }
}

/* What another account made of a turn is no part of it for Bedrock, and the rest is as it came. */
FLOW(bedrock_is_not_sent_what_only_another_can_read)
{
    char next[1024], sealed[256];
    static const char *const users[] = {"alice", "poor"};
    policy_says(k, &beside_bedrock);
    for (size_t i = 0; i < ARRAY_LEN(users); i++) {
        tell_in_converse(k, users[i], false, sealed);
        snprintf(next, sizeof(next), CONVERSE_PARTS(REDACTED), sealed);
        upstream_answers(k, 1, 200,
                         "{\"output\":{\"message\":{\"role\":\"assistant\",\"content\":[{\"text\":"
                         "\"hi\"}]}},\"stopReason\":\"end_turn\",\"usage\":{\"inputTokens\":10,"
                         "\"outputTokens\":2,\"totalTokens\":12}}");
        expect_status(client_posts(k, users[i], "/model/b/converse", NULL, next), 200);
        JSON_AUTO json_t *got = body_of(k->upstreams[1].calls[i].body);
        JSON_AUTO json_t *wanted = body_of(SLICE(CONVERSE_PARTS("")));
        if (i) /* under a budget, a limit is put in */
            assert_int_equal(json_object_set_new(wanted, "inferenceConfig",
                                                 json_pack("{s:i}", "maxTokens", 100)),
                             0);
        assert_true(json_equal(got, wanted));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(a_plain_call_is_translated_both_ways_and_its_thoughts_are_billed),
        SCENARIO(a_stream_with_text_and_a_call_in_one_event_loses_neither),
        SCENARIO(a_prompt_that_was_blocked_is_a_content_filter),
        SCENARIO(a_malformed_function_call_is_an_error_and_no_answer),
        SCENARIO(a_bad_key_is_told_as_an_argument_and_another_key_is_tried),
        SCENARIO(a_wait_that_the_body_names_is_told_as_retry_after),
        SCENARIO(an_error_in_mid_stream_is_no_end_of_a_model),
        SCENARIO(a_stream_that_breaks_off_is_no_end_of_a_model),
        SCENARIO(a_gemini_client_reaches_gemini_byte_for_byte),
        SCENARIO(a_gemini_stream_passes_as_it_came),
        SCENARIO(the_version_of_the_path_is_the_clients),
        SCENARIO(without_alt_sse_a_stream_is_one_json_array),
        SCENARIO(the_key_of_the_query_names_the_principal_and_goes_nowhere_else),
        SCENARIO(models_are_listed_as_the_client_reads_them),
        SCENARIO(tokens_are_counted_by_gemini_and_cost_nothing),
        SCENARIO(tokens_of_another_provider_are_estimated),
        SCENARIO(an_image_that_a_model_draws_reaches_openais_clients),
        SCENARIO(the_signature_of_a_call_goes_through_anthropics_dialect_and_back),
        SCENARIO(the_signature_of_a_call_goes_through_responses_and_back),
        SCENARIO(the_signature_of_a_call_goes_through_converse_and_back),
        SCENARIO(bedrock_is_not_sent_what_only_another_can_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
