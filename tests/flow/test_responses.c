/* responses — clients of the Responses API: on OpenAI itself, and on providers of other dialects.
 */
#include "tests/kit/flow/flow.h"

#include "common/base/json.h"

#define PATH "/v1/responses"
#define HELLO "{\"model\":\"gpt\",\"input\":\"hello\",\"store\":false}"
#define STREAM "{\"model\":\"gpt\",\"input\":\"hello\",\"store\":false,\"stream\":true}"
#define KEPT "{\"model\":\"gpt\",\"input\":\"hello\"}"

#define USAGE                                                                                      \
    "\"usage\":{\"input_tokens\":100,\"input_tokens_details\":{\"cached_tokens\":40},"             \
    "\"output_tokens\":20,\"output_tokens_details\":{\"reasoning_tokens\":5},"                     \
    "\"total_tokens\":120}"
#define WHOLE                                                                                      \
    "{\"id\":\"resp_1\",\"object\":\"response\",\"created_at\":1,\"status\":\"completed\","        \
    "\"model\":\"gpt-x\",\"output\":[{\"id\":\"msg_1\",\"type\":\"message\",\"role\":"             \
    "\"assistant\",\"status\":\"completed\",\"content\":[{\"type\":\"output_text\",\"text\":"      \
    "\"hi there\",\"annotations\":[]}]}]," USAGE "}"

static const struct flow_policy on_openai = {
    .providers = {{.dialect = "openai"}},
    .keys = {{.name = "alice", .models = {"gpt"}, .budget = 10 * MONEY_DOLLAR},
             {.name = "bob", .models = {"gpt"}}},
    .models = {{.name = "gpt", .target_model = "gpt-x", .upstreams = {0}, .upstream_count = 1}},
};

static const struct flow_policy on_two = {
    .providers = {{.dialect = "openai"}, {.dialect = "openai"}},
    .keys = {{.name = "alice", .models = {"gpt"}}},
    .models = {{.name = "gpt", .upstreams = {0, 1}, .upstream_count = 2}},
};

static const struct flow_policy on_anthropic = {
    .providers = {{.dialect = "anthropic"}},
    .keys = {{.name = "alice", .models = {"gpt"}}, {.name = "bob", .models = {"gpt"}}},
    .models = {{.name = "gpt", .upstreams = {0}, .upstream_count = 1}},
};

static json_t *body_of(struct slice body)
{
    struct json_problem problem;
    json_t *tree = NULL;
    if (json_read(body, &tree, &problem))
        fail_msg("not JSON: %.*s", SLICE_ARG(body));
    return tree;
}

static void says(struct flow *k, size_t upstream, const char *type, const char *rest)
{
    char event[2048];
    snprintf(event, sizeof(event), "event: %s\ndata: {\"type\":\"%s\"%s}\n\n", type, type, rest);
    upstream_sends(k, upstream, event);
}

static void begins(struct flow *k, size_t upstream, const char *id)
{
    char rest[512];
    upstream_opens_stream(k, upstream);
    snprintf(rest, sizeof(rest),
             ",\"sequence_number\":0,\"response\":{\"id\":\"%s\",\"model\":\"gpt-x\",\"status\":"
             "\"in_progress\",\"output\":[],\"usage\":null}",
             id);
    says(k, upstream, "response.created", rest);
    says(k, upstream, "response.in_progress", rest);
}

static void speaks(struct flow *k, size_t upstream)
{
    says(k, upstream, "response.output_item.added",
         ",\"output_index\":0,\"item\":{\"id\":\"msg_1\",\"type\":\"message\",\"content\":[]}");
    says(k, upstream, "response.output_text.delta",
         ",\"item_id\":\"msg_1\",\"output_index\":0,\"content_index\":0,\"delta\":\"hi\"");
}

static void ends(struct flow *k, size_t upstream)
{
    says(k, upstream, "response.completed", ",\"response\":" WHOLE);
    upstream_ends_stream(k, upstream);
}

static size_t count_of(struct slice in, const char *what)
{
    size_t n = 0;
    ptrdiff_t at;
    while ((at = slice_search(in, slice_str(what))) >= 0) {
        n++;
        in = slice_from(in, (size_t)at + 1);
    }
    return n;
}

static void expect_calls(const struct flow *k, size_t n)
{
    assert_int_equal(k->upstreams[0].call_count + k->upstreams[1].call_count, n);
}

/* ---- on OpenAI ---- */

FLOW(a_plain_response_passes_as_it_came_and_is_billed_by_its_usage)
{
    policy_says(k, &on_openai);
    upstream_answers(k, 0, 200, WHOLE);

    struct flow_client *c = client_posts(k, "alice", PATH, NULL, HELLO);

    expect_status(c, 200);
    assert_true(slice_eq(buf_slice(&c->body), SLICE(WHOLE)));
    const struct upstream_call *call = &k->upstreams[0].calls[0];
    assert_true(slice_starts(call->head, SLICE("POST /v1/responses HTTP/1.1\r\n")));
    assert_true(slice_starts(upstream_heard(call, "authorization"), SLICE("Bearer sk-upstream")));
    JSON_AUTO json_t *sent = body_of(call->body);
    assert_true(slice_eq(json_text(sent, "model"), SLICE("gpt-x")));
    assert_true(json_integer_value(json_object_get(sent, "max_output_tokens")) > 0);
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_int_equal(r->span->tokens->input, 100);
    assert_int_equal(r->span->tokens->cache_read, 40);
    assert_int_equal(r->span->tokens->output, 20);
    assert_int_equal(r->span->tokens->reasoning, 5);
    assert_string_equal(r->span->usage_source, "provider");
    flow_record_free(r);
}

FLOW(a_stream_passes_as_it_came_and_is_billed_by_its_last_event)
{
    policy_says(k, &on_openai);
    begins(k, 0, "resp_1");
    speaks(k, 0);
    ends(k, 0);

    struct flow_client *c = client_posts(k, "alice", PATH, NULL, STREAM);

    expect_status(c, 200);
    assert_int_equal(count_of(buf_slice(&c->body), "event: response.created\n"), 1);
    expect_body_has(c, "event: response.output_text.delta\ndata: {\"type\":"
                       "\"response.output_text.delta\",\"item_id\":\"msg_1\",\"output_index\":0,"
                       "\"content_index\":0,\"delta\":\"hi\"}\n\n");
    assert_true(slice_ends(buf_slice(&c->body), SLICE(USAGE "}}\n\n")));
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_int_equal(r->span->tokens->input, 100);
    assert_int_equal(r->span->tokens->output, 20);
    assert_string_equal(r->span->usage_source, "provider");
    assert_string_equal(r->span->status, "ok");
    flow_record_free(r);
}

/* Azure has responses beside its deployments, under either form of its URL. */
FLOW(azure_is_told_responses_beside_its_deployments)
{
    static const struct {
        const char *version, *head;
    } rows[] = {{"2025-04-01-preview",
                 "POST /openai/responses?api-version=2025-04-01-preview HTTP/1.1\r\n"},
                {NULL, "POST /openai/v1/responses HTTP/1.1\r\n"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct flow_policy on_azure = {
            .providers = {{.dialect = "azure", .path = "/openai", .api_version = rows[i].version}},
            .keys = {{.name = "alice", .models = {"gpt"}}},
            .models = {{.name = "gpt", .upstreams = {0}, .upstream_count = 1}},
        };
        policy_says(k, &on_azure);
        upstream_forget_script(k, 0);
        upstream_answers(k, 0, 200, WHOLE);
        struct flow_client *c = client_posts(k, "alice", PATH, NULL, HELLO);
        expect_status(c, 200);
        const struct upstream_call *call = &k->upstreams[0].calls[i];
        if (!slice_starts(call->head, slice_str(rows[i].head)))
            fail_msg("%.*s", SLICE_ARG(call->head));
        assert_true(upstream_heard(call, "api-key").len > 0);
    }
}

/* A server that speaks as OpenAI does may have conversations alone; it is asked once. */
FLOW(a_server_without_the_path_is_told_a_chat)
{
    policy_says(k, &on_openai);
    upstream_answers(k, 0, 404, "{\"detail\":\"Not Found\"}");
    struct flow_client *c = client_posts(k, "bob", PATH, NULL, HELLO);
    expect_status(c, 404);
    assert_true(slice_starts(k->upstreams[0].calls[0].head, SLICE("POST /v1/responses ")));
    assert_true(slice_starts(k->upstreams[0].calls[1].head, SLICE("POST /v1/chat/completions ")));

    upstream_forget_script(k, 0);
    upstream_answers(k, 0, 200,
                     "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"model\":\"m\","
                     "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":"
                     "\"hi\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1,"
                     "\"completion_tokens\":2,\"total_tokens\":3}}");
    c = client_posts(k, "bob", PATH, NULL, HELLO);
    expect_status(c, 200);
    expect_body_has(c, "\"text\":\"hi\"");
    assert_int_equal(k->upstreams[0].call_count, 3);
    assert_true(slice_starts(k->upstreams[0].calls[2].head, SLICE("POST /v1/chat/completions ")));
}

/* litellm PR #43238 */
FLOW(a_failover_before_the_first_content_shows_one_response_created)
{
    policy_says(k, &on_two);
    begins(k, 0, "resp_first");
    says(k, 0, "error", ",\"code\":\"overloaded\",\"message\":\"overloaded\",\"param\":null");
    upstream_ends_stream(k, 0);
    begins(k, 1, "resp_second");
    speaks(k, 1);
    ends(k, 1);

    struct flow_client *c = client_posts(k, "alice", PATH, NULL, STREAM);

    expect_status(c, 200);
    assert_int_equal(count_of(buf_slice(&c->body), "event: response.created\n"), 1);
    expect_body_has(c, "\"id\":\"resp_second\"");
    assert_true(slice_search(buf_slice(&c->body), SLICE("resp_first")) < 0);
    expect_calls(k, 2);
}

FLOW(a_response_that_fails_in_its_stream_is_told_as_it_came)
{
    policy_says(k, &on_openai);
    begins(k, 0, "resp_1");
    speaks(k, 0);
    says(k, 0, "response.failed",
         ",\"response\":{\"id\":\"resp_1\",\"status\":\"failed\",\"error\":{\"code\":"
         "\"server_error\",\"message\":\"it broke\"},\"output\":[],\"usage\":null}");
    upstream_ends_stream(k, 0);

    struct flow_client *c = client_posts(k, "alice", PATH, NULL, STREAM);

    expect_status(c, 200);
    expect_body_has(c, "event: response.failed\n");
    expect_body_has(c, "\"message\":\"it broke\"");
    assert_true(slice_search(buf_slice(&c->body), SLICE("response.completed")) < 0);
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_string_equal(r->span->status, "error");
    flow_record_free(r);
}

FLOW(a_stream_that_breaks_off_ends_with_an_error_event)
{
    policy_says(k, &on_openai);
    begins(k, 0, "resp_1");
    speaks(k, 0);
    upstream_cuts(k, 0);

    struct flow_client *c = client_posts(k, "alice", PATH, NULL, STREAM);

    expect_status(c, 200);
    expect_body_has(c, "event: error\ndata: {\"type\":\"error\",\"sequence_number\":");
    assert_true(slice_search(buf_slice(&c->body), SLICE("response.completed")) < 0);
}

/* Codex's own shape: tools that the client runs show what they cost. */
FLOW(codexs_request_passes_as_it_came_under_a_budget)
{
#define CODEX(model)                                                                               \
    "{\"model\":\"" model "\",\"instructions\":\"You are Codex.\",\"input\":[{\"type\":"           \
    "\"message\",\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":\"hi\"}]},{"     \
    "\"type\":\"reasoning\",\"summary\":[],\"content\":null,\"encrypted_content\":\"gAAAA\"},"     \
    "{\"type\":\"custom_tool_call\",\"call_id\":\"c1\",\"name\":\"apply_patch\",\"input\":\"x\"}"  \
    ",{\"type\":\"custom_tool_call_output\",\"call_id\":\"c1\",\"output\":\"done\"}],\"tools\":["  \
    "{\"type\":\"function\",\"name\":\"shell\",\"strict\":false,\"parameters\":{\"type\":"         \
    "\"object\",\"properties\":{}}},{\"type\":\"custom\",\"name\":\"apply_patch\",\"format\":{"    \
    "\"type\":\"grammar\",\"syntax\":\"lark\",\"definition\":\"start: x\"}}],\"tool_choice\":"     \
    "\"auto\",\"parallel_tool_calls\":false,\"reasoning\":{\"effort\":\"medium\",\"summary\":"     \
    "\"auto\"},\"store\":false,\"stream\":true,\"include\":[\"reasoning.encrypted_content\"],"     \
    "\"prompt_cache_key\":\"019a\",\"max_output_tokens\":100}"
    policy_says(k, &on_openai);
    begins(k, 0, "resp_1");
    speaks(k, 0);
    ends(k, 0);

    struct flow_client *c = client_posts(k, "alice", PATH, NULL, CODEX("gpt"));

    expect_status(c, 200);
    assert_true(slice_eq(k->upstreams[0].calls[0].body, SLICE(CODEX("gpt-x"))));
    expect_body_has(c, "event: response.completed\n");
}

/* security.md: an id that was not sealed here, for this owner, is unknown */
FLOW(what_is_kept_has_a_mark_and_is_its_owners_alone)
{
    char next[1024];
    policy_says(k, &on_openai);
    upstream_answers(k, 0, 200, WHOLE);

    struct flow_client *c = client_posts(k, "alice", PATH, NULL, KEPT);
    expect_status(c, 200);
    JSON_AUTO json_t *got = body_of(buf_slice(&c->body));
    struct slice id = json_text(got, "id");
    assert_true(slice_starts(id, SLICE("resp_1_gh")));
    const json_t *item = json_array_get(json_object_get(got, "output"), 0);
    struct slice item_id = json_text(item, "id");
    assert_true(slice_starts(item_id, SLICE("msg_1_gh")));

    snprintf(next, sizeof(next),
             "{\"model\":\"gpt\",\"previous_response_id\":\"%.*s\",\"input\":[{\"type\":"
             "\"item_reference\",\"id\":\"%.*s\"}]}",
             SLICE_ARG(id), SLICE_ARG(item_id));
    c = client_posts(k, "bob", PATH, NULL, next);
    expect_status(c, 400);
    expect_body_has(c, "\"param\":\"previous_response_id\"");
    expect_calls(k, 1);
    c = client_posts(k, "bob", PATH, NULL,
                     "{\"model\":\"gpt\",\"previous_response_id\":\"resp_1\",\"input\":\"x\"}");
    expect_status(c, 400);
    expect_calls(k, 1);

    policy_says(k, &(struct flow_policy){
                       .providers = {{.dialect = "openai"}},
                       .keys = {{.name = "alice", .models = {"gpt"}}},
                       .models = {{.name = "gpt", .upstreams = {0}, .upstream_count = 1}},
                   });
    c = client_posts(k, "alice", PATH, NULL, next);
    expect_status(c, 200);
    assert_true(slice_eq(k->upstreams[0].calls[1].body,
                         SLICE("{\"model\":\"gpt\",\"previous_response_id\":\"resp_1\",\"input\":["
                               "{\"type\":\"item_reference\",\"id\":\"msg_1\"}]}")));
}

/* What a conversation that lies at the provider costs is not known here. */
FLOW(a_kept_conversation_is_refused_under_a_budget)
{
    policy_says(k, &on_openai);

    struct flow_client *c =
        client_posts(k, "alice", PATH, NULL,
                     "{\"model\":\"gpt\",\"previous_response_id\":\"resp_1\",\"input\":\"x\"}");

    expect_status(c, 400);
    expect_calls(k, 0);
}

FLOW(tokens_are_counted_by_openai_and_estimated_elsewhere)
{
    policy_says(k, &on_openai);
    upstream_answers(k, 0, 200, "{\"object\":\"response.input_tokens\",\"input_tokens\":123}");
    struct flow_client *c = client_posts(k, "alice", PATH "/input_tokens", NULL, HELLO);
    expect_status(c, 200);
    expect_body(c, "{\"object\":\"response.input_tokens\",\"input_tokens\":123}");
    assert_true(
        slice_starts(k->upstreams[0].calls[0].head, SLICE("POST /v1/responses/input_tokens ")));

    policy_says(k, &on_anthropic);
    c = client_posts(k, "alice", PATH "/input_tokens", NULL, HELLO);
    expect_status(c, 200);
    expect_body_has(c, "{\"object\":\"response.input_tokens\",\"input_tokens\":");
    expect_calls(k, 1);
}

/* litellm#18094 */
FLOW(encrypted_reasoning_goes_to_the_account_that_made_it)
{
    char next[1024];
    policy_says(k, &on_two);
    upstream_answers(k, 0, 500, "{}");
    upstream_answers(k, 1, 200,
                     "{\"id\":\"resp_1\",\"object\":\"response\",\"status\":\"completed\","
                     "\"model\":\"gpt\",\"output\":[{\"id\":\"rs_1\",\"type\":\"reasoning\","
                     "\"summary\":[],\"encrypted_content\":\"gAAAA\"}]," USAGE "}");

    struct flow_client *c = client_posts(k, "alice", PATH, NULL, HELLO);
    expect_status(c, 200);
    JSON_AUTO json_t *got = body_of(buf_slice(&c->body));
    struct slice sealed =
        json_text(json_array_get(json_object_get(got, "output"), 0), "encrypted_content");
    assert_true(slice_starts(sealed, SLICE("gAAAA_gh")));

    upstream_forget_script(k, 0);
    upstream_answers(k, 0, 200, WHOLE);
    snprintf(next, sizeof(next),
             "{\"model\":\"gpt\",\"store\":false,\"input\":[{\"type\":\"reasoning\",\"summary\":[]"
             ",\"encrypted_content\":\"%.*s\"},{\"role\":\"user\",\"content\":\"x\"}]}",
             SLICE_ARG(sealed));
    c = client_posts(k, "alice", PATH, NULL, next);
    expect_status(c, 200);
    assert_int_equal(k->upstreams[1].call_count, 2);
    assert_true(slice_search(k->upstreams[1].calls[1].body, SLICE("\"gAAAA\"")) >= 0);

    /* the other account, which could not read it, is told the rest */
    upstream_forget_script(k, 1);
    upstream_answers(k, 1, 500, "{}");
    c = client_posts(k, "alice", PATH, NULL, next);
    expect_status(c, 200);
    assert_true(slice_search(k->upstreams[0].calls[1].body, SLICE("gAAAA")) < 0);
    assert_true(slice_eq(client_header(c, "x-gatehouse-notice"), SLICE("input.encrypted_content")));
}

/* ---- on a provider of another dialect ---- */

#define SAYS(type, rest) "event: " type "\ndata: {\"type\":\"" type "\"" rest "}\n\n"

static void claude_starts(struct flow *k)
{
    upstream_opens_stream(k, 0);
    upstream_sends(k, 0,
                   SAYS("message_start",
                        ",\"message\":{\"id\":\"msg_a\",\"type\":\"message\",\"role\":"
                        "\"assistant\",\"model\":\"claude-x\",\"content\":[],\"usage\":{"
                        "\"input_tokens\":10,\"output_tokens\":1}}"));
}

static void claude_stops(struct flow *k)
{
    upstream_sends(k, 0,
                   SAYS("message_delta", ",\"delta\":{\"stop_reason\":\"tool_use\"},\"usage\":{"
                                         "\"output_tokens\":20}"));
    upstream_sends(k, 0, SAYS("message_stop", ""));
    upstream_ends_stream(k, 0);
}

FLOW(a_translated_stream_has_the_event_grammar)
{
    policy_says(k, &on_anthropic);
    claude_starts(k);
    upstream_sends(k, 0,
                   SAYS("content_block_start",
                        ",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}"));
    upstream_sends(k, 0,
                   SAYS("content_block_delta",
                        ",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"hi\"}"));
    upstream_sends(k, 0, SAYS("content_block_stop", ",\"index\":0"));
    upstream_sends(k, 0,
                   SAYS("content_block_start",
                        ",\"index\":1,\"content_block\":{\"type\":\"tool_use\",\"id\":\"t1\","
                        "\"name\":\"f\",\"input\":{}}"));
    upstream_sends(k, 0,
                   SAYS("content_block_delta",
                        ",\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":"
                        "\"{\\\"x\\\":1}\"}"));
    upstream_sends(k, 0, SAYS("content_block_stop", ",\"index\":1"));
    claude_stops(k);

    struct flow_client *c = client_posts(
        k, "alice", PATH, NULL,
        "{\"model\":\"gpt\",\"input\":\"hello\",\"stream\":true,\"instructions\":\"be kind\","
        "\"tools\":[{\"type\":\"function\",\"name\":\"f\",\"parameters\":{\"type\":\"object\","
        "\"properties\":{}}}]}");

    expect_status(c, 200);
    assert_true(slice_eq(client_header(c, "content-type"), SLICE("text/event-stream")));
    static const char *const parts[] = {
        "event: response.created\n",
        "event: response.in_progress\n",
        "event: response.output_item.added\n",
        "event: response.content_part.added\n",
        "event: response.output_text.delta\n",
        "event: response.output_text.done\n",
        "event: response.content_part.done\n",
        "event: response.output_item.done\n",
        "\"type\":\"function_call\",\"status\":\"in_progress\",\"call_id\":\"t1\"",
        "event: response.function_call_arguments.delta\n",
        "event: response.function_call_arguments.done\n",
        "event: response.output_item.done\n",
        "event: response.completed\n",
        "\"input_tokens\":10",
        "\"output_tokens\":20",
    };
    struct slice rest = buf_slice(&c->body);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        ptrdiff_t at = slice_search(rest, slice_str(parts[i]));
        if (at < 0)
            fail_msg("no %s in its place in\n%.*s", parts[i], SLICE_ARG(buf_slice(&c->body)));
        rest = slice_from(rest, (size_t)at + strlen(parts[i]));
    }
    JSON_AUTO json_t *sent = body_of(k->upstreams[0].calls[0].body);
    assert_true(slice_eq(json_text(json_array_get(json_object_get(sent, "system"), 0), "text"),
                         SLICE("be kind")));
    assert_int_equal(json_array_size(json_object_get(sent, "tools")), 1);
}

FLOW(what_only_openai_can_serve_is_named_where_the_target_is_another)
{
    static const struct {
        const char *more, *param;
    } rows[] = {
        {"\"previous_response_id\":\"resp_1\"", "previous_response_id"},
        {"\"conversation\":\"conv_1\"", "conversation"},
        {"\"background\":true", "background"},
        {"\"store\":true", "store"},
        {"\"tools\":[{\"type\":\"web_search\"}]", "tools[0].type"},
    };
    char body[512], param[64];
    policy_says(k, &on_anthropic);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        snprintf(body, sizeof(body), "{\"model\":\"gpt\",\"input\":\"hello\",%s}", rows[i].more);
        snprintf(param, sizeof(param), "\"param\":\"%s\"", rows[i].param);
        struct flow_client *c = client_posts(k, "alice", PATH, NULL, body);
        expect_status(c, 400);
        expect_body_has(c, param);
    }
    expect_calls(k, 0);
}

FLOW(a_signature_goes_back_to_the_account_that_made_it_for_its_owner)
{
    char next[1024];
    policy_says(k, &on_anthropic);
    upstream_answers(k, 0, 200,
                     "{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":"
                     "\"c\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"hm\",\"signature\":"
                     "\"c2ln\"},{\"type\":\"text\",\"text\":\"hi\"}],\"stop_reason\":\"end_turn\","
                     "\"usage\":{\"input_tokens\":1,\"output_tokens\":2}}");

    struct flow_client *c = client_posts(k, "alice", PATH, NULL, HELLO);
    expect_status(c, 200);
    JSON_AUTO json_t *got = body_of(buf_slice(&c->body));
    const json_t *item = json_array_get(json_object_get(got, "output"), 0);
    assert_true(slice_eq(json_text(item, "type"), SLICE("reasoning")));
    struct slice sealed = json_text(item, "encrypted_content");
    assert_true(sealed.len);

    snprintf(next, sizeof(next),
             "{\"model\":\"gpt\",\"store\":false,\"input\":[{\"role\":\"user\",\"content\":\"q\"},"
             "{\"type\":\"reasoning\",\"summary\":[{\"type\":\"summary_text\",\"text\":\"hm\"}],"
             "\"encrypted_content\":\"%.*s\"},{\"role\":\"assistant\",\"content\":\"hi\"},{"
             "\"role\":\"user\",\"content\":\"r\"}]}",
             SLICE_ARG(sealed));
    c = client_posts(k, "alice", PATH, NULL, next);
    expect_status(c, 200);
    assert_true(slice_search(k->upstreams[0].calls[1].body, SLICE("\"signature\":\"c2ln\"")) >= 0);
    c = client_posts(k, "bob", PATH, NULL, next);
    expect_status(c, 200);
    assert_true(slice_search(k->upstreams[0].calls[2].body, SLICE("c2ln")) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(a_plain_response_passes_as_it_came_and_is_billed_by_its_usage),
        SCENARIO(a_stream_passes_as_it_came_and_is_billed_by_its_last_event),
        SCENARIO(azure_is_told_responses_beside_its_deployments),
        SCENARIO(a_server_without_the_path_is_told_a_chat),
        SCENARIO(a_failover_before_the_first_content_shows_one_response_created),
        SCENARIO(a_response_that_fails_in_its_stream_is_told_as_it_came),
        SCENARIO(a_stream_that_breaks_off_ends_with_an_error_event),
        SCENARIO(codexs_request_passes_as_it_came_under_a_budget),
        SCENARIO(what_is_kept_has_a_mark_and_is_its_owners_alone),
        SCENARIO(a_kept_conversation_is_refused_under_a_budget),
        SCENARIO(tokens_are_counted_by_openai_and_estimated_elsewhere),
        SCENARIO(encrypted_reasoning_goes_to_the_account_that_made_it),
        SCENARIO(a_translated_stream_has_the_event_grammar),
        SCENARIO(what_only_openai_can_serve_is_named_where_the_target_is_another),
        SCENARIO(a_signature_goes_back_to_the_account_that_made_it_for_its_owner),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
