/*
 * task — what an agent is doing; a grant may hold for one task only.
 */
#include "controlplane/domain/nouns.h"
#include "controlplane/domain/role.h"
#include "proto/policy.pb-c.h"

static const struct field fields[] = {
    NOUN_DESCRIPTION,
    FIELD_END,
};

const struct noun noun_task = {
    .name = "task",
    .plural = "tasks",
    .table = "tasks",
    .id_prefix = "task",
    .kind = GATEHOUSE__OBJECT_KIND__KIND_TASK,
    .write_roles = ROLES_GUARD,
    .fields = fields,
    .help = "what an agent is doing",
};
