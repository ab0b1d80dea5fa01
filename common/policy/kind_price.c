/* kind_price — what tokens cost, as models and catalogues say it. */
#include "common/policy/kind.h"

static price price_from(protobuf_c_boolean has, int64_t value)
{
    return has && value >= 0 ? value : PRICE_NONE;
}

/* The two messages have the same members. */
#define PRICES_OF(m)                                                                               \
    ((struct price_list){                                                                          \
        .input = price_from((m)->has_input, (m)->input),                                           \
        .output = price_from((m)->has_output, (m)->output),                                        \
        .cache_read = price_from((m)->has_cache_read, (m)->cache_read),                            \
        .cache_write = price_from((m)->has_cache_write, (m)->cache_write),                         \
        .cache_write_long = price_from((m)->has_cache_write_1h, (m)->cache_write_1h),              \
        .audio_input = price_from((m)->has_input_audio, (m)->input_audio),                         \
        .audio_output = price_from((m)->has_output_audio, (m)->output_audio),                      \
        .image_output = price_from((m)->has_output_image, (m)->output_image),                      \
    })

/* Tiers that this program does not hold or that do not rise would be billed wrongly. */
enum err kind_price(const Gatehouse__Price *from, struct price_sheet *ret)
{
    *ret = (struct price_sheet){.base = PRICE_LIST_NONE};
    if (!from)
        return ERR_OK;
    ret->base = PRICES_OF(from);
    if (from->n_above > PRICE_TIERS_MOST)
        return ERR_INVALID;
    for (size_t i = 0; i < from->n_above; i++) {
        const Gatehouse__PriceTier *t = from->above[i];
        if (i > 0 && t->tokens <= ret->tiers[i - 1].above)
            return ERR_INVALID;
        ret->tiers[i] = (struct price_tier){t->tokens, PRICES_OF(t)};
    }
    ret->tier_count = from->n_above;
    return ERR_OK;
}
