/* azure — clients of Azure OpenAI name a deployment in the path; and sessions at Azure. */
#include "tests/kit/flow/realtime_kit.h"

static const struct flow_policy policy = {
    .keys = {{.name = "alice", .models = {"gpt", "openai/gpt", "embed", "voice"}},
             {.name = "bob", .models = {"gpt"}}},
    .models =
        {{.name = "gpt", .target_model = "gpt-x", .upstreams = {0}, .upstream_count = 1},
         {.name = "openai/gpt", .target_model = "gpt-y", .upstreams = {0}, .upstream_count = 1},
         {.name = "embed", .target_model = "embed-x", .upstreams = {0}, .upstream_count = 1},
         {.name = "voice", .target_model = "voice-x", .upstreams = {0}, .upstream_count = 1}},
};

#define VERSION "?api-version=2024-10-21"
#define ANSWER                                                                                     \
    "{\"id\":\"c\",\"model\":\"gpt-x\",\"status\":\"completed\",\"output\":[],\"choices\":[{"      \
    "\"index\":0,"                                                                                 \
    "\"message\":{\"role\":\"assistant\",\"content\":\"a\"},\"finish_reason\":\"stop\"}],"         \
    "\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1,\"total_tokens\":2}}"
#define MESSAGES "\"messages\":[{\"role\":\"user\",\"content\":\"q\"}]"

static struct flow_client *sends(struct flow *k, const char *key, const char *method,
                                 const char *path, const char *type, const char *body)
{
    char request[4096];
    snprintf(request, sizeof(request),
             "%s %s HTTP/1.1\r\nHost: x\r\napi-key: %s\r\nContent-Type: %s\r\n"
             "Content-Length: %zu\r\n\r\n%s",
             method, path, flow_secret(k, key), type, strlen(body), body);
    return client_says(k, request);
}

static const struct upstream_call *last_call(const struct flow *k)
{
    assert_true(k->upstreams[0].call_count > 0);
    return &k->upstreams[0].calls[k->upstreams[0].call_count - 1];
}

FLOW(a_deployment_of_the_path_is_the_model_whatever_the_body_says)
{
#define JSON "application/json"
#define FORM "multipart/form-data; boundary=xyz"
#define FIELD(name, value)                                                                         \
    "--xyz\r\nContent-Disposition: form-data; name=\"" name "\"\r\n\r\n" value "\r\n"
#define SOUND                                                                                      \
    "--xyz\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nRIFF\r\n"       \
    "--xyz--\r\n"
#define AT(name, operation) "/openai/deployments/" name operation VERSION
    static const struct {
        const char *path, *type, *body, *line, *sent;
    } rows[] = {
        {AT("gpt", "/chat/completions"), JSON, "{\"model\":\"other\"," MESSAGES "}",
         "POST /v1/chat/completions HTTP/1.1\r\n", "{\"model\":\"gpt-x\"," MESSAGES "}"},
        {AT("gpt", "/chat/completions"), JSON, "{" MESSAGES "}",
         "POST /v1/chat/completions HTTP/1.1\r\n", "{\"model\":\"gpt-x\"," MESSAGES "}"},
        {AT("openai%2Fgpt", "/chat/completions"), JSON, "{" MESSAGES "}",
         "POST /v1/chat/completions HTTP/1.1\r\n", "{\"model\":\"gpt-y\"," MESSAGES "}"},
        {AT("openai/gpt", "/chat/completions"), JSON, "{" MESSAGES ",\"model\":\"gpt\"}",
         "POST /v1/chat/completions HTTP/1.1\r\n", "{" MESSAGES ",\"model\":\"gpt-y\"}"},
        {AT("gpt", "/completions"), JSON, "{\"prompt\":\"q\"}", "POST /v1/completions HTTP/1.1\r\n",
         "{\"model\":\"gpt-x\",\"prompt\":\"q\"}"},
        {AT("embed", "/embeddings"), JSON, "{\"input\":\"q\"}", "POST /v1/embeddings HTTP/1.1\r\n",
         "{\"model\":\"embed-x\",\"input\":\"q\"}"},
        {AT("gpt", "/images/generations"), JSON, "{\"prompt\":\"q\"}",
         "POST /v1/images/generations HTTP/1.1\r\n", "{\"model\":\"gpt-x\",\"prompt\":\"q\"}"},
        {AT("gpt", "/audio/transcriptions"), FORM, SOUND,
         "POST /v1/audio/transcriptions HTTP/1.1\r\n", FIELD("model", "gpt-x") SOUND},
        {AT("gpt", "/audio/transcriptions"), FORM, FIELD("model", "whisper") SOUND,
         "POST /v1/audio/transcriptions HTTP/1.1\r\n", FIELD("model", "gpt-x") SOUND},
        /* what is of no deployment, and the newer form */
        {"/openai/responses" VERSION, JSON, "{\"model\":\"gpt\",\"input\":\"q\"}",
         "POST /v1/responses HTTP/1.1\r\n", "{\"model\":\"gpt-x\",\"input\":\"q\"}"},
        {"/openai/v1/chat/completions", JSON, "{\"model\":\"gpt\"," MESSAGES "}",
         "POST /v1/chat/completions HTTP/1.1\r\n", "{\"model\":\"gpt-x\"," MESSAGES "}"},
        {"/openai/v1/chat/completions?api-version=preview", JSON,
         "{\"model\":\"gpt\"," MESSAGES "}", "POST /v1/chat/completions HTTP/1.1\r\n",
         "{\"model\":\"gpt-x\"," MESSAGES "}"},
    };
    policy_says(k, &policy);
    upstream_answers(k, 0, 200, ANSWER);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct flow_client *c = sends(k, "alice", "POST", rows[i].path, rows[i].type, rows[i].body);
        WAIT(k, c->whole);
        if (c->head.status != 200 || k->upstreams[0].call_count != i + 1)
            fail_msg("row %zu: %u %.*s", i, c->head.status, SLICE_ARG(buf_slice(&c->body)));
        if (!slice_starts(last_call(k)->head, slice_str(rows[i].line)) ||
            !slice_eq(last_call(k)->body, slice_str(rows[i].sent)))
            fail_msg("row %zu: %.*s", i, SLICE_ARG(buf_slice(&last_call(k)->bytes)));
        assert_false(upstream_heard(last_call(k), "api-key").ptr);
    }
}

FLOW(a_deployment_that_is_not_granted_is_no_model)
{
    policy_says(k, &policy);
    struct flow_client *c = sends(k, "bob", "POST", AT("embed", "/embeddings"), JSON,
                                  "{\"model\":\"gpt\",\"input\":\"q\"}");
    expect_status(c, 404);
    expect_code(c, "model_not_found");
    c = sends(k, "bob", "POST", AT("gpt", "/chat/completions"), JSON, "{\"a\":");
    expect_status(c, 400);
    c = sends(k, "bob", "POST", AT("gpt", "/audio/transcriptions"), FORM, "no form");
    expect_status(c, 400);
    c = sends(k, "bob", "POST", AT("gpt", "/extensions/chat"), JSON, "{}");
    expect_status(c, 404);
    expect_body_has(c, "\"error\":{");
    c = sends(k, "bob", "GET", AT("gpt", "/chat/completions"), JSON, "");
    expect_status(c, 405);
    c = client_says(
        k, "POST " AT("gpt", "/chat/completions") " HTTP/1.1\r\nHost: x\r\n"
                                                  "api-key: none\r\nContent-Length: 2\r\n\r\n{}");
    expect_status(c, 401);
    assert_int_equal(k->upstreams[0].call_count, 0);
}

FLOW(models_are_listed_for_clients_of_azure)
{
    policy_says(k, &policy);
    struct flow_client *c = sends(k, "bob", "GET", "/openai/models" VERSION, JSON, "");
    expect_status(c, 200);
    expect_body_has(c, "\"id\":\"gpt\"");
}

FLOW(a_stream_goes_to_a_client_of_azure_as_it_came)
{
#define CHUNK                                                                                      \
    "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"model\":\"gpt-x\",\"choices\":[{"  \
    "\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}\n\n"
    policy_says(k, &policy);
    upstream_opens_stream(k, 0);
    upstream_sends(k, 0, CHUNK "data: [DONE]\n\n");
    upstream_ends_stream(k, 0);
    struct flow_client *c = sends(k, "alice", "POST", AT("gpt", "/chat/completions"), JSON,
                                  "{\"stream\":true," MESSAGES "}");
    expect_status(c, 200);
    expect_body(c, CHUNK "data: [DONE]\n\n");
}

/* ---- realtime ---- */

static struct flow_policy at_azure(const char *version)
{
    struct flow_policy p = policy;
    p.providers[0] =
        (struct flow_provider){.dialect = "azure", .path = "/openai", .api_version = version};
    return p;
}

/* Both ways: as Azure's clients ask, and as Azure is asked. */
FLOW(a_session_is_opened_by_clients_of_azure_and_at_azure)
{
    static const struct {
        const char *target, *version, *line;
    } rows[] = {
        {"/v1/realtime?model=voice", "2024-10-01-preview",
         "GET /openai/realtime?api-version=2024-10-01-preview&deployment=voice-x HTTP/1.1\r\n"},
        {"/v1/realtime?model=voice", NULL, "GET /openai/v1/realtime?model=voice-x HTTP/1.1\r\n"},
        {"/openai/realtime" VERSION "&deployment=voice", NULL,
         "GET /openai/v1/realtime?model=voice-x HTTP/1.1\r\n"},
        {"/openai/v1/realtime?model=voice", "2024-10-01-preview",
         "GET /openai/realtime?api-version=2024-10-01-preview&deployment=voice-x HTTP/1.1\r\n"},
    };
    struct realtime_kit t;
    char lines[200];
    realtime_kit_open(k, &t);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct flow_policy p = at_azure(rows[i].version);
        policy_says(k, &p);
        snprintf(lines, sizeof(lines), "api-key: %s\r\n", flow_secret(k, "alice"));
        struct realtime_end *c = realtime_client(&t, rows[i].target, NULL, lines);
        WAIT(k, c->status && t.upstream_count == i + 1);
        struct realtime_end *u = &t.upstreams[i];
        assert_int_equal(c->status, 101);
        if (!slice_starts(buf_slice(&u->head), slice_str(rows[i].line)))
            fail_msg("row %zu: %.*s", i, SLICE_ARG(slice_first(buf_slice(&u->head), 120)));
        assert_true(slice_starts(realtime_header(u, "api-key"), SLICE("sk-upstream-secret-")));
        assert_null(realtime_header(u, "authorization").ptr);

        realtime_says(u, "{\"type\":\"session.created\",\"session\":{}}");
        WAIT(k, realtime_heard(c, "session.created"));
        realtime_says(c, "{\"type\":\"response.create\"}");
        WAIT(k, realtime_heard(u, "response.create"));
        realtime_says(u, "{\"type\":\"response.done\",\"response\":{\"id\":\"r1\",\"usage\":{"
                         "\"total_tokens\":15,\"input_tokens\":10,\"output_tokens\":5}}}");
        WAIT(k, realtime_heard(c, "response.done"));
        realtime_closes(c, 1000, "");
        WAIT(k, c->closed && u->gone);
        Gatehouse__JournalRecord *r = flow_record(k);
        assert_int_equal(r->span->tokens->input, 10);
        assert_int_equal(r->span->tokens->output, 5);
        flow_record_free(r);
    }
    realtime_kit_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(a_deployment_of_the_path_is_the_model_whatever_the_body_says),
        SCENARIO(a_deployment_that_is_not_granted_is_no_model),
        SCENARIO(models_are_listed_for_clients_of_azure),
        SCENARIO(a_stream_goes_to_a_client_of_azure_as_it_came),
        SCENARIO(a_session_is_opened_by_clients_of_azure_and_at_azure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
