/*
 * team — the payer of agents and keys: its models are what its agents and keys may use at most.
 */
#include "common/base/data_policy.h"
#include "controlplane/domain/nouns.h"
#include "controlplane/domain/role.h"
#include "proto/policy.pb-c.h"

static const char *const data_policy_words[] = {
#define DATA_POLICY_WORD(name, word) word,
    DATA_POLICY_TABLE(DATA_POLICY_WORD)
#undef DATA_POLICY_WORD
        NULL,
};

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
    {.name = "regions",
     .type = FIELD_TEXT,
     .flags = FIELD_LIST,
     .min = 1,
     .max = 64,
     .rule = noun_label_rule,
     .least = 1,
     .most = 64,
     .needs = FEATURE_BIT(FEATURE_RESIDENCY),
     .help = "its calls go to targets of these regions only, and are refused where there is none; "
             "absent: any"},
    {.name = "data_policy",
     .type = FIELD_WORD,
     .flags = FIELD_LIST,
     .words = data_policy_words,
     .needs = FEATURE_BIT(FEATURE_RESIDENCY),
     .help = "its calls go to providers that promise all of this only"},
    {.name = "queue_weight",
     .type = FIELD_INT,
     .min = 1,
     .max = 1000,
     .help = "its share where calls wait for a provider's ceiling; absent: 1"},
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
