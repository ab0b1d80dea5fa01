/*
 * model — a public name, the targets behind it in order, and what its tokens cost.
 */
#include <stdio.h>

#include "common/base/strategy.h"
#include "controlplane/domain/field_value.h"
#include "controlplane/domain/nouns.h"
#include "controlplane/domain/role.h"
#include "proto/policy.pb-c.h"

static const char *const strategy_words[] = {
#define STRATEGY_WORD(name, word) #word,
    STRATEGY_TABLE(STRATEGY_WORD)
#undef STRATEGY_WORD
        NULL,
};

static const char *const unpriced_words[] = {"refuse", "allow", NULL};

static const struct field target_fields[] = {
    {.name = "provider",
     .type = FIELD_REF,
     .flags = FIELD_REQUIRED | FIELD_ONE_OF,
     .ref = "provider"},
    {.name = "model",
     .type = FIELD_TEXT,
     .flags = FIELD_REQUIRED,
     .min = 1,
     .max = 256,
     .rule = noun_label_rule,
     .help = "what the provider calls it; of a wildcard model a star in it stands for what the "
             "name's star does: \"*\", or \"anthropic.*\""},
    {.name = "weight",
     .type = FIELD_INT,
     .min = 0,
     .max = 1000000,
     .help = "its share under \"weighted\"; absent: 1; 0: only where all others failed"},
    FIELD_END,
};

static const struct field fields[] = {
    NOUN_DESCRIPTION,
    {.name = "strategy",
     .type = FIELD_WORD,
     .words = strategy_words,
     .default_json = "\"fallback\"",
     .help = "\"fallback\" tries the targets in order, \"weighted\" draws them by their weights"},
    {.name = "targets",
     .type = FIELD_OBJECT,
     .flags = FIELD_LIST | FIELD_REQUIRED,
     .fields = target_fields,
     .least = 1,
     .most = 64},
    {.name = "price",
     .type = FIELD_OBJECT,
     .fields = noun_price_fields,
     .help = "absent: what the catalogue of its target's vendor says"},
    {.name = "unpriced",
     .type = FIELD_WORD,
     .words = unpriced_words,
     .help = "without a price, calls under a budget are refused; \"allow\": they pass uncounted"},
    NOUN_TIMEOUTS("of its calls, before the provider's"),
    {.name = "max_output_tokens",
     .type = FIELD_INT,
     .min = 1,
     .max = 100000000,
     .help = "for the worst case of a request that names none"},
    {.name = "capabilities",
     .type = FIELD_TEXT,
     .flags = FIELD_LIST | FIELD_NOT_ENFORCED,
     .min = 1,
     .max = 64,
     .rule = noun_slug_rule},
    FIELD_END,
};

static bool is_wildcard(struct slice name)
{
    return slice_eq(name, SLICE("*")) || slice_ends(name, SLICE("/*"));
}

static feature_set name_needs(struct slice name)
{
    return is_wildcard(name) ? FEATURE_BIT(FEATURE_MODEL_WILDCARD) : FEATURES_NONE;
}

/* A star in a target stands for what the star of the name does. */
static void check(struct reading *r, const json_t *old, json_t *doc)
{
    const json_t *targets = json_object_get(doc, "targets");
    (void)old;
    noun_price_check(r, json_object_get(doc, "price"), "/price");
    for (size_t i = 0; i < json_array_size(targets); i++) {
        struct slice model = json_text(json_array_get(targets, i), "model");
        ptrdiff_t star = slice_find(model, '*');
        char at[FIELD_POINTER_MAX];
        snprintf(at, sizeof(at), "/targets/%zu/model", i);
        if (star >= 0 && !is_wildcard(r->name))
            reading_problem(r, at, "has a star, and the model's name has none");
        else if (star >= 0 && slice_find(slice_from(model, (size_t)star + 1), '*') >= 0)
            reading_problem(r, at, "must not have more than one star");
    }
}

const struct noun noun_model = {
    .name = "model",
    .plural = "models",
    .table = "models",
    .id_prefix = "model",
    .kind = GATEHOUSE__OBJECT_KIND__KIND_MODEL,
    .write_roles = ROLES_WRITE | ROLE_BILLING,
    .name_rule = noun_model_rule,
    .name_needs = name_needs,
    .fields = fields,
    .check = check,
    .help = "a public name and the targets behind it",
};
