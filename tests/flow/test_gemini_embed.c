/* gemini_embed — embeddings of Gemini for clients of OpenAI's dialect, and the reverse. */
#include "tests/kit/flow/flow.h"

#define EMBEDDINGS "/v1/embeddings"
#define EMBED "/v1beta/models/e:embedContent"
#define BATCH "/v1beta/models/e:batchEmbedContents"
#define TWO "{\"embeddings\":[{\"values\":[0.5,-1]},{\"values\":[1.5,2]}]}"

static const struct flow_policy on_gemini = {
    .providers = {{.dialect = "gemini", .path = ""}},
    .keys = {{.name = "alice", .models = {"e"}}},
    .models = {{.name = "e",
                .target_model = "gemini-embedding-001",
                .upstreams = {0},
                .upstream_count = 1}},
};

static const struct flow_policy on_openai = {
    .keys = {{.name = "alice", .models = {"e"}}},
    .models = {{.name = "e",
                .target_model = "text-embedding-3-small",
                .upstreams = {0},
                .upstream_count = 1}},
};

FLOW(texts_become_a_batch_and_vectors_a_list)
{
    policy_says(k, &on_gemini);
    upstream_answers(k, 0, 200, TWO);
    struct flow_client *c =
        client_posts(k, "alice", EMBEDDINGS, NULL,
                     "{\"model\":\"e\",\"input\":[\"one\",\"two\"],\"dimensions\":2}");
    expect_status(c, 200);
    expect_body_has(c, "{\"object\":\"list\",\"data\":[{\"object\":\"embedding\",\"index\":0,"
                       "\"embedding\":[0.5,-1]},{\"object\":\"embedding\",\"index\":1,"
                       "\"embedding\":[1.5,2]}],\"model\":\"e\",\"usage\":{\"prompt_tokens\":");
    const struct upstream_call *call = &k->upstreams[0].calls[0];
    assert_true(slice_starts(
        call->head, SLICE("POST /v1beta/models/gemini-embedding-001:batchEmbedContents ")));
    assert_true(slice_eq(call->body,
                         SLICE("{\"requests\":[{\"model\":\"models/gemini-embedding-001\","
                               "\"content\":{\"parts\":[{\"text\":\"one\"}]},"
                               "\"outputDimensionality\":2},{\"model\":"
                               "\"models/gemini-embedding-001\",\"content\":{\"parts\":[{\"text\":"
                               "\"two\"}]},\"outputDimensionality\":2}]}")));
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_string_equal(r->span->usage_source, "estimate");
    flow_record_free(r);
}

FLOW(base64_is_given_where_it_is_asked_for)
{
    policy_says(k, &on_gemini);
    upstream_answers(k, 0, 200, TWO);
    struct flow_client *c = client_posts(
        k, "alice", EMBEDDINGS, NULL,
        "{\"model\":\"e\",\"input\":[\"one\",\"two\"],\"encoding_format\":\"base64\"}");
    expect_status(c, 200);
    /* 0.5 and -1 as float32: 0000003f 000080bf */
    expect_body_has(c, "\"index\":0,\"embedding\":\"AAAAPwAAgL8=\"");
    expect_body_has(c, "\"index\":1,\"embedding\":\"AADAPwAAAEA=\"");
}

FLOW(token_numbers_are_refused_by_name)
{
    policy_says(k, &on_gemini);
    struct flow_client *c =
        client_posts(k, "alice", EMBEDDINGS, NULL, "{\"model\":\"e\",\"input\":[[1,2]]}");
    expect_status(c, 400);
    expect_body_has(c, "\"param\":\"input\"");
    assert_int_equal(k->upstreams[0].call_count, 0);
}

FLOW(a_gemini_client_reaches_gemini_with_the_targets_model)
{
    policy_says(k, &on_gemini);
    upstream_answers(k, 0, 200, TWO);
    struct flow_client *c = client_posts(
        k, "alice", BATCH, NULL,
        "{\"requests\":[{\"model\":\"models/e\",\"content\":{\"parts\":[{\"text\":\"one\"}]},"
        "\"taskType\":\"RETRIEVAL_QUERY\"}]}");
    expect_status(c, 200);
    expect_body(c, TWO);
    assert_true(slice_eq(k->upstreams[0].calls[0].body,
                         SLICE("{\"requests\":[{\"model\":\"models/gemini-embedding-001\","
                               "\"content\":{\"parts\":[{\"text\":\"one\"}]},\"taskType\":"
                               "\"RETRIEVAL_QUERY\"}]}")));
    c = client_posts(k, "alice", BATCH, NULL,
                     "{\"requests\":[{\"model\":\"models/other\",\"content\":{\"parts\":[{"
                     "\"text\":\"one\"}]}}]}");
    expect_status(c, 400);
    expect_body_has(c, "the model of each request must be the path's");
}

FLOW(a_gemini_client_reaches_a_model_of_openai)
{
    policy_says(k, &on_openai);
    upstream_answers(k, 0, 200,
                     "{\"object\":\"list\",\"data\":[{\"object\":\"embedding\",\"index\":0,"
                     "\"embedding\":[0.25,1]}],\"model\":\"text-embedding-3-small\",\"usage\":{"
                     "\"prompt_tokens\":3,\"total_tokens\":3}}");
    struct flow_client *c =
        client_posts(k, "alice", EMBED, NULL,
                     "{\"content\":{\"parts\":[{\"text\":\"one\"}]},\"outputDimensionality\":2}");
    expect_status(c, 200);
    expect_body(c, "{\"embedding\":{\"values\":[0.25,1]},\"usageMetadata\":{\"promptTokenCount\":3,"
                   "\"totalTokenCount\":3}}");
    assert_true(slice_eq(k->upstreams[0].calls[0].body,
                         SLICE("{\"model\":\"text-embedding-3-small\",\"input\":[\"one\"],"
                               "\"encoding_format\":\"float\",\"dimensions\":2}")));
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_int_equal(r->span->tokens->input, 3);
    assert_string_equal(r->span->usage_source, "provider");
    flow_record_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(texts_become_a_batch_and_vectors_a_list),
        SCENARIO(base64_is_given_where_it_is_asked_for),
        SCENARIO(token_numbers_are_refused_by_name),
        SCENARIO(a_gemini_client_reaches_gemini_with_the_targets_model),
        SCENARIO(a_gemini_client_reaches_a_model_of_openai),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
