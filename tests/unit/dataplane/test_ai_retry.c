/* ai_retry — waits and classes, by dice of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/limits.h"
#include "dataplane/ai/ai_retry.h"

static struct policy_model model = {.retry_attempts = 5, .retry_on = FAILURE_RETRIED};
static struct ai_failure failure = {.class = FAILURE_5XX};
static struct retry_budget budget;

static struct ai_retry retry_of(unsigned tries, uint32_t dice)
{
    budget.earned = 1000;
    return (struct ai_retry){.model = &model,
                             .failure = &failure,
                             .tries = tries,
                             .left_ms = UINT64_MAX,
                             .dice = dice,
                             .now_us = 1000000,
                             .budget = &budget};
}

static void waits_double_and_are_half_random(void **state)
{
    (void)state;
    for (unsigned tries = 1; tries <= 5; tries++) {
        unsigned whole = 250u << (tries - 1), least = UINT32_MAX, most = 0;
        for (uint32_t dice = 0; dice < 8000; dice += 7) {
            struct ai_retry r = retry_of(tries, dice);
            unsigned ms;
            assert_true(ai_retry_again(&r, &ms));
            least = ms < least ? ms : least;
            most = ms > most ? ms : most;
        }
        assert_in_range(least, whole / 2, whole / 2 + 10);
        assert_in_range(most, whole - 10, whole);
    }
}

static void what_the_target_named_is_never_cut_short(void **state)
{
    (void)state;
    unsigned ms;
    struct ai_retry r = retry_of(1, 0);
    failure.retry_after_ms = 3000;
    assert_true(ai_retry_again(&r, &ms));
    assert_int_equal(ms, 3000);
    failure.retry_after_ms = LIMIT_RETRY_WAIT_MS + 1;
    r = retry_of(1, 0);
    assert_false(ai_retry_again(&r, &ms));
    failure.retry_after_ms = 3000;
    r = retry_of(1, 0);
    r.left_ms = 3000; /* the call's time would be over */
    assert_false(ai_retry_again(&r, &ms));
    assert_int_equal(budget.earned, 1000); /* what is not tried is not paid */
    failure.retry_after_ms = 0;
}

static void tries_and_budget_end(void **state)
{
    (void)state;
    unsigned ms;
    struct ai_retry r = retry_of(6, 0);
    assert_false(ai_retry_again(&r, &ms));
    r = retry_of(1, 0);
    budget = (struct retry_budget){.floor_at_us = r.now_us};
    assert_false(ai_retry_again(&r, &ms));
}

static void classes_follow_from_what_is_said(void **state)
{
    (void)state;
    static const struct {
        enum ai_verdict verdict;
        unsigned status;
        enum failure_class class;
    } rows[] = {
        {AI_RETRY, 500, FAILURE_5XX},
        {AI_RETRY, 408, FAILURE_TIMEOUT},
        {AI_RETRY, 204, FAILURE_5XX},
        {AI_LIMITED, 429, FAILURE_RATE_LIMITED},
        {AI_LIMITED, 503, FAILURE_RATE_LIMITED},
        {AI_CREDENTIAL_BAD, 402, FAILURE_CREDENTIAL},
        {AI_TOO_LONG, 400, FAILURE_CONTEXT_TOO_LONG},
        {AI_CONTENT, 400, FAILURE_CONTENT_REFUSED},
        {AI_FATAL, 404, FAILURE_4XX},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (ai_failure_class(rows[i].verdict, rows[i].status) != rows[i].class)
            fail_msg("row %zu", i);
}

static void what_is_final_is_tried_nowhere(void **state)
{
    (void)state;
    unsigned ms;
    const struct policy_model all = {.fallback_set = true, .fallback_on = UINT32_MAX};
    const struct ai_failure final = {.class = FAILURE_5XX, .is_final = true};
    struct ai_retry r = retry_of(1, 0);
    r.failure = &final;
    assert_false(ai_retry_again(&r, &ms));
    assert_false(ai_retry_elsewhere(&all, &final));
    assert_true(ai_retry_elsewhere(&all, &failure));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_double_and_are_half_random),
        cmocka_unit_test(what_the_target_named_is_never_cut_short),
        cmocka_unit_test(tries_and_budget_end),
        cmocka_unit_test(classes_follow_from_what_is_said),
        cmocka_unit_test(what_is_final_is_tried_nowhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
