/*
 * ward — a sample: a noun that restricts a key, so that a data plane which does not know of it must
 * not be given the key.
 */
#include "controlplane/domain/nouns.h"
#include "controlplane/domain/role.h"
#include "proto/policy.pb-c.h"

static const struct field fields[] = {
    {.name = "key", .type = FIELD_REF, .flags = FIELD_REQUIRED | FIELD_RESTRICTS, .ref = "key"},
    FIELD_END,
};

const struct noun noun_ward = {
    .name = "ward",
    .plural = "wards",
    .table = "wards",
    .id_prefix = "ward",
    .kind = GATEHOUSE__OBJECT_KIND__KIND_WARD,
    .write_roles = ROLES_GUARD,
    .fields = fields,
    .help = "a sample",
};
