/* cohere, ollama — clients of OpenAI's dialect on both; clients of Cohere's chat on Cohere and
 * elsewhere. */
#include "tests/kit/flow/flow.h"

#include "common/base/json.h"

#define CHAT "/v1/chat/completions"
#define COHERE "/v2/chat"
#define MESSAGES                                                                                   \
    "\"messages\":[{\"role\":\"system\",\"content\":\"be kind\"},{\"role\":\"user\","              \
    "\"content\":\"hello\"},{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"t1\","               \
    "\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":1}\"}}]},{"     \
    "\"role\":\"tool\",\"tool_call_id\":\"t1\",\"content\":\"done\"}]"
#define TOOLS                                                                                      \
    "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{"              \
    "\"type\":\"object\"}}}]"
#define ASKS(more) "{\"model\":\"m\"," MESSAGES "," TOOLS more "}"

static const struct flow_policy on_cohere = {
    .providers = {{.dialect = "cohere", .path = ""}},
    .keys = {{.name = "alice", .models = {"m"}},
             {.name = "poor", .models = {"m"}, .budget = 5000000000}},
    .models = {{.name = "m",
                .target_model = "command-a",
                .upstreams = {0},
                .upstream_count = 1,
                .max_output_tokens = 100}},
};

static const struct flow_policy on_ollama = {
    .providers = {{.dialect = "ollama", .path = ""}},
    .keys = {{.name = "alice", .models = {"m"}}},
    .models = {{.name = "m", .target_model = "qwen3", .upstreams = {0}, .upstream_count = 1}},
};

static const struct flow_policy on_anthropic = {
    .providers = {{.dialect = "anthropic"}},
    .keys = {{.name = "alice", .models = {"m"}}},
    .models =
        {{.name = "m", .target_model = "claude-sonnet-4-5", .upstreams = {0}, .upstream_count = 1}},
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

/* ---- Cohere ---- */

#define COHERE_ANSWER                                                                              \
    "{\"id\":\"c1\",\"finish_reason\":\"TOOL_CALL\",\"message\":{\"role\":\"assistant\","          \
    "\"tool_plan\":\"I will\",\"content\":[{\"type\":\"text\",\"text\":\"hi\"}],\"tool_calls\":["  \
    "{\"id\":\"t2\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},"  \
    "\"usage\":{\"billed_units\":{\"input_tokens\":5,\"output_tokens\":6},\"tokens\":{"            \
    "\"input_tokens\":1000,\"output_tokens\":500},\"cached_tokens\":100}}"

FLOW(a_plain_call_on_cohere_is_translated_both_ways)
{
    policy_says(k, &on_cohere);
    upstream_answers(k, 0, 200, COHERE_ANSWER);
    struct flow_client *c = client_posts(
        k, "alice", CHAT, NULL,
        ASKS(",\"tool_choice\":\"required\",\"top_p\":0.5,\"stop\":\"x\",\"max_tokens\":7"));
    expect_status(c, 200);
    const struct upstream_call *call = &k->upstreams[0].calls[0];
    assert_true(slice_starts(call->head, SLICE("POST /v2/chat HTTP/1.1\r\n")));
    assert_true(slice_starts(upstream_heard(call, "authorization"), SLICE("Bearer sk-")));
    expect_json(call->body,
                "{\"model\":\"command-a\",\"stream\":false,\"messages\":[{\"role\":\"system\","
                "\"content\":[{\"type\":\"text\",\"text\":\"be kind\"}]},{\"role\":\"user\","
                "\"content\":[{\"type\":\"text\",\"text\":\"hello\"}]},{\"role\":\"assistant\","
                "\"tool_calls\":[{\"id\":\"t1\",\"type\":\"function\",\"function\":{\"name\":\"f\","
                "\"arguments\":\"{\\\"a\\\":1}\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"t1\","
                "\"content\":[{\"type\":\"text\",\"text\":\"done\"}]}]," TOOLS
                ",\"tool_choice\":\"REQUIRED\",\"max_tokens\":7,\"p\":0.5,"
                "\"stop_sequences\":[\"x\"]}");
    expect_body_has(c, "\"content\":\"hi\"");
    expect_body_has(c, "\"reasoning_content\":\"I will\"");
    expect_body_has(c, "\"finish_reason\":\"tool_calls\"");
    expect_body_has(c, "\"id\":\"t2\"");
    expect_body_has(c, "\"prompt_tokens\":1000");
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_int_equal(r->span->tokens->cache_read, 100);
    assert_int_equal(r->span->tokens->output, 500);
    flow_record_free(r);
}

static void says(struct flow *k, const char *type, const char *rest)
{
    char event[1024];
    snprintf(event, sizeof(event), "event: %s\ndata: {\"type\":\"%s\"%s}\n\n", type, type, rest);
    upstream_sends(k, 0, event);
}

static void cohere_streams(struct flow *k)
{
    upstream_opens_stream(k, 0);
    says(k, "message-start", ",\"id\":\"c1\",\"delta\":{\"message\":{\"role\":\"assistant\"}}");
    says(k, "content-start",
         ",\"index\":0,\"delta\":{\"message\":{\"content\":{\"type\":\"text\",\"text\":\"\"}}}");
    says(k, "content-delta",
         ",\"index\":0,\"delta\":{\"message\":{\"content\":{\"text\":\"hi\"}}}");
    says(k, "content-end", ",\"index\":0");
    says(k, "tool-call-start",
         ",\"index\":0,\"delta\":{\"message\":{\"tool_calls\":{\"id\":\"t1\",\"type\":\"function\","
         "\"function\":{\"name\":\"f\",\"arguments\":\"\"}}}}");
    says(k, "tool-call-delta",
         ",\"index\":0,\"delta\":{\"message\":{\"tool_calls\":{\"function\":{\"arguments\":"
         "\"{}\"}}}}");
    says(k, "tool-call-end", ",\"index\":0");
    says(k, "message-end",
         ",\"delta\":{\"finish_reason\":\"TOOL_CALL\",\"usage\":{\"tokens\":{"
         "\"input_tokens\":1000,\"output_tokens\":500}}}");
    upstream_ends_stream(k, 0);
}

FLOW(a_stream_of_cohere_is_written_as_chunks)
{
    policy_says(k, &on_cohere);
    cohere_streams(k);
    struct flow_client *c =
        client_posts(k, "alice", CHAT, NULL,
                     ASKS(",\"stream\":true,\"stream_options\":{\"include_usage\":true}"));
    expect_status(c, 200);
    WAIT(k, c->whole);
    expect_body_has(c, "\"content\":\"hi\"");
    expect_body_has(c, "{\"index\":0,\"id\":\"t1\"");
    expect_body_has(c, "\"finish_reason\":\"tool_calls\"");
    expect_body_has(c, "\"prompt_tokens\":1000,\"completion_tokens\":500");
    assert_true(slice_ends(buf_slice(&c->body), SLICE("data: [DONE]\n\n")));
}

FLOW(an_error_in_coheres_stream_is_no_success)
{
    policy_says(k, &on_cohere);
    upstream_opens_stream(k, 0);
    says(k, "content-delta",
         ",\"index\":0,\"delta\":{\"message\":{\"content\":{\"text\":\"hi\"}}}");
    says(k, "message-end", ",\"delta\":{\"finish_reason\":\"ERROR\",\"error\":\"it broke\"}");
    upstream_ends_stream(k, 0);
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, ASKS(",\"stream\":true"));
    WAIT(k, c->whole);
    expect_body_has(c, "it broke");
    assert_true(slice_search(buf_slice(&c->body), SLICE("[DONE]")) < 0);

    /* the same, for a client that speaks it; and where it is all that comes */
    static const char end[] = ",\"delta\":{\"finish_reason\":\"ERROR\",\"error\":\"it broke\"}";
    for (int first = 0; first < 2; first++) {
        upstream_forget_script(k, 0);
        upstream_opens_stream(k, 0);
        if (!first)
            says(k, "content-delta",
                 ",\"index\":0,\"delta\":{\"message\":{\"content\":{\"text\":\"hi\"}}}");
        says(k, "message-end", end);
        upstream_ends_stream(k, 0);
        c = client_posts(k, "alice", COHERE, NULL, ASKS(",\"stream\":true"));
        WAIT(k, c->whole);
        expect_status(c, first ? 502 : 200);
        expect_body_has(c, "it broke");
    }
}

FLOW(coheres_clients_pass_to_cohere_as_they_are_but_for_the_models_name)
{
    static const char body[] =
        "{ \"stream\" : false,\"model\":\"m\", " MESSAGES ",\"documents\":[\"d\"]}";
    policy_says(k, &on_cohere);
    upstream_answers(k, 0, 200, COHERE_ANSWER);
    struct flow_client *c = client_posts(k, "alice", COHERE, NULL, body);
    expect_status(c, 200);
    expect_body(c, COHERE_ANSWER);
    assert_true(slice_eq(k->upstreams[0].calls[0].body,
                         SLICE("{ \"stream\" : false,\"model\":\"command-a\", " MESSAGES
                               ",\"documents\":[\"d\"]}")));
    upstream_answers(k, 0, 200, COHERE_ANSWER);
    c = client_posts(k, "poor", COHERE, NULL, body);
    expect_status(c, 200);
    assert_true(slice_starts(k->upstreams[0].calls[1].body,
                             SLICE("{\"max_tokens\":100, \"stream\" : false,\"model\":")));
    upstream_answers(k, 0, 200, COHERE_ANSWER);
    c = client_posts(k, "poor", COHERE, NULL, "{\"max_tokens\":null,\"model\":\"m\"," MESSAGES "}");
    expect_status(c, 200);
    assert_true(slice_starts(k->upstreams[0].calls[2].body,
                             SLICE("{\"max_tokens\":100,\"model\":\"command-a\",")));
}

FLOW(coheres_stream_passes_byte_for_byte_and_is_counted)
{
    policy_says(k, &on_cohere);
    cohere_streams(k);
    struct flow_client *c = client_posts(k, "alice", COHERE, NULL, ASKS(",\"stream\":true"));
    expect_status(c, 200);
    WAIT(k, c->whole);
    assert_true(slice_starts(buf_slice(&c->body),
                             SLICE("event: message-start\ndata: {\"type\":\"message-start\"")));
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_int_equal(r->span->tokens->input, 1000);
    assert_int_equal(r->span->cost_nano, 2000000);
    flow_record_free(r);
}

static void event(struct flow *k, const char *data)
{
    char text[512];
    snprintf(text, sizeof(text), "event: x\ndata: %s\n\n", data);
    upstream_sends(k, 0, text);
}

FLOW(coheres_clients_hear_another_provider_in_their_events)
{
    policy_says(k, &on_anthropic);
    upstream_opens_stream(k, 0);
    event(k, "{\"type\":\"message_start\",\"message\":{\"id\":\"m1\",\"model\":\"c\",\"usage\":{"
             "\"input_tokens\":10}}}");
    event(k, "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\","
             "\"text\":\"\"}}");
    event(k, "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\","
             "\"text\":\"hi\"}}");
    event(k, "{\"type\":\"content_block_stop\",\"index\":0}");
    event(k, "{\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":"
             "\"tool_use\",\"id\":\"t1\",\"name\":\"f\",\"input\":{}}}");
    event(k, "{\"type\":\"content_block_stop\",\"index\":1}");
    event(k, "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\"},\"usage\":{"
             "\"output_tokens\":5}}");
    event(k, "{\"type\":\"message_stop\"}");
    upstream_ends_stream(k, 0);
    struct flow_client *c = client_posts(k, "alice", COHERE, NULL, ASKS(",\"stream\":true"));
    expect_status(c, 200);
    WAIT(k, c->whole);
    expect_body(
        c,
        "event: message-start\ndata: {\"type\":\"message-start\",\"id\":\"m1\",\"delta\":{"
        "\"message\":{\"role\":\"assistant\",\"content\":[],\"tool_plan\":\"\",\"tool_calls\":[],"
        "\"citations\":[]}}}\n\n"
        "event: content-start\ndata: {\"type\":\"content-start\",\"index\":0,\"delta\":{"
        "\"message\":{\"content\":{\"type\":\"text\",\"text\":\"\"}}}}\n\n"
        "event: content-delta\ndata: {\"type\":\"content-delta\",\"index\":0,\"delta\":{"
        "\"message\":{\"content\":{\"text\":\"hi\"}}}}\n\n"
        "event: content-end\ndata: {\"type\":\"content-end\",\"index\":0}\n\n"
        "event: tool-call-start\ndata: {\"type\":\"tool-call-start\",\"index\":0,\"delta\":{"
        "\"message\":{\"tool_calls\":{\"id\":\"t1\",\"type\":\"function\",\"function\":{"
        "\"name\":\"f\",\"arguments\":\"\"}}}}}\n\n"
        "event: tool-call-delta\ndata: {\"type\":\"tool-call-delta\",\"index\":0,\"delta\":{"
        "\"message\":{\"tool_calls\":{\"function\":{\"arguments\":\"{}\"}}}}}\n\n"
        "event: tool-call-end\ndata: {\"type\":\"tool-call-end\",\"index\":0}\n\n"
        "event: message-end\ndata: {\"type\":\"message-end\",\"delta\":{\"finish_reason\":"
        "\"TOOL_CALL\",\"usage\":{\"billed_units\":{\"input_tokens\":10,\"output_tokens\":5},"
        "\"tokens\":{\"input_tokens\":10,\"output_tokens\":5}}}}\n\n");
}

FLOW(coheres_clients_hear_errors_in_their_form)
{
    policy_says(k, &on_anthropic);
    struct flow_client *c = client_posts(k, "alice", COHERE, NULL, "{\"model\":\"m\"}");
    expect_status(c, 400);
    expect_body_has(c, "\"message\":");
    c = client_posts(k, "alice", COHERE, NULL,
                     "{\"model\":\"m\"," MESSAGES ",\"documents\":[\"d\"]}");
    expect_status(c, 400);
    expect_body_has(c, "documents");
    assert_int_equal(k->upstreams[0].call_count, 0);
}

/* ---- Ollama ---- */

static void opens_lines(struct flow *k)
{
    upstream_says(k, 0,
                  "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n"
                  "Transfer-Encoding: chunked\r\n\r\n");
}

FLOW(a_plain_call_on_ollama_is_translated_both_ways)
{
    policy_says(k, &on_ollama);
    upstream_answers(k, 0, 200,
                     "{\"model\":\"qwen3\",\"message\":{\"role\":\"assistant\",\"content\":\"hi\","
                     "\"thinking\":\"hm\",\"tool_calls\":[{\"function\":{\"name\":\"f\","
                     "\"arguments\":{\"a\":1}}}]},\"done\":true,\"done_reason\":\"stop\","
                     "\"prompt_eval_count\":1000,\"eval_count\":500}");
    struct flow_client *c = client_posts(
        k, "alice", CHAT, NULL,
        ASKS(",\"max_tokens\":7,\"seed\":1,\"stop\":[\"x\"],\"reasoning_effort\":\"low\","
             "\"response_format\":{\"type\":\"json_object\"}"));
    expect_status(c, 200);
    const struct upstream_call *call = &k->upstreams[0].calls[0];
    assert_true(slice_starts(call->head, SLICE("POST /api/chat HTTP/1.1\r\n")));
    expect_json(call->body,
                "{\"model\":\"qwen3\",\"stream\":false,\"messages\":[{\"role\":\"system\","
                "\"content\":\"be kind\"},{\"role\":\"user\",\"content\":\"hello\"},{"
                "\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{\"function\":{"
                "\"name\":\"f\",\"arguments\":{\"a\":1}}}]},{\"role\":\"tool\","
                "\"tool_name\":\"f\",\"content\":\"done\"}]," TOOLS
                ",\"options\":{\"num_predict\":7,\"seed\":1,\"stop\":[\"x\"]},"
                "\"format\":\"json\",\"think\":true}");
    expect_body_has(c, "\"content\":\"hi\"");
    expect_body_has(c, "\"reasoning_content\":\"hm\"");
    expect_body_has(c, "\"id\":\"call_");
    expect_body_has(c, "\"arguments\":\"{\\\"a\\\":1}\"");
    expect_body_has(c, "\"finish_reason\":\"tool_calls\"");
    expect_body_has(c, "\"prompt_tokens\":1000");
}

FLOW(a_stream_of_lines_is_written_as_chunks_however_it_is_cut)
{
    policy_says(k, &on_ollama);
    opens_lines(k);
    upstream_sends(k, 0, "{\"model\":\"qwen3\",\"message\":{\"content\":\"h");
    upstream_sends(k, 0, "i\"},\"done\":false}\n{\"message\":{\"content\":\" you\"},\"done\":fal");
    upstream_sends(k, 0, "se}\r\n\n");
    /* the last line has no end */
    upstream_sends(k, 0,
                   "{\"message\":{\"content\":\"\"},\"done\":true,\"done_reason\":\"length\","
                   "\"prompt_eval_count\":10,\"eval_count\":5}");
    upstream_ends_stream(k, 0);
    struct flow_client *c =
        client_posts(k, "alice", CHAT, NULL,
                     ASKS(",\"stream\":true,\"stream_options\":{\"include_usage\":true}"));
    expect_status(c, 200);
    WAIT(k, c->whole);
    expect_body_has(c, "\"content\":\"hi\"");
    expect_body_has(c, "\"content\":\" you\"");
    expect_body_has(c, "\"finish_reason\":\"length\"");
    expect_body_has(c, "\"prompt_tokens\":10,\"completion_tokens\":5");
    assert_true(slice_ends(buf_slice(&c->body), SLICE("data: [DONE]\n\n")));
}

FLOW(a_stream_of_lines_that_fails_is_no_success)
{
    static const char *const ends[] = {"{\"error\":\"out of memory\"}\n", "{\"message\":{\"con",
                                       "no JSON\n"};
    policy_says(k, &on_ollama);
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        upstream_forget_script(k, 0);
        opens_lines(k);
        upstream_sends(k, 0, "{\"message\":{\"content\":\"hi\"},\"done\":false}\n");
        upstream_sends(k, 0, ends[i]);
        upstream_ends_stream(k, 0);
        struct flow_client *c = client_posts(k, "alice", CHAT, NULL, ASKS(",\"stream\":true"));
        WAIT(k, c->whole);
        expect_body_has(c, "\"error\":{");
        if (slice_search(buf_slice(&c->body), SLICE("[DONE]")) >= 0)
            fail_msg("row %zu ends as a success", i);
    }
}

/* ---- embeddings ---- */

FLOW(embeddings_of_both_are_openais)
{
    static const struct {
        const struct flow_policy *policy;
        const char *path, *sent, *answer;
    } rows[] = {
        {&on_cohere, "POST /v2/embed HTTP/1.1\r\n",
         "{\"model\":\"command-a\",\"input_type\":\"search_document\",\"embedding_types\":["
         "\"float\"],\"texts\":[\"a\",\"b\"],\"output_dimension\":2}",
         "{\"id\":\"e\",\"embeddings\":{\"float\":[[0.5,1],[-1,0.25]]},\"meta\":{"
         "\"billed_units\":{\"input_tokens\":1000}}}"},
        {&on_ollama, "POST /api/embed HTTP/1.1\r\n",
         "{\"model\":\"qwen3\",\"input\":[\"a\",\"b\"],\"dimensions\":2}",
         "{\"model\":\"qwen3\",\"embeddings\":[[0.5,1],[-1,0.25]],\"prompt_eval_count\":1000}"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        policy_says(k, rows[i].policy);
        upstream_forget_script(k, 0);
        upstream_answers(k, 0, 200, rows[i].answer);
        size_t before = k->upstreams[0].call_count;
        struct flow_client *c =
            client_posts(k, "alice", "/v1/embeddings", NULL,
                         "{\"model\":\"m\",\"input\":[\"a\",\"b\"],\"dimensions\":2}");
        expect_status(c, 200);
        const struct upstream_call *call = &k->upstreams[0].calls[before];
        assert_true(slice_starts(call->head, slice_str(rows[i].path)));
        expect_json(call->body, rows[i].sent);
        expect_body_has(c, "\"embedding\":[0.5,1]");
        expect_body_has(c, "\"embedding\":[-1,0.25]");
        expect_body_has(c, "\"prompt_tokens\":1000");
        Gatehouse__JournalRecord *r = flow_record(k);
        assert_int_equal(r->span->cost_nano, 1000000);
        flow_record_free(r);
    }
}

FLOW(coheres_embeddings_pass_to_cohere_as_they_are_but_for_the_models_name)
{
    static const char answer[] =
        "{\"id\":\"e\", \"embeddings\":{\"int8\":[[1,-2]]},\"texts\":[\"a\"],\"meta\":{"
        "\"billed_units\":{\"input_tokens\":1000}}}";
    policy_says(k, &on_cohere);
    upstream_answers(k, 0, 200, answer);
    struct flow_client *c = client_posts(
        k, "alice", "/v2/embed", NULL,
        "{\"model\": \"m\", \"texts\":[\"a\"],\"input_type\":\"classification\",\"embedding_types\""
        ":[\"int8\"]}");
    expect_status(c, 200);
    expect_body(c, answer);
    const struct upstream_call *call = &k->upstreams[0].calls[0];
    assert_true(slice_starts(call->head, SLICE("POST /v2/embed HTTP/1.1\r\n")));
    assert_true(
        slice_eq(call->body, SLICE("{\"model\": \"command-a\", \"texts\":[\"a\"],\"input_type\":"
                                   "\"classification\",\"embedding_types\":[\"int8\"]}")));
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_int_equal(r->span->tokens->input, 1000);
    flow_record_free(r);
}

FLOW(coheres_clients_are_given_others_embeddings_in_their_form)
{
    policy_says(k, &on_ollama);
    upstream_answers(k, 0, 200,
                     "{\"model\":\"qwen3\",\"embeddings\":[[0.5,1],[-1,0.25]],"
                     "\"prompt_eval_count\":1000}");
    struct flow_client *c =
        client_posts(k, "alice", "/v2/embed", NULL,
                     "{\"model\":\"m\",\"texts\":[\"a\",\"b\"],\"input_type\":\"search_query\","
                     "\"output_dimension\":2,\"embedding_types\":[\"float\"]}");
    expect_status(c, 200);
    expect_body_has(c, "\"embeddings\":{\"float\":[[0.5,1],[-1,0.25]]},\"texts\":[\"a\",\"b\"]");
    expect_body_has(c, "\"billed_units\":{\"input_tokens\":1000}");
    assert_true(slice_search(client_header(c, "x-gatehouse-notice"), SLICE("input_type")) >= 0);
    expect_json(k->upstreams[0].calls[0].body,
                "{\"model\":\"qwen3\",\"input\":[\"a\",\"b\"],\"dimensions\":2}");

    c = client_posts(k, "alice", "/v2/embed", NULL,
                     "{\"model\":\"m\",\"texts\":[\"a\"],\"input_type\":\"search_query\","
                     "\"embedding_types\":[\"int8\"]}");
    expect_status(c, 400);
    expect_body_has(c, "embedding_types");
    c = client_posts(k, "alice", "/v2/embed", NULL, "{\"model\":\"m\",\"texts\":\"a\"}");
    expect_status(c, 400);
    expect_body_has(c, "texts must be a list of texts");
}

/* Token numbers are of a vocabulary of OpenAI's. */
FLOW(token_numbers_are_refused_where_others_embed)
{
    static const char *const inputs[] = {"[1,2,3]", "[[1,2],[3]]"};
    char body[128];
    policy_says(k, &on_cohere);
    for (size_t i = 0; i < ARRAY_LEN(inputs); i++) {
        snprintf(body, sizeof(body), "{\"model\":\"m\",\"input\":%s}", inputs[i]);
        struct flow_client *c = client_posts(k, "alice", "/v1/embeddings", NULL, body);
        expect_status(c, 400);
        expect_body_has(c, "\"param\":\"input\"");
        expect_body_has(c, "token numbers");
    }
    assert_int_equal(k->upstreams[0].call_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(a_plain_call_on_cohere_is_translated_both_ways),
        SCENARIO(a_stream_of_cohere_is_written_as_chunks),
        SCENARIO(an_error_in_coheres_stream_is_no_success),
        SCENARIO(coheres_clients_pass_to_cohere_as_they_are_but_for_the_models_name),
        SCENARIO(coheres_stream_passes_byte_for_byte_and_is_counted),
        SCENARIO(coheres_clients_hear_another_provider_in_their_events),
        SCENARIO(coheres_clients_hear_errors_in_their_form),
        SCENARIO(a_plain_call_on_ollama_is_translated_both_ways),
        SCENARIO(a_stream_of_lines_is_written_as_chunks_however_it_is_cut),
        SCENARIO(a_stream_of_lines_that_fails_is_no_success),
        SCENARIO(embeddings_of_both_are_openais),
        SCENARIO(coheres_embeddings_pass_to_cohere_as_they_are_but_for_the_models_name),
        SCENARIO(coheres_clients_are_given_others_embeddings_in_their_form),
        SCENARIO(token_numbers_are_refused_where_others_embed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
