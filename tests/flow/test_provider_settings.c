/* provider_settings — what a provider, or a model, says of how it is called. */
#include "tests/kit/flow/flow.h"

#define CHAT "/v1/chat/completions"
#define HELLO "{\"model\":\"small\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}"
#define STREAM "{\"model\":\"small\",\"stream\":true,\"messages\":[]}"
#define RESPONSE                                                                                   \
    "{\"choices\":[{\"message\":{\"content\":\"hi\"}}],"                                           \
    "\"usage\":{\"prompt_tokens\":20,\"completion_tokens\":10}}"

static struct flow_policy alice(size_t targets)
{
    return (struct flow_policy){
        .keys = {{.name = "alice", .models = {"small"}, .budget = MONEY_DOLLAR}},
        .models = {{.name = "small", .upstreams = {0, 1}, .upstream_count = targets}},
    };
}

FLOW(its_query_and_its_headers_go_with_each_request)
{
    struct flow_policy p = alice(1);
    p.providers[0].query = "?api-version=2026-01-01";
    p.providers[0].header = "x-tenant";
    p.providers[0].value = "gatehouse";
    policy_says(k, &p);
    upstream_answers(k, 0, 200, RESPONSE);
    expect_status(client_posts(k, "alice", CHAT, NULL, HELLO), 200);
    const struct upstream_call *call = &k->upstreams[0].calls[0];
    assert_true(slice_starts(
        call->head, SLICE("POST /v1/chat/completions?api-version=2026-01-01 HTTP/1.1\r\n")));
    assert_true(slice_eq(upstream_heard(call, "x-tenant"), SLICE("gatehouse")));
}

FLOW(its_header_takes_the_place_of_the_protocols)
{
    struct flow_policy p = alice(1);
    p.providers[0].dialect = "anthropic";
    p.providers[0].header = "anthropic-version";
    p.providers[0].value = "2026-10-21";
    policy_says(k, &p);
    upstream_answers(k, 0, 500, "{}");
    expect_status(client_posts(k, "alice", CHAT, NULL, HELLO), 502);
    assert_true(slice_eq(upstream_heard(&k->upstreams[0].calls[0], "anthropic-version"),
                         SLICE("2026-10-21")));
}

FLOW(a_target_that_does_not_begin_in_time_is_followed_by_the_next)
{
    struct flow_policy p = alice(2);
    p.providers[0].first_byte_ms = 50;
    policy_says(k, &p);
    upstream_hangs(k, 0);
    upstream_answers(k, 1, 200, RESPONSE);
    expect_status(client_posts(k, "alice", CHAT, NULL, HELLO), 200);
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_string_equal(r->attempts[0]->code, "timeout");
    flow_record_free(r);
}

FLOW(the_models_own_deadline_comes_before_its_providers)
{
    struct flow_policy p = alice(1);
    p.providers[0].first_byte_ms = 60000;
    p.models[0].first_byte_ms = 50;
    policy_says(k, &p);
    upstream_hangs(k, 0);
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
    expect_status(c, 504);
    expect_code(c, "upstream_timeout");
}

FLOW(a_stream_that_is_silent_for_too_long_ends_with_an_error)
{
    struct flow_policy p = alice(1);
    p.providers[0].between_ms = 60;
    policy_says(k, &p);
    upstream_opens_stream(k, 0);
    upstream_sends(k, 0, "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\n");
    upstream_hangs(k, 0);
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, STREAM);
    expect_status(c, 200);
    expect_body_has(c, "\"code\":\"upstream_timeout\"");
}

FLOW(one_that_does_not_bill_what_was_taken_back_costs_nothing_then)
{
    struct flow_policy p = alice(1);
    p.providers[0].bills_nothing_cancelled = true;
    policy_says(k, &p);
    upstream_hangs(k, 0);
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
    WAIT(k, k->upstreams[0].call_count == 1);
    client_hangs_up(c);
    WAIT(k, k->env.request_count == 0);
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_null(r->span->usage_source);
    assert_int_equal(r->charges[0]->amount_nano, 0);
    flow_record_free(r);
}

FLOW(several_accounts_of_a_provider_share_its_calls)
{
    bool first = false, second = false;
    struct flow_policy p = alice(1);
    p.providers[0].second_secret = "sk-second-secret";
    p.providers[0].second_shares = true;
    policy_says(k, &p);
    for (size_t i = 0; i < 31 && !(first && second); i++) { /* at most as many as are remembered */
        upstream_answers(k, 0, 200, RESPONSE);
        struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
        expect_status(c, 200);
        client_is_forgotten(c);
        struct slice heard = upstream_heard(&k->upstreams[0].calls[i], "authorization");
        bool is_second = slice_ends(heard, SLICE("sk-second-secret"));
        second = second || is_second;
        first = first || !is_second;
    }
    assert_true(first && second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(its_query_and_its_headers_go_with_each_request),
        SCENARIO(its_header_takes_the_place_of_the_protocols),
        SCENARIO(a_target_that_does_not_begin_in_time_is_followed_by_the_next),
        SCENARIO(the_models_own_deadline_comes_before_its_providers),
        SCENARIO(a_stream_that_is_silent_for_too_long_ends_with_an_error),
        SCENARIO(several_accounts_of_a_provider_share_its_calls),
        SCENARIO(one_that_does_not_bill_what_was_taken_back_costs_nothing_then),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
