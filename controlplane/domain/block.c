/*
 * block — closes everything to a principal at once; deleting it opens again.
 */
#include <ctype.h>

#include "controlplane/domain/nouns.h"
#include "controlplane/domain/role.h"
#include "proto/policy.pb-c.h"

static const char *session_rule(struct slice text)
{
    static const char wrong[] = "must be a session's id (s_…)";
    if (text.len < 3 || !slice_starts(text, SLICE("s_")))
        return wrong;
    for (size_t i = 2; i < text.len; i++)
        if (!isalnum((unsigned char)text.ptr[i]) && text.ptr[i] != '_')
            return wrong;
    return NULL;
}

#define SUBJECT(noun)                                                                              \
    {                                                                                              \
        .name = noun, .type = FIELD_REF, .flags = FIELD_RESTRICTS, .ref = noun,                    \
        .wire = "subject_id", .wire_kind = "subject_kind"                                          \
    }

static const struct field fields[] = {
    SUBJECT("key"),
    SUBJECT("agent"),
    SUBJECT("team"),
    {.name = "session",
     .type = FIELD_TEXT,
     .min = 3,
     .max = 64,
     .rule = session_rule,
     .pattern = "^s_[0-9A-Za-z_]+$",
     .wire = "subject_id",
     .wire_kind = "subject_kind"},
    {.name = "reason", .type = FIELD_TEXT, .flags = FIELD_LOCAL, .max = 500, .help = "for people"},
    FIELD_END,
};

static void check(struct reading *r, const json_t *old, json_t *doc)
{
    (void)old;
    static const char *const subjects[] = {"key", "agent", "team", "session"};
    size_t named = 0;
    for (size_t i = 0; i < ARRAY_LEN(subjects); i++)
        named += json_object_get(doc, subjects[i]) != NULL;
    if (named != 1 && json_array_size(r->problems) == 0)
        reading_problem(r, "", "name a key, an agent, a team or a session, one of them");
}

const struct noun noun_block = {
    .name = "block",
    .plural = "blocks",
    .table = "blocks",
    .id_prefix = "block",
    .kind = GATEHOUSE__OBJECT_KIND__KIND_BLOCK,
    .flags = NOUN_UNNAMED,
    .write_roles = ROLES_GUARD,
    .fields = fields,
    .check = check,
    .help = "closes everything to a principal at once",
};
