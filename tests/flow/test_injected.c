/* injected — outages that are rehearsed: whose calls meet them, how often, until when; and that
 * calls they are not about see nothing of them. */
#include <stdio.h>

#include "common/base/clock.h"
#include "tests/kit/flow/flow.h"

#define CHAT "/v1/chat/completions"
#define HELLO "{\"model\":\"small\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}"
#define RESPONSE                                                                                   \
    "{\"choices\":[{\"message\":{\"content\":\"hi\"}}],"                                           \
    "\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5}}"

static struct flow_policy policy_of(size_t targets)
{
    return (struct flow_policy){
        .keys = {{.name = "alice", .team = "red", .models = {"small"}},
                 {.name = "bob", .team = "blue", .models = {"small"}}},
        .teams = {{.name = "red", .models = {"small"}}, {.name = "blue", .models = {"small"}}},
        .models = {{.name = "small", .upstreams = {0, 1, 2}, .upstream_count = targets}},
    };
}

static void expect_codes(struct flow *k, const char *first, size_t attempts)
{
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_int_equal(r->n_attempts, attempts);
    if (first)
        assert_string_equal(r->attempts[0]->code, first);
    flow_record_free(r);
}

static unsigned ask(struct flow *k, const char *key)
{
    struct flow_client *c = client_posts(k, key, CHAT, NULL, HELLO);
    WAIT(k, c->whole);
    unsigned status = c->head.status;
    client_is_forgotten(c);
    return status;
}

FLOW(a_status_is_met_in_the_targets_place_and_the_next_one_answers)
{
    struct flow_policy p = policy_of(2);
    p.faults[0] = (struct flow_fault){.name = "drill", .share_permille = 1000, .status = 503};
    policy_says(k, &p);
    upstream_answers(k, 0, 200, RESPONSE);
    upstream_answers(k, 1, 200, RESPONSE);
    assert_int_equal(ask(k, "alice"), 200);
    expect_codes(k, "injected_status_503", 2);
    assert_int_equal(k->upstreams[0].call_count, 0);
    assert_int_equal(k->upstreams[1].call_count, 1);
}

FLOW(where_all_meet_it_the_client_gets_the_error_of_a_real_outage)
{
    static const struct {
        uint16_t injected;
        unsigned status;
        const char *code;
    } rows[] = {{503, 503, "no_target"},
                {500, 502, "upstream_error"},
                {429, 429, "upstream_rate_limited"},
                {401, 502, "upstream_error"},
                {504, 504, "upstream_timeout"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct flow_policy p = policy_of(2);
        p.faults[0] = (struct flow_fault){.name = "drill",
                                          .everywhere = true,
                                          .share_permille = 1000,
                                          .status = rows[i].injected};
        policy_says(k, &p);
        struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
        print_message("%u\n", rows[i].injected);
        expect_status(c, rows[i].status);
        expect_code(c, rows[i].code);
        expect_body_has(c, "injected_status_");
        Gatehouse__JournalRecord *r = flow_record(k);
        assert_int_equal(r->n_attempts, 2);
        assert_int_equal(r->span->cost_nano, 0);
        flow_record_free(r);
    }
    assert_int_equal(k->upstreams[0].call_count + k->upstreams[1].call_count, 0);
}

FLOW(a_hang_is_met_until_the_first_byte_is_given_up)
{
    struct flow_policy p = policy_of(2);
    p.providers[0].first_byte_ms = 150;
    p.faults[0] = (struct flow_fault){.name = "drill", .share_permille = 1000, .hangs = true};
    policy_says(k, &p);
    upstream_answers(k, 1, 200, RESPONSE);
    uint64_t before = flow_now_ms();
    assert_int_equal(ask(k, "alice"), 200);
    assert_true(flow_now_ms() - before >= 140);
    expect_codes(k, "injected_timeout", 2);
    assert_int_equal(k->upstreams[0].call_count, 0);
}

FLOW(a_client_that_leaves_ends_a_hang)
{
    struct flow_policy p = policy_of(2);
    p.faults[0] = (struct flow_fault){.name = "drill", .share_permille = 1000, .hangs = true};
    policy_says(k, &p);
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
    WAIT(k, k->env.request_count == 1);
    client_hangs_up(c);
    WAIT(k, k->env.request_count == 0);
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_string_equal(r->span->status, "cancelled");
    assert_int_equal(r->n_attempts, 1);
    flow_record_free(r);
}

FLOW(a_delay_is_waited_for_and_the_target_called_then)
{
    struct flow_policy p = policy_of(1);
    p.faults[0] = (struct flow_fault){.name = "drill", .share_permille = 1000, .latency_ms = 200};
    policy_says(k, &p);
    upstream_answers(k, 0, 200, RESPONSE);
    uint64_t before = flow_now_ms();
    assert_int_equal(ask(k, "alice"), 200);
    assert_true(flow_now_ms() - before >= 190);
    expect_codes(k, NULL, 1);
    assert_int_equal(k->upstreams[0].call_count, 1);
}

FLOW(calls_that_it_is_not_about_see_nothing_of_it)
{
    static const char *const scopes[][2] = {{"team", "t_red"}, {"key", "k_alice"}};
    for (size_t i = 0; i < ARRAY_LEN(scopes); i++) {
        struct flow_policy p = policy_of(1);
        p.providers[0].breaker_failures = 1;
        p.faults[0] = (struct flow_fault){.name = "drill",
                                          .subject_kind = scopes[i][0],
                                          .subject = scopes[i][1],
                                          .share_permille = 1000,
                                          .status = 500};
        policy_says(k, &p);
        upstream_answers(k, 0, 200, RESPONSE);
        for (int n = 0; n < 3; n++) {
            assert_int_equal(ask(k, "alice"), 502);
            expect_codes(k, "injected_status_500", 1);
            assert_int_equal(ask(k, "bob"), 200); /* nor is its breaker open for them */
            expect_codes(k, NULL, 1);
        }
    }
}

FLOW(its_share_is_met_and_no_more)
{
    struct flow_policy p = policy_of(1);
    p.faults[0] = (struct flow_fault){.name = "drill", .share_permille = 250, .status = 500};
    policy_says(k, &p);
    upstream_answers(k, 0, 200, RESPONSE);
    k->upstreams[0].forgets = true;
    unsigned met = 0;
    for (int i = 0; i < 400; i++)
        met += ask(k, "alice") == 502;
    assert_in_range(met, 50, 160); /* 100, within more than five standard deviations */
}

FLOW(behind_its_end_it_has_no_effect)
{
    struct flow_policy p = policy_of(1);
    p.faults[0] = (struct flow_fault){.name = "drill",
                                      .share_permille = 1000,
                                      .status = 500,
                                      .until_us = clock_wall_us() + 300000};
    policy_says(k, &p);
    upstream_answers(k, 0, 200, RESPONSE);
    assert_int_equal(ask(k, "alice"), 502);
    WAIT(k, clock_wall_us() > p.faults[0].until_us);
    assert_int_equal(ask(k, "alice"), 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(a_status_is_met_in_the_targets_place_and_the_next_one_answers),
        SCENARIO(where_all_meet_it_the_client_gets_the_error_of_a_real_outage),
        SCENARIO(a_hang_is_met_until_the_first_byte_is_given_up),
        SCENARIO(a_client_that_leaves_ends_a_hang),
        SCENARIO(a_delay_is_waited_for_and_the_target_called_then),
        SCENARIO(calls_that_it_is_not_about_see_nothing_of_it),
        SCENARIO(its_share_is_met_and_no_more),
        SCENARIO(behind_its_end_it_has_no_effect),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
