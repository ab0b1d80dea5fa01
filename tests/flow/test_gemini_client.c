/* gemini_client — clients of Gemini's dialect on providers that speak another. */
#include "tests/kit/flow/flow.h"

#include "common/base/json.h"

#define GENERATE "/v1beta/models/g:generateContent"
#define STREAM_EVENTS "/v1beta/models/g:streamGenerateContent?alt=sse"
#define STREAM_ARRAY "/v1beta/models/g:streamGenerateContent"
#define CONTENTS "\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"hello\"}]}]"

static const struct flow_policy on_openai = {
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

/* ---- Gemini's dialect on OpenAI's ---- */

#define TOOLS                                                                                      \
    "\"tools\":[{\"functionDeclarations\":[{\"name\":\"f\",\"parameters\":{\"type\":\"OBJECT\","   \
    "\"properties\":{\"a\":{\"type\":\"STRING\",\"nullable\":true}}}}]}],\"toolConfig\":{"         \
    "\"functionCallingConfig\":{\"mode\":\"ANY\"}}"

FLOW(a_gemini_client_uses_tools_of_an_openai_model)
{
    policy_says(k, &on_openai);
    upstream_answers(
        k, 0, 200,
        "{\"id\":\"x\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"gpt\","
        "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":null,"
        "\"tool_calls\":[{\"id\":\"call_1\",\"type\":\"function\",\"function\":{"
        "\"name\":\"f\",\"arguments\":\"{\\\"a\\\":\\\"b\\\"}\"}}]},"
        "\"finish_reason\":\"tool_calls\"}],\"usage\":{\"prompt_tokens\":7,"
        "\"completion_tokens\":3,\"total_tokens\":10}}");

    struct flow_client *c =
        client_posts(k, "alice", GENERATE, NULL,
                     "{" CONTENTS "," TOOLS ",\"system_instruction\":{\"parts\":{\"text\":\"be "
                     "kind\"}},\"generation_config\":{\"max_output_tokens\":9}}");

    expect_status(c, 200);
    expect_json(buf_slice(&c->body),
                "{\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"id\":\"call_1\","
                "\"name\":\"f\",\"args\":{\"a\":\"b\"}}}],\"role\":\"model\"},\"finishReason\":"
                "\"STOP\",\"index\":0}],\"usageMetadata\":{\"promptTokenCount\":7,"
                "\"candidatesTokenCount\":3,\"totalTokenCount\":10},\"modelVersion\":\"gpt\","
                "\"responseId\":\"x\"}");
    JSON_AUTO json_t *sent = body_of(k->upstreams[0].calls[0].body);
    const json_t *tool = json_array_get(json_object_get(sent, "tools"), 0);
    const json_t *type = json_object_get(
        json_object_get(
            json_object_get(json_object_get(json_object_get(tool, "function"), "parameters"),
                            "properties"),
            "a"),
        "type");
    assert_int_equal(json_array_size(type), 2);
    assert_true(slice_eq(json_text(sent, "tool_choice"), SLICE("required")));
    assert_int_equal(json_array_size(json_object_get(sent, "messages")), 2);
}

FLOW(parallel_calls_in_pieces_become_whole_parts)
{
    policy_says(k, &on_openai);
    upstream_opens_stream(k, 0);
#define CHUNK(delta, finish)                                                                       \
    "data: {\"id\":\"x\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"gpt\","    \
    "\"choices\":[{\"index\":0,\"delta\":{" delta "},\"finish_reason\":" finish "}]}\n\n"
#define CALL(index, id, name, text)                                                                \
    CHUNK("\"tool_calls\":[{\"index\":" index "," id "\"function\":{" name "\"arguments\":\"" text \
          "\"}}]",                                                                                 \
          "null")
    upstream_sends(k, 0, CHUNK("\"role\":\"assistant\",\"content\":\"\"", "null"));
    upstream_sends(
        k, 0, CALL("0", "\"id\":\"a\",\"type\":\"function\",", "\"name\":\"f\",", "{\\\"x\\\":"));
    upstream_sends(
        k, 0, CALL("1", "\"id\":\"b\",\"type\":\"function\",", "\"name\":\"g\",", "{\\\"y\\\":"));
    upstream_sends(k, 0, CALL("0", "", "", "1}"));
    upstream_sends(k, 0, CALL("1", "", "", "2}"));
    upstream_sends(k, 0, CHUNK("", "\"tool_calls\""));
    upstream_sends(k, 0, "data: [DONE]\n\n");
    upstream_ends_stream(k, 0);

    struct flow_client *c = client_posts(k, "alice", STREAM_EVENTS, NULL, "{" CONTENTS "}");

    expect_status(c, 200);
    expect_body_has(c, "{\"functionCall\":{\"id\":\"a\",\"name\":\"f\",\"args\":{\"x\":1}}}");
    expect_body_has(c, "{\"functionCall\":{\"id\":\"b\",\"name\":\"g\",\"args\":{\"y\":2}}}");
    expect_body_has(c, "\"finishReason\":\"STOP\"");
    assert_true(slice_search(buf_slice(&c->body), SLICE("[DONE]")) < 0);
    assert_true(slice_ends(buf_slice(&c->body), SLICE("}\r\n\r\n")));
}

FLOW(a_gemini_client_hears_errors_in_its_own_envelope)
{
    policy_says(k, &on_openai);
    struct flow_client *c =
        client_posts(k, "alice", "/v1beta/models/none:generateContent", NULL, "{" CONTENTS "}");
    expect_status(c, 404);
    expect_body_has(c, "{\"error\":{\"code\":404,\"message\":");
    expect_body_has(c, "\"status\":\"NOT_FOUND\",\"details\":[{\"@type\":\"type.googleapis.com/"
                       "google.rpc.ErrorInfo\",\"reason\":\"model_not_found\"");

    c = client_posts(k, "alice", GENERATE, NULL, "{\"contents\":7}");
    expect_status(c, 400);
    expect_body_has(c, "\"status\":\"INVALID_ARGUMENT\"");

    c = client_posts(k, "alice", GENERATE, NULL,
                     "{" CONTENTS ",\"cachedContent\":\"cachedContents/1\"}");
    expect_status(c, 400);
    expect_body_has(c, "cachedContent");
    assert_int_equal(k->upstreams[0].call_count, 0);
}

FLOW(a_gemini_stream_that_breaks_off_ends_with_an_error_object)
{
    policy_says(k, &on_openai);
    upstream_opens_stream(k, 0);
    upstream_sends(k, 0, CHUNK("\"content\":\"half\"", "null"));
    upstream_cuts(k, 0);
    struct flow_client *c = client_posts(k, "alice", STREAM_EVENTS, NULL, "{" CONTENTS "}");
    expect_status(c, 200);
    expect_body_has(c, "half");
    expect_body_has(c, "data: {\"error\":{\"code\":502,");
    assert_true(slice_search(buf_slice(&c->body), SLICE("finishReason")) < 0);
}

FLOW(an_array_that_breaks_off_is_json_still)
{
    policy_says(k, &on_openai);
    upstream_opens_stream(k, 0);
    upstream_sends(k, 0, CHUNK("\"content\":\"half\"", "null"));
    upstream_cuts(k, 0);
    struct flow_client *c = client_posts(k, "alice", STREAM_ARRAY, NULL, "{" CONTENTS "}");
    expect_status(c, 200);
    JSON_AUTO json_t *got = body_of(buf_slice(&c->body));
    assert_true(
        json_is_object(json_object_get(json_array_get(got, json_array_size(got) - 1), "error")));
}

FLOW(a_gemini_client_that_hangs_up_takes_its_upstream_along)
{
    static const char *const paths[] = {STREAM_EVENTS, STREAM_ARRAY, GENERATE};
    policy_says(k, &on_openai);
    upstream_opens_stream(k, 0);
    upstream_sends(k, 0, CHUNK("\"content\":\"half\"", "null"));
    upstream_hangs(k, 0);
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct flow_client *c = client_posts(k, "alice", paths[i], NULL, "{" CONTENTS "}");
        WAIT(k, k->upstreams[0].call_count == i + 1);
        if (i < 2)
            WAIT(k, slice_search(buf_slice(&c->body), SLICE("half")) >= 0);
        client_hangs_up(c);
        WAIT(k, k->upstreams[0].calls[i].cut);
        WAIT(k, k->env.request_count == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(a_gemini_client_uses_tools_of_an_openai_model),
        SCENARIO(parallel_calls_in_pieces_become_whole_parts),
        SCENARIO(a_gemini_client_hears_errors_in_its_own_envelope),
        SCENARIO(a_gemini_stream_that_breaks_off_ends_with_an_error_object),
        SCENARIO(an_array_that_breaks_off_is_json_still),
        SCENARIO(a_gemini_client_that_hangs_up_takes_its_upstream_along),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
