/* first_event — nothing is committed to the client before an upstream has said something of its
 * model's, and what is no response of a model is a failed attempt. */
#include "tests/kit/flow/flow.h"

#include "common/base/mem.h"
#include "dataplane/ai/ai_stream.h"

#define CHAT "/v1/chat/completions"
#define HELLO "{\"model\":\"small\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}"
#define STREAM                                                                                     \
    "{\"model\":\"small\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}" \
    "]}"
#define RESPONSE                                                                                   \
    "{\"choices\":[{\"message\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}],"                \
    "\"usage\":{\"prompt_tokens\":20,\"completion_tokens\":10}}"
#define OPENS "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n"
#define WORD "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\n"
#define ENDS "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
#define DONE "data: [DONE]\n\n"

static const struct flow_policy two = {
    .keys = {{.name = "alice", .models = {"small"}}},
    .models = {{.name = "small", .upstreams = {0, 1}, .upstream_count = 2}},
};
static const struct flow_policy one = {
    .keys = {{.name = "alice", .models = {"small"}}},
    .models = {{.name = "small", .upstreams = {0}, .upstream_count = 1}},
};

static void second_streams(struct flow *k)
{
    upstream_opens_stream(k, 1);
    upstream_sends(k, 1, WORD);
    upstream_sends(k, 1, ENDS);
    upstream_sends(k, 1, DONE);
    upstream_ends_stream(k, 1);
}

/* The client got the second target's stream, and nothing of the first one's. */
static void expect_second(struct flow *k, struct flow_client *c, const char *code)
{
    expect_status(c, 200);
    expect_body(c, WORD ENDS DONE);
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_int_equal(r->n_attempts, 2);
    assert_string_equal(r->attempts[0]->status, "error");
    assert_string_equal(r->attempts[0]->code, code);
    assert_string_equal(r->span->status, "ok");
    flow_record_free(r);
}

FLOW(a_stream_that_holds_nothing_is_a_failed_attempt)
{
    static const struct {
        const char *events[3], *code;
    } rows[] = {
        {{"data: {\"error\":{\"message\":\"overloaded\"}}\n\n"}, "error_in_stream"},
        {{OPENS, "data: {\"error\":{\"message\":\"overloaded\"}}\n\n"}, "error_in_stream"},
        {{": waiting\n\n", DONE}, "empty"},
        {{OPENS}, "empty"},
        {{"data: {\"choices\":[],\"prompt_filter_results\":[]}\n\n", DONE}, "empty"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        policy_says(k, &two);
        upstream_forget_script(k, 0);
        upstream_forget_script(k, 1);
        upstream_opens_stream(k, 0);
        for (size_t j = 0; j < 3 && rows[i].events[j]; j++)
            upstream_sends(k, 0, rows[i].events[j]);
        upstream_ends_stream(k, 0);
        second_streams(k);
        print_message("row %zu\n", i);
        expect_second(k, client_posts(k, "alice", CHAT, NULL, STREAM), rows[i].code);
    }
}

FLOW(json_where_a_stream_was_requested_is_a_failed_attempt)
{
    policy_says(k, &two);
    upstream_answers_with(k, 0, 200, "Content-Type: application/json\r\n", RESPONSE);
    second_streams(k);
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, STREAM);
    expect_status(c, 200);
    expect_body(c, WORD ENDS DONE);
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_string_equal(r->attempts[0]->code, "no_stream");
    assert_int_equal(r->attempts[0]->tokens->output, 10); /* it was counted */
    flow_record_free(r);
}

FLOW(without_another_target_the_client_gets_502)
{
    policy_says(k, &one);
    upstream_opens_stream(k, 0);
    upstream_sends(k, 0, "data: {\"error\":{\"message\":\"the model is overloaded\"}}\n\n");
    upstream_ends_stream(k, 0);
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, STREAM);
    expect_status(c, 502);
    expect_code(c, "upstream_error");
    expect_body_has(c, "the model is overloaded");
}

FLOW(a_200_that_is_no_response_of_a_model_is_a_failed_attempt)
{
    static const struct {
        const char *type, *body, *code;
    } rows[] = {
        {"application/json", "{\"error\":{\"message\":\"no\"}}", "error_in_answer"},
        {"application/json", "{\"error\":\"no\"}", "error_in_answer"},
        {"application/json", "", "no_response"},
        {"application/json", "{}", "no_response"},
        {"text/html", "<html><body>Sign in</body></html>", "no_response"},
        {"application/json", "{\"choices\":[{\"message\":{\"content\":\"hi\"}}", "no_response"},
    };
    char type[64];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        policy_says(k, &two);
        upstream_forget_script(k, 0);
        upstream_forget_script(k, 1);
        snprintf(type, sizeof(type), "Content-Type: %s\r\n", rows[i].type);
        upstream_answers_with(k, 0, 200, type, rows[i].body);
        upstream_answers(k, 1, 200, RESPONSE);
        struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
        print_message("row %zu\n", i);
        expect_status(c, 200);
        expect_body(c, RESPONSE);
        Gatehouse__JournalRecord *r = flow_record(k);
        assert_string_equal(r->attempts[0]->code, rows[i].code);
        flow_record_free(r);
    }
}

FLOW(a_stream_where_none_was_requested_is_gathered)
{
    policy_says(k, &one);
    upstream_opens_stream(k, 0);
    upstream_sends(k, 0, OPENS);
    upstream_sends(k, 0, WORD);
    upstream_sends(k, 0, WORD);
    upstream_sends(k, 0, ENDS);
    upstream_sends(k, 0,
                   "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,"
                   "\"completion_tokens\":3}}\n\n");
    upstream_sends(k, 0, DONE);
    upstream_ends_stream(k, 0);
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
    expect_status(c, 200);
    assert_true(slice_starts(client_header(c, "content-type"), SLICE("application/json")));
    expect_body_has(c, "\"content\":\"hihi\"");
    expect_body_has(c, "\"finish_reason\":\"stop\"");
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_int_equal(r->span->tokens->output, 3);
    assert_string_equal(r->span->usage_source, "provider");
    flow_record_free(r);
}

FLOW(an_event_of_some_megabytes_passes)
{
    size_t len = 3u * 1024 * 1024;
    char *event = mem_alloc(len + 128);
    int at = sprintf(event, "data: {\"choices\":[{\"delta\":{\"content\":\"");
    memset(event + at, 'a', len);
    strcpy(event + at + len, "\"}}]}\n\n");
    policy_says(k, &one);
    upstream_opens_stream(k, 0);
    upstream_sends(k, 0, event);
    upstream_sends(k, 0, ENDS);
    upstream_sends(k, 0, DONE);
    upstream_ends_stream(k, 0);
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, STREAM);
    expect_status(c, 200);
    assert_true(c->body.len > len);
    assert_true(slice_ends(buf_slice(&c->body), SLICE(DONE)));
    mem_free(event);
}

FLOW(an_empty_finish_reason_does_not_make_a_cut_stream_whole)
{
    policy_says(k, &one);
    upstream_opens_stream(k, 0);
    upstream_sends(k, 0,
                   "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"},"
                   "\"finish_reason\":\"\"}]}\n\n");
    upstream_ends_stream(k, 0);
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, STREAM);
    expect_status(c, 200);
    expect_body_has(c, "\"code\":\"upstream_error\"");
}

FLOW(a_silent_stream_is_kept_alive)
{
    unsigned before = ai_stream_beat_ms;
    ai_stream_beat_ms = 30;
    policy_says(k, &one);
    upstream_opens_stream(k, 0);
    upstream_sends(k, 0, OPENS);
    upstream_waits_for_go(k, 0);
    upstream_sends(k, 0, WORD);
    upstream_sends(k, 0, ENDS);
    upstream_sends(k, 0, DONE);
    upstream_ends_stream(k, 0);
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, STREAM);
    WAIT(k, slice_starts(buf_slice(&c->body), SLICE(": keep-alive\n\n: keep-alive\n\n")));
    upstream_goes(k, 0);
    expect_status(c, 200);
    assert_true(slice_ends(buf_slice(&c->body), SLICE("alive\n\n" OPENS WORD ENDS DONE)));
    ai_stream_beat_ms = before;
}

FLOW(a_stream_that_fails_after_it_was_kept_alive_is_followed_by_another)
{
    unsigned before = ai_stream_beat_ms;
    ai_stream_beat_ms = 30;
    policy_says(k, &two);
    upstream_opens_stream(k, 0);
    upstream_sends(k, 0, OPENS);
    upstream_waits_for_go(k, 0);
    upstream_cuts(k, 0);
    second_streams(k);
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, STREAM);
    WAIT(k, slice_starts(buf_slice(&c->body), SLICE(": keep-alive\n\n")));
    upstream_goes(k, 0);
    expect_status(c, 200);
    assert_true(slice_ends(buf_slice(&c->body), SLICE("alive\n\n" WORD ENDS DONE)));
    assert_true(slice_search(buf_slice(&c->body), SLICE(OPENS)) < 0);
    ai_stream_beat_ms = before;
}

FLOW(where_no_target_is_left_a_stream_that_was_kept_alive_ends_in_an_error)
{
    unsigned before = ai_stream_beat_ms;
    ai_stream_beat_ms = 30;
    policy_says(k, &two);
    upstream_opens_stream(k, 0);
    upstream_sends(k, 0, OPENS);
    upstream_waits_for_go(k, 0);
    upstream_cuts(k, 0);
    upstream_answers(k, 1, 429, "{\"error\":{\"message\":\"slow down\"}}");
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, STREAM);
    WAIT(k, slice_starts(buf_slice(&c->body), SLICE(": keep-alive\n\n")));
    upstream_goes(k, 0);
    expect_status(c, 200);
    expect_body_has(c, "\"code\":\"upstream_rate_limited\"");
    ai_stream_beat_ms = before;
}

/* ---- credentials ---- */

FLOW(another_credential_of_the_provider_takes_a_refused_ones_place)
{
    static const unsigned statuses[] = {401, 402, 403, 429};
    struct flow_policy p = one;
    p.providers[0].second_secret = "sk-second-secret";
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
        char head[128];
        policy_says(k, &p);
        upstream_forget_script(k, 0);
        snprintf(head, sizeof(head), "HTTP/1.1 %u No\r\nContent-Length: 2\r\n\r\n{}", statuses[i]);
        upstream_says(k, 0, head);
        struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
        WAIT(k, c->whole);
        assert_int_equal(k->upstreams[0].call_count, 2 * i + 2);
        assert_true(slice_ends(upstream_heard(&k->upstreams[0].calls[2 * i + 1], "authorization"),
                               SLICE("sk-second-secret")));
        Gatehouse__JournalRecord *r = flow_record(k);
        assert_int_equal(r->n_attempts, 2);
        flow_record_free(r);
    }
}

FLOW(what_an_upstream_says_is_cleaned_and_bounded)
{
    static char html[8192];
    policy_says(k, &one);
    snprintf(html, sizeof(html),
             "<html><head><title>502</title></head>\n<body>\tBad   gateway "
             "sk-live-0123456789 \x1b[31m%s",
             "");
    memset(html + strlen(html), 'x', 4000);
    upstream_answers_with(k, 0, 502, "Content-Type: text/html\r\n", html);
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
    expect_status(c, 502);
    expect_body_has(c, "it answered with status 502: ");
    expect_body_has(c, "Bad gateway *** ");
    assert_true(slice_search(buf_slice(&c->body), SLICE("sk-live")) < 0);
    assert_true(slice_search(buf_slice(&c->body), SLICE("<")) < 0);
    assert_true(c->body.len < 1024);
}

FLOW(an_error_in_another_form_comes_in_the_clients_envelope)
{
    policy_says(k, &one);
    upstream_answers(k, 0, 404,
                     "{\"object\":\"error\",\"message\":\"no such model\",\"code\":404}");
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
    expect_status(c, 404);
    expect_body_has(c, "{\"error\":{\"message\":\"no such model\",");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(a_stream_that_holds_nothing_is_a_failed_attempt),
        SCENARIO(json_where_a_stream_was_requested_is_a_failed_attempt),
        SCENARIO(without_another_target_the_client_gets_502),
        SCENARIO(a_200_that_is_no_response_of_a_model_is_a_failed_attempt),
        SCENARIO(a_stream_where_none_was_requested_is_gathered),
        SCENARIO(an_event_of_some_megabytes_passes),
        SCENARIO(an_empty_finish_reason_does_not_make_a_cut_stream_whole),
        SCENARIO(a_silent_stream_is_kept_alive),
        SCENARIO(a_stream_that_fails_after_it_was_kept_alive_is_followed_by_another),
        SCENARIO(where_no_target_is_left_a_stream_that_was_kept_alive_ends_in_an_error),
        SCENARIO(another_credential_of_the_provider_takes_a_refused_ones_place),
        SCENARIO(what_an_upstream_says_is_cleaned_and_bounded),
        SCENARIO(an_error_in_another_form_comes_in_the_clients_envelope),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
