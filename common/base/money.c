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

static price known(price p, price otherwise)
{
    return p >= 0 ? p : otherwise;
}

static wide part(uint64_t tokens, price p)
{
    return (wide)tokens * (wide)p;
}

/* Takes up to `tokens` out of what is left: parts beyond the whole are no refund. */
static uint64_t take(uint64_t *left, uint64_t tokens)
{
    uint64_t taken = tokens < *left ? tokens : *left;
    *left -= taken;
    return taken;
}

/* A part is never counted below what was reported of it. */
static wide input_cost(const struct price_list *p, const struct token_count *t)
{
    price write = known(p->cache_write, p->input);
    uint64_t plain = t->input, short_write = t->cache_write;
    wide sum = part(t->cache_write_long, known(p->cache_write_long, write));
    take(&short_write, t->cache_write_long);
    sum = add_wide(sum, part(short_write, write));
    sum = add_wide(sum, part(t->cache_read, known(p->cache_read, p->input)));
    take(&plain, t->cache_write > t->cache_write_long ? t->cache_write : t->cache_write_long);
    take(&plain, t->cache_read);
    uint64_t audio = take(&plain, t->audio_input);
    sum = add_wide(sum, part(audio, known(p->audio_input, p->input)));
    return add_wide(sum, part(plain, p->input));
}

static wide output_cost(const struct price_list *p, const struct token_count *t)
{
    uint64_t plain = t->output;
    uint64_t audio = take(&plain, t->audio_output), image = take(&plain, t->image_output);
    wide sum = part(audio, known(p->audio_output, p->output));
    sum = add_wide(sum, part(image, known(p->image_output, p->output)));
    return add_wide(sum, part(plain, p->output));
}

enum err money_cost(const struct price_list *prices, const struct token_count *tokens, money *ret)
{
    if (prices->input < 0 || prices->output < 0)
        return ERR_NOT_FOUND;
    wide sum = add_wide(input_cost(prices, tokens), output_cost(prices, tokens));
    wide nano = add_wide(sum, PICO_PER_NANO / 2) / PICO_PER_NANO;
    *ret = nano > INT64_MAX ? INT64_MAX : (money)nano;
    return ERR_OK;
}

const struct price_list *price_for(const struct price_sheet *s, uint64_t input)
{
    size_t n = s->tier_count;
    while (n > 0 && input <= s->tiers[n - 1].above)
        n--;
    return n ? &s->tiers[n - 1].prices : &s->base;
}

money money_add(money a, money b)
{
    money sum;
    if (!__builtin_add_overflow(a, b, &sum))
        return sum;
    return b < 0 ? INT64_MIN : INT64_MAX;
}
