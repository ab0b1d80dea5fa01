/*
 * money — decimal text in and out, and the cost of a call.
 */
#include "common/base/money.h"

#include <stdio.h>

#define MONEY_DECIMALS 9
#define PRICE_DECIMALS 6
#define PICO_PER_NANO 1000

typedef unsigned __int128 wide;

/* a JSON number without a sign: its digits as one integer, and how many stand behind the point */
struct decimal {
    int64_t digits;
    int64_t decimals; /* may be negative: zeros to append */
};

static bool is_digit(struct slice s)
{
    return s.len && s.ptr[0] >= '0' && s.ptr[0] <= '9';
}

static bool take_digit(struct slice *rest, int64_t *sum)
{
    if (!is_digit(*rest))
        return false;
    if (__builtin_mul_overflow(*sum, 10, sum) ||
        __builtin_add_overflow(*sum, rest->ptr[0] - '0', sum))
        *sum = INT64_MAX; /* sticks: ten times the largest overflows again, and scale() refuses */
    *rest = slice_from(*rest, 1);
    return true;
}

static bool take_exponent(struct slice *rest, struct decimal *d)
{
    int64_t exponent = 0;
    if (!slice_take_char(rest, "eE"))
        return true;
    bool negative = rest->len && rest->ptr[0] == '-';
    slice_take_char(rest, "+-");
    if (!is_digit(*rest))
        return false;
    while (take_digit(rest, &exponent)) {
        if (exponent > 100) /* far outside what int64 can hold in either direction */
            return false;
    }
    d->decimals += negative ? exponent : -exponent;
    return true;
}

static bool read_decimal(struct slice text, struct decimal *d)
{
    *d = (struct decimal){0, 0};
    bool leading_zero = is_digit(text) && text.ptr[0] == '0';
    if (!take_digit(&text, &d->digits))
        return false;
    while (take_digit(&text, &d->digits)) {
        if (leading_zero)
            return false;
    }
    if (slice_take_char(&text, ".")) {
        if (!is_digit(text))
            return false;
        while (take_digit(&text, &d->digits))
            d->decimals++;
    }
    return take_exponent(&text, d) && text.len == 0;
}

static enum err scale(struct slice text, int decimals, int64_t *ret)
{
    struct decimal d;
    if (!read_decimal(text, &d) || d.decimals > decimals || d.digits == INT64_MAX)
        return ERR_INVALID;
    int64_t value = d.digits;
    for (int64_t i = d.decimals; i < decimals && value; i++) {
        if (__builtin_mul_overflow(value, 10, &value))
            return ERR_INVALID;
    }
    *ret = value;
    return ERR_OK;
}

enum err money_parse(struct slice text, money *ret)
{
    return scale(text, MONEY_DECIMALS, ret);
}

enum err money_parse_price(struct slice text, price *ret)
{
    return scale(text, PRICE_DECIMALS, ret);
}

/* Written by hand: every response has its cost in a header, and printf would take longer than all
 * other headers. */
struct slice money_format(money m, char out[static MONEY_TEXT_MAX])
{
    /* through unsigned: the smallest int64 has no positive twin */
    uint64_t left = m < 0 ? 0 - (uint64_t)m : (uint64_t)m;
    char text[MONEY_TEXT_MAX], *end = text + sizeof(text), *at = end;
    for (int digits = 0; left || digits <= MONEY_DECIMALS; digits++) {
        if (digits == MONEY_DECIMALS)
            *--at = '.';
        *--at = (char)('0' + left % 10);
        left /= 10;
    }
    if (m < 0)
        *--at = '-';
    size_t len = (size_t)(end - at);
    memcpy(out, at, len);
    out[len] = '\0';
    return slice_of(out, len);
}

struct slice money_format_price(price p, char out[static MONEY_TEXT_MAX])
{
    MUST(p >= 0);
    int len = snprintf(out, MONEY_TEXT_MAX, "%" PRId64 ".%06" PRId64, p / 1000000, p % 1000000);
    while (out[len - 1] == '0')
        len--;
    if (out[len - 1] == '.')
        len--;
    out[len] = '\0';
    return slice_of(out, (size_t)len);
}

static wide add_wide(wide a, wide b)
{
    wide sum;
    return __builtin_add_overflow(a, b, &sum) ? ~(wide)0 : sum;
}

static wide part(uint64_t tokens, price p, price otherwise)
{
    return (wide)tokens * (wide)(p >= 0 ? p : otherwise);
}

static uint64_t less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

enum err money_cost(const struct price_list *prices, const struct token_count *tokens, money *ret)
{
    if (prices->input < 0 || prices->output < 0)
        return ERR_NOT_FOUND;
    /* A provider that counts more cached tokens than tokens pays for the cached ones only. */
    uint64_t plain = less(less(tokens->input, tokens->cache_read), tokens->cache_write);
    wide sum = part(plain, prices->input, 0);
    sum = add_wide(sum, part(tokens->cache_read, prices->cache_read, prices->input));
    sum = add_wide(sum, part(tokens->cache_write, prices->cache_write, prices->input));
    sum = add_wide(sum, part(tokens->output, prices->output, 0));
    wide nano = add_wide(sum, PICO_PER_NANO / 2) / PICO_PER_NANO;
    *ret = nano > INT64_MAX ? INT64_MAX : (money)nano;
    return ERR_OK;
}

money money_add(money a, money b)
{
    money sum;
    if (!__builtin_add_overflow(a, b, &sum))
        return sum;
    return b < 0 ? INT64_MIN : INT64_MAX;
}
