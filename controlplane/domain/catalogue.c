/*
 * catalogue — what the models of one vendor cost, for models of the policy without a price.
 *
 * The built-in ones come with the program (controlplane/catalogue) and are brought up to date at
 * start, for as long as `source` says that they are.
 */
#include <stdio.h>

#include "common/base/limits.h"
#include "common/base/model_capability.h"
#include "controlplane/domain/field_value.h"
#include "controlplane/domain/nouns.h"
#include "controlplane/domain/role.h"
#include "proto/policy.pb-c.h"

#define PATTERN_PARTS 4

static const char *const capability_words[] = {
#define CAPABILITY_WORD(name, word) word,
    MODEL_CAPABILITY_TABLE(CAPABILITY_WORD)
#undef CAPABILITY_WORD
        NULL,
};

static const struct field model_fields[] = {
    {.name = "model",
     .type = FIELD_TEXT,
     .flags = FIELD_REQUIRED | FIELD_LOCAL,
     .min = 1,
     .max = 128,
     .rule = noun_label_rule,
     .help = "for people; `match` is what counts"},
    {.name = "match",
     .type = FIELD_TEXT,
     .flags = FIELD_LIST | FIELD_REQUIRED,
     .min = 1,
     .max = 128,
     .rule = noun_label_rule,
     .least = 1,
     .most = 64,
     .help = "what the vendor calls it: \"*\" any text, \"#\" a digit, \" & \" both, \"!\" not"},
    {.name = "context_tokens",
     .type = FIELD_INT,
     .min = 1,
     .max = 1000000000,
     .help = "the longest prompt and response together"},
    {.name = "max_output_tokens",
     .type = FIELD_INT,
     .min = 1,
     .max = LIMIT_AI_TOKENS,
     .help = "the longest response"},
    {.name = "capabilities",
     .type = FIELD_WORD,
     .flags = FIELD_LIST,
     .words = capability_words,
     .help = "what it can do; absent: not known"},
    {.name = "price", .type = FIELD_OBJECT, .flags = FIELD_REQUIRED, .fields = noun_price_fields},
    FIELD_END,
};

static const struct field fields[] = {
    NOUN_DESCRIPTION,
    {.name = "source",
     .type = FIELD_TEXT,
     .flags = FIELD_LOCAL,
     .min = 1,
     .max = 128,
     .rule = noun_label_rule,
     .help = "where it comes from; \"built-in …\" is replaced when the program brings a newer one"},
    {.name = "models",
     .type = FIELD_OBJECT,
     .flags = FIELD_LIST | FIELD_REQUIRED,
     .fields = model_fields,
     .most = 1000,
     .help = "the first that fits the target's name counts"},
    FIELD_END,
};

static size_t parts_of(struct slice pattern)
{
    const struct slice both = SLICE(" & ");
    size_t parts = 1;
    for (ptrdiff_t at; (at = slice_search(pattern, both)) >= 0; parts++)
        pattern = slice_from(pattern, (size_t)at + both.len);
    return parts;
}

static void check_patterns(struct reading *r, const json_t *model, size_t i)
{
    const json_t *list = json_object_get(model, "match");
    for (size_t j = 0; j < json_array_size(list); j++) {
        const json_t *p = json_array_get(list, j);
        char at[FIELD_POINTER_MAX];
        snprintf(at, sizeof(at), "/models/%zu/match/%zu", i, j);
        if (parts_of(slice_of(json_string_value(p), json_string_length(p))) > PATTERN_PARTS)
            reading_problem(r, at, "must have at most %d parts", PATTERN_PARTS);
    }
}

static void check(struct reading *r, const json_t *old, json_t *doc)
{
    const json_t *model;
    size_t i;
    (void)old;
    if (json_array_size(r->problems) > 0)
        return;
    json_array_foreach(json_object_get(doc, "models"), i, model)
    {
        char at[FIELD_POINTER_MAX];
        snprintf(at, sizeof(at), "/models/%zu/price", i);
        noun_price_check(r, json_object_get(model, "price"), at);
        check_patterns(r, model, i);
    }
}

const struct noun noun_catalogue = {
    .name = "catalogue",
    .plural = "catalogues",
    .table = "catalogues",
    .id_prefix = "cat",
    .kind = GATEHOUSE__OBJECT_KIND__KIND_CATALOGUE,
    .write_roles = ROLES_WRITE | ROLE_BILLING,
    .name_rule = noun_slug_rule,
    .fields = fields,
    .check = check,
    .help = "what a vendor's models cost",
};
