/* retry_budget — an outage adds its share to the load and no more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/upstream/retry_budget.h"

#include "common/base/limits.h"


#define S 1000000ull

static unsigned spend_all(struct retry_budget *b, uint64_t now)
{
    unsigned n = 0;
    while (retry_budget_spend(b, now))
        n++;
    return n;
}

static void calls_earn_a_share_of_a_retry(void **state)
{
    (void)state;
    struct retry_budget b = {.floor_at_us = S};
    for (int i = 0; i < 100; i++)
        retry_budget_earn(&b, 200);
    assert_int_equal(spend_all(&b, S), 20);
}

static void small_traffic_may_try_a_few_times_a_second(void **state)
{
    (void)state;
    struct retry_budget b = {0};
    assert_int_equal(spend_all(&b, 100 * S), LIMIT_RETRY_FLOOR);
    assert_int_equal(spend_all(&b, 100 * S + S / 2), LIMIT_RETRY_FLOOR / 2);
    assert_int_equal(spend_all(&b, 200 * S), LIMIT_RETRY_FLOOR);
}

static void what_long_traffic_earned_is_bounded(void **state)
{
    (void)state;
    struct retry_budget b = {.floor_at_us = S};
    for (int i = 0; i < 1000000; i++)
        retry_budget_earn(&b, 1000);
    assert_int_equal(spend_all(&b, S), LIMIT_RETRY_BURST);
}

/* 1,000 calls a second for a minute, each of which would try three times more. */
static void an_outage_stays_within_the_bound(void **state)
{
    (void)state;
    struct retry_budget b = {.floor_at_us = S};
    unsigned retries = 0;
    for (uint64_t i = 0; i < 60000; i++) {
        uint64_t now = S + i * S / 1000;
        retry_budget_earn(&b, 200);
        for (int more = 0; more < 3 && retry_budget_spend(&b, now); more++)
            retries++;
    }
    assert_true(retries <= 60000 / 5 + LIMIT_RETRY_BURST + LIMIT_RETRY_FLOOR * 61);
    assert_true(retries >= 60000 / 5);
}

static void providers_have_budgets_of_their_own(void **state)
{
    (void)state;
    static struct retry_budgets all;
    struct retry_budget *a = retry_budget_of(&all, SLICE("prov_a"));
    assert_ptr_equal(a, retry_budget_of(&all, SLICE("prov_a")));
    assert_ptr_not_equal(a, retry_budget_of(&all, SLICE("prov_b")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_earn_a_share_of_a_retry),
        cmocka_unit_test(small_traffic_may_try_a_few_times_a_second),
        cmocka_unit_test(what_long_traffic_earned_is_bounded),
        cmocka_unit_test(an_outage_stays_within_the_bound),
        cmocka_unit_test(providers_have_budgets_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
