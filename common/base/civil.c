/*
 * civil — years counted from March, so the leap day comes last and months need no table.
 */
#include "common/base/civil.h"

#include <stdbool.h>

#define DAYS_PER_ERA 146097 /* 400 years */
#define EPOCH_SHIFT 719468  /* days from 0000-03-01 to 1970-01-01 */

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

int64_t civil_to_days(struct civil c)
{
    int64_t year = c.month > 2 ? c.year : c.year - 1;
    int64_t era = floor_div(year, 400);
    int64_t of_era = year - era * 400;
    int64_t month = (c.month + 9) % 12; /* March is 0 */
    int64_t of_year = (153 * month + 2) / 5 + c.day - 1;
    return era * DAYS_PER_ERA + of_era * 365 + of_era / 4 - of_era / 100 + of_year - EPOCH_SHIFT;
}

struct civil civil_from_days(int64_t days)
{
    int64_t shifted = days + EPOCH_SHIFT;
    int64_t era = floor_div(shifted, DAYS_PER_ERA);
    int64_t in_era = shifted - era * DAYS_PER_ERA;
    int64_t of_era = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    int64_t of_year = in_era - (365 * of_era + of_era / 4 - of_era / 100);
    int64_t month = (5 * of_year + 2) / 153;
    struct civil c;
    c.day = (int)(of_year - (153 * month + 2) / 5 + 1);
    c.month = (int)(month < 10 ? month + 3 : month - 9);
    c.year = of_era + era * 400 + (c.month <= 2);
    return c;
}

int civil_month_length(int64_t year, int month)
{
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if (month == 2)
        return leap ? 29 : 28;
    return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

int64_t civil_day_of(int64_t wall_us)
{
    return floor_div(wall_us, CIVIL_US_PER_DAY);
}
