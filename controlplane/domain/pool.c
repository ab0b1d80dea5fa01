/*
 * pool — data planes that share one policy and its secrets.
 */
#include "controlplane/domain/nouns.h"
#include "controlplane/domain/role.h"

static const struct field fields[] = {
    NOUN_DESCRIPTION,
    FIELD_END,
};

const struct noun noun_pool = {
    .name = "pool",
    .plural = "pools",
    .table = "pools",
    .id_prefix = "pool",
    .write_roles = ROLES_WRITE,
    .name_rule = noun_slug_rule,
    .always = "default",
    .fields = fields,
    .help = "data planes that share one policy",
};
