/* clock and period: RFC 3339 both ways, and where the windows of a budget begin and end. */
#include "common/base/clock.h"

#include <time.h>

#include "common/base/civil.h"
#include "common/base/period.h"
#include "tests/unit/base/unit.h"

static int64_t at(const char *text)
{
    int64_t us = 0;
    if (clock_parse(slice_str(text), &us))
        fail_msg("not read: %s", text);
    return us;
}

static struct slice shown(int64_t us)
{
    static char text[CLOCK_TEXT_MAX];
    return clock_format(us, text);
}

UNIT(times_go_there_and_back)
{
    static const char *const rows[] = {
        "1970-01-01T00:00:00.000000Z", "2026-11-22T17:29:15.123456Z", "2000-02-29T23:59:59.999999Z",
        "1969-12-31T23:59:59.999999Z", "1900-03-01T00:00:00.000000Z", "0000-01-01T00:00:00.000000Z",
        "9999-12-31T23:59:59.999999Z", "2100-02-28T12:00:00.000000Z",
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect_text(shown(at(rows[i])), rows[i]);
}

UNIT(other_spellings_mean_the_same_moment)
{
    int64_t want = at("2026-11-22T17:29:15.120000Z");
    assert_true(at("2026-11-22t17:29:15.12z") == want);
    assert_true(at("2026-11-22 17:29:15.12Z") == want);
    assert_true(at("2026-11-22T18:29:15.12+01:00") == want);
    assert_true(at("2026-11-22T11:59:15.12-05:30") == want);
    assert_true(at("2026-11-23T17:28:15.12+23:59") == want);
    assert_true(at("2026-11-22T17:29:15.1200009999Z") == want); /* cut, not rounded up */
    assert_true(at("2016-12-31T23:59:60Z") == at("2017-01-01T00:00:00Z"));
    assert_true(at("1970-01-01T00:00:00-00:00") == 0);
}

UNIT(what_is_no_time_is_refused)
{
    static const char *const rows[] = {
        "",
        "2026-11-22",
        "2026-11-22T17:29:15",
        "2026-11-22T17:29Z",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "2100-02-29T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "2026-01-00T00:00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:60:00Z",
        "2026-01-01T00:00:61Z",
        "2026-01-01T00:00:00.Z",
        "2026-01-01T00:00:00+1:00",
        "2026-01-01T00:00:00+24:00",
        "2026-01-01T00:00:00+01:60",
        "2026-01-01T00:00:00+0100",
        "2026-01-01T00:00:00Zx",
        "2026-1-01T00:00:00Z",
        "26-01-01T00:00:00Z",
        "+2026-01-01T00:00:00Z",
        "2026-01-01X00:00:00Z",
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int64_t us = 5;
        if (clock_parse(slice_str(rows[i]), &us) != ERR_INVALID)
            fail_msg("read: %s", rows[i]);
        assert_true(us == 5);
    }
}

UNIT(moments_beyond_the_calendar_are_shown_as_its_ends)
{
    expect_text(shown(INT64_MAX), "9999-12-31T23:59:59.999999Z");
    expect_text(shown(INT64_MIN), "0000-01-01T00:00:00.000000Z");
}

UNIT(the_calendar_agrees_with_libc_for_eight_hundred_years)
{
    for (int64_t day = -150000; day < 150000; day += 17) {
        struct civil c = civil_from_days(day);
        time_t seconds = (time_t)day * 86400;
        struct tm tm;
        assert_non_null(gmtime_r(&seconds, &tm));
        assert_true(c.year == tm.tm_year + 1900 && c.month == tm.tm_mon + 1 && c.day == tm.tm_mday);
        assert_true(civil_to_days(c) == day);
    }
}

UNIT(both_clocks_go_forward)
{
    uint64_t mono = clock_mono_us();
    int64_t wall = clock_wall_us();
    struct timespec nap = {0, 2000000};
    nanosleep(&nap, NULL);
    assert_true(clock_mono_us() >= mono + 2000);
    assert_true(clock_wall_us() > wall);
    assert_true(wall > at("2024-01-01T00:00:00Z"));
}

UNIT(windows_begin_and_end_with_the_calendar_in_utc)
{
    static const struct {
        enum period p;
        const char *now, *start, *end;
    } rows[] = {
        {PERIOD_HOUR, "2026-11-22T17:29:15Z", "2026-11-22T17:00:00Z", "2026-11-22T18:00:00Z"},
        {PERIOD_HOUR, "2026-11-22T23:59:59.999999Z", "2026-11-22T23:00:00Z",
         "2026-11-23T00:00:00Z"},
        {PERIOD_DAY, "2026-12-31T23:59:59Z", "2026-12-31T00:00:00Z", "2027-01-01T00:00:00Z"},
        {PERIOD_WEEK, "2026-11-22T17:00:00Z", "2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z"},
        {PERIOD_WEEK, "2026-11-23T00:00:00Z", "2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z"},
        {PERIOD_WEEK, "2026-01-01T00:00:00Z", "2025-12-29T00:00:00Z", "2026-01-05T00:00:00Z"},
        {PERIOD_MONTH, "2028-02-29T12:00:00Z", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"},
        {PERIOD_MONTH, "2026-12-31T12:00:00Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"},
        {PERIOD_MONTH, "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"},
        {PERIOD_YEAR, "2026-11-22T17:29:15Z", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"},
        {PERIOD_HOUR, "1969-12-31T23:30:00Z", "1969-12-31T23:00:00Z", "1970-01-01T00:00:00Z"},
        {PERIOD_WEEK, "1969-12-28T23:30:00Z", "1969-12-22T00:00:00Z", "1969-12-29T00:00:00Z"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (period_start(rows[i].p, at(rows[i].now)) != at(rows[i].start) ||
            period_end(rows[i].p, at(rows[i].now)) != at(rows[i].end))
            fail_msg("period %d of %s", rows[i].p, rows[i].now);
    }
    assert_true(period_start(PERIOD_TOTAL, at("2026-11-22T17:29:15Z")) == 0);
    assert_true(period_end(PERIOD_TOTAL, at("2026-11-22T17:29:15Z")) == INT64_MAX);
}

UNIT(each_window_ends_where_the_next_begins)
{
    for (int p = PERIOD_HOUR; p <= PERIOD_YEAR; p++) {
        int64_t now = at("2023-12-30T12:34:56Z");
        for (int i = 0; i < 200; i++) {
            int64_t end = period_end((enum period)p, now);
            assert_true(period_start((enum period)p, now) <= now && now < end);
            assert_true(period_start((enum period)p, end) == end);
            assert_true(period_start((enum period)p, end - 1) == period_start((enum period)p, now));
            now = end + 1;
        }
    }
}

UNIT(windows_have_names)
{
    enum period p;
    assert_int_equal(period_parse(SLICE("month"), &p), ERR_OK);
    assert_int_equal(p, PERIOD_MONTH);
    assert_int_equal(period_parse(SLICE("total"), &p), ERR_OK);
    assert_int_equal(p, PERIOD_TOTAL);
    assert_int_equal(period_parse(SLICE("Month"), &p), ERR_INVALID);
    assert_int_equal(period_parse(SLICE(""), &p), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_go_there_and_back),
        cmocka_unit_test(other_spellings_mean_the_same_moment),
        cmocka_unit_test(what_is_no_time_is_refused),
        cmocka_unit_test(moments_beyond_the_calendar_are_shown_as_its_ends),
        cmocka_unit_test(the_calendar_agrees_with_libc_for_eight_hundred_years),
        cmocka_unit_test(both_clocks_go_forward),
        cmocka_unit_test(windows_begin_and_end_with_the_calendar_in_utc),
        cmocka_unit_test(each_window_ends_where_the_next_begins),
        cmocka_unit_test(windows_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
