/*
 * civil — days since 1970 and the calendar (proleptic Gregorian, UTC), without libc's time zone
 * lock.
 *
 * Threads  any.
 */
#pragma once

#include <stdint.h>

#define CIVIL_US_PER_DAY ((int64_t)86400 * 1000000)

struct civil {
    int64_t year;
    int month; /* 1 to 12 */
    int day;   /* 1 to 31 */
};

int64_t civil_to_days(struct civil c); /* month must be in range; day may lie outside */
struct civil civil_from_days(int64_t days);
int civil_month_length(int64_t year, int month);
int64_t civil_day_of(int64_t wall_us); /* rounds towards the past */
