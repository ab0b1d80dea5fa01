/* objects — what OpenAI keeps is its maker's alone: responses, files, batches. */
#include "tests/kit/flow/flow.h"

#include "common/base/json.h"

static const struct flow_policy policy = {
    .providers = {{.dialect = "openai"}, {.dialect = "openai"}},
    .keys = {{.name = "alice", .models = {"gpt", "mini"}},
             {.name = "bob", .models = {"gpt"}},
             {.name = "carl", .models = {"gpt"}, .budget = MONEY_DOLLAR}},
    .models = {{.name = "gpt", .target_model = "gpt-x", .upstreams = {0}, .upstream_count = 1},
               {.name = "mini", .target_model = "mini-x", .upstreams = {1}, .upstream_count = 1}},
};

static char *id_of(struct flow_client *c)
{
    struct json_problem problem;
    JSON_AUTO json_t *tree = NULL;
    static char id[2][256];
    static size_t turn;
    if (json_read(buf_slice(&c->body), &tree, &problem))
        fail_msg("not JSON: %.*s", SLICE_ARG(buf_slice(&c->body)));
    char *to = id[turn++ % 2];
    snprintf(to, sizeof(id[0]), "%.*s", SLICE_ARG(json_text(tree, "id")));
    return to;
}

static struct flow_client *asks(struct flow *k, const char *method, const char *key,
                                const char *format, const char *id)
{
    char path[512];
    snprintf(path, sizeof(path), format, id);
    return client_asks(k, method, key, path, NULL);
}

static const char *calls_for(const struct flow *k, size_t i)
{
    static char line[256];
    struct slice head = k->upstreams[0].calls[i].head;
    ptrdiff_t end = slice_search(head, SLICE(" HTTP/1.1"));
    snprintf(line, sizeof(line), "%.*s", (int)end, head.ptr);
    return line;
}

#define RESPONSE                                                                                   \
    "{\"id\":\"resp_1\",\"object\":\"response\",\"status\":\"completed\",\"model\":\"gpt-x\","     \
    "\"output\":[],\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}"

FLOW(a_kept_response_is_read_cancelled_and_deleted_by_its_maker_alone)
{
    policy_says(k, &policy);
    upstream_answers(k, 0, 200, RESPONSE);
    struct flow_client *c =
        client_posts(k, "alice", "/v1/responses", NULL, "{\"model\":\"gpt\",\"input\":\"q\"}");
    expect_status(c, 200);
    const char *id = id_of(c);

    c = asks(k, "GET", "alice", "/v1/responses/%s", id);
    expect_status(c, 200);
    assert_string_equal(calls_for(k, 1), "GET /v1/responses/resp_1");
    assert_string_equal(id_of(c), id);
    expect_status(asks(k, "GET", "alice", "/v1/responses/%s/input_items?limit=2", id), 200);
    assert_string_equal(calls_for(k, 2), "GET /v1/responses/resp_1/input_items?limit=2");
    expect_status(asks(k, "POST", "alice", "/v1/responses/%s/cancel", id), 200);
    assert_string_equal(calls_for(k, 3), "POST /v1/responses/resp_1/cancel");
    expect_status(asks(k, "DELETE", "alice", "/v1/responses/%s", id), 200);
    assert_string_equal(calls_for(k, 4), "DELETE /v1/responses/resp_1");

    static const char *const paths[][2] = {{"GET", "/v1/responses/%s"},
                                           {"GET", "/v1/responses/%s/input_items"},
                                           {"POST", "/v1/responses/%s/cancel"},
                                           {"DELETE", "/v1/responses/%s"}};
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        expect_status(asks(k, paths[i][0], "bob", paths[i][1], id), 404);
        expect_status(asks(k, paths[i][0], "alice", paths[i][1], "resp_1"), 404);
    }
    assert_int_equal(k->upstreams[0].call_count, 5);
}

static struct flow_client *uploads(struct flow *k, const char *key, const char *purpose,
                                   const char *content)
{
    char request[4096], body[2048];
    snprintf(body, sizeof(body),
             "--xyz\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\n%s\r\n"
             "--xyz\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n%s\r\n"
             "--xyz--\r\n",
             purpose, content);
    snprintf(request, sizeof(request),
             "POST /v1/files HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
             "Content-Type: multipart/form-data; boundary=xyz\r\nContent-Length: %zu\r\n\r\n%s",
             flow_secret(k, key), strlen(body), body);
    return client_says(k, request);
}

#define LINE(model, url)                                                                           \
    "{\"custom_id\":\"1\",\"method\":\"POST\",\"url\":\"" url "\",\"body\":{\"model\":\"" model    \
    "\",\"messages\":[]}}"

FLOW(a_file_and_its_batch_are_their_makers)
{
    char body[512];
    policy_says(k, &policy);
    upstream_answers(k, 0, 200, "{\"id\":\"file-1\",\"object\":\"file\",\"purpose\":\"batch\"}");
    struct flow_client *c =
        uploads(k, "alice", "batch",
                LINE("gpt", "/v1/chat/completions") "\n" LINE("gpt", "/v1/embeddings"));
    expect_status(c, 200);
    const char *id = id_of(c);
    assert_true(slice_search(k->upstreams[0].calls[0].body,
                             SLICE("\r\n\r\n" LINE("gpt-x", "/v1/chat/completions") "\n" LINE(
                                 "gpt-x", "/v1/embeddings") "\r\n--xyz--\r\n")) >= 0);

    upstream_forget_script(k, 0);
    upstream_answers(k, 0, 200,
                     "{\"id\":\"batch_1\",\"object\":\"batch\",\"input_file_id\":"
                     "\"file-1\",\"output_file_id\":\"file-2\",\"error_file_id\":null}");
    snprintf(body, sizeof(body),
             "{\"input_file_id\":\"%s\",\"endpoint\":\"/v1/chat/completions\","
             "\"completion_window\":\"24h\"}",
             id);
    expect_status(client_posts(k, "bob", "/v1/batches", NULL, body), 404);
    c = client_posts(k, "alice", "/v1/batches", NULL, body);
    expect_status(c, 200);
    assert_true(
        slice_search(k->upstreams[0].calls[1].body, SLICE("\"input_file_id\":\"file-1\"")) >= 0);
    struct json_problem problem;
    JSON_AUTO json_t *batch = NULL;
    assert_int_equal(json_read(buf_slice(&c->body), &batch, &problem), ERR_OK);
    assert_true(slice_eq(json_text(batch, "input_file_id"), slice_str(id)));
    char output[256];
    snprintf(output, sizeof(output), "%.*s", SLICE_ARG(json_text(batch, "output_file_id")));

    upstream_forget_script(k, 0);
    upstream_answers_with(k, 0, 200, "Content-Type: application/octet-stream\r\n",
                          "{\"id\":\"x\"}");
    expect_status(asks(k, "GET", "bob", "/v1/files/%s/content", output), 404);
    c = asks(k, "GET", "alice", "/v1/files/%s/content", output);
    expect_status(c, 200);
    expect_body(c, "{\"id\":\"x\"}");
    assert_string_equal(calls_for(k, 2), "GET /v1/files/file-2/content");
    /* whose they are is not known to OpenAI: a list would show others' too */
    static const char *const lists[][2] = {
        {"/v1/files", "files are not listed, since"},
        {"/v1/batches?limit=2", "batches are not listed, since"}};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        c = client_gets(k, "alice", lists[i][0]);
        expect_status(c, 405);
        expect_code(c, "method_not_allowed");
        expect_body_has(c, lists[i][1]);
        assert_true(slice_eq(client_header(c, "allow"), SLICE("POST")));
    }
    /* every method of a path is named, in the rows' order */
    c = client_asks(k, "PUT", "alice", "/v1/files/file-1", NULL);
    expect_status(c, 405);
    expect_body_has(c, "this path takes GET, DELETE");
    assert_true(slice_eq(client_header(c, "allow"), SLICE("GET, DELETE")));
    assert_int_equal(k->upstreams[0].call_count, 3);
}

/* A file is named by what its upload gave, in a response and in a chat; another's is unknown. */
FLOW(a_file_is_named_by_its_maker_alone)
{
#define BY_RESPONSE                                                                                \
    "{\"model\":\"gpt\",\"store\":false,\"input\":[{\"role\":\"user\",\"content\":[{\"type\":"     \
    "\"input_file\",\"file_id\":\"%s\"},{\"type\":\"input_text\",\"text\":\"q\"}]}]}"
#define BY_CHAT                                                                                    \
    "{\"model\":\"gpt\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"file\","         \
    "\"file\":{"                                                                                   \
    "\"file_id\":\"%s\"}},{\"type\":\"text\",\"text\":\"q\"}]}]}"
    static const struct {
        const char *path, *body, *param;
    } rows[] = {{"/v1/responses", BY_RESPONSE, "input[0].content[0].file_id"},
                {"/v1/chat/completions", BY_CHAT, "messages[0].content[0].file.file_id"}};
    char body[1024], expected[1024], param[128];
    policy_says(k, &policy);
    upstream_answers(k, 0, 200,
                     "{\"id\":\"file-1\",\"object\":\"file\",\"purpose\":\"user_data\"}");
    struct flow_client *c = uploads(k, "alice", "user_data", "text");
    expect_status(c, 200);
    const char *id = id_of(c);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        snprintf(param, sizeof(param), "\"param\":\"%s\"", rows[i].param);
        snprintf(body, sizeof(body), rows[i].body, id);
        snprintf(expected, sizeof(expected), rows[i].body, "file-1");
        upstream_forget_script(k, 0);
        upstream_answers(
            k, 0, 200,
            i ? "{\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":{"
                "\"role\":\"assistant\",\"content\":\"a\"},\"finish_reason\":\"stop\"}]}"
              : RESPONSE);
        expect_status(client_posts(k, "alice", rows[i].path, NULL, body), 200);
        struct slice sent = k->upstreams[0].calls[1 + i].body;
        ptrdiff_t at = slice_search(slice_str(expected), SLICE("[{"));
        assert_true(slice_ends(sent, slice_from(slice_str(expected), (size_t)at)));

        c = client_posts(k, "bob", rows[i].path, NULL, body);
        expect_status(c, 400);
        expect_body_has(c, param);
        c = client_posts(k, "alice", rows[i].path, NULL, expected);
        expect_status(c, 400);
        expect_body_has(c, param);
    }
    assert_int_equal(k->upstreams[0].call_count, 3);
}

/* A batch asks for models as a call does. */
FLOW(a_batch_whose_lines_are_not_granted_is_refused)
{
    static const struct {
        const char *key, *content;
    } rows[] = {
        {"bob", LINE("mini", "/v1/chat/completions")},   /* not granted */
        {"alice", LINE("mini", "/v1/chat/completions")}, /* another account's */
        {"alice", LINE("gpt-x", "/v1/chat/completions")},
        {"alice", LINE("gpt", "/v1/responses")},
        {"alice", LINE("gpt", "/v1/chat/completions") "\nno json"},
        {"alice", "{\"url\":\"/v1/embeddings\",\"body\":{}}"},
    };
    policy_says(k, &policy);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect_status(uploads(k, rows[i].key, "batch", rows[i].content), 400);
    assert_int_equal(k->upstreams[0].call_count, 0);
}

FLOW(a_batch_is_refused_under_a_budget)
{
    char body[512];
    policy_says(k, &policy);
    upstream_answers(k, 0, 200, "{\"id\":\"file-1\",\"object\":\"file\",\"purpose\":\"batch\"}");
    struct flow_client *c = uploads(k, "carl", "batch", LINE("gpt", "/v1/embeddings"));
    expect_status(c, 200);
    snprintf(body, sizeof(body), "{\"input_file_id\":\"%s\",\"endpoint\":\"/v1/embeddings\"}",
             id_of(c));
    c = client_posts(k, "carl", "/v1/batches", NULL, body);
    expect_status(c, 400);
    expect_code(c, "unbounded_cost");
    assert_int_equal(k->upstreams[0].call_count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(a_kept_response_is_read_cancelled_and_deleted_by_its_maker_alone),
        SCENARIO(a_file_and_its_batch_are_their_makers),
        SCENARIO(a_file_is_named_by_its_maker_alone),
        SCENARIO(a_batch_whose_lines_are_not_granted_is_refused),
        SCENARIO(a_batch_is_refused_under_a_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
