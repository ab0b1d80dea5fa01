/* endpoint — admission, averages, the breaker and the picker, by a clock of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/base/limits.h"
#include "common/upstream/endpoint.h"

#define S 1000000ull

static const struct url url = {.host = SLICE("api.acme.test"), .port = 443, .tls = true};
static const struct endpoint_limits none = {0};
static struct endpoint_table table;

static int open_table(void **state)
{
    (void)state;
    endpoint_table_init(&table);
    return 0;
}

static int close_table(void **state)
{
    (void)state;
    endpoint_table_fini(&table);
    return 0;
}

static struct endpoint *held(const char *target, const char *credential, uint64_t revision)
{
    const struct endpoint_key key = {.target = slice_str(target),
                                     .credential = slice_str(credential),
                                     .url = &url,
                                     .revision = revision};
    struct endpoint *e = NULL;
    assert_int_equal(endpoint_hold(&table, &key, &e), ERR_OK);
    return e;
}

static void attempt(struct endpoint *e, const struct endpoint_limits *limits,
                    enum endpoint_verdict verdict, uint64_t now_us)
{
    endpoint_begin(e, now_us);
    endpoint_end(e, limits, verdict, 0, now_us);
}

static void each_credential_of_a_target_is_an_endpoint_of_its_own(void **state)
{
    (void)state;
    struct endpoint *a = held("p", "one", 1), *b = held("p", "two", 1),
                    *again = held("p", "one", 1);
    assert_ptr_not_equal(a, b);
    assert_ptr_equal(a, again);
    assert_int_equal(table.count, 2);
    /* the parts of a key cannot run into each other */
    struct endpoint *c = held("pon", "e", 1);
    assert_ptr_not_equal(a, c);
    endpoint_drop(&table, &a);
    endpoint_drop(&table, &b);
    endpoint_drop(&table, &c);
    endpoint_drop(&table, &again);
}

static void the_one_unused_longest_makes_way_at_the_ceiling(void **state)
{
    (void)state;
    char name[16];
    struct endpoint *kept = held("kept", "", 1);
    for (int i = 0; i < LIMIT_ENDPOINTS + 10; i++) {
        snprintf(name, sizeof(name), "t%d", i);
        struct endpoint *e = held(name, "", 1);
        endpoint_drop(&table, &e);
    }
    assert_int_equal(table.count, LIMIT_ENDPOINTS);
    struct endpoint_key key = {.target = SLICE("t0"), .url = &url, .revision = 1};
    assert_null(endpoint_find(&table, &key));
    key.target = SLICE("kept");
    assert_ptr_equal(endpoint_find(&table, &key), kept);
    endpoint_drop(&table, &kept);
}

static void its_ceiling_of_parallel_requests_holds(void **state)
{
    (void)state;
    const struct endpoint_limits two = {.parallel = 2};
    struct endpoint *e = held("p", "", 1);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(endpoint_admits(e, &two, S), ERR_OK);
        endpoint_begin(e, S);
    }
    assert_int_equal(endpoint_admits(e, &two, S), ERR_EXHAUSTED);
    endpoint_end(e, &two, ENDPOINT_OK, 0, S);
    assert_int_equal(endpoint_admits(e, &two, S), ERR_OK);
    endpoint_end(e, &two, ENDPOINT_OK, 0, S);
    endpoint_drop(&table, &e);
}

static void the_breaker_opens_lets_one_try_and_closes_on_success(void **state)
{
    (void)state;
    const struct endpoint_limits l = {.failures = 3, .open_ms = 1000};
    struct endpoint *e = held("p", "", 1);
    attempt(e, &l, ENDPOINT_FAILED, S);
    attempt(e, &l, ENDPOINT_FAILED, S);
    attempt(e, &l, ENDPOINT_OK, S); /* only failures in a row count */
    attempt(e, &l, ENDPOINT_FAILED, S);
    attempt(e, &l, ENDPOINT_FAILED, S);
    assert_int_equal(endpoint_admits(e, &l, S), ERR_OK);
    attempt(e, &l, ENDPOINT_FAILED, S);
    assert_int_equal(endpoint_health(e, S).breaker, BREAKER_OPEN);
    assert_int_equal(endpoint_admits(e, &l, S), ERR_AGAIN);
    assert_int_equal(endpoint_health(e, S).ready_at_us, 2 * S);
    /* one probe, and while it runs no other */
    assert_int_equal(endpoint_admits(e, &l, 2 * S), ERR_OK);
    endpoint_begin(e, 2 * S);
    assert_int_equal(endpoint_admits(e, &l, 2 * S), ERR_AGAIN);
    endpoint_end(e, &l, ENDPOINT_FAILED, 0, 2 * S);
    assert_int_equal(endpoint_admits(e, &l, 2 * S), ERR_AGAIN);
    /* a probe without a result is followed by another */
    attempt(e, &l, ENDPOINT_UNKNOWN, 3 * S);
    assert_int_equal(endpoint_admits(e, &l, 3 * S + 1000), ERR_OK);
    attempt(e, &l, ENDPOINT_OK, 3 * S + 1000);
    assert_int_equal(endpoint_health(e, 3 * S + 1000).breaker, BREAKER_CLOSED);
    endpoint_drop(&table, &e);
}

static void waits_that_the_upstream_named_are_kept_within_reason(void **state)
{
    (void)state;
    struct endpoint *e = held("p", "", 1);
    endpoint_begin(e, S);
    endpoint_end(e, &none, ENDPOINT_LIMITED, 3000, S);
    assert_int_equal(endpoint_admits(e, &none, 4 * S - 1), ERR_AGAIN);
    assert_int_equal(endpoint_admits(e, &none, 4 * S), ERR_OK);
    endpoint_begin(e, 10 * S);
    endpoint_end(e, &none, ENDPOINT_LIMITED, 86400 * 1000ull, 10 * S);
    assert_int_equal(endpoint_health(e, 10 * S).ready_at_us,
                     10 * S + LIMIT_ENDPOINT_WAIT_MS * 1000ull);
    /* another revision of its target may have another credential */
    struct endpoint *again = held("p", "", 2);
    assert_int_equal(endpoint_admits(again, &none, 10 * S), ERR_OK);
    endpoint_drop(&table, &e);
    endpoint_drop(&table, &again);
}

static void a_peak_of_latency_is_believed_at_once_and_forgotten_slowly(void **state)
{
    (void)state;
    struct endpoint *e = held("p", "", 1);
    endpoint_latency(e, 1000, S);
    assert_int_equal(endpoint_health(e, S).latency_us, 1000);
    endpoint_latency(e, 90000, 2 * S);
    assert_int_equal(endpoint_health(e, 2 * S).latency_us, 90000);
    endpoint_latency(e, 1000, 3 * S);
    uint64_t soon = endpoint_health(e, 3 * S).latency_us;
    assert_in_range(soon, 60000, 89999);
    for (uint64_t t = 4; t <= 90; t++)
        endpoint_latency(e, 1000, t * S);
    assert_in_range(endpoint_health(e, 90 * S).latency_us, 1000, 1500);
    endpoint_begin(e, 90 * S);
    assert_int_equal(endpoint_load(e, 90 * S), 2 * endpoint_health(e, 90 * S).latency_us);
    endpoint_end(e, &none, ENDPOINT_OK, 0, 90 * S);
    endpoint_drop(&table, &e);
}

static void the_error_rate_moves_with_what_happens(void **state)
{
    (void)state;
    struct endpoint *e = held("p", "", 1);
    for (int i = 0; i < 200; i++)
        attempt(e, &none, ENDPOINT_FAILED, S);
    assert_in_range(endpoint_health(e, S).errors_permille, 950, 1000);
    for (int i = 0; i < 200; i++)
        attempt(e, &none, i % 2 ? ENDPOINT_FAILED : ENDPOINT_OK, S);
    assert_in_range(endpoint_health(e, S).errors_permille, 400, 600);
    for (int i = 0; i < 200; i++)
        attempt(e, &none, ENDPOINT_LIMITED, S); /* no error of its own */
    assert_in_range(endpoint_health(e, S).errors_permille, 400, 600);
    endpoint_drop(&table, &e);
}

static uint32_t drawn;

static uint32_t draw(void *arg)
{
    (void)arg;
    return drawn;
}

static void the_picker_draws_by_weight_among_those_that_are_ready(void **state)
{
    (void)state;
    struct endpoint *bad = held("p", "bad", 1), *busy = held("p", "busy", 1);
    attempt(bad, &none, ENDPOINT_REFUSED, S);
    endpoint_begin(busy, S);
    endpoint_end(busy, &none, ENDPOINT_LIMITED, 2000, S);
    struct endpoint_choice choices[] = {{bad, 50}, {NULL, 10}, {busy, 50}, {NULL, 30}};
    size_t hits[4] = {0};
    for (drawn = 0; drawn < 40; drawn++)
        hits[endpoint_pick(choices, 4, &none, S, draw, NULL)]++;
    assert_int_equal(hits[0] + hits[2], 0);
    assert_int_equal(hits[1], 10);
    assert_int_equal(hits[3], 30);
    /* none is ready: the one that is soonest */
    struct endpoint_choice both[] = {{bad, 1}, {busy, 1}};
    assert_int_equal(endpoint_pick(both, 2, &none, S, draw, NULL), 1);
    /* without weights, the first that is ready */
    struct endpoint_choice plain[] = {{bad, 0}, {NULL, 0}, {NULL, 0}};
    assert_int_equal(endpoint_pick(plain, 3, &none, S, draw, NULL), 1);
    endpoint_drop(&table, &bad);
    endpoint_drop(&table, &busy);
}

static void each_model_of_an_endpoint_has_its_own_pace_which_follows_what_is_measured(void **state)
{
    (void)state;
    struct endpoint *e = held("p", "", 1);
    uint32_t large = endpoint_model(SLICE("large")), small = endpoint_model(SLICE("small"));
    assert_int_equal(endpoint_pace(e, large, S).first_us, 0);
    endpoint_first(e, large, 400000, 10 * S);
    endpoint_first(e, small, 100000, 10 * S);
    assert_int_equal(endpoint_pace(e, large, 10 * S).first_us, 400000);
    assert_int_equal(endpoint_pace(e, small, 10 * S).first_us, 100000);
    endpoint_first(e, large, 800000, 10 * S + 1); /* at once: by an eighth, and its rounding */
    assert_in_range(endpoint_pace(e, large, 11 * S).first_us, 450000, 500000);
    for (uint64_t t = 0; t < 40; t++)
        endpoint_first(e, large, 800000, 20 * S + t * S);
    assert_in_range(endpoint_pace(e, large, 60 * S).first_us, 780000, 800000);
    /* after four minutes the past counts little, after five nothing is known */
    endpoint_first(e, large, 100000, 300 * S);
    assert_in_range(endpoint_pace(e, large, 300 * S).first_us, 100000, 200000);
    assert_int_equal(endpoint_pace(e, large, 300 * S + ENDPOINT_PACE_US).first_us, 0);
    const struct endpoint_use use = {
        .input = 1000, .cache_read = 800, .output = 200, .wrote_us = 4 * S};
    endpoint_used(e, small, &use, 300 * S);
    struct endpoint_pace p = endpoint_pace(e, small, 300 * S);
    assert_int_equal(p.speed, 50000);
    assert_int_equal(p.output, 200);
    assert_int_equal(p.cached_permille, 800);
    endpoint_drop(&table, &e);
}

static void the_model_that_was_measured_longest_ago_makes_way(void **state)
{
    (void)state;
    char name[16];
    struct endpoint *e = held("p", "", 1);
    for (uint64_t i = 0; i < 9; i++) {
        snprintf(name, sizeof(name), "m%d", (int)i);
        endpoint_first(e, endpoint_model(slice_str(name)), 1000, (10 + i) * S);
    }
    assert_int_equal(endpoint_pace(e, endpoint_model(SLICE("m0")), 20 * S).first_us, 0);
    assert_int_equal(endpoint_pace(e, endpoint_model(SLICE("m1")), 20 * S).first_us, 1000);
    assert_int_equal(endpoint_pace(e, endpoint_model(SLICE("m8")), 20 * S).first_us, 1000);
    endpoint_drop(&table, &e);
}

static void what_is_remembered_of_a_way_ends_with_its_epoch_and_its_endpoint(void **state)
{
    (void)state;
    const int way = 0, other = 0;
    struct endpoint_key key = {.target = SLICE("p"), .url = &url, .revision = 1};
    struct endpoint_key second = {.target = SLICE("q"), .url = &url, .revision = 1};
    assert_null(endpoint_recall(&table, &way, 1, &key));
    struct endpoint *e = held("p", "", 1); /* it was not there when it was looked for */
    assert_ptr_equal(endpoint_recall(&table, &way, 1, &key), e);
    assert_ptr_equal(endpoint_recall(&table, &way, 1, &key), e);
    assert_null(endpoint_recall(&table, &other, 1, &second));
    /* another version of the policy has something else at that address */
    assert_null(endpoint_recall(&table, &way, 2, &second));
    assert_ptr_equal(endpoint_recall(&table, &way, 1, &key), e);
    key.revision = 2; /* waits and the breaker are of the revision before */
    assert_null(endpoint_recall(&table, &way, 3, &key));
    struct endpoint *again = held("p", "", 2);
    assert_ptr_equal(endpoint_recall(&table, &way, 3, &key), e);
    endpoint_drop(&table, &e);
    endpoint_drop(&table, &again);
    for (int i = 0; i < LIMIT_ENDPOINTS; i++) {
        char name[16];
        snprintf(name, sizeof(name), "t%d", i);
        e = held(name, "", 1);
        endpoint_drop(&table, &e);
    }
    assert_null(endpoint_recall(&table, &way, 3, &key)); /* it was freed */
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, open_table, close_table)
    const struct CMUnitTest tests[] = {
        ROW(each_credential_of_a_target_is_an_endpoint_of_its_own),
        ROW(the_one_unused_longest_makes_way_at_the_ceiling),
        ROW(its_ceiling_of_parallel_requests_holds),
        ROW(the_breaker_opens_lets_one_try_and_closes_on_success),
        ROW(waits_that_the_upstream_named_are_kept_within_reason),
        ROW(a_peak_of_latency_is_believed_at_once_and_forgotten_slowly),
        ROW(the_error_rate_moves_with_what_happens),
        ROW(the_picker_draws_by_weight_among_those_that_are_ready),
        ROW(each_model_of_an_endpoint_has_its_own_pace_which_follows_what_is_measured),
        ROW(the_model_that_was_measured_longest_ago_makes_way),
        ROW(what_is_remembered_of_a_way_ends_with_its_epoch_and_its_endpoint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
