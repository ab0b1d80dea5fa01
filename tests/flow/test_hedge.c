/* hedge — a second target beside one that is late: whose response is taken, what is let go. */
#include "tests/kit/flow/attempts_kit.h"

/* ---- two attempts at once ---- */

static struct flow_policy hedged(size_t targets)
{
    struct flow_policy p = attempts_policy(targets);
    p.models[0].hedge_after_ms = 80;
    return p;
}

FLOW(a_second_target_is_asked_beside_one_that_is_late)
{
    struct flow_policy p = hedged(2);
    policy_says(k, &p);
    upstream_hangs(k, 0);
    upstream_answers(k, 1, 200, RESPONSE);
    uint64_t before = flow_now_ms();
    struct flow_client *c = attempts_ask(k);
    expect_status(c, 200);
    expect_body(c, RESPONSE);
    assert_true(flow_now_ms() - before >= 70);
    assert_true(slice_eq(client_header(c, "x-gatehouse-provider"), SLICE("provider-1")));
    expect_attempts(k, "0:hedged 1");
    WAIT(k, k->upstreams[0].calls[0].cut);
}

FLOW(one_that_answers_in_time_is_asked_alone)
{
    struct flow_policy p = hedged(2);
    p.models[0].hedge_after_ms = 3000;
    policy_says(k, &p);
    upstream_answers(k, 0, 200, RESPONSE);
    expect_status(attempts_ask(k), 200);
    expect_attempts(k, "0");
    assert_int_equal(k->upstreams[1].call_count, 0);
}

FLOW(the_first_one_wins_where_its_head_comes_first)
{
    struct flow_policy p = hedged(2);
    policy_says(k, &p);
    upstream_waits_for_go(k, 0);
    upstream_answers(k, 0, 200, RESPONSE);
    upstream_hangs(k, 1);
    struct flow_client *c = attempts_ask(k);
    WAIT(k, k->upstreams[1].call_count == 1);
    upstream_goes(k, 0);
    expect_status(c, 200);
    assert_true(slice_eq(client_header(c, "x-gatehouse-provider"), SLICE("provider-0")));
    expect_attempts(k, "0 1:hedged");
    WAIT(k, k->upstreams[1].calls[0].cut);
}

FLOW(a_rival_whose_provider_changes_is_let_go)
{
    struct flow_policy p = hedged(2);
    policy_says(k, &p);
    upstream_waits_for_go(k, 0);
    upstream_answers(k, 0, 200, RESPONSE);
    upstream_hangs(k, 1);
    struct flow_client *c = attempts_ask(k);
    WAIT(k, k->upstreams[1].call_count == 1);
    p.providers[1].rpm = 1000;
    policy_says_of_provider(k, &p, 1);
    WAIT(k, k->upstreams[1].calls[0].cut);
    upstream_goes(k, 0);
    expect_status(c, 200);
}

FLOW(a_rival_that_fails_leaves_the_first_one_alone)
{
    struct flow_policy p = hedged(2);
    policy_says(k, &p);
    upstream_waits_for_go(k, 0);
    upstream_answers(k, 0, 200, RESPONSE);
    upstream_answers(k, 1, 503, BROKEN);
    struct flow_client *c = attempts_ask(k);
    WAIT(k, k->upstreams[1].call_count == 1 && k->upstreams[1].calls[0].done);
    upstream_goes(k, 0);
    expect_status(c, 200);
    expect_attempts(k, "0 1:status_503");
}

FLOW(where_the_first_one_fails_its_rival_is_waited_for)
{
    for (int lost = 0; lost < 2; lost++) {
        struct flow_policy p = hedged(3);
        policy_says(k, &p);
        for (size_t i = 0; i < 3; i++) {
            upstream_forget_script(k, i);
            upstream_forgets_calls(k, i);
            k->upstreams[i].go = false;
        }
        upstream_waits_for_go(k, 0);
        if (lost)
            upstream_cuts(k, 0);
        else
            upstream_answers(k, 0, 500, BROKEN);
        upstream_waits_for_go(k, 1);
        upstream_answers(k, 1, 200, RESPONSE);
        struct flow_client *c = attempts_ask(k);
        WAIT(k, k->upstreams[1].call_count == 1);
        upstream_goes(k, 0);
        WAIT(k, k->upstreams[0].calls[0].done);
        for (int i = 0; i < 20; i++)
            flow_turn(k);
        upstream_goes(k, 1);
        expect_status(c, 200);
        assert_true(slice_eq(client_header(c, "x-gatehouse-provider"), SLICE("provider-1")));
        expect_attempts(k, lost ? "0:closed 1" : "0:status_500 1");
        assert_int_equal(k->upstreams[2].call_count, 0);
    }
}

FLOW(where_both_fail_the_third_is_tried)
{
    struct flow_policy p = hedged(3);
    policy_says(k, &p);
    upstream_waits_for_go(k, 0);
    upstream_answers(k, 0, 500, BROKEN);
    upstream_answers(k, 1, 500, BROKEN);
    upstream_answers(k, 2, 200, RESPONSE);
    struct flow_client *c = attempts_ask(k);
    WAIT(k, k->upstreams[1].call_count == 1 && k->upstreams[1].calls[0].done);
    for (int i = 0; i < 20; i++)
        flow_turn(k);
    upstream_goes(k, 0);
    expect_status(c, 200);
    expect_attempts(k, "0:status_500 1:status_500 2");
}

FLOW(a_client_that_leaves_ends_both)
{
    struct flow_policy p = hedged(2);
    policy_says(k, &p);
    upstream_hangs(k, 0);
    upstream_hangs(k, 1);
    struct flow_client *c = attempts_ask(k);
    WAIT(k, k->upstreams[1].call_count == 1);
    client_hangs_up(c);
    WAIT(k, k->env.request_count == 0);
    WAIT(k, k->upstreams[0].calls[0].cut && k->upstreams[1].calls[0].cut);
}

FLOW(without_money_for_both_there_is_one)
{
    static const char body[] = "{\"model\":\"small\",\"max_tokens\":1000,\"messages\":[]}";
    for (int rich = 0; rich < 2; rich++) {
        struct flow_policy p = hedged(2);
        p.keys[0].budget = 3000000 + rich * 3000000; /* nano-dollars: an output is 2 thousandths */
        policy_says(k, &p);
        for (size_t i = 0; i < 2; i++) {
            upstream_forget_script(k, i);
            upstream_forgets_calls(k, i);
            k->upstreams[i].go = false;
        }
        upstream_waits_for_go(k, 0);
        upstream_answers(k, 0, 200, RESPONSE);
        upstream_hangs(k, 1);
        struct flow_client *c = client_posts(k, "alice", CHAT, NULL, body);
        uint64_t until = flow_now_ms() + 200;
        WAIT(k, flow_now_ms() > until && (!rich || k->upstreams[1].call_count));
        assert_int_equal(k->upstreams[1].call_count, rich);
        upstream_goes(k, 0);
        expect_status(c, 200);
        expect_attempts(k, rich ? "0 1:hedged" : "0");
    }
}

#define MESSAGE                                                                                    \
    "{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude-x\","        \
    "\"content\":[{\"type\":\"text\",\"text\":\"hi\"}],\"stop_reason\":\"end_turn\","              \
    "\"stop_sequence\":null,\"usage\":{\"input_tokens\":10,\"output_tokens\":5}}"

/* Each has a body of its own where both are told in another dialect than the client's. */
FLOW(targets_of_another_dialect_are_asked_side_by_side)
{
    static const char *const dialects[][2] = {
        {"anthropic", "anthropic"}, {"anthropic", "openai"}, {"openai", "anthropic"}};
    for (size_t i = 0; i < ARRAY_LEN(dialects); i++) {
        struct flow_policy p = hedged(2);
        p.providers[0].dialect = dialects[i][0];
        p.providers[1].dialect = dialects[i][1];
        policy_says(k, &p);
        for (size_t j = 0; j < 2; j++) {
            upstream_forget_script(k, j);
            upstream_forgets_calls(k, j);
        }
        upstream_hangs(k, 0);
        upstream_answers(k, 1, 200, dialects[i][1][0] == 'a' ? MESSAGE : RESPONSE);
        struct flow_client *c = attempts_ask(k);
        expect_status(c, 200);
        expect_body_has(c, "\"content\":\"hi\"");
        expect_attempts(k, "0:hedged 1");
        for (size_t j = 0; j < 2; j++)
            assert_true(slice_search(k->upstreams[j].calls[0].body, SLICE("hello")) > 0);
    }
}

FLOW(a_stream_is_taken_from_whichever_begins)
{
    struct flow_policy p = hedged(2);
    policy_says(k, &p);
    upstream_hangs(k, 0);
    upstream_opens_stream(k, 1);
    upstream_sends(k, 1, "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\n");
    upstream_sends(k, 1, "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n");
    upstream_sends(k, 1, "data: [DONE]\n\n");
    upstream_ends_stream(k, 1);
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL,
                                         "{\"model\":\"small\",\"stream\":true,\"messages\":[{"
                                         "\"role\":\"user\",\"content\":\"hello\"}]}");
    expect_status(c, 200);
    expect_body_has(c, "[DONE]");
    expect_attempts(k, "0:hedged 1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(a_second_target_is_asked_beside_one_that_is_late),
        SCENARIO(one_that_answers_in_time_is_asked_alone),
        SCENARIO(the_first_one_wins_where_its_head_comes_first),
        SCENARIO(a_rival_whose_provider_changes_is_let_go),
        SCENARIO(a_rival_that_fails_leaves_the_first_one_alone),
        SCENARIO(where_the_first_one_fails_its_rival_is_waited_for),
        SCENARIO(where_both_fail_the_third_is_tried),
        SCENARIO(a_client_that_leaves_ends_both),
        SCENARIO(without_money_for_both_there_is_one),
        SCENARIO(targets_of_another_dialect_are_asked_side_by_side),
        SCENARIO(a_stream_is_taken_from_whichever_begins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
