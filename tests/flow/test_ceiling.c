/* ceiling — credentials with ceilings: calls take turns among them, wait, or go to another target.
 */
#include <stdio.h>

#include "common/journal/journal_private.h"
#include "common/request/request_metrics.h"
#include "tests/kit/flow/flow.h"

#define CHAT "/v1/chat/completions"
#define HELLO "{\"model\":\"small\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}"
#define RESPONSE                                                                                   \
    "{\"choices\":[{\"message\":{\"content\":\"hi\"}}],"                                           \
    "\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5}}"
#define LIMITED "{\"error\":{\"message\":\"slow down\"}}"

static const struct flow_model one_target = {
    .name = "small", .upstreams = {0}, .upstream_count = 1};
static const struct flow_model two_targets = {
    .name = "small", .upstreams = {0, 1}, .upstream_count = 2};

static struct flow_policy policy_of(struct flow_model model, struct flow_provider provider)
{
    return (struct flow_policy){.providers = {provider},
                                .keys = {{.name = "alice", .models = {"small"}}},
                                .models = {model}};
}

static struct flow_client *ask(struct flow *k, const char *headers)
{
    return client_posts(k, "alice", CHAT, headers, HELLO);
}

static uint64_t queued_us(struct flow *k)
{
    uint64_t us = 0;
    for (int i = 0; i < 64; i++) {
        Gatehouse__JournalRecord *r = flow_record(k);
        if (r->span->queued_us)
            us = r->span->queued_us;
        bool is_last = r->span->queued_us > 0;
        flow_record_free(r);
        if (is_last)
            break;
    }
    return us;
}

/* 120 a minute: twelve at once, then one each half second. */
FLOW(calls_above_the_ceiling_wait_and_none_fails)
{
    struct flow_policy p = policy_of(one_target, (struct flow_provider){.rpm = 120});
    struct flow_client *c[14];
    policy_says(k, &p);
    upstream_answers(k, 0, 200, RESPONSE);
    uint64_t began = flow_now_ms();
    for (size_t i = 0; i < ARRAY_LEN(c); i++)
        c[i] = ask(k, NULL);
    for (size_t i = 0; i < ARRAY_LEN(c); i++)
        expect_status(c[i], 200);
    assert_in_range(flow_now_ms() - began, 990, FLOW_WAIT_MS);
    assert_int_equal(k->upstreams[0].call_count, ARRAY_LEN(c));
    assert_in_range(queued_us(k), 400000, FLOW_WAIT_MS * 1000);
}

FLOW(another_credential_with_room_takes_the_call_at_once)
{
    struct flow_policy p = policy_of(
        one_target,
        (struct flow_provider){.rpm = 5, .second_secret = "second", .second_shares = true});
    policy_says(k, &p);
    upstream_answers(k, 0, 200, RESPONSE);
    size_t second = 0;
    for (size_t i = 0; i < 10; i++)
        expect_status(ask(k, NULL), 200);
    for (size_t i = 0; i < 10; i++)
        second += slice_eq(upstream_heard(&k->upstreams[0].calls[i], "authorization"),
                           SLICE("Bearer second"));
    assert_int_equal(second, 5);
}

FLOW(another_target_with_room_takes_a_call_that_would_wait_long)
{
    struct flow_policy p = policy_of(two_targets, (struct flow_provider){.rpm = 5});
    policy_says(k, &p);
    upstream_answers(k, 0, 200, RESPONSE);
    upstream_answers(k, 1, 200, RESPONSE);
    for (size_t i = 0; i < 8; i++)
        expect_status(ask(k, NULL), 200);
    assert_int_equal(k->upstreams[0].call_count, 5);
    assert_int_equal(k->upstreams[1].call_count, 3);
}

FLOW(a_wait_beyond_the_clients_patience_is_told_at_once)
{
    struct flow_policy p = policy_of(one_target, (struct flow_provider){.rpm = 5});
    policy_says(k, &p);
    upstream_answers(k, 0, 200, RESPONSE);
    for (size_t i = 0; i < 5; i++)
        expect_status(ask(k, NULL), 200);
    struct flow_client *c = ask(k, "x-stainless-timeout: 5\r\n");
    expect_status(c, 429);
    uint64_t after;
    assert_int_equal(slice_u64(client_header(c, "retry-after"), &after), ERR_OK);
    assert_in_range(after, 55, 63); /* when the first of them lie a minute back */
    assert_int_equal(k->upstreams[0].call_count, 5);
}

static void limits_the_first(struct upstream *u, const struct upstream_call *c, struct buf *out)
{
    (void)u;
    if (slice_eq(upstream_heard(c, "authorization"), SLICE("Bearer second")))
        upstream_reply(out, 200, "Content-Type: application/json\r\n", RESPONSE);
    else
        upstream_reply(out, 429, "Content-Type: application/json\r\nRetry-After: 30\r\n", LIMITED);
}

/* A 429 of one credential cools that one only. */
FLOW(after_a_429_the_other_credentials_go_on)
{
    struct flow_policy p = policy_of(
        one_target, (struct flow_provider){.second_secret = "second", .second_shares = true});
    policy_says(k, &p);
    k->upstreams[0].reply = limits_the_first;
    size_t limited = 0;
    for (size_t i = 0; i < 20; i++)
        expect_status(ask(k, NULL), 200);
    for (size_t i = 0; i < k->upstreams[0].call_count; i++)
        limited += !slice_eq(upstream_heard(&k->upstreams[0].calls[i], "authorization"),
                             SLICE("Bearer second"));
    assert_in_range(limited, 0, 1);
}

static void says_what_is_left(struct upstream *u, const struct upstream_call *c, struct buf *out)
{
    (void)c;
    char headers[256];
    snprintf(headers, sizeof(headers),
             "Content-Type: application/json\r\nx-ratelimit-limit-requests: 3\r\n"
             "x-ratelimit-remaining-requests: %d\r\nx-ratelimit-reset-requests: %s\r\n",
             u->call_count < 3 ? 3 - (int)u->call_count : 0, u->call_count < 3 ? "200ms" : "1.2s");
    upstream_reply(out, 200, headers, RESPONSE);
}

/* No ceiling is configured: the provider's own headers are respected before it says 429. */
FLOW(what_the_provider_says_is_left_paces_calls)
{
    struct flow_policy p = policy_of(one_target, (struct flow_provider){0});
    policy_says(k, &p);
    k->upstreams[0].reply = says_what_is_left;
    for (size_t i = 0; i < 3; i++)
        expect_status(ask(k, NULL), 200);
    uint64_t began = flow_now_ms();
    expect_status(ask(k, NULL), 200);
    assert_in_range(flow_now_ms() - began, 350, FLOW_WAIT_MS); /* a third of 1.2 s */
}

FLOW(a_client_that_leaves_the_line_is_not_sent)
{
    struct flow_policy p = policy_of(one_target, (struct flow_provider){.rpm = 60});
    policy_says(k, &p);
    upstream_answers(k, 0, 200, RESPONSE);
    for (size_t i = 0; i < 6; i++)
        expect_status(ask(k, NULL), 200);
    struct flow_client *gone = ask(k, NULL), *next = ask(k, NULL);
    WAIT(k, k->env.request_count == 2);
    client_hangs_up(gone);
    WAIT(k, k->env.request_count == 1);
    expect_status(next, 200);
    assert_int_equal(k->upstreams[0].call_count, 7);
}

/* 512 tokens are assumed of an output without a limit; 15 are used. */
FLOW(tokens_are_settled_by_what_was_used)
{
    struct flow_policy p = policy_of(one_target, (struct flow_provider){.tpm = 4000});
    policy_says(k, &p);
    upstream_answers(k, 0, 200, RESPONSE);
    uint64_t began = flow_now_ms();
    for (size_t i = 0; i < 16; i++)
        expect_status(ask(k, NULL), 200);
    assert_in_range(flow_now_ms() - began, 0, 5000); /* by the estimate it would be two minutes */
}

/* What the upstream never got is not counted. */
FLOW(an_attempt_that_was_not_sent_is_handed_back)
{
    struct flow_policy p = policy_of(two_targets, (struct flow_provider){.rpm = 5});
    policy_says(k, &p);
    listener_close(&k->upstreams[0].listener);
    upstream_answers(k, 1, 200, RESPONSE);
    for (size_t i = 0; i < 10; i++) {
        struct flow_client *c = ask(k, NULL);
        expect_status(c, 200);
        assert_true(slice_eq(client_header(c, "x-gatehouse-attempts"), SLICE("2")));
    }
}

FLOW(waits_are_counted_by_provider_and_credential)
{
    struct flow_policy p = policy_of(one_target, (struct flow_provider){.rpm = 120});
    struct flow_client *c[13];
    struct buf text;
    policy_says(k, &p);
    k->env.metrics = metric_set_new(request_metrics, COUNT_COUNT);
    assert_non_null(k->env.metrics);
    upstream_answers(k, 0, 200, RESPONSE);
    for (size_t i = 0; i < ARRAY_LEN(c); i++)
        c[i] = ask(k, NULL);
    for (size_t i = 0; i < ARRAY_LEN(c); i++)
        expect_status(c[i], 200);
    buf_init(&text, 1 << 20);
    assert_int_equal(metric_render(&k->env.metrics, 1, &text), ERR_OK);
    assert_true(slice_search(buf_slice(&text),
                             SLICE("gatehouse_queue_seconds_count{provider=\"provider-0\","
                                   "credential=\"main\"} 1\n")) >= 0);
    assert_true(slice_search(buf_slice(&text), SLICE("gatehouse_calls_queued 0\n")) >= 0);
    buf_fini(&text);
    metric_set_free(k->env.metrics);
    k->env.metrics = NULL;
}

static char *in_eu[] = {"eu"}, *promises[] = {"no_training"};

static void is_in_eu(Gatehouse__Team *t)
{
    t->n_regions = 1;
    t->regions = in_eu;
}

static void demands_no_training(Gatehouse__Team *t)
{
    t->n_data_policy = 1;
    t->data_policy = promises;
}

static void promises_no_training(Gatehouse__Provider *p)
{
    p->n_data_policy = 1;
    p->data_policy = promises;
}

static struct flow_policy policy_of_team(void (*also)(Gatehouse__Team *t),
                                         struct flow_provider provider)
{
    return (struct flow_policy){
        .providers = {provider},
        .keys = {{.name = "alice", .team = "sales", .models = {"small"}}},
        .teams = {{.name = "sales", .models = {"small"}, .also = also}},
        .models = {one_target},
    };
}

/* A ceiling is no reason to use a credential outside of the team's regions. */
FLOW(a_credential_with_room_in_another_region_is_not_taken)
{
    struct flow_policy p = policy_of_team(
        is_in_eu,
        (struct flow_provider){
            .rpm = 5, .region = "eu", .second_secret = "of no region", .second_shares = true});
    policy_says(k, &p);
    upstream_answers(k, 0, 200, RESPONSE);
    for (size_t i = 0; i < 5; i++)
        expect_status(ask(k, NULL), 200);
    expect_status(ask(k, "x-stainless-timeout: 5\r\n"), 429);
    assert_int_equal(k->upstreams[0].call_count, 5);
    for (size_t i = 0; i < 5; i++)
        assert_false(slice_eq(upstream_heard(&k->upstreams[0].calls[i], "authorization"),
                              SLICE("Bearer of no region")));
}

static unsigned waiting_at(struct flow *k, size_t credential)
{
    const struct policy_provider *p = snapshot_provider(k->policy, SLICE("p_provider-0"));
    struct ceiling_state s;
    ceiling_look(p->credentials[credential].ceiling, loop_now_us(k->env.loop), &s);
    return s.waiting;
}

/* Else calls that may use the other one would wait behind it in vain. */
FLOW(a_call_waits_at_the_credentials_that_it_may_use_alone)
{
    struct flow_policy p = policy_of_team(
        is_in_eu,
        (struct flow_provider){
            .rpm = 60, .region = "eu", .second_secret = "of no region", .second_shares = true});
    policy_says(k, &p);
    upstream_answers(k, 0, 200, RESPONSE);
    for (size_t i = 0; i < 6; i++)
        expect_status(ask(k, NULL), 200);
    struct flow_client *c = ask(k, NULL);
    WAIT(k, pacer_waiting(&k->env.pacer, SLICE("p_provider-0")) == 1);
    assert_int_equal(waiting_at(k, 0), 1);
    assert_int_equal(waiting_at(k, 1), 0);
    expect_status(c, 200);
    assert_int_equal(waiting_at(k, 0), 0);
    assert_int_equal(waiting_at(k, 1), 0);
}

/* The call names no provider before it is sent, so that nothing cuts it while it waits. */
FLOW(a_call_that_waits_goes_by_the_policy_of_when_it_is_sent)
{
    struct flow_policy p = policy_of_team(
        demands_no_training, (struct flow_provider){.rpm = 60, .also = promises_no_training});
    policy_says(k, &p);
    upstream_answers(k, 0, 200, RESPONSE);
    for (size_t i = 0; i < 6; i++)
        expect_status(ask(k, NULL), 200);
    struct flow_client *c = ask(k, NULL);
    WAIT(k, pacer_waiting(&k->env.pacer, SLICE("p_provider-0")) == 1);
    p.providers[0].also = NULL;
    policy_says_of_provider(k, &p, 0);
    WAIT(k, c->whole);
    assert_int_equal(c->head.status, 503);
    assert_int_equal(k->upstreams[0].call_count, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(calls_above_the_ceiling_wait_and_none_fails),
        SCENARIO(another_credential_with_room_takes_the_call_at_once),
        SCENARIO(another_target_with_room_takes_a_call_that_would_wait_long),
        SCENARIO(a_wait_beyond_the_clients_patience_is_told_at_once),
        SCENARIO(after_a_429_the_other_credentials_go_on),
        SCENARIO(what_the_provider_says_is_left_paces_calls),
        SCENARIO(a_client_that_leaves_the_line_is_not_sent),
        SCENARIO(tokens_are_settled_by_what_was_used),
        SCENARIO(an_attempt_that_was_not_sent_is_handed_back),
        SCENARIO(waits_are_counted_by_provider_and_credential),
        SCENARIO(a_credential_with_room_in_another_region_is_not_taken),
        SCENARIO(a_call_waits_at_the_credentials_that_it_may_use_alone),
        SCENARIO(a_call_that_waits_goes_by_the_policy_of_when_it_is_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
