/*
 * notice — a sample noun: a text that data planes know by name.
 */
#include "controlplane/domain/nouns.h"
#include "controlplane/domain/role.h"
#include "proto/policy.pb-c.h"

static const struct field fields[] = {
    NOUN_DESCRIPTION,
    {.name = "text", .type = FIELD_TEXT, .flags = FIELD_REQUIRED, .min = 1, .max = 200},
    {.name = "weight", .type = FIELD_INT, .min = 0, .max = 100},
    FIELD_END,
};

const struct noun noun_notice = {
    .name = "notice",
    .plural = "notices",
    .table = "notices",
    .id_prefix = "notice",
    .kind = GATEHOUSE__OBJECT_KIND__KIND_NOTICE,
    .write_roles = ROLES_WRITE,
    .fields = fields,
    .help = "a text",
};
