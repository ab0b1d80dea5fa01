/* bedrock — clients of OpenAI's dialect on Bedrock, and clients of Bedrock's Converse on Bedrock
 * and elsewhere. */
#include "tests/kit/flow/flow.h"

#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/net/aws_event.h"
#include "dataplane/ai/provider/aws_sign.h"

#define CHAT "/v1/chat/completions"
#define CONVERSE "/model/b/converse"
#define CONVERSE_STREAM "/model/b/converse-stream"
#define ACCESS_KEY "AKIDEXAMPLE000001"
#define SECRET_KEY "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
#define MODEL "us.amazon.nova-pro-v1:0"

#define HELLO "{\"model\":\"b\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}"
#define HELLO_STREAM                                                                               \
    "{\"model\":\"b\",\"stream\":true,\"stream_options\":{\"include_usage\":true},"                \
    "\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}"
#define MESSAGES "\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"hello\"}]}]"
#define ANSWER                                                                                     \
    "{\"output\":{\"message\":{\"role\":\"assistant\",\"content\":[{\"reasoningContent\":{"        \
    "\"reasoningText\":{\"text\":\"hm\",\"signature\":\"s\"}}},{\"text\":\"hi\"},{\"toolUse\":{"   \
    "\"toolUseId\":\"t1\",\"name\":\"f\",\"input\":{\"a\":1}}}]}},\"stopReason\":\"tool_use\","    \
    "\"usage\":{\"inputTokens\":100,\"outputTokens\":20,\"totalTokens\":150,"                      \
    "\"cacheReadInputTokens\":30,\"cacheWriteInputTokens\":0},\"metrics\":{\"latencyMs\":7}}"
#define METADATA                                                                                   \
    "{\"usage\":{\"inputTokens\":1000,\"outputTokens\":500,\"totalTokens\":1500},"                 \
    "\"metrics\":{\"latencyMs\":7},\"p\":\"abc\"}"

static const struct flow_policy on_bedrock = {
    .providers = {{.dialect = "bedrock",
                   .path = "",
                   .secret = SECRET_KEY,
                   .access_key_id = ACCESS_KEY,
                   .session_token = "a/session+token==",
                   .region = "eu-west-1"},
                  {.dialect = "bedrock", .path = "", .secret = "bearer-key"}},
    .keys = {{.name = "alice", .models = {"b", "bearer"}},
             {.name = "poor", .models = {"b"}, .budget = 5000000000}},
    .models = {{.name = "b",
                .target_model = MODEL,
                .upstreams = {0},
                .upstream_count = 1,
                .max_output_tokens = 100},
               {.name = "bearer", .target_model = MODEL, .upstreams = {1}, .upstream_count = 1}},
};

static const struct flow_policy on_openai = {
    .keys = {{.name = "alice", .models = {"b"}}},
    .models = {{.name = "b", .target_model = "gpt", .upstreams = {0}, .upstream_count = 1}},
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

/* ---- the upstream ---- */

static void opens(struct flow *k)
{
    upstream_says(k, 0,
                  "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.amazon.eventstream\r\n"
                  "Transfer-Encoding: chunked\r\n\r\n");
}

static void add(struct buf *stream, const char *kind, const char *type, const char *payload)
{
    assert_int_equal(aws_event_write(stream, slice_str(kind), slice_str(type), slice_str(payload)),
                     ERR_OK);
}

/* In chunks of so many bytes, as sockets cut it. */
static void says_in_chunks(struct flow *k, struct slice stream, size_t size)
{
    while (stream.len) {
        struct buf chunk;
        struct slice piece = slice_first(stream, size);
        stream = slice_from(stream, piece.len);
        buf_init(&chunk, 1 << 20);
        assert_int_equal(buf_printf(&chunk, "%zx\r\n", piece.len), ERR_OK);
        assert_int_equal(buf_append(&chunk, piece), ERR_OK);
        assert_int_equal(buf_append(&chunk, SLICE("\r\n")), ERR_OK);
        upstream_says_bytes(k, 0, buf_slice(&chunk));
        buf_fini(&chunk);
    }
}

static void add_answer(struct buf *s)
{
    add(s, "event", "messageStart", "{\"role\":\"assistant\",\"p\":\"ab\"}");
    add(s, "event", "contentBlockDelta",
        "{\"contentBlockIndex\":0,\"delta\":{\"reasoningContent\":{\"text\":\"hm\"}}}");
    add(s, "event", "contentBlockDelta",
        "{\"contentBlockIndex\":0,\"delta\":{\"reasoningContent\":{\"signature\":\"s\"}}}");
    add(s, "event", "contentBlockStop", "{\"contentBlockIndex\":0}");
    add(s, "event", "contentBlockDelta", "{\"contentBlockIndex\":1,\"delta\":{\"text\":\"hi \"}}");
    add(s, "event", "contentBlockDelta", "{\"contentBlockIndex\":1,\"delta\":{\"text\":\"you\"}}");
    add(s, "event", "contentBlockStop", "{\"contentBlockIndex\":1}");
    add(s, "event", "contentBlockStart",
        "{\"contentBlockIndex\":2,\"start\":{\"toolUse\":{\"toolUseId\":\"t1\",\"name\":\"f\"}}}");
    add(s, "event", "contentBlockDelta",
        "{\"contentBlockIndex\":2,\"delta\":{\"toolUse\":{\"input\":\"{\\\"a\\\":\"}}}");
    add(s, "event", "contentBlockDelta",
        "{\"contentBlockIndex\":2,\"delta\":{\"toolUse\":{\"input\":\"1}\"}}}");
    add(s, "event", "contentBlockStop", "{\"contentBlockIndex\":2}");
    add(s, "event", "contentBlockStart",
        "{\"contentBlockIndex\":3,\"start\":{\"toolUse\":{\"toolUseId\":\"t2\",\"name\":\"g\"}}}");
    add(s, "event", "contentBlockStop", "{\"contentBlockIndex\":3}");
    add(s, "event", "messageStop", "{\"stopReason\":\"tool_use\"}");
    add(s, "event", "metadata", METADATA);
}

static void streams(struct flow *k, void (*fill)(struct buf *), size_t size)
{
    struct buf stream;
    buf_init(&stream, 1 << 20);
    fill(&stream);
    opens(k);
    says_in_chunks(k, buf_slice(&stream), size);
    upstream_ends_stream(k, 0);
    buf_fini(&stream);
}

/* The signature that the secret gives for what was sent. */
static void expect_signed(struct flow *k, const struct upstream_call *call, const char *path)
{
    struct arena *a = arena_new(4096, 1 << 20);
    struct aws_signature want;
    struct slice date = upstream_heard(call, "x-amz-date");
    char host[32], at[32];
    int64_t us;
    snprintf(host, sizeof(host), "127.0.0.1:%u", k->upstreams[0].port);
    snprintf(at, sizeof(at), "%.4s-%.2s-%.2sT%.2s:%.2s:%.2sZ", date.ptr, date.ptr + 4, date.ptr + 6,
             date.ptr + 9, date.ptr + 11, date.ptr + 13);
    assert_int_equal(clock_parse(slice_str(at), &us), ERR_OK);
    const struct aws_signing s = {
        .method = SLICE("POST"),
        .host = slice_str(host),
        .path = slice_str(path),
        .query = SLICE(""),
        .content_type = SLICE("application/json"),
        .body = &call->body,
        .body_count = 1,
        .access_key_id = SLICE(ACCESS_KEY),
        .secret = SLICE(SECRET_KEY),
        .session_token = SLICE("a/session+token=="),
        .region = SLICE("eu-west-1"),
        .service = SLICE("bedrock"),
        .at_us = us,
    };
    assert_int_equal(aws_sign(&s, a, &want), ERR_OK);
    assert_true(slice_eq(upstream_heard(call, "authorization"), want.authorization));
    arena_free(a);
}

/* ---- OpenAI's dialect on Bedrock ---- */

FLOW(a_plain_call_is_signed_and_translated_both_ways)
{
    policy_says(k, &on_bedrock);
    upstream_answers(k, 0, 200, ANSWER);

    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);

    expect_status(c, 200);
    const struct upstream_call *call = &k->upstreams[0].calls[0];
    assert_true(slice_starts(call->head,
                             SLICE("POST /model/us.amazon.nova-pro-v1%3A0/converse HTTP/1.1\r\n")));
    assert_true(slice_eq(upstream_heard(call, "x-amz-security-token"), SLICE("a/session+token==")));
    expect_signed(k, call, "/model/us.amazon.nova-pro-v1%3A0/converse");
    expect_json(call->body,
                "{\"inferenceConfig\":{}," MESSAGES ",\"additionalModelRequestFields\":{}}");

    JSON_AUTO json_t *got = body_of(buf_slice(&c->body));
    const json_t *choice = json_array_get(json_object_get(got, "choices"), 0);
    const json_t *message = json_object_get(choice, "message");
    const json_t *usage = json_object_get(got, "usage");
    assert_true(slice_eq(json_text(got, "model"), SLICE(MODEL)));
    assert_true(slice_eq(json_text(message, "content"), SLICE("hi")));
    assert_true(slice_eq(json_text(message, "reasoning_content"), SLICE("hm")));
    assert_true(slice_eq(json_text(choice, "finish_reason"), SLICE("tool_calls")));
    const json_t *function =
        json_object_get(json_array_get(json_object_get(message, "tool_calls"), 0), "function");
    assert_true(slice_eq(json_text(function, "arguments"), SLICE("{\"a\":1}")));
    assert_int_equal(json_integer_value(json_object_get(usage, "prompt_tokens")), 130);
    assert_int_equal(json_integer_value(json_object_get(usage, "completion_tokens")), 20);
}

FLOW(a_bearer_key_is_sent_as_it_is)
{
    policy_says(k, &on_bedrock);
    upstream_answers(k, 1, 200, ANSWER);
    struct flow_client *c = client_posts(
        k, "alice", CHAT, NULL,
        "{\"model\":\"bearer\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}");
    expect_status(c, 200);
    const struct upstream_call *call = &k->upstreams[1].calls[0];
    assert_true(slice_eq(upstream_heard(call, "authorization"), SLICE("Bearer bearer-key")));
    assert_null(upstream_heard(call, "x-amz-date").ptr);
}

/* dialects.md 2.10, 7: frames are cut where sockets cut them, down to single bytes. */
FLOW(a_stream_is_whole_however_its_messages_are_cut)
{
    static const size_t sizes[] = {1 << 16, 100, 37};
    policy_says(k, &on_bedrock);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        upstream_forget_script(k, 0);
        streams(k, add_answer, sizes[i]);
        struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO_STREAM);
        expect_status(c, 200);
        WAIT(k, c->whole);
        expect_body_has(c, "\"reasoning_content\":\"hm\"");
        expect_body_has(c, "\"content\":\"hi \"");
        expect_body_has(c, "\"content\":\"you\"");
        expect_body_has(c, "\"id\":\"t1\"");
        expect_body_has(c, "{\"index\":1,\"id\":\"t2\"");
        expect_body_has(c, "\"finish_reason\":\"tool_calls\"");
        expect_body_has(c, "\"prompt_tokens\":1000,\"completion_tokens\":500");
        assert_true(slice_ends(buf_slice(&c->body), SLICE("data: [DONE]\n\n")));
        Gatehouse__JournalRecord *r = flow_record(k);
        assert_string_equal(r->span->status, "ok");
        assert_int_equal(r->span->cost_nano, 2000000);
        flow_record_free(r);
    }
}

static void add_exception(struct buf *s)
{
    add(s, "event", "messageStart", "{\"role\":\"assistant\"}");
    add(s, "event", "contentBlockDelta", "{\"contentBlockIndex\":0,\"delta\":{\"text\":\"hi\"}}");
    add(s, "exception", "modelStreamErrorException", "{\"message\":\"it broke\"}");
}

static void add_no_end(struct buf *s)
{
    add(s, "event", "messageStart", "{\"role\":\"assistant\"}");
    add(s, "event", "contentBlockDelta", "{\"contentBlockIndex\":0,\"delta\":{\"text\":\"hi\"}}");
    add(s, "event", "metadata", METADATA);
}

static void add_half_a_message(struct buf *s)
{
    add_no_end(s);
    s->len -= 5;
}

static void add_a_wrong_sum(struct buf *s)
{
    add_no_end(s);
    s->data[s->len - 1] ^= 1;
}

FLOW(a_stream_that_fails_is_never_a_success)
{
    static void (*const fills[])(struct buf *) = {add_exception, add_no_end, add_half_a_message,
                                                  add_a_wrong_sum};
    policy_says(k, &on_bedrock);
    for (size_t i = 0; i < ARRAY_LEN(fills); i++) {
        upstream_forget_script(k, 0);
        streams(k, fills[i], 64);
        struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO_STREAM);
        WAIT(k, c->whole);
        expect_body_has(c, "\"content\":\"hi\"");
        expect_body_has(c, "\"error\":{");
        if (slice_search(buf_slice(&c->body), SLICE("[DONE]")) >= 0)
            fail_msg("row %zu ends as a success", i);
        Gatehouse__JournalRecord *r = flow_record(k);
        assert_string_equal(r->span->status, "error");
        flow_record_free(r);
    }
}

FLOW(errors_are_judged_by_the_header_that_names_them)
{
    static const struct {
        unsigned status;
        const char *type, *message;
        unsigned told;
        const char *code;
    } rows[] = {
        {400, "ValidationException:http://internal.amazon.com/", "Input is too long", 400,
         "context_length_exceeded"},
        {400, "ServiceQuotaExceededException", "quota", 429, NULL},
        {403, "AccessDeniedException", "no access", 502, NULL},
        {404, "ResourceNotFoundException", "no model", 404, NULL},
        {424, "ModelErrorException", "it broke", 502, NULL},
        {429, "ThrottlingException", "slow down", 429, NULL},
    };
    policy_says(k, &on_bedrock);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char header[128], body[128];
        snprintf(header, sizeof(header), "x-amzn-errortype: %s\r\n", rows[i].type);
        snprintf(body, sizeof(body), "{\"message\":\"%s\"}", rows[i].message);
        upstream_forget_script(k, 0);
        upstream_answers_with(k, 0, rows[i].status, header, body);
        struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
        WAIT(k, c->whole);
        if (c->head.status != rows[i].told)
            fail_msg("row %zu: %u %.*s", i, c->head.status, SLICE_ARG(buf_slice(&c->body)));
        expect_body_has(c, rows[i].message);
        if (rows[i].code)
            expect_code(c, rows[i].code);
    }
}

/* ---- Converse on Bedrock: as it came ---- */

FLOW(converse_passes_to_bedrock_as_it_came)
{
    static const char body[] = "{" MESSAGES ", \"inferenceConfig\" : { \"temperature\": 0.50 },"
                               "\"guardrailConfig\":{\"guardrailIdentifier\":\"g\"}}";
    policy_says(k, &on_bedrock);
    upstream_answers(k, 0, 200, ANSWER);
    struct flow_client *c = client_posts(k, "alice", CONVERSE, NULL, body);
    expect_status(c, 200);
    expect_body(c, ANSWER);
    assert_true(slice_eq(k->upstreams[0].calls[0].body, slice_str(body)));
    assert_true(slice_eq(client_header(c, "x-gatehouse-cost-usd"), SLICE("0.000170000")));
    assert_true(client_header(c, "x-amzn-requestid").len > 0);

    /* under a budget, a limit is put in */
    upstream_answers(k, 0, 200, ANSWER);
    c = client_posts(k, "poor", CONVERSE, NULL, body);
    expect_status(c, 200);
    assert_true(slice_search(k->upstreams[0].calls[1].body,
                             SLICE("\"inferenceConfig\" : {\"maxTokens\":100, \"temperature\"")) >
                0);
}

FLOW(a_converse_stream_passes_byte_for_byte_and_is_counted)
{
    struct buf want;
    policy_says(k, &on_bedrock);
    streams(k, add_answer, 100);
    struct flow_client *c = client_posts(k, "alice", CONVERSE_STREAM, NULL, "{" MESSAGES "}");
    expect_status(c, 200);
    WAIT(k, c->whole);
    buf_init(&want, 1 << 20);
    add_answer(&want);
    assert_true(slice_eq(buf_slice(&c->body), buf_slice(&want)));
    assert_true(
        slice_eq(client_header(c, "content-type"), SLICE("application/vnd.amazon.eventstream")));
    buf_fini(&want);
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_int_equal(r->span->tokens->input, 1000);
    assert_int_equal(r->span->tokens->output, 500);
    flow_record_free(r);
}

/* ---- Converse elsewhere ---- */

/* Each message as "kind/type/payload" in a line. */
static void read_messages(struct slice bytes, struct buf *out)
{
    struct buf rest;
    struct sse_event e;
    buf_init(&rest, 1 << 20);
    while (bytes.len) {
        assert_int_equal(aws_event_next(&rest, 1 << 20, &bytes, &e), ERR_OK);
        assert_int_equal(buf_printf(out, "%.*s/%.*s/%.*s\n", SLICE_ARG(e.id), SLICE_ARG(e.event),
                                    SLICE_ARG(e.data)),
                         ERR_OK);
    }
    buf_fini(&rest);
}

static void expect_messages(struct flow_client *c, const char *want)
{
    struct buf got;
    buf_init(&got, 1 << 20);
    read_messages(buf_slice(&c->body), &got);
    if (!slice_eq(buf_slice(&got), slice_str(want)))
        fail_msg("%.*s", SLICE_ARG(buf_slice(&got)));
    buf_fini(&got);
}

FLOW(a_converse_stream_of_another_provider_is_written_in_messages)
{
    policy_says(k, &on_openai);
    upstream_opens_stream(k, 0);
    upstream_sends(k, 0,
                   "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"role\":"
                   "\"assistant\",\"content\":\"hi\"}}]}\n\n");
    upstream_sends(k, 0,
                   "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{"
                   "\"index\":0,\"id\":\"t1\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}},{"
                   "\"index\":1,\"id\":\"t2\",\"function\":{\"name\":\"g\",\"arguments\":\"\"}}]}}"
                   "]}\n\n");
    upstream_sends(k, 0,
                   "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{"
                   "\"index\":1,\"function\":{\"arguments\":\"{}\"}}]}}]}\n\n");
    upstream_sends(k, 0,
                   "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},"
                   "\"finish_reason\":\"tool_calls\"}]}\n\n");
    upstream_sends(k, 0,
                   "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":10,"
                   "\"completion_tokens\":5,\"total_tokens\":15}}\n\n");
    upstream_sends(k, 0, "data: [DONE]\n\n");
    upstream_ends_stream(k, 0);
    struct flow_client *c = client_posts(k, "alice", CONVERSE_STREAM, NULL, "{" MESSAGES "}");
    expect_status(c, 200);
    WAIT(k, c->whole);
    expect_messages(
        c,
        "event/messageStart/{\"role\":\"assistant\"}\n"
        "event/contentBlockDelta/{\"contentBlockIndex\":0,\"delta\":{\"text\":\"hi\"}}\n"
        "event/contentBlockStop/{\"contentBlockIndex\":0}\n"
        "event/contentBlockStart/{\"contentBlockIndex\":1,\"start\":{\"toolUse\":{"
        "\"toolUseId\":\"t1\",\"name\":\"f\"}}}\n"
        "event/contentBlockDelta/{\"contentBlockIndex\":1,\"delta\":{\"toolUse\":{"
        "\"input\":\"{}\"}}}\n"
        "event/contentBlockStart/{\"contentBlockIndex\":2,\"start\":{\"toolUse\":{"
        "\"toolUseId\":\"t2\",\"name\":\"g\"}}}\n"
        "event/contentBlockDelta/{\"contentBlockIndex\":2,\"delta\":{\"toolUse\":{"
        "\"input\":\"{}\"}}}\n"
        "event/contentBlockStop/{\"contentBlockIndex\":1}\n"
        "event/contentBlockStop/{\"contentBlockIndex\":2}\n"
        "event/messageStop/{\"stopReason\":\"tool_use\"}\n"
        "event/metadata/{\"usage\":{\"inputTokens\":10,\"outputTokens\":5,\"totalTokens\":15,"
        "\"cacheReadInputTokens\":0,\"cacheWriteInputTokens\":0},\"metrics\":{\"latencyMs\":0}}\n");
}

FLOW(a_whole_response_of_another_provider_is_converses)
{
    policy_says(k, &on_openai);
    upstream_answers(k, 0, 200,
                     "{\"id\":\"c\",\"object\":\"chat.completion\",\"model\":\"gpt\",\"choices\":[{"
                     "\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"hi\"},"
                     "\"finish_reason\":\"length\"}],\"usage\":{\"prompt_tokens\":10,"
                     "\"completion_tokens\":5,\"total_tokens\":15}}");
    struct flow_client *c =
        client_posts(k, "alice", CONVERSE, NULL,
                     "{" MESSAGES ",\"system\":[{\"text\":\"be kind\"}],\"inferenceConfig\":{"
                     "\"maxTokens\":5,\"stopSequences\":[\"x\"]}}");
    expect_status(c, 200);
    expect_json(
        buf_slice(&c->body),
        "{\"output\":{\"message\":{\"role\":\"assistant\",\"content\":[{\"text\":\"hi\"}]}},"
        "\"stopReason\":\"max_tokens\",\"usage\":{\"inputTokens\":10,\"outputTokens\":5,"
        "\"totalTokens\":15,\"cacheReadInputTokens\":0,\"cacheWriteInputTokens\":0},"
        "\"metrics\":{\"latencyMs\":0}}");
    struct slice sent = k->upstreams[0].calls[0].body;
    assert_true(slice_search(sent, SLICE("\"be kind\"")) > 0);
    assert_true(slice_search(sent, SLICE("\"stop\":[\"x\"]")) > 0);
}

FLOW(converses_errors_have_their_header_and_exceptions)
{
    policy_says(k, &on_openai);
    struct flow_client *c =
        client_posts(k, "alice", "/model/unknown/converse", NULL, "{" MESSAGES "}");
    expect_status(c, 404);
    assert_true(slice_eq(client_header(c, "x-amzn-errortype"), SLICE("ResourceNotFoundException")));
    expect_body_has(c, "\"message\":");

    c = client_posts(k, "alice", CONVERSE, NULL, "{\"messages\":7}");
    expect_status(c, 400);
    assert_true(slice_eq(client_header(c, "x-amzn-errortype"), SLICE("ValidationException")));

    upstream_forget_script(k, 0);
    upstream_answers(k, 0, 400, "{\"error\":{\"message\":\"bad thing\",\"code\":\"x\"}}");
    c = client_posts(k, "alice", CONVERSE, NULL, "{" MESSAGES "}");
    expect_status(c, 400);
    assert_true(slice_eq(client_header(c, "x-amzn-errortype"), SLICE("ValidationException")));
    expect_body_has(c, "\"message\":\"bad thing\"");

    c = client_posts(k, "alice", CONVERSE, NULL,
                     "{" MESSAGES ",\"guardrailConfig\":{\"guardrailIdentifier\":\"g\"}}");
    expect_status(c, 400);
    expect_body_has(c, "guardrailConfig");

    upstream_forget_script(k, 0);
    upstream_opens_stream(k, 0);
    upstream_sends(k, 0, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}]}\n\n");
    upstream_cuts(k, 0);
    c = client_posts(k, "alice", CONVERSE_STREAM, NULL, "{" MESSAGES "}");
    WAIT(k, c->whole);
    expect_body_has(c, "serviceUnavailableException");
}

/* It would take the key itself to verify one: dataplane/ai/README.md. */
FLOW(a_signature_of_a_client_is_no_key)
{
    policy_says(k, &on_bedrock);
    char header[256];
    snprintf(header, sizeof(header),
             "authorization: AWS4-HMAC-SHA256 Credential=%s/20261130/eu-west-1/bedrock/"
             "aws4_request, SignedHeaders=host;x-amz-date, Signature=00\r\n",
             flow_secret(k, "alice"));
    struct flow_client *c = client_posts(k, NULL, CONVERSE, header, "{" MESSAGES "}");
    expect_status(c, 401);
    assert_true(slice_eq(client_header(c, "x-amzn-errortype"), SLICE("AccessDeniedException")));
    assert_int_equal(k->upstreams[0].call_count, 0);
}

FLOW(arguments_that_were_cut_are_told_as_a_text)
{
    policy_says(k, &on_openai);
    upstream_answers(k, 0, 200,
                     "{\"id\":\"c\",\"object\":\"chat.completion\",\"model\":\"gpt\",\"choices\":[{"
                     "\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":null,"
                     "\"tool_calls\":[{\"id\":\"t1\",\"type\":\"function\",\"function\":{"
                     "\"name\":\"f\",\"arguments\":\"{\\\"a\"}}]},\"finish_reason\":\"length\"}],"
                     "\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,"
                     "\"total_tokens\":15}}");
    struct flow_client *c = client_posts(k, "alice", CONVERSE, NULL, "{" MESSAGES "}");
    expect_status(c, 200);
    expect_body_has(c, "\"input\":{\"unparsed\":\"{\\\"a\"}");
}

FLOW(a_models_name_in_the_path_may_be_escaped)
{
    static const struct flow_policy policy = {
        .keys = {{.name = "alice", .models = {"*"}}},
        .models =
            {{.name = "openai/*", .target_model = "*", .upstreams = {0}, .upstream_count = 1}},
    };
    policy_says(k, &policy);
    upstream_answers(k, 0, 400, "{\"error\":{\"message\":\"seen\"}}");
    struct flow_client *c =
        client_posts(k, "alice", "/model/openai%2Fgpt%3A4/converse", NULL, "{" MESSAGES "}");
    expect_status(c, 400);
    assert_true(slice_search(k->upstreams[0].calls[0].body, SLICE("\"model\":\"gpt:4\"")) > 0);
}

/* ---- embeddings ---- */

static struct flow_policy embeds_by(const char *model)
{
    return (struct flow_policy){
        .providers = {{.dialect = "bedrock",
                       .path = "",
                       .secret = SECRET_KEY,
                       .access_key_id = ACCESS_KEY,
                       .region = "eu-west-1"}},
        .keys = {{.name = "alice", .models = {"b"}}},
        .models = {{.name = "b", .target_model = model, .upstreams = {0}, .upstream_count = 1}},
    };
}

FLOW(embeddings_are_invoked_as_their_maker_takes_them)
{
    static const struct {
        const char *model, *path, *input, *sent, *answer;
        uint64_t prompt; /* 0: an estimate */
    } rows[] = {
        {"amazon.titan-embed-text-v2:0",
         "POST /model/amazon.titan-embed-text-v2%3A0/invoke HTTP/1.1\r\n", "\"a\"",
         "{\"inputText\":\"a\",\"dimensions\":256}",
         "{\"embedding\":[0.5,1],\"inputTextTokenCount\":1000}", 1000},
        {"eu.cohere.embed-v4:0", "POST /model/eu.cohere.embed-v4%3A0/invoke HTTP/1.1\r\n",
         "[\"a\",\"b\"]",
         "{\"input_type\":\"search_document\",\"embedding_types\":[\"float\"],\"texts\":[\"a\","
         "\"b\"],\"output_dimension\":256}",
         "{\"id\":\"e\",\"embeddings\":{\"float\":[[0.5,1],[-1,0.25]]}}", 0},
        {"cohere.embed-english-v3", "POST /model/cohere.embed-english-v3/invoke HTTP/1.1\r\n",
         "[\"a\",\"b\"]",
         "{\"input_type\":\"search_document\",\"embedding_types\":[\"float\"],\"texts\":[\"a\","
         "\"b\"],\"output_dimension\":256}",
         "{\"embeddings\":[[0.5,1],[-1,0.25]],\"response_type\":\"embeddings_floats\"}", 0},
    };
    char body[256];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        static struct flow_policy p;
        p = embeds_by(rows[i].model);
        policy_says(k, &p);
        upstream_forget_script(k, 0);
        upstream_answers(k, 0, 200, rows[i].answer);
        snprintf(body, sizeof(body), "{\"model\":\"b\",\"dimensions\":256,\"input\":%s}",
                 rows[i].input);
        struct flow_client *c = client_posts(k, "alice", "/v1/embeddings", NULL, body);
        expect_status(c, 200);
        expect_body_has(c, "\"embedding\":[0.5,1]");
        const struct upstream_call *call = &k->upstreams[0].calls[i];
        if (!slice_starts(call->head, slice_str(rows[i].path)))
            fail_msg("%s: %.*s", rows[i].model, SLICE_ARG(call->head));
        assert_true(slice_starts(upstream_heard(call, "authorization"), SLICE("AWS4-HMAC-SHA256")));
        expect_json(call->body, rows[i].sent);
        Gatehouse__JournalRecord *r = flow_record(k);
        assert_string_equal(r->span->usage_source, rows[i].prompt ? "provider" : "estimate");
        if (rows[i].prompt)
            assert_int_equal(r->span->tokens->input, rows[i].prompt);
        flow_record_free(r);
    }
}

FLOW(titan_embeds_one_text_a_call)
{
    static struct flow_policy p;
    p = embeds_by("amazon.titan-embed-text-v2:0");
    policy_says(k, &p);
    struct flow_client *c = client_posts(k, "alice", "/v1/embeddings", NULL,
                                         "{\"model\":\"b\",\"input\":[\"a\",\"b\"]}");
    expect_status(c, 400);
    expect_body_has(c, "\"param\":\"input\"");
    assert_int_equal(k->upstreams[0].call_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(a_plain_call_is_signed_and_translated_both_ways),
        SCENARIO(a_bearer_key_is_sent_as_it_is),
        SCENARIO(a_stream_is_whole_however_its_messages_are_cut),
        SCENARIO(a_stream_that_fails_is_never_a_success),
        SCENARIO(errors_are_judged_by_the_header_that_names_them),
        SCENARIO(converse_passes_to_bedrock_as_it_came),
        SCENARIO(a_converse_stream_passes_byte_for_byte_and_is_counted),
        SCENARIO(a_converse_stream_of_another_provider_is_written_in_messages),
        SCENARIO(a_whole_response_of_another_provider_is_converses),
        SCENARIO(a_signature_of_a_client_is_no_key),
        SCENARIO(arguments_that_were_cut_are_told_as_a_text),
        SCENARIO(a_models_name_in_the_path_may_be_escaped),
        SCENARIO(converses_errors_have_their_header_and_exceptions),
        SCENARIO(embeddings_are_invoked_as_their_maker_takes_them),
        SCENARIO(titan_embeds_one_text_a_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
