/*
 * org — the owner of all other objects; there is one, "default", until a second is made.
 */
#include "controlplane/domain/nouns.h"
#include "controlplane/domain/role.h"

static const struct field fields[] = {
    NOUN_DESCRIPTION,
    FIELD_END,
};

const struct noun noun_org = {
    .name = "org",
    .plural = "orgs",
    .table = "orgs",
    .id_prefix = "org",
    .flags = NOUN_NO_CREATE | NOUN_NO_DELETE,
    .write_roles = ROLE_OWNER,
    .fields = fields,
    .help = "who owns everything else",
};
