/*
 * price — the rows of what tokens cost: of a model, and of the models of a catalogue.
 */
#include <stdio.h>

#include "controlplane/domain/field_value.h"
#include "controlplane/domain/noun.h"
#include "proto/policy.pb-c.h"

/* Data planes of an older version would bill by the first two alone. */
#define NEEDS_PRICES FEATURE_BIT(FEATURE_PRICES)

#define MEDIA_PRICES                                                                               \
    {.name = "cache_write_1h_per_mtok",                                                            \
     .type = FIELD_PRICE,                                                                          \
     .needs = NEEDS_PRICES,                                                                        \
     .help = "of what is kept for an hour; absent: as cache_write_per_mtok"},                      \
        {.name = "input_audio_per_mtok",                                                           \
         .type = FIELD_PRICE,                                                                      \
         .needs = NEEDS_PRICES,                                                                    \
         .help = "absent: as input"},                                                              \
        {.name = "output_audio_per_mtok",                                                          \
         .type = FIELD_PRICE,                                                                      \
         .needs = NEEDS_PRICES,                                                                    \
         .help = "absent: as output"},                                                             \
    {                                                                                              \
        .name = "output_image_per_mtok", .type = FIELD_PRICE, .needs = NEEDS_PRICES,               \
        .help = "absent: as output"                                                                \
    }

#define TEXT_PRICES                                                                                \
    {.name = "input_per_mtok", .type = FIELD_PRICE, .flags = FIELD_REQUIRED},                      \
        {.name = "output_per_mtok",                                                                \
         .type = FIELD_PRICE,                                                                      \
         .flags = FIELD_REQUIRED,                                                                  \
         .help = "0 where nothing is written, as by embeddings"},                                  \
        {.name = "cache_read_per_mtok", .type = FIELD_PRICE, .help = "absent: as input"},          \
    {                                                                                              \
        .name = "cache_write_per_mtok", .type = FIELD_PRICE, .help = "absent: as input"            \
    }

static const struct field tier_fields[] = {
    {.name = "tokens",
     .type = FIELD_INT,
     .flags = FIELD_REQUIRED,
     .min = 1,
     .max = 1000000000,
     .help = "for calls with more tokens of input than this"},
    TEXT_PRICES,
    MEDIA_PRICES,
    FIELD_END,
};

const struct field noun_price_fields[] = {
    TEXT_PRICES,
    MEDIA_PRICES,
    {.name = "above",
     .type = FIELD_OBJECT,
     .flags = FIELD_LIST,
     .fields = tier_fields,
     .most = PRICE_TIERS_MOST,
     .needs = NEEDS_PRICES,
     .help = "other prices for all of a call whose input is longer, in rising order"},
    FIELD_END,
};

void noun_price_check(struct reading *r, const json_t *prices, const char *pointer)
{
    const json_t *tier;
    size_t i;
    json_int_t last = 0;
    json_array_foreach(json_object_get(prices, "above"), i, tier)
    {
        json_int_t tokens = json_integer_value(json_object_get(tier, "tokens"));
        char at[FIELD_POINTER_MAX];
        snprintf(at, sizeof(at), "%s/above/%zu/tokens", pointer, i);
        if (tokens <= last)
            reading_problem(r, at, "must rise from entry to entry");
        last = tokens;
    }
}
