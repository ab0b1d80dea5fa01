/* overrides — what a model's policy puts into its calls and takes out of them, as its upstream sees
 * it, in every dialect. */
#include "tests/kit/flow/flow.h"

#include "common/base/json.h"

#define CHAT "/v1/chat/completions"
#define VERSION "anthropic-version: 2023-06-01\r\n"
#define RESPONSE                                                                                   \
    "{\"id\":\"c1\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"x\",\"choices\":[{"   \
    "\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"hi\"},\"finish_reason\":"       \
    "\"stop\"}],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":15}}"

static Gatehouse__ModelParameters defaults, overrides;
static char *stops[] = {(char *)"END"};

/* temperature is a default; top_p, the limit and the stops are forced */
static void init_parameters(void)
{
    gatehouse__model_parameters__init(&defaults);
    gatehouse__model_parameters__init(&overrides);
    defaults.has_temperature = true;
    defaults.temperature = 0.2;
    overrides.has_top_p = overrides.has_max_tokens = true;
    overrides.top_p = 0.5;
    overrides.max_tokens = 77;
    overrides.n_stop = 1;
    overrides.stop = stops;
}

static struct flow_policy policy_of(const char *dialect, bool has_path)
{
    init_parameters();
    return (struct flow_policy){
        .providers = {{.dialect = dialect,
                       .path = has_path ? NULL : "",
                       .secret = "secret-key",
                       .region = "eu-west-1"}},
        .keys = {{.name = "alice", .models = {"m"}}},
        .models = {{.name = "m",
                    .target_model = "m",
                    .upstreams = {0},
                    .upstream_count = 1,
                    .defaults = &defaults,
                    .overrides = &overrides,
                    .drop = {"seed"},
                    .system_prompt = "be \"kind\""}},
    };
}

#define KIND "be \\\"kind\\\""

static const struct {
    const char *provider, *path, *headers;
    bool has_path;
    const char *says, *sent;
} native[] = {
    {"openai", CHAT, NULL, true,
     "{ \"model\":\"m\", \"seed\" : 4 , \"messages\":[ "
     "{\"role\":\"user\",\"content\":\"h\\u0069\"}],"
     "\"top_p\":1, \"max_tokens\" : 5,\"x\":[1,  2]}",
     "{\"temperature\":0.2,\"stop\":[\"END\"], \"model\":\"m\",  "
     "\"messages\":[{\"role\":\"system\","
     "\"content\":\"" KIND "\"}, {\"role\":\"user\",\"content\":\"h\\u0069\"}],"
     "\"top_p\":0.5, \"max_tokens\" : 77,\"x\":[1,  2]}"},
    {"openai", CHAT, NULL, true,
     "{\"model\":\"m\",\"messages\":[],\"temperature\":1,\"top_p\":null,\"stop\":\"x\",\"seed\":1}",
     "{\"max_tokens\":77,\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":"
     "\"" KIND "\"}],\"temperature\":1,\"top_p\":0.5,\"stop\":[\"END\"]}"},
    {"openai", "/v1/completions", NULL, true,
     "{\"model\":\"m\",\"prompt\":\"once\",\"seed\":1,\"temperature\":null}",
     "{\"top_p\":0.5,\"max_tokens\":77,\"stop\":[\"END\"],\"model\":\"m\",\"prompt\":\"" KIND
     "\\n\\nonce\",\"temperature\":0.2}"},
    {"openai", "/v1/completions", NULL, true, "{\"model\":\"m\",\"prompt\":[\"a\", \"b\"]}",
     "{\"temperature\":0.2,\"top_p\":0.5,\"max_tokens\":77,\"stop\":[\"END\"],\"model\":\"m\","
     "\"prompt\":[\"" KIND "\\n\\na\", \"" KIND "\\n\\nb\"]}"},
    {"openai", "/v1/responses", NULL, true,
     "{\"model\":\"m\",\"input\":\"hello\",\"store\":false,\"instructions\":\"be brief\","
     "\"max_output_tokens\":5}",
     "{\"temperature\":0.2,\"top_p\":0.5,\"model\":\"m\",\"input\":\"hello\",\"store\":false,"
     "\"instructions\":\"" KIND "\\n\\nbe brief\",\"max_output_tokens\":77}"},
    {"anthropic", "/v1/messages", VERSION, true,
     "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}],"
     "\"system\":[{\"type\":\"text\",\"text\":\"a\"}],\"stop_sequences\":[]}",
     "{\"temperature\":0.2,\"top_p\":0.5,\"model\":\"m\",\"max_tokens\":77,\"messages\":[{\"role\":"
     "\"user\",\"content\":\"hello\"}],\"system\":[{\"type\":\"text\",\"text\":\"" KIND
     "\"},{\"type\":\"text\",\"text\":\"a\"}],\"stop_sequences\":[\"END\"]}"},
    {"anthropic", "/v1/messages", VERSION, true,
     "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}",
     "{\"system\":\"" KIND "\",\"temperature\":0.2,\"top_p\":0.5,\"stop_sequences\":[\"END\"],"
     "\"model\":\"m\",\"max_tokens\":77,\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}"},
    {"gemini", "/v1beta/models/m:generateContent", NULL, false,
     "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"hello\"}]}],\"generation_config\":{"
     "\"max_output_tokens\":9,\"seed\":3},\"system_instruction\":{\"parts\":{\"text\":\"a\"}}}",
     "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"hello\"}]}],\"generation_config\":{"
     "\"temperature\":0.2,\"topP\":0.5,\"stopSequences\":[\"END\"],\"max_output_tokens\":77},"
     "\"system_instruction\":{\"parts\":[{\"text\":\"" KIND "\"},{\"text\":\"a\"}]}}"},
    {"gemini", "/v1beta/models/m:generateContent", NULL, false,
     "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"hello\"}]}]}",
     "{\"systemInstruction\":{\"parts\":[{\"text\":\"" KIND "\"}]},\"generationConfig\":{"
     "\"temperature\":0.2,\"topP\":0.5,\"maxOutputTokens\":77,\"stopSequences\":[\"END\"]},"
     "\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"hello\"}]}]}"},
    {"bedrock", "/model/m/converse", NULL, false,
     "{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"hello\"}]}],"
     "\"inferenceConfig\":{},\"system\":[]}",
     "{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"hello\"}]}],"
     "\"inferenceConfig\":{\"temperature\":0.2,\"topP\":0.5,\"maxTokens\":77,\"stopSequences\":"
     "[\"END\"]},\"system\":[{\"text\":\"" KIND "\"}]}"},
    {"cohere", "/v2/chat", NULL, false,
     "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}],\"p\":0.9,"
     "\"stream\":false, \"seed\":4 }",
     "{\"temperature\":0.2,\"max_tokens\":77,\"stop_sequences\":[\"END\"],\"model\":\"m\","
     "\"messages\":[{\"role\":\"system\",\"content\":\"" KIND "\"},{\"role\":\"user\",\"content\":"
     "\"hello\"}],\"p\":0.5,\"stream\":false }"},
};

FLOW(a_body_of_the_providers_own_dialect_is_changed_where_the_policy_says_so_and_nowhere_else)
{
    for (size_t i = 0; i < ARRAY_LEN(native); i++) {
        struct flow_policy p = policy_of(native[i].provider, native[i].has_path);
        policy_says(k, &p);
        upstream_answers(k, 0, 400, "{}");
        size_t before = k->upstreams[0].call_count;
        struct flow_client *c =
            client_posts(k, "alice", native[i].path, native[i].headers, native[i].says);
        WAIT(k, c->whole);
        if (k->upstreams[0].call_count == before)
            fail_msg("row %zu: %.*s", i, SLICE_ARG(buf_slice(&c->body)));
        struct slice body = k->upstreams[0].calls[before].body;
        if (!slice_eq(body, slice_str(native[i].sent)))
            fail_msg("row %zu: %.*s\nis not %s", i, SLICE_ARG(body), native[i].sent);
        client_is_forgotten(c);
    }
}

static json_t *tree_of(struct slice body)
{
    struct json_problem problem;
    json_t *tree = NULL;
    if (json_read(body, &tree, &problem))
        fail_msg("not JSON: %.*s", SLICE_ARG(body));
    return tree;
}

#define SEEDED "\"temperature\":0.2,\"top_p\":0.5,\"seed\":7,\"stop\":[\"END\"]"

static const struct {
    const char *provider, *path, *headers, *says, *sent;
} translated[] = {
    {"openai", "/v1/messages", VERSION,
     "{\"model\":\"m\",\"max_tokens\":9,\"system\":\"a\",\"messages\":[{\"role\":\"user\","
     "\"content\":\"hello\"}]}",
     "{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":\"" KIND
     "\\n\\na\"},{\"role\":\"user\",\"content\":\"hello\"}],\"max_tokens\":77," SEEDED "}"},
    {"openai", "/v1beta/models/m:generateContent", NULL,
     "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"hello\"}]}],\"generationConfig\":{"
     "\"topP\":1,\"seed\":2}}",
     "{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":\"" KIND
     "\"},{\"role\":\"user\",\"content\":\"hello\"}],\"max_tokens\":77," SEEDED "}"},
    {"openai", "/model/m/converse", NULL,
     "{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"hello\"}]}]}",
     "{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":\"" KIND
     "\"},{\"role\":\"user\",\"content\":\"hello\"}],\"max_tokens\":77," SEEDED "}"},
    {"openai", "/v2/chat", NULL,
     "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}],\"seed\":2}",
     "{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":\"" KIND
     "\"},{\"role\":\"user\",\"content\":\"hello\"}],\"max_tokens\":77," SEEDED "}"},
    {"anthropic", CHAT, NULL,
     "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}],\"temperature\":1}",
     "{\"model\":\"m\",\"max_tokens\":77,\"system\":[{\"type\":\"text\",\"text\":\"" KIND
     "\"}],\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"hello\"}]}],"
     "\"temperature\":1,\"stop_sequences\":[\"END\"]}"},
};

FLOW(what_the_clients_dialect_has_no_word_for_reaches_a_provider_of_another)
{
    for (size_t i = 0; i < ARRAY_LEN(translated); i++) {
        struct flow_policy p = policy_of(translated[i].provider, true);
        overrides.has_seed = true;
        overrides.seed = 7;
        policy_says(k, &p);
        upstream_answers(k, 0, 400, "{}");
        size_t before = k->upstreams[0].call_count;
        struct flow_client *c =
            client_posts(k, "alice", translated[i].path, translated[i].headers, translated[i].says);
        WAIT(k, c->whole);
        if (k->upstreams[0].call_count == before)
            fail_msg("row %zu: %.*s", i, SLICE_ARG(buf_slice(&c->body)));
        struct slice body = k->upstreams[0].calls[before].body;
        JSON_AUTO json_t *sent = tree_of(body);
        JSON_AUTO json_t *wanted = tree_of(slice_str(translated[i].sent));
        if (!json_equal(sent, wanted))
            fail_msg("row %zu: %.*s\nis not %s", i, SLICE_ARG(body), translated[i].sent);
        client_is_forgotten(c);
    }
}

static struct flow_policy plain(void)
{
    struct flow_policy p = policy_of("openai", true);
    p.models[0].defaults = p.models[0].overrides = NULL;
    p.models[0].drop[0] = p.models[0].system_prompt = NULL;
    return p;
}

static struct flow_client *asks(struct flow *k, const char *body)
{
    return client_posts(k, "alice", CHAT, NULL, body);
}

FLOW(what_was_taken_from_the_client_is_named_to_it)
{
    struct flow_policy p = plain();
    p.models[0].drop[0] = "seed";
    p.models[0].drop[1] = "user";
    p.models[0].drop[2] = "max_tokens";
    policy_says(k, &p);
    upstream_answers(k, 0, 200, RESPONSE);
    struct flow_client *c =
        asks(k, "{\"seed\":1,\"model\":\"m\",\"messages\":[],\"max_tokens\":1,\"user\":\"u\"}");
    expect_status(c, 200);
    assert_true(slice_eq(client_header(c, "x-gatehouse-notice"), SLICE("seed, max_tokens, user")) ||
                slice_eq(client_header(c, "x-gatehouse-notice"), SLICE("seed, user, max_tokens")));
    assert_true(
        slice_eq(k->upstreams[0].calls[0].body, SLICE("{\"model\":\"m\",\"messages\":[]}")));
    upstream_answers(k, 0, 200, RESPONSE);
    c = asks(k, "{\"model\":\"m\",\"messages\":[]}");
    expect_status(c, 200);
    assert_int_equal(client_header(c, "x-gatehouse-notice").len, 0);
}

FLOW(a_dropped_member_leaves_its_place_to_the_default)
{
    struct flow_policy p = plain();
    p.models[0].drop[0] = "temperature";
    p.models[0].defaults = &defaults;
    policy_says(k, &p);
    upstream_answers(k, 0, 200, RESPONSE);
    expect_status(asks(k, "{\"temperature\":2,\"model\":\"m\",\"messages\":[]}"), 200);
    assert_true(slice_eq(k->upstreams[0].calls[0].body,
                         SLICE("{\"temperature\":0.2,\"model\":\"m\",\"messages\":[]}")));
}

FLOW(its_headers_go_to_its_upstream_and_come_before_the_providers)
{
    struct flow_policy p = plain();
    p.providers[0].header = "x-tenant";
    p.providers[0].value = "all";
    p.models[0].header = "x-tenant";
    p.models[0].value = "this";
    policy_says(k, &p);
    upstream_answers(k, 0, 200, RESPONSE);
    expect_status(asks(k, "{\"model\":\"m\",\"messages\":[]}"), 200);
    assert_true(slice_eq(upstream_heard(&k->upstreams[0].calls[0], "x-tenant"), SLICE("this")));
}

/* In: 1 dollar a million tokens, out: 2. */
FLOW(the_worst_case_is_of_what_is_sent)
{
    static const char body[] = "{\"model\":\"m\",\"messages\":[]}";
    struct flow_policy p = plain();
    gatehouse__model_parameters__init(&defaults);
    defaults.has_max_tokens = true;
    defaults.max_tokens = 1000;
    p.models[0].defaults = &defaults;
    p.keys[0].budget = 1900000; /* less than 1000 tokens of output cost */
    policy_says(k, &p);
    upstream_answers(k, 0, 200, RESPONSE);
    expect_code(asks(k, body), "budget_exceeded");
    assert_int_equal(k->upstreams[0].call_count, 0);

    defaults.max_tokens = 900;
    policy_says(k, &p);
    expect_status(asks(k, body), 200);
    assert_true(slice_search(k->upstreams[0].calls[0].body, SLICE("\"max_tokens\":900")) >= 0);

    char prompt[2000]; /* as many tokens, at most */
    memset(prompt, 'x', sizeof(prompt) - 1);
    prompt[sizeof(prompt) - 1] = '\0';
    p.models[0].system_prompt = prompt;
    policy_says(k, &p);
    expect_code(asks(k, body), "budget_exceeded");
}

FLOW(tokens_cannot_follow_a_system_prompt)
{
    struct flow_policy p = policy_of("openai", true);
    policy_says(k, &p);
    struct flow_client *c =
        client_posts(k, "alice", "/v1/completions", NULL, "{\"model\":\"m\",\"prompt\":[1,2,3]}");
    expect_status(c, 400);
    expect_body_has(c, "system prompt");
    assert_int_equal(k->upstreams[0].call_count, 0);
}

FLOW(a_realtime_session_that_could_not_be_told_is_refused)
{
    struct flow_policy p = policy_of("openai", true);
    policy_says(k, &p);
    struct flow_client *c = client_posts(k, "alice", "/v1/realtime/client_secrets", NULL,
                                         "{\"session\":{\"type\":\"realtime\",\"model\":\"m\"}}");
    expect_status(c, 400);
    expect_body_has(c, "realtime session");
    assert_int_equal(k->upstreams[0].call_count, 0);
}

FLOW(a_forced_parameter_that_the_dialect_cannot_say_is_named)
{
    struct flow_policy p = policy_of("anthropic", true);
    gatehouse__model_parameters__init(&overrides);
    overrides.has_seed = true;
    overrides.seed = 7;
    p.models[0].drop[0] = NULL;
    policy_says(k, &p);
    upstream_answers(k, 0, 200,
                     "{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":"
                     "\"claude-x\",\"content\":[{\"type\":\"text\",\"text\":\"hi\"}],"
                     "\"stop_reason\":\"end_turn\",\"stop_sequence\":null,\"usage\":{"
                     "\"input_tokens\":10,\"output_tokens\":5}}");
    struct flow_client *c = client_posts(
        k, "alice", "/v1/messages", VERSION,
        "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}");
    expect_status(c, 200);
    assert_true(slice_eq(client_header(c, "x-gatehouse-notice"), SLICE("seed")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(
            a_body_of_the_providers_own_dialect_is_changed_where_the_policy_says_so_and_nowhere_else),
        SCENARIO(what_the_clients_dialect_has_no_word_for_reaches_a_provider_of_another),
        SCENARIO(what_was_taken_from_the_client_is_named_to_it),
        SCENARIO(a_dropped_member_leaves_its_place_to_the_default),
        SCENARIO(its_headers_go_to_its_upstream_and_come_before_the_providers),
        SCENARIO(the_worst_case_is_of_what_is_sent),
        SCENARIO(tokens_cannot_follow_a_system_prompt),
        SCENARIO(a_realtime_session_that_could_not_be_told_is_refused),
        SCENARIO(a_forced_parameter_that_the_dialect_cannot_say_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
