/*
 * money — what a call costs, exactly.
 *
 * Amounts are nano-dollars, prices pico-dollars per token (= dollars per million
 * tokens x 10^6), both int64. A call is summed in 128 bits and rounded half-up once.
 *
 * Fails    ERR_INVALID for text that is not a decimal amount of at most nine decimals,
 *          negative, or too large.
 * Threads  any.
 */
#pragma once

#include <inttypes.h>

#include "common/base/slice.h"

typedef int64_t money; /* nano-dollars */
typedef int64_t price; /* pico-dollars per token; PRICE_NONE: not known */

#define MONEY_TEXT_MAX 32
#define MONEY_DOLLAR ((money)1000000000)
#define PRICE_NONE ((price)-1)

struct price_list {
    price input;
    price output;
    price cache_read;       /* PRICE_NONE: as input */
    price cache_write;      /* PRICE_NONE: as input */
    price cache_write_long; /* for an hour; PRICE_NONE: as cache_write */
    price audio_input;      /* PRICE_NONE: as input */
    price audio_output;     /* PRICE_NONE: as output */
    price image_output;     /* PRICE_NONE: as output */
};

#define PRICE_LIST_NONE                                                                            \
    ((struct price_list){PRICE_NONE, PRICE_NONE, PRICE_NONE, PRICE_NONE, PRICE_NONE, PRICE_NONE,   \
                         PRICE_NONE, PRICE_NONE})

/* Other prices for calls whose whole prompt is longer: providers price all of such a call by them,
 * not only what is beyond. */
struct price_tier {
    uint64_t above; /* tokens of input, cached ones included */
    struct price_list prices;
};

#define PRICE_TIERS_MOST 4

/* What a model costs. Tiers rise. */
struct price_sheet {
    struct price_list base;
    struct price_tier tiers[PRICE_TIERS_MOST];
    size_t tier_count;
};

/* decisions.md: input holds all prompt tokens, cached ones and audio included; output holds
 * reasoning, audio and images */
struct token_count {
    uint64_t input;
    uint64_t cache_read;
    uint64_t cache_write; /* long ones included */
    uint64_t output;
    uint64_t reasoning;
    uint64_t cache_write_long;
    uint64_t audio_input;
    uint64_t audio_output;
    uint64_t image_output;
};

/* "0.15" or "1e-3" is read, the latter only where a JSON number was; nine decimals at most */
MUST_USE enum err money_parse(struct slice text, money *ret);
/* dollars per million tokens, six decimals at most */
MUST_USE enum err money_parse_price(struct slice text, price *ret);
/* always nine decimals: "0.000123000" */
struct slice money_format(money m, char out[static MONEY_TEXT_MAX]);
struct slice money_format_price(price p, char out[static MONEY_TEXT_MAX]); /* shortest form */
/* ERR_NOT_FOUND where input or output price is missing; saturates, never wraps */
MUST_USE enum err money_cost(const struct price_list *prices, const struct token_count *tokens,
                             money *ret);
/* The prices for a call of so many tokens of input. */
const struct price_list *price_for(const struct price_sheet *s, uint64_t input);
money money_add(money a, money b); /* saturating */
