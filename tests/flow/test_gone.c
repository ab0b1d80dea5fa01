/* gone — a plain call ends with its client, or with the right it stood on: its upstream is let go
 * at once, and what its provider is known to bill then, the prompt, is billed. */
#include "tests/kit/flow/flow.h"

#define CHAT "/v1/chat/completions"
#define HELLO                                                                                      \
    "{\"model\":\"small\",\"max_tokens\":100,\"messages\":[{\"role\":\"user\","                    \
    "\"content\":\"hello\"}]}"
#define RESPONSE                                                                                   \
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

static void expect_record(struct flow *k, const char *code, bool billed)
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
    if (billed) {
        assert_string_equal(r->span->usage_source, "estimate");
        assert_true(r->span->tokens->input > 0);
        assert_int_equal(r->span->tokens->output, 0);
        assert_int_equal(r->charges[0]->amount_nano, r->span->cost_nano);
    } else {
        assert_null(r->span->usage_source);
        assert_int_equal(r->charges[0]->amount_nano, 0);
    }
    flow_record_free(r);
    assert_null(flow_record(k));
    assert_int_equal(k->upstreams[1].call_count, 0);
}

FLOW(a_client_that_goes_while_the_upstream_thinks_ends_it_and_is_billed_its_prompt)
{
    policy_says(k, &alice);
    upstream_hangs(k, 0);
    struct flow_client *c = ask(k);
    uint64_t at = flow_now_ms();
    client_hangs_up(c);
    WAIT(k, k->upstreams[0].calls[0].cut);
    assert_true(flow_now_ms() - at < 10000); /* 100 ms, on a machine that is not loaded */
    expect_record(k, "client_gone", true);
}

FLOW(a_client_that_goes_in_mid_response_is_billed_its_prompt)
{
    policy_says(k, &alice);
    upstream_says(k, 0, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    upstream_sends(k, 0, "{\"choices\":[],");
    upstream_hangs(k, 0);
    struct flow_client *c = ask(k);
    for (int i = 0; i < 5; i++)
        flow_turn(k);
    client_hangs_up(c);
    WAIT(k, k->upstreams[0].calls[0].cut);
    expect_record(k, "client_gone", true);
}

FLOW(a_client_that_goes_while_a_refusal_is_read_is_billed_nothing)
{
    policy_says(k, &alice);
    upstream_says(k, 0, "HTTP/1.1 400 Bad Request\r\nContent-Length: 1000\r\n\r\n{\"error\":");
    upstream_hangs(k, 0);
    struct flow_client *c = ask(k);
    WAIT(k, k->upstreams[0].calls[0].body.len);
    for (int i = 0; i < 20; i++)
        flow_turn(k);
    client_hangs_up(c);
    expect_record(k, "client_gone", false);
}

FLOW(clients_that_give_up_and_come_again_find_their_slot_free)
{
    struct flow_policy p = alice;
    p.keys[0].parallel = 1;
    policy_says(k, &p);
    upstream_hangs(k, 0);
    for (size_t i = 1; i <= 3; i++) {
        struct flow_client *c = client_posts(k, "alice", CHAT, "x-stainless-timeout: 1\r\n", HELLO);
        WAIT(k, k->upstreams[0].call_count == i); /* not refused */
        client_hangs_up(c);
        WAIT(k, k->upstreams[0].calls[i - 1].cut);
        assert_int_equal(k->env.request_count, 0);
    }
    for (Gatehouse__JournalRecord *r; (r = flow_record(k)); flow_record_free(r))
        assert_true(r->charges[0]->amount_nano <= (money)sizeof(HELLO) * 1000);
}

FLOW(a_principal_that_is_revoked_is_refused_at_once)
{
    struct flow_policy p = alice;
    policy_says(k, &alice);
    upstream_hangs(k, 0);
    struct flow_client *c = ask(k);
    p.keys[0].revoked = true;
    policy_says(k, &p);
    expect_status(c, 401);
    expect_code(c, "invalid_api_key");
    WAIT(k, k->upstreams[0].calls[0].cut);
    expect_record(k, "invalid_api_key", true);
}

FLOW(a_plane_that_ends_lets_its_upstreams_go)
{
    policy_says(k, &alice);
    upstream_hangs(k, 0);
    ask(k);
    k->env.stopping = true;
    client_listener_close(&k->listener);
    expect_record(k, "drained", true);
}

/* ---- a plane that is removed: it is lent no money any more, and its records are not taken ---- */

static size_t remove_plane(struct flow *k)
{
    lease_server_away(k, true);
    k->env.draining = true;
    client_listener_remove(k->listener);
    return request_cut_removed(&k->env);
}

FLOW(a_call_under_way_when_its_plane_is_removed_hears_it_and_is_billed_its_prompt)
{
    policy_says(k, &alice);
    upstream_hangs(k, 0);
    struct flow_client *c = ask(k);
    assert_int_equal(remove_plane(k), 1);
    expect_status(c, 503);
    expect_code(c, "dataplane_removed");
    assert_int_equal(remove_plane(k), 0); /* it is notified once */
    WAIT(k, k->upstreams[0].calls[0].cut);
    WAIT(k, k->env.request_count == 0);
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_int_equal(r->span->http_status, 503);
    assert_string_equal(r->span->code, "dataplane_removed");
    assert_string_equal(r->attempts[0]->code, "removed"); /* it was not revoked */
    assert_string_equal(r->span->usage_source, "estimate");
    assert_int_equal(r->span->tokens->output, 0);
    assert_int_equal(r->charges[0]->amount_nano, r->span->cost_nano);
    flow_record_free(r);
    assert_null(flow_record(k));
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
        SCENARIO(a_client_that_goes_while_the_upstream_thinks_ends_it_and_is_billed_its_prompt),
        SCENARIO(a_client_that_goes_in_mid_response_is_billed_its_prompt),
        SCENARIO(a_client_that_goes_while_a_refusal_is_read_is_billed_nothing),
        SCENARIO(clients_that_give_up_and_come_again_find_their_slot_free),
        SCENARIO(a_principal_that_is_revoked_is_refused_at_once),
        SCENARIO(a_plane_that_ends_lets_its_upstreams_go),
        SCENARIO(a_call_under_way_when_its_plane_is_removed_hears_it_and_is_billed_its_prompt),
        SCENARIO(a_call_that_waits_for_money_when_its_plane_is_removed_costs_nothing),
        SCENARIO(a_removed_plane_turns_new_calls_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
