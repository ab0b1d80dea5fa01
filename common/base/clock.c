/*
 * clock — the kernel's two clocks and RFC 3339.
 */
#include "common/base/clock.h"

#include <stdio.h>
#include <time.h>

#include "common/base/civil.h"

#define US_PER_SECOND 1000000

static int64_t read_us(clockid_t id)
{
    struct timespec ts;
    MUST(clock_gettime(id, &ts) == 0);
    return (int64_t)ts.tv_sec * US_PER_SECOND + ts.tv_nsec / 1000;
}

uint64_t clock_mono_us(void)
{
    return (uint64_t)read_us(CLOCK_MONOTONIC);
}

int64_t clock_wall_us(void)
{
    return read_us(CLOCK_REALTIME);
}

struct slice clock_format(int64_t wall_us, char out[static CLOCK_TEXT_MAX])
{
    /* RFC 3339 ends at 9999; what lies outside is shown as the nearest it can say. */
    int64_t first = civil_to_days((struct civil){0, 1, 1}) * CIVIL_US_PER_DAY;
    int64_t last = civil_to_days((struct civil){10000, 1, 1}) * CIVIL_US_PER_DAY - 1;
    wall_us = wall_us < first ? first : wall_us > last ? last : wall_us;

    int64_t day = civil_day_of(wall_us);
    int64_t us = wall_us - day * CIVIL_US_PER_DAY;
    struct civil c = civil_from_days(day);
    unsigned second = (unsigned)(us / US_PER_SECOND);
    int len = snprintf(out, CLOCK_TEXT_MAX, "%04u-%02u-%02uT%02u:%02u:%02u.%06uZ",
                       (unsigned)c.year % 10000u, (unsigned)c.month % 100u, (unsigned)c.day % 100u,
                       second / 3600 % 100u, second / 60 % 60, second % 60,
                       (unsigned)(us % US_PER_SECOND));
    return slice_of(out, (size_t)len);
}

/* exactly n digits off the front */
static bool take_digits(struct slice *rest, size_t n, int *ret)
{
    uint64_t value;
    if (rest->len < n || slice_u64(slice_first(*rest, n), &value))
        return false;
    *rest = slice_from(*rest, n);
    *ret = (int)value;
    return true;
}

static bool take_fraction(struct slice *rest, int64_t *ret_us)
{
    int64_t us = 0;
    int digits = 0;
    *ret_us = 0;
    if (!slice_take_char(rest, "."))
        return true;
    while (rest->len && rest->ptr[0] >= '0' && rest->ptr[0] <= '9') {
        if (digits < 6) /* finer than we count: cut off, not rounded up into the future */
            us = us * 10 + (rest->ptr[0] - '0');
        digits++;
        *rest = slice_from(*rest, 1);
    }
    if (digits == 0)
        return false;
    for (int i = digits; i < 6; i++)
        us *= 10;
    *ret_us = us;
    return true;
}

static bool take_offset(struct slice *rest, int *ret_minutes)
{
    int hours, minutes;
    *ret_minutes = 0;
    if (slice_take_char(rest, "Zz"))
        return true;
    bool behind = rest->len && rest->ptr[0] == '-';
    if (!slice_take_char(rest, "+-") || !take_digits(rest, 2, &hours) ||
        !slice_take_char(rest, ":") || !take_digits(rest, 2, &minutes) || hours > 23 ||
        minutes > 59)
        return false;
    *ret_minutes = (hours * 60 + minutes) * (behind ? -1 : 1);
    return true;
}

enum err clock_parse(struct slice text, int64_t *ret_wall_us)
{
    int year, month, day, hour, minute, second, offset;
    int64_t us;
    if (!take_digits(&text, 4, &year) || !slice_take_char(&text, "-") ||
        !take_digits(&text, 2, &month) || !slice_take_char(&text, "-") ||
        !take_digits(&text, 2, &day) || !slice_take_char(&text, "Tt ") ||
        !take_digits(&text, 2, &hour) || !slice_take_char(&text, ":") ||
        !take_digits(&text, 2, &minute) || !slice_take_char(&text, ":") ||
        !take_digits(&text, 2, &second) || !take_fraction(&text, &us) ||
        !take_offset(&text, &offset) || text.len)
        return ERR_INVALID;
    /* second 60 is a leap second: it counts as the next minute's first */
    if (month < 1 || month > 12 || day < 1 || day > civil_month_length(year, month) || hour > 23 ||
        minute > 59 || second > 60)
        return ERR_INVALID;
    int64_t days = civil_to_days((struct civil){year, month, day});
    int64_t seconds = (int64_t)hour * 3600 + ((int64_t)minute - offset) * 60 + second;
    *ret_wall_us = days * CIVIL_US_PER_DAY + seconds * US_PER_SECOND + us;
    return ERR_OK;
}
