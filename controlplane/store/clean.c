/* clean — UTF-8 as RFC 3629 defines it: no surrogates, nothing overlong. */
#include "controlplane/store/clean.h"

#include "common/base/money.h"

#define COUNT_MAX (UINT64_C(1) << 40)
#define COST_MAX (1000000 * MONEY_DOLLAR)
#define TIME_MAX INT64_C(32503679999999999) /* the last microsecond of the year 2999 */

int64_t clean_time(int64_t wall_us)
{
    if (wall_us < 0)
        return 0;
    return wall_us > TIME_MAX ? TIME_MAX : wall_us;
}

int64_t clean_count(uint64_t value)
{
    return value > COUNT_MAX ? (int64_t)COUNT_MAX : (int64_t)value;
}

int64_t clean_cost(int64_t nano)
{
    if (nano < 0)
        return 0;
    return nano > COST_MAX ? COST_MAX : nano;
}

bool clean_is_plain(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] <= ' ' || text.ptr[i] > '~')
            return false;
    return true;
}

/* length of the well-formed sequence at the start of s, 0 when there is none */
static size_t sequence(struct slice s)
{
    const uint8_t *p = (const uint8_t *)s.ptr;
    uint8_t low = 0x80, high = 0xBF;
    size_t len;

    if (p[0] < 0x80)
        return p[0] != 0;
    if (p[0] >= 0xC2 && p[0] <= 0xDF)
        len = 2;
    else if (p[0] >= 0xE0 && p[0] <= 0xEF)
        len = 3;
    else if (p[0] >= 0xF0 && p[0] <= 0xF4)
        len = 4;
    else
        return 0;
    if (p[0] == 0xE0)
        low = 0xA0;
    else if (p[0] == 0xED)
        high = 0x9F;
    else if (p[0] == 0xF0)
        low = 0x90;
    else if (p[0] == 0xF4)
        high = 0x8F;
    if (s.len < len || p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++)
        if (p[i] < 0x80 || p[i] > 0xBF)
            return 0;
    return len;
}

enum err clean_utf8(struct buf *out, struct slice text, size_t max)
{
    size_t from = 0, at = 0;
    enum err e = ERR_OK;

    while (at < text.len && e == ERR_OK) {
        size_t n = sequence(slice_from(text, at));
        if (at + (n ? n : 1) > max)
            break;
        if (n == 0) {
            e = buf_append(out, slice_of(text.ptr + from, at - from));
            if (e == ERR_OK)
                e = buf_append(out, SLICE("\xEF\xBF\xBD"));
            from = at + 1;
        }
        at += n ? n : 1;
    }
    return e == ERR_OK ? buf_append(out, slice_of(text.ptr + from, at - from)) : e;
}
