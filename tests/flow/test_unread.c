/* unread — an upstream that took a call, and whose response could not be read, may have written and
 * billed all of it: so much is billed here, beside what the next target costs, and no target gets
 * the request that could not be paid as well. One that was given up is billed its prompt, as its
 * provider bills it; one that says that it failed is billed nothing. */
#include "tests/kit/flow/flow.h"

#define CHAT "/v1/chat/completions"
#define HELLO                                                                                      \
    "{\"model\":\"small\",\"max_tokens\":100,\"messages\":[{\"role\":\"user\","                    \
    "\"content\":\"hello\"}]}"
#define STREAM "{\"model\":\"small\",\"stream\":true,\"max_tokens\":100,\"messages\":[]}"
#define RESPONSE                                                                                   \
    "{\"choices\":[{\"message\":{\"content\":\"hi\"}}],"                                           \
    "\"usage\":{\"prompt_tokens\":20,\"completion_tokens\":10}}"
#define ALL 100 /* tokens of output that a call above may have */
#define ALL_COST ((money)ALL * 2000)
#define PROMPT_COST ((money)flow_prompt_tokens(HELLO) * 1000)
#define WORST(targets) ((targets)*PROMPT_COST + ALL_COST)

static struct flow_policy with_budget(money budget, size_t targets)
{
    return (struct flow_policy){
        .keys = {{.name = "alice", .models = {"small"}, .budget = budget}},
        .models = {{.name = "small", .upstreams = {0, 1, 2}, .upstream_count = targets}},
    };
}

static void alice_has(struct flow *k, money budget, size_t targets)
{
    struct flow_policy p = with_budget(budget, targets);
    policy_says(k, &p);
}

static void expect_billed(struct flow *k, uint64_t output)
{
    WAIT(k, k->env.request_count == 0);
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_non_null(r);
    assert_string_equal(r->span->usage_source, "estimate");
    assert_true(r->span->tokens->input > 0);
    assert_int_equal(r->span->tokens->output, output);
    assert_true(r->span->cost_nano >= (money)output * 2000);
    assert_int_equal(r->charges[0]->amount_nano, r->span->cost_nano);
    flow_record_free(r);
    assert_null(flow_record(k));
}

/* The first upstream does, in the middle of its response. */
static void breaks_off(struct flow *k)
{
    upstream_says(k, 0, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"choices\":");
    upstream_cuts(k, 0);
}

FLOW(an_upstream_that_runs_out_of_time_is_billed_its_prompt)
{
    alice_has(k, MONEY_DOLLAR, 1);
    upstream_hangs(k, 0);
    struct flow_client *c = client_posts(k, "alice", CHAT, "x-stainless-timeout: 1\r\n", HELLO);
    expect_status(c, 504);
    expect_code(c, "upstream_timeout");
    expect_billed(k, 0);
    assert_true(k->upstreams[0].calls[0].cut);
}

FLOW(one_that_breaks_off_in_mid_response_is_taken_to_have_written_all)
{
    alice_has(k, MONEY_DOLLAR, 1);
    breaks_off(k);
    expect_status(client_posts(k, "alice", CHAT, NULL, HELLO), 502);
    expect_billed(k, ALL);
}

FLOW(one_whose_response_is_encoded_is_taken_to_have_written_all)
{
    alice_has(k, MONEY_DOLLAR, 1);
    upstream_answers_with(k, 0, 200, "Content-Encoding: gzip\r\n", "\x1f\x8b");
    expect_status(client_posts(k, "alice", CHAT, NULL, HELLO), 502);
    expect_billed(k, ALL);
}

FLOW(images_given_by_reference_are_billed_with_the_prompt)
{
    alice_has(k, MONEY_DOLLAR, 1);
    breaks_off(k);
    expect_status(client_posts(k, "alice", CHAT, NULL,
                               "{\"model\":\"small\",\"max_tokens\":100,\"messages\":[{\"role\":"
                               "\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":"
                               "{\"url\":\"https://x.test/a.png\"}}]}]}"),
                  502);
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_true(r->span->tokens->input > 16384); /* as much as any model that is not known */
    flow_record_free(r);
}

static void expect_nothing_billed(struct flow *k)
{
    WAIT(k, k->env.request_count == 0);
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_non_null(r);
    assert_null(r->span->usage_source);
    assert_int_equal(r->charges[0]->amount_nano, 0);
    flow_record_free(r);
}

FLOW(one_that_says_that_it_failed_is_billed_nothing)
{
    static const unsigned statuses[] = {500, 503, 529, 429, 401, 402, 404};
    alice_has(k, MONEY_DOLLAR, 1);
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
        upstream_forget_script(k, 0);
        upstream_answers(k, 0, statuses[i], "{\"error\":{\"message\":\"no\"}}");
        struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
        WAIT(k, c->whole);
        expect_nothing_billed(k);
    }
}

FLOW(an_error_that_reports_usage_is_billed_as_it_says)
{
    alice_has(k, MONEY_DOLLAR, 1);
    upstream_answers(k, 0, 500,
                     "{\"error\":{\"message\":\"no\"},\"usage\":{\"prompt_tokens\":7,"
                     "\"completion_tokens\":3}}");
    expect_status(client_posts(k, "alice", CHAT, NULL, HELLO), 502);
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_string_equal(r->span->usage_source, "provider");
    assert_int_equal(r->charges[0]->amount_nano, 7 * 1000 + 3 * 2000);
    flow_record_free(r);
}

FLOW(one_that_hangs_up_without_a_word_is_billed_its_prompt)
{
    alice_has(k, MONEY_DOLLAR, 1);
    upstream_cuts(k, 0);
    expect_status(client_posts(k, "alice", CHAT, NULL, HELLO), 502);
    expect_billed(k, 0);
    expect_status(client_posts(k, "alice", CHAT, NULL, STREAM), 502);
    expect_billed(k, 0);
}

FLOW(a_refusal_that_breaks_off_costs_no_more_than_a_whole_one)
{
    alice_has(k, MONEY_DOLLAR, 1);
    upstream_says(k, 0, "HTTP/1.1 400 Bad Request\r\nContent-Length: 1000\r\n\r\n{\"error\":");
    upstream_cuts(k, 0);
    expect_status(client_posts(k, "alice", CHAT, NULL, HELLO), 502);
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_null(r->span->usage_source);
    assert_int_equal(r->charges[0]->amount_nano, 0);
    flow_record_free(r);
}

/* ---- and the next target ---- */

FLOW(what_went_unread_is_billed_beside_what_the_next_target_counted)
{
    alice_has(k, MONEY_DOLLAR, 3);
    breaks_off(k);
    upstream_answers_with(k, 1, 200, "Content-Encoding: gzip\r\n", "\x1f\x8b");
    upstream_answers(k, 2, 200, RESPONSE);
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
    expect_status(c, 200);
    expect_body(c, RESPONSE);
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_int_equal(r->n_attempts, 3);
    assert_string_equal(r->attempts[0]->code, "closed");
    assert_int_equal(r->attempts[0]->tokens->output, ALL);
    assert_int_equal(r->attempts[1]->tokens->output, ALL);
    assert_int_equal(r->attempts[2]->tokens->output, 10);
    assert_string_equal(r->span->usage_source, "estimate"); /* most of it */
    assert_int_equal(r->span->tokens->output, 2 * ALL + 10);
    assert_int_equal(r->span->tokens->input, 20 + 2 * r->attempts[0]->tokens->input);
    assert_int_equal(r->span->cost_nano,
                     (money)r->span->tokens->input * 1000 + (money)r->span->tokens->output * 2000);
    assert_int_equal(r->charges[0]->amount_nano, r->span->cost_nano);
    flow_record_free(r);
}

FLOW(both_are_reserved_before_the_next_target_is_called)
{
    alice_has(k, WORST(2) + ALL_COST, 2);
    breaks_off(k);
    upstream_waits_for_go(k, 1);
    upstream_answers(k, 1, 200, RESPONSE);
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
    WAIT(k, k->upstreams[1].call_count == 1);
    assert_int_equal(flow_taken(k, "key:k_alice"), WORST(2) + ALL_COST);
    upstream_goes(k, 1);
    expect_status(c, 200);
    expect_billed(k, ALL + 10);
}

FLOW(where_a_budget_does_not_cover_both_the_next_target_is_not_called)
{
    alice_has(k, WORST(2) + ALL_COST - 1, 2);
    breaks_off(k);
    upstream_answers(k, 1, 200, RESPONSE);
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
    expect_status(c, 502);
    expect_code(c, "upstream_error");
    expect_billed(k, ALL);
    assert_int_equal(k->upstreams[1].call_count, 0);
}

/* The call waits for money of its second attempt, and the lease server cannot be asked. */
static struct flow_client *wait_for_the_lease_server(struct flow *k)
{
    alice_has(k, MONEY_DOLLAR, 2);
    upstream_waits_for_go(k, 0);
    breaks_off(k);
    upstream_answers(k, 1, 200, RESPONSE);
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
    WAIT(k, k->upstreams[0].call_count == 1);
    lease_server_away(k, true);
    upstream_goes(k, 0);
    WAIT(k, k->upstreams[0].calls[0].done || k->upstreams[0].calls[0].cut);
    for (int i = 0; i < 10; i++)
        flow_turn(k);
    assert_int_equal(k->env.request_count, 1);
    assert_int_equal(k->upstreams[1].call_count, 0);
    return c;
}

FLOW(a_call_waits_for_the_lease_server_before_it_calls_the_next_target)
{
    struct flow_client *c = wait_for_the_lease_server(k);
    lease_server_away(k, false);
    expect_status(c, 200);
    expect_billed(k, ALL + 10);
}

FLOW(without_the_lease_server_the_client_gets_the_upstreams_failure)
{
    struct flow_client *c = wait_for_the_lease_server(k);
    expect_status(c, 502);
    expect_billed(k, ALL);
    assert_int_equal(k->upstreams[1].call_count, 0);
    lease_server_away(k, false);
}

FLOW(a_client_that_goes_meanwhile_is_billed_what_went_unread)
{
    struct flow_client *c = wait_for_the_lease_server(k);
    client_hangs_up(c);
    expect_billed(k, ALL);
    lease_server_away(k, false);
    for (int i = 0; i < 10; i++)
        flow_turn(k);
    assert_int_equal(k->upstreams[1].call_count, 0);
}

FLOW(without_a_budget_a_kill_loses_the_call_at_no_less_than_both)
{
    alice_has(k, 0, 2);
    breaks_off(k);
    upstream_waits_for_go(k, 1);
    upstream_answers(k, 1, 200, RESPONSE);
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
    WAIT(k, k->upstreams[1].call_count == 1);
    assert_int_equal(flow_lost_at(k), WORST(2) + ALL_COST);
    upstream_goes(k, 1);
    expect_status(c, 200);
}

#define UNASKED 16384 /* tokens set aside for a call without a ceiling */
#define UNASKED_COST ((money)UNASKED * 2000)
#define ENDLESS "{\"model\":\"small\",\"stream\":true,\"messages\":[]}"
#define ENDLESS_PROMPT ((money)flow_prompt_tokens(ENDLESS) * 1000)

FLOW(a_stream_behind_an_unread_response_grows_from_what_both_hold)
{
    static char chunk[4 * UNASKED + 128]; /* a token is taken for four bytes */
    const char *open = "data: {\"choices\":[{\"delta\":{\"content\":\"";
    strcpy(chunk, open);
    memset(chunk + strlen(open), 'w', 4 * UNASKED - 400);
    strcat(chunk, "\"}}]}\n\n");
    alice_has(k, MONEY_DOLLAR, 2);
    breaks_off(k);
    upstream_opens_stream(k, 1);
    upstream_sends(k, 1, chunk);
    upstream_hangs(k, 1);
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, ENDLESS);
    WAIT(k, flow_lost_at(k) == 2 * ENDLESS_PROMPT + 3 * UNASKED_COST);
    assert_true(flow_taken(k, "key:k_alice") >= 2 * ENDLESS_PROMPT + 3 * UNASKED_COST);
    client_hangs_up(c);
    expect_billed(k, UNASKED + UNASKED - 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(an_upstream_that_runs_out_of_time_is_billed_its_prompt),
        SCENARIO(one_that_hangs_up_without_a_word_is_billed_its_prompt),
        SCENARIO(one_that_breaks_off_in_mid_response_is_taken_to_have_written_all),
        SCENARIO(one_whose_response_is_encoded_is_taken_to_have_written_all),
        SCENARIO(images_given_by_reference_are_billed_with_the_prompt),
        SCENARIO(one_that_says_that_it_failed_is_billed_nothing),
        SCENARIO(an_error_that_reports_usage_is_billed_as_it_says),
        SCENARIO(a_refusal_that_breaks_off_costs_no_more_than_a_whole_one),
        SCENARIO(what_went_unread_is_billed_beside_what_the_next_target_counted),
        SCENARIO(both_are_reserved_before_the_next_target_is_called),
        SCENARIO(where_a_budget_does_not_cover_both_the_next_target_is_not_called),
        SCENARIO(a_call_waits_for_the_lease_server_before_it_calls_the_next_target),
        SCENARIO(without_the_lease_server_the_client_gets_the_upstreams_failure),
        SCENARIO(a_client_that_goes_meanwhile_is_billed_what_went_unread),
        SCENARIO(without_a_budget_a_kill_loses_the_call_at_no_less_than_both),
        SCENARIO(a_stream_behind_an_unread_response_grows_from_what_both_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
