/* resilience — what is tried again, where and how often; what is left out for a while. */
#include <stdio.h>

#include "common/base/clock.h"
#include "common/request/request_metrics.h"
#include "common/upstream/exchange.h"
#include "dataplane/ai/ai_retry.h"
#include "tests/kit/flow/attempts_kit.h"

/* ---- again at the same target ---- */

/* A response to the n-th call of an upstream, from the list of the test; the last one stays. */
static const unsigned *statuses;

static void reply_in_turn(struct upstream *u, const struct upstream_call *c, struct buf *out)
{
    (void)c;
    unsigned status = statuses[0];
    if (statuses[1])
        statuses++;
    (void)u;
    upstream_reply(out, status, "Content-Type: application/json\r\n",
                   status == 200 ? RESPONSE : BROKEN);
}

static void answers_in_turn(struct flow *k, const unsigned *list)
{
    statuses = list;
    k->upstreams[0].reply = reply_in_turn;
    ai_retry_wait_ms = 10;
}

FLOW(a_target_is_tried_again_as_often_as_the_model_says)
{
    static const unsigned then_well[] = {500, 503, 200, 0};
    struct flow_policy p = attempts_policy(2);
    p.models[0].retries = 2;
    policy_says(k, &p);
    answers_in_turn(k, then_well);
    expect_status(attempts_ask(k), 200);
    expect_attempts(k, "0:status_500 0:status_503 0");
}

FLOW(a_target_that_stays_broken_is_followed_by_the_next)
{
    static const unsigned broken[] = {503, 0};
    struct flow_policy p = attempts_policy(2);
    p.models[0].retries = 1;
    policy_says(k, &p);
    answers_in_turn(k, broken);
    upstream_answers(k, 1, 200, RESPONSE);
    expect_status(attempts_ask(k), 200);
    expect_attempts(k, "0:status_503 0:status_503 1");
}

FLOW(what_the_model_does_not_name_is_not_tried_again)
{
    static const unsigned broken[] = {500, 0};
    struct flow_policy p = attempts_policy(2);
    p.models[0].retries = 3;
    p.models[0].retry_on[0] = "429";
    policy_says(k, &p);
    answers_in_turn(k, broken);
    upstream_answers(k, 1, 200, RESPONSE);
    expect_status(attempts_ask(k), 200);
    expect_attempts(k, "0:status_500 1");
}

static const char *with_usage;

static void fails_with_usage(struct upstream *u, const struct upstream_call *c, struct buf *out)
{
    (void)u;
    (void)c;
    upstream_reply(out, 500, "Content-Type: application/json\r\n", with_usage);
}

/* Of each candidate one prompt is reserved at first; one that failed and was billed takes it. */
FLOW(no_retry_is_sent_that_the_budget_cannot_pay)
{
    static const char body[] =
        "{\"model\":\"small\",\"max_tokens\":1,\"messages\":[{\"role\":"
        "\"user\",\"content\":\"what is said here is long enough to cost\"}]}";
    char text[128];
    uint64_t prompt = flow_prompt_tokens(body);
    money budget = (money)prompt * 1900;
    struct flow_policy p = attempts_policy(1);
    p.keys[0].budget = budget;
    p.models[0].retries = 3;
    policy_says(k, &p);
    snprintf(text, sizeof(text),
             "{\"error\":{\"message\":\"no\"},\"usage\":{\"prompt_tokens\":%llu,"
             "\"completion_tokens\":0}}",
             (unsigned long long)prompt);
    with_usage = text;
    k->upstreams[0].reply = fails_with_usage;
    ai_retry_wait_ms = 1;
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, body);
    WAIT(k, c->whole);
    WAIT(k, k->env.request_count == 0);
    assert_int_equal(k->upstreams[0].call_count, 1);
    assert_in_range(flow_taken(k, "key:k_alice"), 1, budget);
}

FLOW(a_wait_that_the_target_names_is_kept)
{
    struct flow_policy p = attempts_policy(1);
    p.models[0].retries = 1;
    policy_says(k, &p);
    ai_retry_wait_ms = 1;
    upstream_says(k, 0, "HTTP/1.1 429 No\r\nRetry-After-Ms: 300\r\nContent-Length: 2\r\n\r\n{}");
    uint64_t before = flow_now_ms();
    expect_status(attempts_ask(k), 429);
    assert_true(flow_now_ms() - before >= 290);
    assert_int_equal(k->upstreams[0].call_count, 2);
}

FLOW(a_wait_too_long_is_not_waited_for)
{
    struct flow_policy p = attempts_policy(2);
    p.models[0].retries = 5;
    policy_says(k, &p);
    upstream_says(k, 0, "HTTP/1.1 429 No\r\nRetry-After: 30\r\nContent-Length: 2\r\n\r\n{}");
    upstream_answers(k, 1, 200, RESPONSE);
    uint64_t before = flow_now_ms();
    expect_status(attempts_ask(k), 200);
    assert_true(flow_now_ms() - before < 5000);
    expect_attempts(k, "0:status_429 1");
}

FLOW(retries_stay_within_the_providers_budget)
{
    static const unsigned broken[] = {500, 0};
    struct flow_policy p = attempts_policy(1);
    p.models[0].retries = 3;
    p.providers[0].retry_permille = 100;
    policy_says(k, &p);
    answers_in_turn(k, broken);
    k->upstreams[0].forgets = true;
    ai_retry_wait_ms = 1;
    struct retry_budget *b = retry_budget_of(&k->env.upstreams.retries, SLICE("p_provider-0"));
    size_t attempts = 0;
    for (int i = 0; i < 40; i++) {
        b->floor = 0; /* nothing comes with time in this test */
        b->floor_at_us = clock_mono_us();
        struct flow_client *c = attempts_ask(k);
        expect_status(c, 502);
        client_is_forgotten(c);
        Gatehouse__JournalRecord *r = flow_record(k);
        attempts += r->n_attempts;
        flow_record_free(r);
    }
    assert_int_equal(attempts, 40 + 4);
}

FLOW(a_client_that_leaves_while_a_retry_waits_ends_the_call)
{
    static const unsigned broken[] = {500, 0};
    struct flow_policy p = attempts_policy(1);
    p.models[0].retries = 1;
    policy_says(k, &p);
    answers_in_turn(k, broken);
    ai_retry_wait_ms = 60000 / 8;
    struct flow_client *c = attempts_ask(k);
    WAIT(k, k->upstreams[0].call_count == 1 && k->upstreams[0].calls[0].done);
    client_hangs_up(c);
    WAIT(k, k->env.request_count == 0);
    assert_int_equal(k->upstreams[0].call_count, 1);
}

/* ---- elsewhere, by what failed ---- */

FLOW(each_class_of_failures_falls_back_where_the_model_says_so)
{
    static const struct {
        const char *on;
        unsigned status;
        const char *body;
        bool by_default;
    } rows[] = {
        {"5xx", 500, "{}", true},
        {"429", 429, "{}", true},
        {"credential", 401, "{}", true},
        {"4xx", 422, "{}", false},
        {"404", 404, "{}", false},
        {"content_refused", 400,
         "{\"error\":{\"code\":\"content_filter\",\"message\":\"refused by the filter\"}}", false},
        {"context_too_long", 400,
         "{\"error\":{\"code\":\"context_length_exceeded\",\"message\":\"too long\"}}", false},
    };
    char want[64];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (int set = 0; set < 3; set++) { /* by default; as named; something else is named */
            struct flow_policy p = attempts_policy(2);
            char row[16];
            snprintf(row, sizeof(row), "%zu-%d", i, set);
            p.providers[0].header = "x-row"; /* another revision: what was known of it goes */
            p.providers[0].value = row;
            if (set)
                p.models[0].fallback_on[0] = set == 1 ? rows[i].on : "timeout";
            policy_says(k, &p);
            upstream_forget_script(k, 0);
            upstream_forget_script(k, 1);
            k->upstreams[0].forgets = k->upstreams[1].forgets = true;
            upstream_answers_with(k, 0, rows[i].status,
                                  "Content-Type: application/json\r\nRetry-After-Ms: 1\r\n",
                                  rows[i].body);
            upstream_answers(k, 1, 200, RESPONSE);
            struct flow_client *c = attempts_ask(k);
            WAIT(k, c->whole);
            bool falls = set == 1 || (set == 0 && rows[i].by_default);
            if ((c->head.status == 200) != falls || c->head.status == 401)
                fail_msg("%s, set %d: %u", rows[i].on, set, c->head.status);
            snprintf(want, sizeof(want), "0:status_%u%s", rows[i].status, falls ? " 1" : "");
            expect_attempts(k, want);
            client_is_forgotten(c);
        }
}

FLOW(a_timeout_and_a_lost_connection_are_classes_too)
{
    struct flow_policy p = attempts_policy(2);
    p.providers[0].first_byte_ms = 50;
    p.models[0].fallback_on[0] = "5xx";
    policy_says(k, &p);
    upstream_hangs(k, 0);
    upstream_answers(k, 1, 200, RESPONSE);
    expect_status(attempts_ask(k), 504);
    expect_attempts(k, "0:timeout");
    p.models[0].fallback_on[0] = "timeout";
    policy_says(k, &p);
    expect_status(attempts_ask(k), 200);
    expect_attempts(k, "0:timeout 1");
    upstream_forget_script(k, 0);
    upstream_cuts(k, 0);
    expect_status(attempts_ask(k), 502);
    expect_attempts(k, "0:closed");
    p.models[0].fallback_on[0] = "connect";
    policy_says(k, &p);
    expect_status(attempts_ask(k), 200);
    expect_attempts(k, "0:closed 1");
}

FLOW(a_prompt_that_was_too_long_goes_to_a_larger_window_alone)
{
    static const char *const models[] = {"mid", "tiny", "huge"};
    struct flow_policy p = attempts_policy(3);
    p.models[0].target_models = models;
    p.models[0].fallback_on[0] = "context_too_long";
    p.prices[0] = (struct flow_price){.pattern = "mid", .input = 1, .output = 1, .context = 8000};
    p.prices[1] = (struct flow_price){.pattern = "tiny", .input = 1, .output = 1, .context = 4000};
    p.prices[2] = (struct flow_price){.pattern = "huge", .input = 1, .output = 1, .context = 90000};
    policy_says(k, &p);
    upstream_answers(k, 0, 400,
                     "{\"error\":{\"code\":\"context_length_exceeded\",\"message\":\"too long\"}}");
    upstream_answers(k, 2, 200, RESPONSE);
    expect_status(attempts_ask(k), 200);
    expect_attempts(k, "0:status_400 2");
    /* where no window is larger, the client hears it as it is */
    p.models[0].upstream_count = 2;
    policy_says(k, &p);
    struct flow_client *c = attempts_ask(k);
    expect_status(c, 400);
    expect_code(c, "context_length_exceeded");
    expect_attempts(k, "0:status_400");
}

static void says_windows(Gatehouse__Model *m)
{
    static const uint64_t windows[] = {8000, 4000, 90000};
    for (size_t i = 0; i < m->n_targets; i++) {
        m->targets[i]->has_context_tokens = true;
        m->targets[i]->context_tokens = windows[i];
    }
}

FLOW(a_window_is_what_the_target_says_of_itself)
{
    struct flow_policy p = attempts_policy(3);
    p.models[0].fallback_on[0] = "context_too_long";
    p.models[0].also = says_windows;
    policy_says(k, &p);
    upstream_answers(k, 0, 400,
                     "{\"error\":{\"code\":\"context_length_exceeded\",\"message\":\"too long\"}}");
    upstream_answers(k, 2, 200, RESPONSE);
    expect_status(attempts_ask(k), 200);
    expect_attempts(k, "0:status_400 2");
}

/* ---- what is left out ---- */

FLOW(a_breaker_that_opened_leaves_its_target_out_until_a_probe_succeeds)
{
    struct flow_policy p = attempts_policy(2);
    p.providers[0].breaker_failures = 3;
    p.providers[0].breaker_open_ms = 1500;
    policy_says(k, &p);
    upstream_answers(k, 0, 500, BROKEN);
    upstream_answers(k, 1, 200, RESPONSE);
    for (int i = 0; i < 3; i++) {
        expect_status(attempts_ask(k), 200);
        expect_attempts(k, "0:status_500 1");
    }
    for (int i = 0; i < 3; i++) {
        expect_status(attempts_ask(k), 200);
        expect_attempts(k, "1");
    }
    upstream_forget_script(k, 0);
    upstream_answers(k, 0, 200, RESPONSE);
    uint64_t until = flow_now_ms() + 1600;
    WAIT(k, flow_now_ms() > until);
    expect_status(attempts_ask(k), 200);
    expect_attempts(k, "0");
    expect_status(attempts_ask(k), 200);
    expect_attempts(k, "0");
}

FLOW(where_every_breaker_is_open_a_call_is_tried_all_the_same)
{
    struct flow_policy p = attempts_policy(2);
    p.providers[0].breaker_failures = p.providers[1].breaker_failures = 1;
    policy_says(k, &p);
    upstream_answers(k, 0, 500, BROKEN);
    upstream_answers(k, 1, 500, BROKEN);
    for (int i = 0; i < 2; i++) {
        struct flow_client *c = attempts_ask(k);
        expect_status(c, 502);
        expect_body_has(c, "tried provider-0/small (status_500), provider-1/small (status_500)");
        expect_attempts(k, "0:status_500 1:status_500");
    }
    upstream_forget_script(k, 1);
    upstream_answers(k, 1, 200, RESPONSE);
    expect_status(attempts_ask(k), 200);
}

FLOW(a_clients_own_deadline_opens_no_breaker)
{
    struct flow_policy p = attempts_policy(1);
    p.providers[0].breaker_failures = 1;
    policy_says(k, &p);
    upstream_hangs(k, 0);
    expect_status(client_posts(k, "alice", CHAT, "x-stainless-timeout: 1\r\n", HELLO), 504);
    assert_int_equal(k->env.upstreams.endpoints.count, 1);
    struct endpoint_key key = {.target = SLICE("p_provider-0"), .credential = SLICE("c_1")};
    const struct policy_provider *at = snapshot_provider(k->policy, key.target);
    key.url = &at->credentials[0].url;
    key.revision = at->o.revision;
    const struct endpoint *e = endpoint_find(&k->env.upstreams.endpoints, &key);
    assert_non_null(e);
    assert_int_equal(endpoint_health(e, 0).breaker, BREAKER_CLOSED);
}

FLOW(a_refused_credential_is_taken_out_with_an_alarm)
{
    static const unsigned refusals[] = {401, 403};
    for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
        struct flow_policy p = attempts_policy(2);
        char head[96];
        struct buf text;
        p.providers[0].header = "x-row"; /* another revision: what was known of it goes */
        p.providers[0].value = i ? "1" : "0";
        policy_says(k, &p);
        k->env.metrics = metric_set_new(request_metrics, COUNT_COUNT);
        assert_non_null(k->env.metrics);
        upstream_forget_script(k, 0);
        upstream_forget_script(k, 1);
        snprintf(head, sizeof(head), "HTTP/1.1 %u No\r\nContent-Length: 2\r\n\r\n{}", refusals[i]);
        upstream_says(k, 0, head);
        upstream_answers(k, 1, 200, RESPONSE);
        expect_status(attempts_ask(k), 200);
        snprintf(head, sizeof(head), "0:status_%u 1", refusals[i]);
        expect_attempts(k, head);
        for (int n = 0; n < 3; n++) { /* it is not asked any more */
            expect_status(attempts_ask(k), 200);
            expect_attempts(k, "1");
        }
        buf_init(&text, 1 << 20);
        assert_int_equal(metric_render(&k->env.metrics, 1, &text), ERR_OK);
        assert_true(slice_search(buf_slice(&text),
                                 SLICE("gatehouse_upstream_credentials_refused_total 1\n")) >= 0);
        buf_fini(&text);
        metric_set_free(k->env.metrics);
        k->env.metrics = NULL;
    }
}

static void limits_by_credential(struct upstream *u, const struct upstream_call *c, struct buf *out)
{
    (void)u;
    bool second = slice_ends(upstream_heard(c, "authorization"), SLICE("sk-second"));
    upstream_reply(out, 429, second ? "Retry-After: 30\r\n" : "Retry-After: 1\r\n", "{}");
}

FLOW(a_credential_that_is_out_is_no_other_ones_stand_in)
{
    struct flow_policy p = attempts_policy(2);
    p.providers[0].second_secret = "sk-second";
    policy_says(k, &p);
    k->upstreams[0].reply = limits_by_credential;
    upstream_answers(k, 1, 200, RESPONSE);
    expect_status(attempts_ask(k), 200);
    expect_attempts(k, "0:status_429 0:status_429 1");
    uint64_t until = flow_now_ms() + 1100; /* the first one's wait is over */
    WAIT(k, flow_now_ms() > until);
    expect_status(attempts_ask(k), 200);
    expect_attempts(k, "0:status_429 1");
}

/* ---- the call's time ---- */

FLOW(the_models_time_is_the_whole_calls)
{
    struct flow_policy p = attempts_policy(3);
    p.models[0].total_ms = 2000;
    for (size_t i = 0; i < 3; i++)
        p.providers[i].first_byte_ms = 1250;
    policy_says(k, &p);
    for (size_t i = 0; i < 3; i++)
        upstream_hangs(k, i);
    uint64_t before = flow_now_ms();
    struct flow_client *c = attempts_ask(k);
    expect_status(c, 504);
    expect_body_has(c, "tried provider-0/small (timeout), provider-1/small (timeout)");
    assert_true(flow_now_ms() - before < 2400);
    expect_attempts(k, "0:timeout 1:timeout");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(a_target_is_tried_again_as_often_as_the_model_says),
        SCENARIO(a_target_that_stays_broken_is_followed_by_the_next),
        SCENARIO(what_the_model_does_not_name_is_not_tried_again),
        SCENARIO(no_retry_is_sent_that_the_budget_cannot_pay),
        SCENARIO(a_wait_that_the_target_names_is_kept),
        SCENARIO(a_wait_too_long_is_not_waited_for),
        SCENARIO(retries_stay_within_the_providers_budget),
        SCENARIO(a_client_that_leaves_while_a_retry_waits_ends_the_call),
        SCENARIO(each_class_of_failures_falls_back_where_the_model_says_so),
        SCENARIO(a_timeout_and_a_lost_connection_are_classes_too),
        SCENARIO(a_prompt_that_was_too_long_goes_to_a_larger_window_alone),
        SCENARIO(a_window_is_what_the_target_says_of_itself),
        SCENARIO(a_breaker_that_opened_leaves_its_target_out_until_a_probe_succeeds),
        SCENARIO(where_every_breaker_is_open_a_call_is_tried_all_the_same),
        SCENARIO(a_clients_own_deadline_opens_no_breaker),
        SCENARIO(a_refused_credential_is_taken_out_with_an_alarm),
        SCENARIO(a_credential_that_is_out_is_no_other_ones_stand_in),
        SCENARIO(the_models_time_is_the_whole_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
