/* openai_protocol — services that speak OpenAI's protocol, whichever dialect the client speaks. */
#include "tests/kit/flow/flow.h"

#include "common/base/json.h"
#include "dataplane/ai/ai_stream.h"

#define CHAT "/v1/chat/completions"
#define MESSAGES "/v1/messages"
#define VERSION "anthropic-version: 2023-06-01\r\n"
#define ASK "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}"
#define ASK_STREAM                                                                                 \
    "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}"
#define TELL(more)                                                                                 \
    "{\"model\":\"m\",\"max_tokens\":64,\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}"   \
    "]" more "}"
#define ANSWER                                                                                     \
    "{\"id\":\"c\",\"object\":\"chat.completion\",\"model\":\"gpt-x\",\"choices\":[{\"index\":0,"  \
    "\"message\":{\"role\":\"assistant\",\"content\":\"hi\"},\"finish_reason\":\"stop\"}],"        \
    "\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":5,\"total_tokens\":105,"               \
    "\"prompt_tokens_details\":{\"cached_tokens\":90}}}"
#define CHUNK(delta, finish)                                                                       \
    "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"model\":\"gpt-x\",\"choices\":[{"  \
    "\"index\":0,\"delta\":{" delta "},\"finish_reason\":" finish "}]}\n\n"
#define WORD CHUNK("\"content\":\"hi\"", "null")
#define STOPS CHUNK("", "\"stop\"")
#define DONE "data: [DONE]\n\n"

static struct flow_policy with(struct flow_provider p)
{
    return (struct flow_policy){
        .providers = {p},
        .keys = {{.name = "alice", .models = {"m"}}},
        .models = {{.name = "m", .target_model = "gpt-x", .upstreams = {0}, .upstream_count = 1}},
    };
}

static void policy_has(struct flow *k, struct flow_provider p)
{
    const struct flow_policy policy = with(p);
    policy_says(k, &policy);
}

static json_t *body_of(struct slice body)
{
    struct json_problem problem;
    json_t *tree = NULL;
    if (json_read(body, &tree, &problem))
        fail_msg("not JSON: %.*s", SLICE_ARG(body));
    return tree;
}

static json_t *sent(struct flow *k)
{
    assert_true(k->upstreams[0].call_count > 0);
    return body_of(k->upstreams[0].calls[k->upstreams[0].call_count - 1].body);
}

static void expect_sent(struct flow *k, const char *member, const char *json)
{
    JSON_AUTO json_t *got = sent(k);
    JSON_AUTO json_t *wanted = json[0] ? body_of(slice_str(json)) : NULL;
    const json_t *v = json_object_get(got, member);
    if (wanted ? !v || !json_equal(v, wanted) : v != NULL) {
        char *text = v ? json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
        fail_msg("%s is %s, expected %s", member, text ? text : "absent", json);
    }
}

FLOW(a_client_of_another_dialect_is_served_and_billed_by_its_parts)
{
    policy_has(k, (struct flow_provider){0});
    upstream_answers(k, 0, 200, ANSWER);
    struct flow_client *c = client_posts(
        k, "alice", MESSAGES, VERSION,
        TELL(",\"system\":\"be kind\",\"top_k\":3,\"stop_sequences\":[\"x\"],\"tools\":[{\"name\":"
             "\"f\",\"input_schema\":{\"type\":\"object\"}}],\"tool_choice\":{\"type\":\"any\"}"));
    expect_status(c, 200);
    JSON_AUTO json_t *got = body_of(buf_slice(&c->body));
    const json_t *usage = json_object_get(got, "usage");
    assert_int_equal(json_integer_value(json_object_get(usage, "input_tokens")), 10);
    assert_int_equal(json_integer_value(json_object_get(usage, "cache_read_input_tokens")), 90);
    assert_int_equal(json_integer_value(json_object_get(usage, "output_tokens")), 5);
    const struct upstream_call *call = &k->upstreams[0].calls[0];
    assert_true(slice_starts(call->head, SLICE("POST /v1/chat/completions HTTP/1.1\r\n")));
    assert_null(upstream_heard(call, "anthropic-version").ptr);
    expect_sent(k, "model", "\"gpt-x\"");
    expect_sent(k, "max_tokens", "64");
    expect_sent(k, "stop", "[\"x\"]");
    expect_sent(k, "tool_choice", "\"required\"");
    expect_sent(k, "messages",
                "[{\"role\":\"system\",\"content\":\"be kind\"},{\"role\":\"user\",\"content\":"
                "\"hello\"}]");
}

FLOW(what_the_service_does_not_take_is_named_in_the_clients_own_words)
{
    policy_has(k, (struct flow_provider){.quirks = "groq"});
    upstream_answers(k, 0, 200, ANSWER);
    struct flow_client *c = client_posts(k, "alice", MESSAGES, VERSION, TELL(",\"top_k\":3"));
    expect_status(c, 200);
    assert_true(slice_eq(client_header(c, "x-gatehouse-notice"), SLICE("top_k")));
    expect_sent(k, "top_k", "");
    expect_sent(k, "max_completion_tokens", "64");
}

FLOW(a_service_stricter_than_openai_gets_what_it_knows_of_the_clients_own_body)
{
    static const char ask[] =
        "{ \"messages\":[{\"role\":\"developer\",\"content\":\"developer\"},{\"content\":\"a\","
        "\"role\" : \"developer\"},{\"role\":\"user\",\"content\":\"hi\"}],\"model\":\"m\","
        "\"stream\":true}";
    static const struct {
        const char *quirks, *sent;
    } rows[] = {
        {"deepseek",
         "{\"stream_options\":{\"include_usage\":true}, \"messages\":[{\"role\":\"system\","
         "\"content\":\"developer\"},{\"content\":\"a\",\"role\" : \"system\"},{\"role\":"
         "\"user\",\"content\":\"hi\"}],\"model\":\"gpt-x\",\"stream\":true}"},
        {"perplexity",
         "{ \"messages\":[{\"role\":\"system\",\"content\":\"developer\"},{\"content\":"
         "\"a\",\"role\" : \"system\"},{\"role\":\"user\",\"content\":\"hi\"}],"
         "\"model\":\"gpt-x\",\"stream\":true}"},
        {NULL,
         "{\"stream_options\":{\"include_usage\":true}, \"messages\":[{\"role\":\"developer\","
         "\"content\":\"developer\"},{\"content\":\"a\",\"role\" : \"developer\"},{\"role\":"
         "\"user\",\"content\":\"hi\"}],\"model\":\"gpt-x\",\"stream\":true}"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        policy_has(k, (struct flow_provider){.quirks = rows[i].quirks});
        upstream_forget_script(k, 0);
        upstream_opens_stream(k, 0);
        upstream_sends(k, 0, WORD STOPS DONE);
        upstream_ends_stream(k, 0);
        expect_status(client_posts(k, "alice", CHAT, NULL, ask), 200);
        struct slice got = k->upstreams[0].calls[i].body;
        if (!slice_eq(got, slice_str(rows[i].sent)))
            fail_msg("%zu: %.*s", i, SLICE_ARG(got));
    }
}

/* ---- OpenRouter's reasoning ---- */

#define SIGNED_DETAIL                                                                              \
    "{\"type\":\"reasoning.text\",\"text\":\"I see\",\"signature\":\"sig==\",\"format\":"          \
    "\"anthropic-claude-v1\",\"index\":0}"
#define SECRET_DETAIL                                                                              \
    "{\"type\":\"reasoning.encrypted\",\"data\":\"c2VhbA==\",\"id\":\"tool_1\",\"format\":"        \
    "\"google-gemini-v1\",\"index\":1}"

static void thinks_in_a_stream(struct flow *k)
{
    upstream_opens_stream(k, 0);
    upstream_sends(
        k, 0,
        CHUNK("\"reasoning\":\"I \",\"reasoning_details\":[{\"type\":\"reasoning.text\","
              "\"text\":\"I \",\"format\":\"anthropic-claude-v1\",\"index\":0}]",
              "null") CHUNK("\"reasoning\":\"see\",\"reasoning_details\":[{\"type\":"
                            "\"reasoning.text\",\"text\":\"see\",\"format\":"
                            "\"anthropic-claude-v1\",\"index\":0}]",
                            "null")
            CHUNK("\"reasoning_details\":[{\"type\":\"reasoning.text\",\"signature\":"
                  "\"sig==\",\"format\":\"anthropic-claude-v1\",\"index\":0}," SECRET_DETAIL "]",
                  "null") WORD STOPS DONE);
    upstream_ends_stream(k, 0);
}

static void thinks(struct flow *k)
{
    upstream_answers(k, 0, 200,
                     "{\"id\":\"c\",\"object\":\"chat.completion\",\"model\":\"gpt-x\","
                     "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":"
                     "\"hi\",\"reasoning\":\"I see\",\"reasoning_details\":[" SIGNED_DETAIL
                     "," SECRET_DETAIL "]},\"finish_reason\":\"stop\"}]}");
}

/* What a client of Anthropic's dialect says next, with the content that it was told. */
static void says_next(const char *model, const json_t *content, struct buf *out)
{
    JSON_AUTO json_t *body = body_of(
        SLICE("{\"model\":\"m\",\"max_tokens\":64,\"messages\":[{\"role\":\"user\",\"content\":"
              "\"hello\"},{\"role\":\"assistant\"},{\"role\":\"user\",\"content\":\"more\"}]}"));
    json_t *turn = json_array_get(json_object_get(body, "messages"), 1);
    json_set_text(body, "model", slice_str(model));
    assert_int_equal(json_object_set_new(turn, "content", json_deep_copy(content)), 0);
    assert_int_equal(json_write(body, out), ERR_OK);
    assert_int_equal(buf_append(out, slice_of("", 1)), ERR_OK);
}

static void expect_back(struct flow *k, size_t upstream, const char *members)
{
    char want[1024];
    const struct upstream *u = &k->upstreams[upstream];
    JSON_AUTO json_t *got = body_of(u->calls[u->call_count - 1].body);
    snprintf(want, sizeof(want),
             "[{\"role\":\"user\",\"content\":\"hello\"},{\"role\":\"assistant\",%s,\"content\":"
             "\"hi\"},{\"role\":\"user\",\"content\":\"more\"}]",
             members);
    JSON_AUTO json_t *wanted = body_of(slice_str(want));
    if (!json_equal(json_object_get(got, "messages"), wanted))
        fail_msg("%.*s\nis not %s", SLICE_ARG(u->calls[u->call_count - 1].body), want);
}

/* To the account that made them, from the client they were told; to others, the words alone. */
static void goes_on(struct flow *k, const json_t *content)
{
    static const struct {
        const char *who, *model;
        size_t upstream;
        const char *members;
    } rows[] = {
        {"alice", "m", 0, "\"reasoning_details\":[" SIGNED_DETAIL "," SECRET_DETAIL "]"},
        {"bob", "m", 0, "\"reasoning\":\"I see\""},
        {"alice", "other", 1, "\"reasoning\":\"I see\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf next;
        buf_init(&next, 1 << 20);
        says_next(rows[i].model, content, &next);
        upstream_forget_script(k, rows[i].upstream);
        upstream_answers(k, rows[i].upstream, 200, ANSWER);
        expect_status(client_posts(k, rows[i].who, MESSAGES, VERSION, buf_slice(&next).ptr), 200);
        expect_back(k, rows[i].upstream, rows[i].members);
        buf_fini(&next);
    }
}

static const struct flow_policy on_openrouter = {
    .providers = {{.quirks = "openrouter"}, {.quirks = "openrouter"}},
    .keys = {{.name = "alice", .models = {"m", "other"}}, {.name = "bob", .models = {"m"}}},
    .models = {{.name = "m", .target_model = "gpt-x", .upstreams = {0}, .upstream_count = 1},
               {.name = "other", .target_model = "gpt-x", .upstreams = {1}, .upstream_count = 1}},
};

FLOW(reasoning_details_go_back_to_the_account_that_made_them)
{
    policy_says(k, &on_openrouter);
    thinks(k);
    struct flow_client *c = client_posts(k, "alice", MESSAGES, VERSION, TELL(""));
    expect_status(c, 200);
    JSON_AUTO json_t *got = body_of(buf_slice(&c->body));
    const json_t *content = json_object_get(got, "content");
    assert_int_equal(json_array_size(content), 3);
    assert_true(slice_eq(json_text(json_array_get(content, 0), "thinking"), SLICE("I see")));
    goes_on(k, content);
}

static struct slice between(struct slice body, const char *before)
{
    ptrdiff_t at = slice_search(body, slice_str(before));
    if (at < 0)
        fail_msg("no %s in %.*s", before, SLICE_ARG(body));
    body = slice_from(body, (size_t)at + strlen(before));
    return slice_first(body, (size_t)slice_find(body, '"'));
}

FLOW(reasoning_details_of_a_stream_are_the_same)
{
    char text[2048];
    policy_says(k, &on_openrouter);
    thinks_in_a_stream(k);
    struct flow_client *c = client_posts(k, "alice", MESSAGES, VERSION, TELL(",\"stream\":true"));
    expect_status(c, 200);
    expect_body_has(c, "{\"type\":\"thinking_delta\",\"thinking\":\"I \"}");
    struct slice body = buf_slice(&c->body);
    struct slice signature = between(body, "\"type\":\"signature_delta\",\"signature\":\"");
    struct slice data = between(body, "\"type\":\"redacted_thinking\",\"data\":\"");
    snprintf(text, sizeof(text),
             "[{\"type\":\"thinking\",\"thinking\":\"I see\",\"signature\":\"%.*s\"},{\"type\":"
             "\"redacted_thinking\",\"data\":\"%.*s\"},{\"type\":\"text\",\"text\":\"hi\"}]",
             SLICE_ARG(signature), SLICE_ARG(data));
    JSON_AUTO json_t *content = body_of(slice_str(text));
    goes_on(k, content);
}

FLOW(interleaved_calls_without_ids_are_two_whole_blocks)
{
    policy_has(k, (struct flow_provider){0});
    upstream_opens_stream(k, 0);
    upstream_sends(k, 0,
                   CHUNK("\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\","
                         "\"arguments\":\"{\\\"x\\\":\"}}]",
                         "null")
                       CHUNK("\"tool_calls\":[{\"index\":1,\"id\":\"b\",\"function\":{\"name\":"
                             "\"g\",\"arguments\":\"{\\\"y\\\":\"}}]",
                             "null"));
    upstream_sends(
        k, 0,
        CHUNK("\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"1}\"}}]", "null")
            CHUNK("\"tool_calls\":[{\"index\":1,\"function\":{\"arguments\":\"2}\"}}]", "null")
                CHUNK("", "\"tool_calls\"") DONE);
    upstream_ends_stream(k, 0);
    struct flow_client *c = client_posts(k, "alice", MESSAGES, VERSION, TELL(",\"stream\":true"));
    expect_status(c, 200);
    expect_body_has(c, "\"name\":\"f\"");
    expect_body_has(c, "\"name\":\"g\"");
    expect_body_has(c, "\"stop_reason\":\"tool_use\"");
    expect_body_has(c, "event: message_stop");
}

FLOW(a_name_too_long_for_the_service_comes_back_whole)
{
    char name[101], ask[512], stream[1024];
    memset(name, 'n', 100);
    name[100] = '\0';
    policy_has(k, (struct flow_provider){0});
    snprintf(ask, sizeof(ask),
             TELL(",\"tools\":[{\"name\":\"%s\",\"input_schema\":{\"type\":\"object\"}}]"), name);
    upstream_answers(k, 0, 200, ANSWER);
    expect_status(client_posts(k, "alice", MESSAGES, VERSION, ask), 200);
    JSON_AUTO json_t *first = sent(k);
    struct slice told = json_text(
        json_object_get(json_array_get(json_object_get(first, "tools"), 0), "function"), "name");
    assert_int_equal(told.len, 64);
    snprintf(stream, sizeof(stream),
             "{\"id\":\"c\",\"model\":\"gpt-x\",\"choices\":[{\"index\":0,\"message\":{\"role\":"
             "\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"a\",\"type\":\"function\","
             "\"function\":{\"name\":\"%.*s\",\"arguments\":\"{}\"}}]},\"finish_reason\":"
             "\"tool_calls\"}]}",
             SLICE_ARG(told));
    upstream_forget_script(k, 0);
    upstream_answers(k, 0, 200, stream);
    struct flow_client *c = client_posts(k, "alice", MESSAGES, VERSION, ask);
    expect_status(c, 200);
    expect_body_has(c, name);
}

FLOW(azure_is_asked_where_its_version_has_it)
{
    static const struct {
        const char *path, *version, *secret, *line, *header;
    } rows[] = {
        {"/openai", "2024-10-21", "key",
         "POST /openai/deployments/gpt-x/chat/completions"
         "?api-version=2024-10-21 HTTP/1.1\r\n",
         "api-key"},
        {"/openai", NULL, "key", "POST /openai/v1/chat/completions HTTP/1.1\r\n", "api-key"},
        {"/openai/v1", NULL, "eyJhbGciOiJub25lIn0.eyJhIjoxfQ.c2ln",
         "POST /openai/v1/chat/completions HTTP/1.1\r\n", "authorization"},
        {"", NULL, "key", "POST /openai/v1/chat/completions HTTP/1.1\r\n", "api-key"},
        {"/openai/deployments/d", "preview", "key",
         "POST /openai/deployments/d/chat/completions?api-version=preview HTTP/1.1\r\n", "api-key"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        policy_has(k, (struct flow_provider){.dialect = "azure",
                                             .path = rows[i].path,
                                             .api_version = rows[i].version,
                                             .secret = rows[i].secret});
        upstream_forget_script(k, 0);
        upstream_answers(k, 0, 200, ANSWER);
        expect_status(client_posts(k, "alice", CHAT, NULL, ASK), 200);
        const struct upstream_call *call = &k->upstreams[0].calls[k->upstreams[0].call_count - 1];
        if (!slice_starts(call->head, slice_str(rows[i].line)))
            fail_msg("row %zu: %.*s", i, SLICE_ARG(slice_first(call->head, 120)));
        assert_true(upstream_heard(call, rows[i].header).len > 0);
    }
}

FLOW(azures_filter_is_no_beginning_and_its_refusal_is_told)
{
    policy_has(k, (struct flow_provider){.dialect = "azure", .path = "/openai"});
    upstream_opens_stream(k, 0);
    upstream_sends(k, 0,
                   "data: {\"choices\":[],\"created\":0,\"id\":\"\",\"model\":\"\",\"object\":\"\","
                   "\"prompt_filter_results\":[{\"prompt_index\":0}]}\n\n");
    upstream_sends(k, 0, WORD STOPS DONE);
    upstream_ends_stream(k, 0);
    struct flow_client *c = client_posts(k, "alice", MESSAGES, VERSION, TELL(",\"stream\":true"));
    expect_status(c, 200);
    expect_body_has(c, "\"model\":\"gpt-x\"");
    expect_body_has(c, "\"text\":\"hi\"");

    upstream_forget_script(k, 0);
    upstream_answers(k, 0, 400,
                     "{\"error\":{\"message\":\"filtered\",\"type\":null,\"param\":\"prompt\","
                     "\"code\":\"content_filter\",\"status\":400,\"innererror\":{\"code\":"
                     "\"ResponsibleAIPolicyViolation\"}}}");
    c = client_posts(k, "alice", CHAT, NULL, ASK);
    expect_status(c, 400);
    expect_code(c, "content_filter");
}

FLOW(mistral_gets_its_own_names_and_its_reasoning_is_told_as_such)
{
    policy_has(k, (struct flow_provider){.dialect = "mistral"});
    upstream_answers(
        k, 0, 200,
        "{\"id\":\"c\",\"object\":\"chat.completion\",\"model\":\"gpt-x\",\"choices\":[{\"index\":"
        "0,"
        "\"message\":{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":[{"
        "\"type\":\"text\",\"text\":\"hm\"}]},{\"type\":\"text\",\"text\":\"hi\"}]},"
        "\"finish_reason\":\"model_length\"}],\"usage\":{\"prompt_tokens\":1,"
        "\"completion_tokens\":2,\"total_tokens\":3}}");
    struct flow_client *c = client_posts(
        k, "alice", CHAT, NULL,
        "{\"model\":\"m\",\"seed\":7,\"stream_options\":null,\"user\":\"u\",\"messages\":[{"
        "\"role\":\"user\",\"content\":\"hello\"}]}");
    expect_status(c, 200);
    expect_body_has(c, "\"reasoning_content\":\"hm\"");
    expect_body_has(c, "\"content\":\"hi\"");
    expect_body_has(c, "\"finish_reason\":\"length\"");
    assert_true(slice_eq(client_header(c, "x-gatehouse-notice"), SLICE("user")));
    expect_sent(k, "random_seed", "7");
    expect_sent(k, "seed", "");

    upstream_forget_script(k, 0);
    upstream_answers(k, 0, 422,
                     "{\"object\":\"error\",\"message\":{\"detail\":[{\"type\":\"extra_forbidden\","
                     "\"loc\":[\"body\",\"seed\"],\"msg\":\"Extra inputs are not permitted\"}]},"
                     "\"type\":\"invalid_request_error\",\"param\":null,\"code\":null}");
    c = client_posts(k, "alice", CHAT, NULL, ASK);
    expect_status(c, 422);
    expect_body_has(c, "seed: Extra inputs are not permitted");
}

#define VECTORS                                                                                    \
    "{\"object\":\"list\",\"data\":[{\"object\":\"embedding\",\"index\":0,\"embedding\":[1,-0.5,"  \
    "0.25,2]},{\"object\":\"embedding\",\"embedding\":[ 1e0 , 0 ],\"index\":1}],\"model\":\"e\","  \
    "\"usage\":{\"prompt_tokens\":2,\"total_tokens\":2}}"
#define ENCODED                                                                                    \
    "{\"object\":\"list\",\"data\":[{\"object\":\"embedding\",\"index\":0,\"embedding\":"          \
    "\"AACAPwAAAL8AAIA+AAAAQA==\"},{\"object\":\"embedding\",\"embedding\":\"AACAPwAAAAA=\","      \
    "\"index\":1}],\"model\":\"e\",\"usage\":{\"prompt_tokens\":2,\"total_tokens\":2}}"

FLOW(vectors_come_in_base64_where_the_client_asked_for_it)
{
    static const struct {
        const char *ask, *answer, *got;
    } rows[] = {
        {"{\"model\":\"m\",\"input\":[\"a\",\"b\"],\"encoding_format\":\"base64\"}", VECTORS,
         ENCODED},
        {"{\"model\":\"m\",\"input\":[\"a\",\"b\"],\"encoding_format\":\"float\"}", VECTORS,
         VECTORS},
        {"{\"model\":\"m\",\"input\":[[1,2],[3]]}", VECTORS, VECTORS},
        {"{\"model\":\"m\",\"input\":[1,2],\"encoding_format\":\"base64\"}", ENCODED, ENCODED},
    };
    policy_has(k, (struct flow_provider){0});
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        upstream_forget_script(k, 0);
        upstream_answers(k, 0, 200, rows[i].answer);
        struct flow_client *c = client_posts(k, "alice", "/v1/embeddings", NULL, rows[i].ask);
        expect_status(c, 200);
        expect_body(c, rows[i].got);
    }
}

FLOW(mistral_is_told_dimensions_by_its_own_name)
{
    policy_has(k, (struct flow_provider){.dialect = "mistral"});
    upstream_answers(k, 0, 200, VECTORS);
    struct flow_client *c =
        client_posts(k, "alice", "/v1/embeddings", NULL,
                     "{\"model\":\"m\",\"input\":[\"a\",\"b\"],\"encoding_format\":\"base64\","
                     "\"dimensions\":2,\"user\":\"u\"}");
    expect_status(c, 200);
    expect_body(c, ENCODED);
    assert_true(slice_eq(client_header(c, "x-gatehouse-notice"), SLICE("user")));
    expect_sent(k, "output_dimension", "2");
    expect_sent(k, "encoding_format", "");
    expect_sent(k, "input", "[\"a\",\"b\"]");
}

FLOW(vectors_of_other_protocols_come_as_openais)
{
    static const struct {
        const char *dialect, *answer, *line, *sent;
        const char *estimate; /* its tokens, where the provider does not say */
    } rows[] = {
        {"gemini", "{\"embeddings\":[{\"values\":[1,-0.5,0.25,2]},{\"values\":[1,0]}]}",
         "POST /v1beta/models/gpt-x:batchEmbedContents HTTP/1.1\r\n",
         "{\"requests\":[{\"model\":\"models/gpt-x\",\"content\":{\"parts\":[{\"text\":\"a\"}]},"
         "\"outputDimensionality\":2},{\"model\":\"models/"
         "gpt-x\",\"content\":{\"parts\":[{\"text\":"
         "\"\xc3\xa9\"}]},\"outputDimensionality\":2}]}",
         "estimate"},
        {"cohere",
         "{\"id\":\"i\",\"embeddings\":{\"float\":[[1,-0.5,0.25,2],[1,0]]},\"meta\":{"
         "\"billed_units\":{\"input_tokens\":2}}}",
         "POST /v2/embed HTTP/1.1\r\n",
         "{\"model\":\"gpt-x\",\"input_type\":\"search_document\",\"embedding_types\":[\"float\"],"
         "\"texts\":[\"a\",\"\xc3\xa9\"],\"output_dimension\":2}",
         NULL},
        {"ollama", "{\"embeddings\":[[1,-0.5,0.25,2],[1,0]],\"prompt_eval_count\":2}",
         "POST /api/embed HTTP/1.1\r\n",
         "{\"model\":\"gpt-x\",\"input\":[\"a\",\"\xc3\xa9\"],\"dimensions\":2}", NULL},
    };
    static const char ask[] = "{\"model\":\"m\",\"input\":[\"a\",\"\\u00e9\"],\"dimensions\":2,"
                              "\"encoding_format\":\"base64\"}";
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        policy_has(k, (struct flow_provider){.dialect = rows[i].dialect, .path = ""});
        upstream_forget_script(k, 0);
        upstream_answers(k, 0, 200, rows[i].answer);
        struct flow_client *c = client_posts(k, "alice", "/v1/embeddings", NULL, ask);
        expect_status(c, 200);
        expect_body_has(c, "{\"object\":\"embedding\",\"index\":0,\"embedding\":"
                           "\"AACAPwAAAL8AAIA+AAAAQA==\"},{\"object\":\"embedding\",\"index\":1,"
                           "\"embedding\":\"AACAPwAAAAA=\"}");
        const struct upstream_call *call = &k->upstreams[0].calls[k->upstreams[0].call_count - 1];
        if (!slice_starts(call->head, slice_str(rows[i].line)))
            fail_msg("%s: %.*s", rows[i].dialect, SLICE_ARG(slice_first(call->head, 120)));
        if (!slice_eq(call->body, slice_str(rows[i].sent)))
            fail_msg("%s: %.*s", rows[i].dialect, SLICE_ARG(call->body));
        Gatehouse__JournalRecord *r = flow_record(k);
        assert_string_equal(r->span->usage_source, rows[i].estimate ? "estimate" : "provider");
        assert_true(r->span->tokens->input > 0 && r->span->tokens->output == 0);
        flow_record_free(r);
    }
    policy_has(k, (struct flow_provider){.dialect = "gemini", .path = ""});
    struct flow_client *c =
        client_posts(k, "alice", "/v1/embeddings", NULL, "{\"model\":\"m\",\"input\":[[1,2]]}");
    expect_status(c, 400);
    expect_body_has(c, "\"param\":\"input\"");
}

FLOW(a_stream_without_its_last_event_gets_one)
{
    policy_has(k, (struct flow_provider){0});
    upstream_opens_stream(k, 0);
    upstream_sends(k, 0, WORD STOPS);
    upstream_ends_stream(k, 0);
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, ASK_STREAM);
    expect_status(c, 200);
    assert_true(slice_ends(buf_slice(&c->body), SLICE(STOPS DONE)));
}

FLOW(a_finish_followed_by_pings_alone_ends_within_the_grace)
{
    unsigned usual = ai_stream_grace_ms;
    ai_stream_grace_ms = 200;
    policy_has(k, (struct flow_provider){0});
    upstream_opens_stream(k, 0);
    upstream_sends(k, 0, WORD STOPS);
    for (int i = 0; i < 20; i++) {
        upstream_rests(k, 0, 50);
        upstream_sends(k, 0, ": ping\n\n");
    }
    upstream_hangs(k, 0);
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, ASK_STREAM);
    expect_status(c, 200);
    assert_true(slice_ends(buf_slice(&c->body), SLICE(DONE)));
    WAIT(k, k->upstreams[0].calls[0].cut);
    ai_stream_grace_ms = usual;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(a_client_of_another_dialect_is_served_and_billed_by_its_parts),
        SCENARIO(what_the_service_does_not_take_is_named_in_the_clients_own_words),
        SCENARIO(a_service_stricter_than_openai_gets_what_it_knows_of_the_clients_own_body),
        SCENARIO(reasoning_details_go_back_to_the_account_that_made_them),
        SCENARIO(reasoning_details_of_a_stream_are_the_same),
        SCENARIO(interleaved_calls_without_ids_are_two_whole_blocks),
        SCENARIO(a_name_too_long_for_the_service_comes_back_whole),
        SCENARIO(azure_is_asked_where_its_version_has_it),
        SCENARIO(azures_filter_is_no_beginning_and_its_refusal_is_told),
        SCENARIO(mistral_gets_its_own_names_and_its_reasoning_is_told_as_such),
        SCENARIO(vectors_come_in_base64_where_the_client_asked_for_it),
        SCENARIO(mistral_is_told_dimensions_by_its_own_name),
        SCENARIO(vectors_of_other_protocols_come_as_openais),
        SCENARIO(a_stream_without_its_last_event_gets_one),
        SCENARIO(a_finish_followed_by_pings_alone_ends_within_the_grace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
