/*
 * team — the payer of agents and keys: its models are what its agents and keys may use at most.
 */
#include "controlplane/domain/nouns.h"
#include "controlplane/domain/role.h"
#include "proto/policy.pb-c.h"

static const struct field fields[] = {
    NOUN_DESCRIPTION,
    NOUN_MODELS("exact names, \"prefix/*\" or \"*\"; [] is none"),
    {.name = "budget",
     .type = FIELD_OBJECT,
     .fields = noun_budget_fields,
     .help = "money of all its keys together; absent: none"},
    {.name = "limits",
     .type = FIELD_OBJECT,
     .flags = FIELD_NOT_ENFORCED,
     .fields = noun_limits_fields,
     .help = "rates of all its keys together"},
    {.name = "catalogue",
     .type = FIELD_REF,
     .ref = "catalogue",
     .needs = FEATURE_BIT(FEATURE_PRICES_OWN),
     .help = "prices of its calls, before those of models and providers, for what it lists"},
    FIELD_END,
};

const struct noun noun_team = {
    .name = "team",
    .plural = "teams",
    .table = "teams",
    .id_prefix = "team",
    .kind = GATEHOUSE__OBJECT_KIND__KIND_TEAM,
    .write_roles = ROLES_WRITE | ROLE_BILLING,
    .always = "default",
    .fields = fields,
    .help = "who pays",
};
