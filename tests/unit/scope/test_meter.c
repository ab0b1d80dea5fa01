/* meter — the minute's allowance as a burst, then one per interval; parallel calls counted. */
#include "tests/unit/policy/policy_kit.h"

#include "common/scope/meter.h"

#define SECOND 1000000u

static void the_burst_is_the_allowance_and_then_one_per_interval(void **state)
{
    (void)state;
    struct meter *m = meter_new();
    uint64_t now = 5 * SECOND, wait = 0;
    for (int i = 0; i < 60; i++)
        assert_int_equal(meter_take_request(m, 60, now, &wait), ERR_OK);
    assert_int_equal(meter_take_request(m, 60, now, &wait), ERR_EXHAUSTED);
    assert_int_equal(wait, SECOND);
    assert_int_equal(meter_take_request(m, 60, now + SECOND - 1, &wait), ERR_EXHAUSTED);
    assert_int_equal(meter_take_request(m, 60, now + SECOND, &wait), ERR_OK);
    assert_int_equal(meter_take_request(m, 60, now + SECOND, &wait), ERR_EXHAUSTED);
    meter_drop(m);
}

static void never_more_than_twice_the_allowance_in_any_minute(void **state)
{
    (void)state;
    struct meter *m = meter_new();
    uint64_t wait;
    int passed = 0;
    for (uint64_t now = SECOND; now < 61 * SECOND; now += SECOND / 10)
        passed += meter_take_request(m, 30, now, &wait) == ERR_OK;
    assert_in_range(passed, 58, 60);
    meter_drop(m);
}

static void looking_says_what_is_left(void **state)
{
    (void)state;
    struct meter *m = meter_new();
    struct meter_state s;
    uint64_t now = SECOND, wait;
    meter_look(m, 60, now, &s);
    assert_int_equal(s.remaining, 60);
    assert_int_equal(meter_take_request(m, 60, now, &wait), ERR_OK);
    meter_look(m, 60, now, &s);
    assert_int_equal(s.limit, 60);
    assert_int_equal(s.remaining, 59);
    assert_int_equal(s.reset_us, SECOND);
    meter_drop(m);
}

static void one_request_a_minute_is_one(void **state)
{
    (void)state;
    struct meter *m = meter_new();
    uint64_t wait;
    assert_int_equal(meter_take_request(m, 1, SECOND, &wait), ERR_OK);
    assert_int_equal(meter_take_request(m, 1, SECOND + 1, &wait), ERR_EXHAUSTED);
    assert_int_equal(wait, 60 * SECOND - 1);
    meter_drop(m);
}

/* Every one counts, whatever the limit: a burst of each size leaves that much less, and a caller
 * that took the whole minute waits, also where the threads' clocks are not quite at the same
 * instant. */
static void every_limit_that_can_be_set_is_one(void **state)
{
    (void)state;
    static const uint32_t limits[] = {1,        2,         7,         59999999,   60000000,
                                      60000001, 100000000, 100000001, 4000000000, UINT32_MAX};
    for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++) {
        uint32_t rpm = limits[i], burst = rpm < 1000 ? rpm : 1000;
        struct meter *m = meter_new();
        struct meter_state s;
        uint64_t now = 100 * SECOND, wait = 0;
        for (uint32_t n = 1; n <= burst; n++) {
            assert_int_equal(meter_take_request(m, rpm, now, &wait), ERR_OK);
            meter_look(m, rpm, now, &s);
            assert_int_equal(s.remaining, rpm - n);
            assert_true(s.reset_us > 0 && s.reset_us <= 60 * SECOND);
        }
        assert_int_equal(meter_take_request(m, rpm, now + 60 * SECOND, &wait), ERR_OK);
        assert_int_equal(meter_take_request(m, rpm, now, &wait), ERR_EXHAUSTED);
        assert_in_range(wait, 1, 120 * SECOND);
        meter_look(m, rpm, now, &s);
        assert_int_equal(s.remaining, 0);
        assert_int_equal(meter_take_request(m, rpm, now + wait, &wait), ERR_OK);
        meter_drop(m);
    }
}

static void no_limit_always_passes_and_is_still_counted(void **state)
{
    (void)state;
    struct meter *m = meter_new();
    uint64_t wait;
    for (int i = 0; i < 1000; i++)
        assert_int_equal(meter_take_request(m, 0, 1, &wait), ERR_OK);
    assert_int_equal(meter_enter(m, 0), ERR_OK);
    assert_int_equal(meter_enter(m, 1), ERR_EXHAUSTED); /* once there is a limit */
    meter_leave(m);
    assert_int_equal(meter_enter(m, 1), ERR_OK);
    meter_leave(m);
    meter_drop(m);
}

static void no_more_calls_at_once_than_allowed(void **state)
{
    (void)state;
    struct meter *m = meter_new();
    assert_int_equal(meter_enter(m, 2), ERR_OK);
    assert_int_equal(meter_enter(m, 2), ERR_OK);
    assert_int_equal(meter_enter(m, 2), ERR_EXHAUSTED);
    meter_leave(m);
    assert_int_equal(meter_enter(m, 2), ERR_OK);
    assert_int_equal(meter_enter(m, 2), ERR_EXHAUSTED); /* a refused request holds no slot */
    assert_int_equal(meter_enter(m, 3), ERR_OK);
    meter_leave(m);
    meter_leave(m);
    meter_leave(m);
    meter_drop(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_burst_is_the_allowance_and_then_one_per_interval),
        cmocka_unit_test(never_more_than_twice_the_allowance_in_any_minute),
        cmocka_unit_test(looking_says_what_is_left),
        cmocka_unit_test(one_request_a_minute_is_one),
        cmocka_unit_test(every_limit_that_can_be_set_is_one),
        cmocka_unit_test(no_limit_always_passes_and_is_still_counted),
        cmocka_unit_test(no_more_calls_at_once_than_allowed),
    };
    return cmocka_run_group_tests_name("meter", tests, NULL, NULL);
}
