/* span_attributes — the table, for code that walks it. */
#include "common/trace/span_attributes.h"

#include <string.h>

#define FOLD_DROPPED SPAN_FOLD_DROPPED
#define FOLD_SUMMED SPAN_FOLD_SUMMED
#define FOLD_MADE SPAN_FOLD_MADE
#define FOLD_FLAGGED SPAN_FOLD_KEYED
#define FOLD_KEYED(place) SPAN_FOLD_KEYED

#define ROW(called, number, kind, written, otherwise, folds, in, member, needed, names, of, out,   \
            in_units, what)                                                                        \
    {                                                                                              \
        .name = #called,                                                                           \
        .field = (number),                                                                         \
        .type = SPAN_TYPE_##kind,                                                                  \
        .absent = SPAN_ABSENT_##otherwise,                                                         \
        .fold = FOLD_##folds,                                                                      \
        .column = (in),                                                                            \
        .shown = (member),                                                                         \
        .always = (needed),                                                                        \
        .refers = SPAN_REFERS_##names,                                                             \
        .words = (of),                                                                             \
        .otlp = (out),                                                                             \
        .unit = (in_units),                                                                        \
        .help = (what),                                                                            \
    },                                                                                             \
        AFTER_##kind

#define TOKENS_ROW(called, number, in, member, out, what)                                          \
    {                                                                                              \
        .name = #called,                                                                           \
        .field = (number),                                                                         \
        .of_tokens = true,                                                                         \
        .type = SPAN_TYPE_COUNT,                                                                   \
        .fold = SPAN_FOLD_SUMMED,                                                                  \
        .column = (in),                                                                            \
        .shown = (member),                                                                         \
        .otlp = (out),                                                                             \
        .unit = "tokens",                                                                          \
        .help = (what),                                                                            \
    },

#define AFTER_TEXT
#define AFTER_COUNT
#define AFTER_SMALL
#define AFTER_TIME
#define AFTER_MONEY
#define AFTER_FLAG
#define AFTER_OWN
#define AFTER_EVENTS
#define AFTER_TOKENS SPAN_TOKENS(TOKENS_ROW)

static const struct span_attribute attributes[] = {SPAN_ATTRIBUTES(ROW)};

_Static_assert(sizeof(attributes) / sizeof(attributes[0]) == SPAN_ATTRIBUTE_COUNT, "all of them");

const struct span_attribute *span_attributes_all(size_t *ret_count)
{
    *ret_count = SPAN_ATTRIBUTE_COUNT;
    return attributes;
}

const struct span_attribute *span_attribute_shown(const char *shown)
{
    for (size_t i = 0; i < SPAN_ATTRIBUTE_COUNT; i++)
        if (attributes[i].shown && strcmp(attributes[i].shown, shown) == 0)
            return &attributes[i];
    return NULL;
}

bool span_attribute_is_searched(const struct span_attribute *a)
{
    return a->shown && (a->type == SPAN_TYPE_TEXT || a->type == SPAN_TYPE_SMALL);
}

const char *span_attribute_sql(const struct span_attribute *a)
{
    switch (a->type) {
    case SPAN_TYPE_SMALL:
        return "integer";
    case SPAN_TYPE_COUNT:
    case SPAN_TYPE_MONEY:
        return "bigint";
    case SPAN_TYPE_TIME:
        return "timestamptz";
    case SPAN_TYPE_EVENTS:
        return "jsonb";
    default:
        return "text";
    }
}
