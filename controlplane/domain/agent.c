/*
 * agent — a program that acts: grants open things to it, sessions belong to it.
 */
#include "controlplane/domain/nouns.h"
#include "controlplane/domain/role.h"
#include "proto/policy.pb-c.h"

static const char *const session_words[] = {"label", "trace", NULL};

static const struct field fields[] = {
    NOUN_DESCRIPTION,
    {.name = "team",
     .type = FIELD_REF,
     .ref = "team",
     .default_json = "\"default\"",
     .help = "who pays for it"},
    {.name = "tasks",
     .type = FIELD_REF,
     .flags = FIELD_LIST | FIELD_NARROWS,
     .ref = "task",
     .help = "what its keys may say they are doing, where they list none themselves"},
    NOUN_MODELS("exact names, \"prefix/*\" or \"*\"; absent: the team's"),
    {.name = "budget",
     .type = FIELD_OBJECT,
     .fields = noun_budget_fields,
     .needs = FEATURE_BIT(FEATURE_BUDGET_AGENT),
     .help = "money of all its keys together; absent: none"},
    {.name = "session_from",
     .type = FIELD_WORD,
     .flags = FIELD_WIRE_ALWAYS,
     .words = session_words,
     .wire = "session_from_trace",
     .wire_word = "trace",
     .default_json = "\"label\"",
     .help = "\"trace\": a traceparent names its sessions too"},
    FIELD_END,
};

const struct noun noun_agent = {
    .name = "agent",
    .plural = "agents",
    .table = "agents",
    .id_prefix = "agent",
    .kind = GATEHOUSE__OBJECT_KIND__KIND_AGENT,
    .write_roles = ROLES_WRITE,
    .fields = fields,
    .help = "a program that acts",
};
