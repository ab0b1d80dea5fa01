/* tasks — moderation, images, audio and rerank: passed on, billed by what their provider counted.
 */
#include "tests/kit/flow/flow.h"

static const struct flow_policy policy = {
    .keys = {{.name = "alice", .models = {"small"}, .budget = MONEY_DOLLAR},
             {.name = "bob", .models = {"small"}}},
    .models = {{.name = "small", .target_model = "big", .upstreams = {0}, .upstream_count = 1}},
};

#define FORM "multipart/form-data; boundary=xyz"
#define PART(name, value)                                                                          \
    "--xyz\r\nContent-Disposition: form-data; name=\"" name "\"\r\n\r\n" value "\r\n"
#define FILE_PART                                                                                  \
    "--xyz\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.mp3\"\r\n"               \
    "Content-Type: audio/mpeg\r\n\r\n--xy\r\nname=\"model\"\r\n"

static struct flow_client *posts_form(struct flow *k, const char *key, const char *path,
                                      const char *body)
{
    char request[2048];
    snprintf(request, sizeof(request),
             "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: " FORM
             "\r\nContent-Length: %zu\r\n\r\n%s",
             path, flow_secret(k, key), strlen(body), body);
    return client_says(k, request);
}

FLOW(a_judgement_passes_as_it_came_and_is_paid_by_its_prompt)
{
    policy_says(k, &policy);
    upstream_answers(k, 0, 200, "{\"id\":\"m\",\"results\":[{\"flagged\":false}]}");

    struct flow_client *c = client_posts(k, "alice", "/v1/moderations", NULL,
                                         "{\"model\":\"small\",\"input\":\"hello\"}");

    expect_status(c, 200);
    expect_body(c, "{\"id\":\"m\",\"results\":[{\"flagged\":false}]}");
    const struct upstream_call *call = &k->upstreams[0].calls[0];
    assert_true(slice_starts(call->head, SLICE("POST /v1/moderations HTTP/1.1\r\n")));
    assert_true(slice_eq(call->body, SLICE("{\"model\":\"big\",\"input\":\"hello\"}")));
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_string_equal(r->span->usage_source, "estimate");
    assert_true(r->span->cost_nano > 0);
    flow_record_free(r);
}

FLOW(documents_are_ranked_and_billed_by_what_was_counted)
{
    policy_says(k, &policy);
    upstream_answers(k, 0, 200,
                     "{\"results\":[{\"index\":1,\"relevance_score\":0.9}],\"usage\":{"
                     "\"total_tokens\":40}}");

    struct flow_client *c =
        client_posts(k, "alice", "/v1/rerank", NULL,
                     "{\"model\":\"small\",\"query\":\"q\",\"documents\":[\"a\",\"b\"]}");

    expect_status(c, 200);
    assert_true(slice_starts(k->upstreams[0].calls[0].head, SLICE("POST /v1/rerank HTTP/1.1")));
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_int_equal(r->span->tokens->input, 40);
    assert_string_equal(r->span->usage_source, "provider");
    flow_record_free(r);
}

static const struct flow_policy on_cohere = {
    .providers = {{.dialect = "cohere", .path = ""}},
    .keys = {{.name = "alice", .models = {"small"}}},
    .models =
        {{.name = "small", .target_model = "rerank-v4", .upstreams = {0}, .upstream_count = 1}},
};

/* Cohere's own path has no "/v1" before it, that of a server that speaks as OpenAI does has. */
FLOW(documents_are_ranked_at_either_version_by_either_kind_of_service)
{
    static const struct {
        const struct flow_policy *policy;
        const char *path, *sent;
    } rows[] = {
        {&on_cohere, "/v1/rerank", "POST /v1/rerank HTTP/1.1\r\n"},
        {&on_cohere, "/v2/rerank", "POST /v2/rerank HTTP/1.1\r\n"},
        {&policy, "/v1/rerank", "POST /v1/rerank HTTP/1.1\r\n"},
        {&policy, "/v2/rerank", "POST /v1/rerank HTTP/1.1\r\n"},
    };
    static const char answer[] =
        "{\"id\":\"r\",\"results\":[{\"index\":1,\"relevance_score\":0.9}],\"meta\":{"
        "\"billed_units\":{\"search_units\":1}}}";
    upstream_answers(k, 0, 200, answer);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        policy_says(k, rows[i].policy);
        struct flow_client *c =
            client_posts(k, "alice", rows[i].path, NULL,
                         "{\"model\":\"small\",\"query\":\"q\",\"top_n\":1,\"documents\":[\"a\"]}");
        expect_status(c, 200);
        expect_body(c, answer);
        const struct upstream_call *call = &k->upstreams[0].calls[i];
        if (!slice_starts(call->head, slice_str(rows[i].sent)))
            fail_msg("row %zu: %.*s", i, SLICE_ARG(call->head));
        assert_true(slice_search(call->body, SLICE("\"top_n\":1")) >= 0);
        Gatehouse__JournalRecord *r = flow_record(k); /* search units are no tokens */
        assert_string_equal(r->span->usage_source, "estimate");
        assert_true(r->span->tokens->input > 0);
        flow_record_free(r);
    }
}

/* never free: what cannot be bounded is refused where a budget applies */
FLOW(an_image_is_refused_under_a_budget_and_made_without_one)
{
    policy_says(k, &policy);
    upstream_answers(k, 0, 200,
                     "{\"data\":[{\"b64_json\":\"AAAA\"}],\"usage\":{\"input_tokens\":"
                     "10,\"output_tokens\":1000,\"total_tokens\":1010}}");
#define IMAGE "{\"prompt\":\"a cat\",\"model\":\"small\"}"

    struct flow_client *c = client_posts(k, "alice", "/v1/images/generations", NULL, IMAGE);
    expect_status(c, 400);
    assert_int_equal(k->upstreams[0].call_count, 0);
    c = client_posts(k, "bob", "/v1/images/generations", NULL, IMAGE);
    expect_status(c, 200);
    flow_record_free(flow_record(k));
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_int_equal(r->span->tokens->output, 1000);
    flow_record_free(r);
}

FLOW(a_form_goes_on_with_the_models_name_changed)
{
    policy_says(k, &policy);
    upstream_answers(k, 0, 200, "{\"text\":\"hello\"}");

    struct flow_client *c =
        posts_form(k, "bob", "/v1/audio/transcriptions",
                   FILE_PART "\r\n" PART("model", "small") PART("language", "en") "--xyz--\r\n");

    expect_status(c, 200);
    const struct upstream_call *call = &k->upstreams[0].calls[0];
    assert_true(slice_eq(upstream_heard(call, "content-type"), SLICE(FORM)));
    assert_true(slice_eq(call->body, SLICE(FILE_PART "\r\n" PART("model", "big")
                                               PART("language", "en") "--xyz--\r\n")));
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_false(r->span->cost_known);
    flow_record_free(r);
}

FLOW(a_form_that_two_readers_could_read_differently_is_refused)
{
    static const char *const rows[] = {
        PART("model", "small") PART("model", "other") "--xyz--\r\n",
        PART("file", "x") "--xyz--\r\n",
        PART("model", "small"),
        "preamble\r\n" PART("model", "small") "--xyz--\r\n",
        "--xyz\r\nContent-Disposition: form-data; name=\"a\"; name=\"model\"\r\n\r\nsmall\r\n"
        "--xyz--\r\n",
    };
    policy_says(k, &policy);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect_status(posts_form(k, "bob", "/v1/images/edits", rows[i]), 400);
    assert_int_equal(k->upstreams[0].call_count, 0);
}

FLOW(speech_passes_as_it_came)
{
    policy_says(k, &policy);
    upstream_answers_with(k, 0, 200, "Content-Type: audio/mpeg\r\n", "ID3 sound");

    struct flow_client *c =
        client_posts(k, "bob", "/v1/audio/speech", NULL,
                     "{\"model\":\"small\",\"voice\":\"alloy\",\"input\":\"hello\"}");

    expect_status(c, 200);
    expect_body(c, "ID3 sound");
    assert_true(slice_eq(client_header(c, "content-type"), SLICE("audio/mpeg")));
}

FLOW(a_transcript_streams)
{
    policy_says(k, &policy);
    upstream_opens_stream(k, 0);
    upstream_sends(k, 0, "data: {\"type\":\"transcript.text.delta\",\"delta\":\"hel\"}\n\n");
    upstream_sends(k, 0,
                   "data: {\"type\":\"transcript.text.done\",\"text\":\"hello\",\"usage\":{"
                   "\"input_tokens\":14,\"output_tokens\":45,\"total_tokens\":59}}\n\n");
    upstream_ends_stream(k, 0);

    struct flow_client *c = posts_form(k, "bob", "/v1/audio/transcriptions",
                                       PART("model", "small") PART("stream", "true") "--xyz--\r\n");

    expect_status(c, 200);
    expect_body_has(c, "\"delta\":\"hel\"}\n\ndata: {\"type\":\"transcript.text.done\"");
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_int_equal(r->span->tokens->input, 14);
    assert_int_equal(r->span->tokens->output, 45);
    flow_record_free(r);
}

FLOW(a_model_of_another_provider_does_not_serve_tasks)
{
    static const struct flow_policy on_anthropic = {
        .providers = {{.dialect = "anthropic"}},
        .keys = {{.name = "bob", .models = {"small"}}},
        .models = {{.name = "small", .upstreams = {0}, .upstream_count = 1}},
    };
    policy_says(k, &on_anthropic);
    struct flow_client *c = client_posts(k, "bob", "/v1/moderations", NULL,
                                         "{\"model\":\"small\",\"input\":\"hello\"}");
    expect_status(c, 503);
    c = client_posts(k, "bob", "/v1/moderations", NULL, "{\"input\":\"hello\"}");
    expect_status(c, 404); /* its usual model is not granted */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(a_judgement_passes_as_it_came_and_is_paid_by_its_prompt),
        SCENARIO(documents_are_ranked_at_either_version_by_either_kind_of_service),
        SCENARIO(documents_are_ranked_and_billed_by_what_was_counted),
        SCENARIO(an_image_is_refused_under_a_budget_and_made_without_one),
        SCENARIO(a_form_goes_on_with_the_models_name_changed),
        SCENARIO(a_form_that_two_readers_could_read_differently_is_refused),
        SCENARIO(speech_passes_as_it_came),
        SCENARIO(a_transcript_streams),
        SCENARIO(a_model_of_another_provider_does_not_serve_tasks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
