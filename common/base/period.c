/*
 * period — begin and end of each window. Weeks start on Monday (ISO 8601).
 */
#include "common/base/period.h"

#include "common/base/civil.h"

#define US_PER_HOUR ((int64_t)3600 * 1000000)

static const char *const names[] = {
#define PERIOD_TEXT(name, text) text,
    PERIOD_TABLE(PERIOD_TEXT)
#undef PERIOD_TEXT
};

enum err period_parse(struct slice text, enum period *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (slice_eq(text, slice_str(names[i]))) {
            *ret = (enum period)i;
            return ERR_OK;
        }
    }
    return ERR_INVALID;
}

static int64_t hour_of(int64_t wall_us)
{
    int64_t day = civil_day_of(wall_us);
    return day * 24 + (wall_us - day * CIVIL_US_PER_DAY) / US_PER_HOUR;
}

static int64_t monday_of(int64_t day)
{
    int64_t since_monday = (day + 3) % 7; /* 1970-01-01 was a Thursday */
    return day - (since_monday < 0 ? since_monday + 7 : since_monday);
}

static int64_t first_of_month(int64_t day, int months_later)
{
    struct civil c = civil_from_days(day);
    int month = c.month - 1 + months_later;
    return civil_to_days((struct civil){c.year + month / 12, month % 12 + 1, 1});
}

static int64_t first_of_year(int64_t day, int years_later)
{
    return civil_to_days((struct civil){civil_from_days(day).year + years_later, 1, 1});
}

int64_t period_start(enum period p, int64_t wall_us)
{
    int64_t day = civil_day_of(wall_us);
    switch (p) {
    case PERIOD_TOTAL:
        return 0;
    case PERIOD_HOUR:
        return hour_of(wall_us) * US_PER_HOUR;
    case PERIOD_DAY:
        return day * CIVIL_US_PER_DAY;
    case PERIOD_WEEK:
        return monday_of(day) * CIVIL_US_PER_DAY;
    case PERIOD_MONTH:
        return first_of_month(day, 0) * CIVIL_US_PER_DAY;
    case PERIOD_YEAR:
        return first_of_year(day, 0) * CIVIL_US_PER_DAY;
    }
    return 0;
}

int64_t period_end(enum period p, int64_t wall_us)
{
    int64_t day = civil_day_of(wall_us);
    switch (p) {
    case PERIOD_TOTAL:
        return INT64_MAX;
    case PERIOD_HOUR:
        return (hour_of(wall_us) + 1) * US_PER_HOUR;
    case PERIOD_DAY:
        return (day + 1) * CIVIL_US_PER_DAY;
    case PERIOD_WEEK:
        return (monday_of(day) + 7) * CIVIL_US_PER_DAY;
    case PERIOD_MONTH:
        return first_of_month(day, 1) * CIVIL_US_PER_DAY;
    case PERIOD_YEAR:
        return first_of_year(day, 1) * CIVIL_US_PER_DAY;
    }
    return INT64_MAX;
}
