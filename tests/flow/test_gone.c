/* gone — a plain call goes on when nobody waits for its answer: what it cost is billed. */
#include "tests/kit/flow/flow.h"

#define CHAT "/v1/chat/completions"
#define HELLO                                                                                      \
    "{\"model\":\"small\",\"max_tokens\":100,\"messages\":[{\"role\":\"user\","                    \
    "\"content\":\"hello\"}]}"
#define ANSWER                                                                                     \
    "{\"choices\":[{\"message\":{\"content\":\"hi\"}}],"                                           \
    "\"usage\":{\"prompt_tokens\":20,\"completion_tokens\":10}}"

static const struct flow_policy alice = {
    .keys = {{.name = "alice", .models = {"small"}, .budget = MONEY_DOLLAR}},
    .models = {{.name = "small", .upstreams = {0, 1}, .upstream_count = 2}},
};

static struct flow_client *ask(struct flow *k)
{
    struct flow_client *c = client_posts(k, "alice", CHAT, "x-gatehouse-session: demo\r\n", HELLO);
    WAIT(k, k->upstreams[0].call_count == 1);
    return c;
}

static void leave(struct flow *k, struct flow_client *c)
{
    client_hangs_up(c);
    WAIT(k, client_listener_connections(k->listener) == 0);
    assert_int_equal(k->env.request_count, 1);
}

static void expect_record(struct flow *k, const char *code, const char *source, uint64_t output)
{
    WAIT(k, k->env.request_count == 0);
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_non_null(r);
    assert_string_equal(r->span->status, "cancelled");
    assert_string_equal(r->span->code, code);
    assert_string_equal(r->span->method, "POST");
    assert_string_equal(r->span->external_id, "demo");
    assert_int_equal(r->n_attempts, 1);
    assert_string_equal(r->attempts[0]->status, "cancelled");
    if (source) {
        assert_string_equal(r->span->usage_source, source);
        assert_true(r->span->tokens->input > 0);
        assert_int_equal(r->span->tokens->output, output);
        assert_int_equal(r->charges[0]->amount_nano, r->span->cost_nano);
    } else {
        assert_null(r->span->usage_source);
        assert_int_equal(r->charges[0]->amount_nano, 0);
    }
    flow_record_free(r);
    assert_null(flow_record(k));
    assert_int_equal(k->upstreams[1].call_count, 0);
}

FLOW(a_client_that_goes_while_the_upstream_thinks_is_billed_what_it_answers)
{
    policy_says(k, &alice);
    upstream_waits_for_go(k, 0);
    upstream_answers(k, 0, 200, ANSWER);
    leave(k, ask(k));
    upstream_goes(k, 0);
    expect_record(k, "client_gone", "provider", 10);
    assert_false(k->upstreams[0].calls[0].cut);
}

FLOW(a_client_that_goes_in_mid_answer_is_billed_all_of_it)
{
    policy_says(k, &alice);
    upstream_says(k, 0, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    upstream_sends(k, 0, "{\"choices\":[],");
    upstream_waits_for_go(k, 0);
    upstream_sends(k, 0, "\"usage\":{\"prompt_tokens\":20,\"completion_tokens\":10}}");
    upstream_ends_stream(k, 0);
    leave(k, ask(k));
    upstream_goes(k, 0);
    expect_record(k, "client_gone", "provider", 10);
}

FLOW(an_upstream_that_breaks_off_behind_a_client_that_went_is_taken_to_have_written_all)
{
    policy_says(k, &alice);
    upstream_waits_for_go(k, 0);
    upstream_cuts(k, 0);
    leave(k, ask(k));
    upstream_goes(k, 0);
    expect_record(k, "client_gone", "estimate", 100);
}

FLOW(a_client_that_went_is_not_billed_a_refusal_and_no_other_target_is_asked)
{
    policy_says(k, &alice);
    upstream_waits_for_go(k, 0);
    upstream_answers(k, 0, 429, "{}");
    upstream_answers(k, 1, 200, ANSWER);
    leave(k, ask(k));
    upstream_goes(k, 0);
    expect_record(k, "client_gone", NULL, 0);
}

FLOW(a_client_that_gave_up_at_its_own_deadline_does_not_end_the_call)
{
    policy_says(k, &alice);
    upstream_waits_for_go(k, 0);
    upstream_answers(k, 0, 200, ANSWER);
    struct flow_client *c = client_posts(
        k, "alice", CHAT, "x-stainless-timeout: 1\r\nx-gatehouse-session: demo\r\n", HELLO);
    uint64_t until = flow_now_ms() + 2500;
    WAIT(k, k->upstreams[0].call_count == 1);
    leave(k, c);
    WAIT(k, flow_now_ms() > until);
    assert_int_equal(k->env.request_count, 1);
    upstream_goes(k, 0);
    expect_record(k, "client_gone", "provider", 10);
}

FLOW(where_too_many_go_on_the_next_is_ended_and_taken_to_have_written_all)
{
    policy_says(k, &alice);
    upstream_waits_for_go(k, 0);
    upstream_answers(k, 0, 200, ANSWER);
    k->env.detached_count = LIMIT_DETACHED - 1;
    leave(k, ask(k));
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
    WAIT(k, k->upstreams[0].call_count == 2);
    client_hangs_up(c);
    WAIT(k, k->upstreams[0].calls[1].cut);
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_string_equal(r->span->usage_source, "estimate");
    assert_int_equal(r->span->tokens->output, 100);
    flow_record_free(r);
    upstream_goes(k, 0);
    expect_record(k, "client_gone", "provider", 10);
    assert_int_equal(k->env.detached_count, LIMIT_DETACHED - 1);
}

FLOW(a_principal_that_is_revoked_hears_it_at_once_and_is_billed_what_is_answered)
{
    struct flow_policy p = alice;
    policy_says(k, &alice);
    upstream_waits_for_go(k, 0);
    upstream_answers(k, 0, 200, ANSWER);
    struct flow_client *c = ask(k);
    p.keys[0].revoked = true;
    policy_says(k, &p);
    expect_status(c, 401);
    expect_code(c, "invalid_api_key");
    assert_int_equal(k->env.request_count, 1);
    policy_says(k, &p); /* it is told once */
    client_hangs_up(c);
    upstream_goes(k, 0);
    expect_record(k, "invalid_api_key", "provider", 10);
}

FLOW(a_plane_that_ends_bills_what_its_upstreams_may_still_write)
{
    policy_says(k, &alice);
    upstream_hangs(k, 0);
    ask(k);
    k->env.stopping = true;
    client_listener_close(&k->listener);
    expect_record(k, "drained", "estimate", 100);
}

FLOW(a_plane_that_ends_lets_go_of_those_whose_client_went_before)
{
    policy_says(k, &alice);
    upstream_hangs(k, 0);
    leave(k, ask(k));
    k->env.stopping = true;
    client_listener_close(&k->listener);
    assert_int_equal(k->env.request_count, 1);
    http_client_free(k->env.upstreams.client);
    k->env.upstreams.client = NULL;
    expect_record(k, "drained", "estimate", 100);
}

/* ---- a plane that is removed: nobody lends it money any more, nor takes its records ---- */

static size_t remove_plane(struct flow *k)
{
    lease_server_away(k, true);
    k->env.draining = true;
    client_listener_remove(k->listener);
    return request_cut_removed(&k->env);
}

FLOW(a_removed_plane_lets_those_go_on_whose_client_went_and_bills_them_once)
{
    policy_says(k, &alice);
    upstream_waits_for_go(k, 0);
    upstream_answers(k, 0, 200, ANSWER);
    leave(k, ask(k));
    assert_int_equal(remove_plane(k), 0);
    assert_int_equal(k->env.request_count, 1);
    assert_int_equal(remove_plane(k), 0);
    upstream_goes(k, 0);
    expect_record(k, "client_gone", "provider", 10);
    assert_false(k->upstreams[0].calls[0].cut);
    assert_int_equal(k->env.detached_count, 0);
}

FLOW(a_call_under_way_when_its_plane_is_removed_hears_it_and_is_billed_what_is_answered)
{
    policy_says(k, &alice);
    upstream_waits_for_go(k, 0);
    upstream_answers(k, 0, 200, ANSWER);
    struct flow_client *c = ask(k);
    assert_int_equal(remove_plane(k), 1);
    expect_status(c, 503);
    expect_code(c, "dataplane_removed");
    assert_int_equal(k->env.detached_count, 1);
    assert_int_equal(remove_plane(k), 0); /* it is told once */
    client_hangs_up(c);
    upstream_goes(k, 0);
    WAIT(k, k->env.request_count == 0);
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_int_equal(r->span->http_status, 503);
    assert_string_equal(r->span->code, "dataplane_removed");
    assert_string_equal(r->attempts[0]->code, "removed"); /* nobody revoked it */
    assert_string_equal(r->span->usage_source, "provider");
    assert_int_equal(r->span->tokens->output, 10);
    assert_int_equal(r->charges[0]->amount_nano, r->span->cost_nano);
    flow_record_free(r);
    assert_null(flow_record(k));
    assert_int_equal(k->env.detached_count, 0);
}

FLOW(a_removed_plane_that_ends_lets_go_of_all_that_still_go_on)
{
    policy_says(k, &alice);
    upstream_hangs(k, 0);
    leave(k, ask(k));
    client_posts(k, "alice", CHAT, "x-gatehouse-session: demo\r\n", HELLO);
    WAIT(k, k->upstreams[0].call_count == 2);
    assert_int_equal(remove_plane(k), 1);
    assert_int_equal(k->env.detached_count, 2);
    k->env.stopping = true;
    client_listener_close(&k->listener);
    assert_int_equal(k->env.request_count, 2);
    http_client_free(k->env.upstreams.client);
    k->env.upstreams.client = NULL;
    WAIT(k, k->env.request_count == 0);
    for (int i = 0; i < 2; i++) {
        Gatehouse__JournalRecord *r = flow_record(k);
        assert_string_equal(r->span->status, "cancelled");
        assert_string_equal(r->span->usage_source, "estimate");
        assert_int_equal(r->span->tokens->output, 100); /* no less than it may have cost */
        assert_int_equal(r->charges[0]->amount_nano, r->span->cost_nano);
        flow_record_free(r);
    }
    assert_null(flow_record(k));
    assert_int_equal(k->env.detached_count, 0);
}

FLOW(a_call_that_waits_for_money_when_its_plane_is_removed_costs_nothing)
{
    policy_says(k, &alice);
    lease_server_away(k, true);
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
    WAIT(k, k->env.request_count == 1);
    WAIT(k, LIST_ITEM(k->env.requests.next, struct request, link)->stage == REQUEST_WAITING);
    assert_int_equal(remove_plane(k), 1);
    expect_status(c, 503);
    expect_code(c, "dataplane_removed");
    assert_int_equal(k->env.request_count, 0);
    assert_int_equal(k->upstreams[0].call_count, 0);
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_string_equal(r->span->status, "refused");
    assert_null(r->span->usage_source);
    assert_int_equal(r->n_charges, 0);
    flow_record_free(r);
}

FLOW(a_removed_plane_turns_new_calls_away)
{
    policy_says(k, &alice);
    assert_int_equal(remove_plane(k), 0);
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
    expect_status(c, 503);
    expect_code(c, "dataplane_removed");
    assert_int_equal(k->upstreams[0].call_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(a_client_that_goes_while_the_upstream_thinks_is_billed_what_it_answers),
        SCENARIO(a_client_that_goes_in_mid_answer_is_billed_all_of_it),
        SCENARIO(
            an_upstream_that_breaks_off_behind_a_client_that_went_is_taken_to_have_written_all),
        SCENARIO(a_client_that_went_is_not_billed_a_refusal_and_no_other_target_is_asked),
        SCENARIO(a_client_that_gave_up_at_its_own_deadline_does_not_end_the_call),
        SCENARIO(where_too_many_go_on_the_next_is_ended_and_taken_to_have_written_all),
        SCENARIO(a_principal_that_is_revoked_hears_it_at_once_and_is_billed_what_is_answered),
        SCENARIO(a_plane_that_ends_bills_what_its_upstreams_may_still_write),
        SCENARIO(a_plane_that_ends_lets_go_of_those_whose_client_went_before),
        SCENARIO(a_removed_plane_lets_those_go_on_whose_client_went_and_bills_them_once),
        SCENARIO(
            a_call_under_way_when_its_plane_is_removed_hears_it_and_is_billed_what_is_answered),
        SCENARIO(a_removed_plane_that_ends_lets_go_of_all_that_still_go_on),
        SCENARIO(a_call_that_waits_for_money_when_its_plane_is_removed_costs_nothing),
        SCENARIO(a_removed_plane_turns_new_calls_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
