/*
 * alias — a name by which clients ask for a model: of the org, or of one team, agent or key, whose
 * names come first. It gives a name and no right: the model that is reached must be granted.
 */
#include "controlplane/domain/field_value.h"
#include "controlplane/domain/nouns.h"
#include "controlplane/domain/role.h"
#include "proto/policy.pb-c.h"

#define SUBJECT(noun)                                                                              \
    {                                                                                              \
        .name = noun, .type = FIELD_REF, .ref = noun, .wire = "subject_id",                        \
        .wire_kind = "subject_kind"                                                                \
    }

static const struct field fields[] = {
    NOUN_DESCRIPTION,
    {.name = "model",
     .type = FIELD_TEXT,
     .flags = FIELD_REQUIRED,
     .min = 1,
     .max = 128,
     .rule = noun_exact_rule,
     .help = "the model that the name leads to, or a name that a wildcard model stands for; never "
             "another alias"},
    SUBJECT("key"),
    SUBJECT("agent"),
    SUBJECT("team"),
    FIELD_END,
};

static void check(struct reading *r, const json_t *old, json_t *doc)
{
    static const char *const subjects[] = {"key", "agent", "team"};
    size_t named = 0;
    (void)old;
    for (size_t i = 0; i < ARRAY_LEN(subjects); i++)
        named += json_object_get(doc, subjects[i]) != NULL;
    if (named > 1)
        reading_problem(r, "", "name a key, an agent or a team, one of them, or none for the org");
    if (r->name.len == 0)
        reading_problem(r, "/name", "is required");
    else if (slice_eq(r->name, json_text(doc, "model")))
        reading_problem(r, "/model", "is the alias itself");
}

const struct noun noun_alias = {
    .name = "alias",
    .plural = "aliases",
    .table = "aliases",
    .id_prefix = "alias",
    .kind = GATEHOUSE__OBJECT_KIND__KIND_ALIAS,
    .flags = NOUN_NAME_REPEATS,
    .write_roles = ROLES_WRITE,
    .name_rule = noun_exact_rule,
    .fields = fields,
    .check = check,
    .help = "a name by which clients ask for a model",
};
