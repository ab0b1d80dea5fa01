/* fallback — the next target while the client has seen nothing, and never after that. */
#include <stdio.h>

#include "common/journal/journal_private.h"
#include "common/request/request_metrics.h"
#include "tests/kit/flow/flow.h"

#define CHAT "/v1/chat/completions"
#define HELLO "{\"model\":\"small\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}"
#define STREAM "{\"model\":\"small\",\"stream\":true,\"messages\":[]}"
#define RESPONSE                                                                                   \
    "{\"choices\":[{\"message\":{\"content\":\"hi\"}}],"                                           \
    "\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5}}"
#define CHUNK "data: {\"choices\":[{\"delta\":{\"content\":\"one two\"}}]}\n\n"

static const struct flow_policy three_targets = {
    .keys = {{.name = "alice", .models = {"small"}}},
    .models = {{.name = "small",
                .target_model = "small-\"2024\"",
                .upstreams = {0, 1, 2},
                .upstream_count = 3}},
};

static const struct flow_policy one_target = {
    .keys = {{.name = "alice", .models = {"small"}}},
    .models = {{.name = "small", .upstreams = {0}, .upstream_count = 1}},
};

FLOW(targets_are_tried_in_their_order_until_one_answers)
{
    policy_says(k, &three_targets);
    upstream_answers(k, 0, 500, "{\"error\":{\"message\":\"broken\"}}");
    upstream_answers(k, 1, 429, "{\"error\":{\"message\":\"slow down\"}}");
    upstream_answers(k, 2, 200, RESPONSE);

    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);

    expect_status(c, 200);
    expect_body(c, RESPONSE);
    assert_int_equal(k->upstreams[0].call_count, 1);
    assert_int_equal(k->upstreams[1].call_count, 1);
    assert_true(slice_eq(client_header(c, "x-gatehouse-attempts"), SLICE("3")));
    assert_true(slice_eq(client_header(c, "x-gatehouse-provider"), SLICE("provider-2")));

    Gatehouse__JournalRecord *r = flow_record(k);
    assert_int_equal(r->n_attempts, 3);
    assert_string_equal(r->attempts[0]->code, "status_500");
    assert_string_equal(r->attempts[1]->code, "status_429");
    assert_string_equal(r->attempts[2]->status, "ok");
    assert_null(r->attempts[0]->tokens); /* an upstream that reports its failure bills nothing */
    assert_null(r->attempts[1]->tokens);
    assert_int_equal(r->span->tokens->input, 10);
    assert_string_equal(r->span->usage_source, "provider");
    flow_record_free(r);
}

static void expect_metric(const struct buf *text, const char *line)
{
    if (slice_search(buf_slice(text), slice_str(line)) < 0)
        fail_msg("no %s in %.*s", line, SLICE_ARG(buf_slice(text)));
}

FLOW(each_attempt_is_timed_by_its_provider_and_model)
{
    struct buf text;
    policy_says(k, &three_targets);
    k->env.metrics = metric_set_new(request_metrics, COUNT_COUNT);
    assert_non_null(k->env.metrics);
    listener_close(&k->upstreams[0].listener);
    upstream_answers(k, 1, 503, "{\"error\":{\"message\":\"broken\"}}");
    upstream_answers(k, 2, 200, RESPONSE);
    expect_status(client_posts(k, "alice", CHAT, NULL, HELLO), 200);
    buf_init(&text, 1 << 20);
    assert_int_equal(metric_render(&k->env.metrics, 1, &text), ERR_OK);
#define OF(n) "{provider=\"provider-" n "\",model=\"small-\\\"2024\\\"\"} 1\n"
    expect_metric(&text, "gatehouse_attempt_seconds_count" OF("0"));
    expect_metric(&text, "gatehouse_attempt_seconds_count" OF("1"));
    expect_metric(&text, "gatehouse_attempt_seconds_count" OF("2"));
    expect_metric(&text, "gatehouse_first_byte_seconds_count" OF("1"));
    expect_metric(&text, "gatehouse_first_byte_seconds_count" OF("2"));
    assert_true(slice_search(buf_slice(&text), SLICE("first_byte_seconds_count" OF("0"))) < 0);
    buf_fini(&text);
    metric_set_free(k->env.metrics);
    k->env.metrics = NULL;
}

FLOW(a_success_other_than_200_is_none_of_a_model)
{
    static const unsigned statuses[] = {201, 202, 203, 204, 206};
    policy_says(k, &three_targets);
    upstream_answers(k, 1, 200, RESPONSE);
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
        upstream_forget_script(k, 0);
        upstream_answers(k, 0, statuses[i], statuses[i] == 204 ? "" : RESPONSE);
        struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
        expect_status(c, 200);
        if (!slice_eq(client_header(c, "x-gatehouse-provider"), SLICE("provider-1")))
            fail_msg("%u was taken for a response", statuses[i]);
    }
}

FLOW(only_the_model_name_changes_on_the_way_out)
{
    policy_says(k, &three_targets);
    upstream_answers(k, 0, 200, RESPONSE);

    struct flow_client *c = client_posts(k, "alice", CHAT, NULL,
                                         "{ \"messages\" : [] ,\"x\":[1.50,{\"model\":\"other\"}], "
                                         "\"model\" : \"small\" , \"y\":\"\\u00e9\"}");

    expect_status(c, 200);
    assert_true(slice_eq(k->upstreams[0].calls[0].body,
                         SLICE("{ \"messages\" : [] ,\"x\":[1.50,{\"model\":\"other\"}], "
                               "\"model\" : \"small-\\\"2024\\\"\" , \"y\":\"\\u00e9\"}")));
}

FLOW(a_refused_connection_falls_back_and_costs_nothing)
{
    policy_says(k, &three_targets);
    listener_close(&k->upstreams[0].listener);
    upstream_answers(k, 1, 200, RESPONSE);

    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);

    expect_status(c, 200);
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_int_equal(r->n_attempts, 2);
    assert_string_equal(r->attempts[0]->code, "connect");
    assert_int_equal(r->span->tokens->input, 10);
    flow_record_free(r);
}

FLOW(a_response_cut_before_the_client_saw_a_byte_falls_back)
{
    policy_says(k, &three_targets);
    upstream_says(k, 0, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"choices\":");
    upstream_cuts(k, 0);
    upstream_answers(k, 1, 200, RESPONSE);

    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);

    expect_status(c, 200);
    expect_body(c, RESPONSE);
}

FLOW(when_all_fail_the_client_gets_the_failure_of_the_last_one)
{
    policy_says(k, &three_targets);
    upstream_answers(k, 0, 503, "{}");
    upstream_answers(k, 1, 500, "{}");
    upstream_answers(k, 2, 500, "{\"error\":{\"message\":\"stack trace of theirs\"}}");

    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);

    expect_status(c, 502);
    expect_code(c, "upstream_error");
    expect_body_has(c, "The upstream failed: it answered with status 500: stack trace of theirs; tried "
                       "provider-0/small-\\\"2024\\\" (status_503), "
                       "provider-1/small-\\\"2024\\\" (status_500), "
                       "provider-2/small-\\\"2024\\\" (status_500).");
}

FLOW(the_last_targets_429_and_its_retry_after_are_passed_on)
{
    policy_says(k, &one_target);
    upstream_answers_with(k, 0, 429,
                          "Content-Type: application/json\r\nRetry-After: 7\r\nSet-Cookie: a=b\r\n"
                          "Connection: x-secret\r\nX-Secret: 1\r\n",
                          "{\"error\":{\"message\":\"slow\",\"code\":\"rate_limit\"}}");

    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);

    expect_status(c, 429);
    expect_code(c, "rate_limit");
    assert_true(slice_eq(client_header(c, "retry-after"), SLICE("7")));
    assert_null(client_header(c, "set-cookie").ptr);
    assert_null(client_header(c, "x-secret").ptr);
}

FLOW(one_429_among_failures_is_what_the_client_gets_with_the_soonest_time)
{
    policy_says(k, &three_targets);
    upstream_answers_with(k, 0, 429, "Retry-After: 30\r\n", "{}");
    upstream_answers_with(k, 1, 429, "Retry-After: 4\r\n", "{}");
    upstream_answers(k, 2, 500, "{}");

    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);

    expect_status(c, 429);
    expect_code(c, "upstream_rate_limited");
    assert_true(slice_eq(client_header(c, "retry-after"), SLICE("4")));
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_string_equal(r->span->status, "error");
    assert_string_equal(r->span->code, "upstream_rate_limited");
    flow_record_free(r);
}

FLOW(a_503_keeps_the_upstreams_retry_after_and_nonsense_in_it_is_dropped)
{
    static const struct {
        const char *sent, *told;
    } rows[] = {{"Retry-After: 12\r\n", "12"},
                {"Retry-After: 99999999\r\n", NULL},
                {"Retry-After: soon\r\n", NULL},
                {"Retry-After: Sun, 22 Nov 2026 17:41:38 GMT\r\n", NULL},
                {"", NULL}};
    policy_says(k, &one_target);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        upstream_forget_script(k, 0);
        upstream_answers_with(k, 0, 503, rows[i].sent, "{}");
        struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
        expect_status(c, 503);
        expect_code(c, "no_target");
        struct slice told = client_header(c, "retry-after");
        assert_true(rows[i].told ? slice_eq(told, slice_str(rows[i].told)) : !told.ptr);
    }
}

FLOW(a_429s_wait_beyond_reason_is_not_passed_on)
{
    policy_says(k, &one_target);
    upstream_answers_with(k, 0, 429, "Retry-After: 99999999\r\nRetry-After-Ms: 1e12\r\n", "{}");
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
    expect_status(c, 429);
    assert_null(client_header(c, "retry-after").ptr);
    assert_null(client_header(c, "retry-after-ms").ptr);
}

FLOW(a_response_encoded_without_request_is_the_upstreams_fault)
{
    policy_says(k, &three_targets);
    upstream_answers_with(k, 0, 200, "Content-Encoding: gzip\r\n", "\x1f\x8b");
    upstream_answers_with(k, 1, 200, "Content-Encoding: identity\r\n", RESPONSE);
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
    expect_status(c, 200);
    expect_body(c, RESPONSE);
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_string_equal(r->attempts[0]->code, "content_encoding");
    assert_true(r->attempts[0]->tokens->input > 0); /* it has worked */
    flow_record_free(r);

    policy_says(k, &one_target);
    c = client_posts(k, "alice", CHAT, NULL, STREAM);
    expect_status(c, 502);
    expect_body_has(c, "its response is encoded");
}

FLOW(a_400_of_the_upstream_is_relayed_and_not_tried_elsewhere)
{
    policy_says(k, &three_targets);
    upstream_answers(k, 0, 400, "{\"error\":{\"message\":\"bad\",\"code\":\"bad_param\"}}");

    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);

    expect_status(c, 400);
    expect_code(c, "bad_param");
    assert_int_equal(k->upstreams[1].call_count, 0);
}

FLOW(a_refused_upstream_credential_is_not_reported_as_the_clients)
{
    policy_says(k, &one_target);
    upstream_answers(k, 0, 401, "{\"error\":{\"message\":\"Incorrect API key provided\"}}");

    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);

    expect_status(c, 502);
    expect_code(c, "upstream_error");
}

FLOW(a_redirect_is_not_followed)
{
    policy_says(k, &one_target);
    upstream_answers_with(k, 0, 302, "Location: http://169.254.169.254/\r\n", "");

    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);

    expect_status(c, 502);
    assert_null(client_header(c, "location").ptr);
}

FLOW(an_upstream_that_breaks_off_in_mid_stream_is_reported_in_the_dialect)
{
    policy_says(k, &three_targets);
    upstream_opens_stream(k, 0);
    upstream_sends(k, 0, CHUNK);
    upstream_says(k, 0, "20\r\ndata: {\"choi");
    upstream_rests(k, 0, 20);
    upstream_cuts(k, 0);

    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, STREAM);

    expect_status(c, 200);
    expect_body(
        c,
        CHUNK "data: {\"error\":{\"message\":\"The upstream failed: it broke off in mid-stream.\","
              "\"type\":\"server_error\",\"param\":null,\"code\":\"upstream_error\"}}\n\n");
    assert_int_equal(k->upstreams[1].call_count, 0);
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_string_equal(r->span->status, "error");
    assert_string_equal(r->span->usage_source, "estimate");
    assert_int_equal(r->span->tokens->output, 2); /* seven bytes of text */
    flow_record_free(r);
}

FLOW(a_stream_that_ends_in_mid_sentence_is_an_error_too)
{
    policy_says(k, &one_target);
    upstream_opens_stream(k, 0);
    upstream_sends(k, 0, CHUNK);
    upstream_ends_stream(k, 0);

    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, STREAM);

    expect_status(c, 200);
    expect_body_has(c, "\"code\":\"upstream_error\"");
}

FLOW(bad_framing_of_an_upstream_is_a_502)
{
    policy_says(k, &one_target);
    upstream_says(k, 0, "HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\n{}");

    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);

    expect_status(c, 502);
}

FLOW(an_error_inside_a_stream_passes_and_is_recorded_in_the_span)
{
    policy_says(k, &one_target);
    upstream_opens_stream(k, 0);
    upstream_sends(k, 0, CHUNK);
    upstream_sends(k, 0, "data: {\"error\":{\"message\":\"overloaded\"}}\n\n");
    upstream_ends_stream(k, 0);

    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, STREAM);

    expect_status(c, 200);
    expect_body(c, CHUNK "data: {\"error\":{\"message\":\"overloaded\"}}\n\n");
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_string_equal(r->span->status, "error");
    flow_record_free(r);
}

FLOW(an_upstream_credential_in_a_response_is_cut)
{
    policy_says(k, &one_target);
    upstream_answers_with(
        k, 0, 400,
        "Content-Type: application/json\r\nOpenai-Version: sk-upstream-secret-of-provider-0\r\n",
        "{\"error\":{\"message\":\"no such key "
        "sk-upstream-secret-of-provider-0\",\"code\":\"x\"}}");

    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);

    expect_status(c, 400);
    assert_null(client_header(c, "openai-version").ptr);
    assert_true(slice_search(buf_slice(&c->got), SLICE("sk-upstream")) < 0);
    expect_body_has(c, "no such key ***");
}

FLOW(an_upstream_credential_in_a_stream_is_cut)
{
    policy_says(k, &one_target);
    upstream_opens_stream(k, 0);
    upstream_sends(k, 0,
                   "data: "
                   "{\"choices\":[{\"delta\":{\"content\":\"sk-upstream-secret-of-provider-0\"},"
                   "\"finish_reason\":\"stop\"}]}\n\n");
    upstream_ends_stream(k, 0);

    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, STREAM);

    expect_status(c, 200);
    assert_true(slice_search(buf_slice(&c->got), SLICE("sk-upstream")) < 0);
}

/* ---- weighted ---- */

static const uint32_t three_to_one[] = {0, 3, 1};
static const struct flow_policy shares = {
    .keys = {{.name = "alice", .models = {"small"}}},
    .models =
        {{.name = "small", .upstreams = {0, 1, 2}, .upstream_count = 3, .weights = three_to_one}},
};

static void forget(struct flow *k)
{
    uint64_t sequence;
    struct slice packed;
    while (journal_next(k->journal, &k->journal_at, &sequence, &packed))
        journal_commit(k->journal, k->journal_at, sequence);
    for (size_t i = 0; i < FLOW_UPSTREAMS; i++)
        k->upstreams[i].forgets = true;
}

/* The provider's number, of one more call on the same connection. */
static size_t who_answers(struct flow *k, struct flow_client *c, const char *request)
{
    client_begins_anew(c);
    client_adds(c, request);
    expect_status(c, 200);
    struct slice name = client_header(c, "x-gatehouse-provider");
    forget(k);
    return (size_t)(name.ptr[name.len - 1] - '0');
}

FLOW(a_weighted_model_shares_its_calls_by_weight)
{
    enum { CALLS = 400 };
    size_t answered[FLOW_UPSTREAMS] = {0};
    char request[512];
    policy_says(k, &shares);
    for (size_t i = 0; i < FLOW_UPSTREAMS; i++)
        upstream_answers(k, i, 200, RESPONSE);
    forget(k);
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
    expect_status(c, 200);
    snprintf(request, sizeof(request),
             "POST " CHAT " HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer %s\r\n"
             "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
             flow_secret(k, "alice"), strlen(HELLO), HELLO);

    for (int i = 0; i < CALLS; i++)
        answered[who_answers(k, c, request)]++;

    /* three quarters, give or take six standard deviations (8.7 calls) of such a draw */
    assert_in_range(answered[1], CALLS * 3 / 4 - 52, CALLS * 3 / 4 + 52);
    assert_int_equal(answered[1] + answered[2], CALLS);
}

FLOW(after_a_failed_first_choice_the_others_are_tried_and_those_of_weight_0_last)
{
    policy_says(k, &shares);
    upstream_answers(k, 0, 200, RESPONSE);
    upstream_answers(k, 1, 500, "{}");
    upstream_answers(k, 2, 500, "{}");

    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);

    expect_status(c, 200);
    assert_true(slice_eq(client_header(c, "x-gatehouse-attempts"), SLICE("3")));
    assert_true(slice_eq(client_header(c, "x-gatehouse-provider"), SLICE("provider-0")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(targets_are_tried_in_their_order_until_one_answers),
        SCENARIO(each_attempt_is_timed_by_its_provider_and_model),
        SCENARIO(a_success_other_than_200_is_none_of_a_model),
        SCENARIO(only_the_model_name_changes_on_the_way_out),
        SCENARIO(a_refused_connection_falls_back_and_costs_nothing),
        SCENARIO(a_response_cut_before_the_client_saw_a_byte_falls_back),
        SCENARIO(when_all_fail_the_client_gets_the_failure_of_the_last_one),
        SCENARIO(the_last_targets_429_and_its_retry_after_are_passed_on),
        SCENARIO(one_429_among_failures_is_what_the_client_gets_with_the_soonest_time),
        SCENARIO(a_503_keeps_the_upstreams_retry_after_and_nonsense_in_it_is_dropped),
        SCENARIO(a_429s_wait_beyond_reason_is_not_passed_on),
        SCENARIO(a_response_encoded_without_request_is_the_upstreams_fault),
        SCENARIO(a_400_of_the_upstream_is_relayed_and_not_tried_elsewhere),
        SCENARIO(a_refused_upstream_credential_is_not_reported_as_the_clients),
        SCENARIO(a_redirect_is_not_followed),
        SCENARIO(an_upstream_that_breaks_off_in_mid_stream_is_reported_in_the_dialect),
        SCENARIO(a_stream_that_ends_in_mid_sentence_is_an_error_too),
        SCENARIO(bad_framing_of_an_upstream_is_a_502),
        SCENARIO(an_error_inside_a_stream_passes_and_is_recorded_in_the_span),
        SCENARIO(an_upstream_credential_in_a_response_is_cut),
        SCENARIO(an_upstream_credential_in_a_stream_is_cut),
        SCENARIO(a_weighted_model_shares_its_calls_by_weight),
        SCENARIO(after_a_failed_first_choice_the_others_are_tried_and_those_of_weight_0_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
