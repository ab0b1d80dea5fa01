/*
 * dataplane — a plane that may connect; it enrols once with the token in the response to its
 * creation.
 */
#include "controlplane/domain/nouns.h"
#include "controlplane/domain/role.h"

static const struct field fields[] = {
    NOUN_DESCRIPTION,
    {.name = "pool",
     .type = FIELD_REF,
     .flags = FIELD_ON_CREATE,
     .ref = "pool",
     .default_json = "\"default\"",
     .help = "whose policy it gets"},
    FIELD_END,
};

const struct noun noun_dataplane = {
    .name = "dataplane",
    .plural = "dataplanes",
    .table = "dataplanes",
    .id_prefix = "dp",
    .write_roles = ROLES_WRITE,
    .name_rule = noun_slug_rule,
    .fields = fields,
    .help = "a plane that may connect",
};
