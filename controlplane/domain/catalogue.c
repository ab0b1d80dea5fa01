/*
 * catalogue — what the models of one vendor cost, for models of the policy without a price.
 *
 * The built-in ones come with the program (controlplane/catalogue) and are brought up to date at
 * start, for as long as `source` says that they are.
 */
#include "controlplane/domain/nouns.h"
#include "controlplane/domain/role.h"
#include "proto/policy.pb-c.h"

#define PATTERN_PARTS 4

/* A part between " & ": a name, "*" for any text, "#" for a digit, "!" in front for "not". */
static const char *pattern_rule(struct slice text)
{
    size_t parts = 1;
    const char *wrong = noun_label_rule(text);
    if (wrong)
        return wrong;
    for (struct slice rest = text;;) {
        ptrdiff_t at = slice_search(rest, SLICE(" & "));
        if (at < 0)
            break;
        rest = slice_from(rest, (size_t)at + 3);
        parts++;
    }
    return parts > PATTERN_PARTS ? "must have at most four parts" : NULL;
}

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
     .rule = pattern_rule,
     .least = 1,
     .most = 64,
     .help = "what the vendor calls it: \"*\" any text, \"#\" a digit, \" & \" both, \"!\" not"},
    {.name = "context_tokens",
     .type = FIELD_INT,
     .min = 1,
     .max = 1000000000,
     .help = "the longest prompt and response together"},
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

static void check(struct reading *r, const json_t *old, json_t *doc)
{
    const json_t *model;
    size_t i;
    (void)old;
    json_array_foreach(json_object_get(doc, "models"), i, model)
        noun_price_check(r, json_object_get(model, "price"), "/models");
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
