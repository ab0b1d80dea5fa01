/*
 * tool — a tool that a data plane found at a server; administrators change its state and do not
 * make it.
 */
#include "controlplane/domain/nouns.h"
#include "controlplane/domain/role.h"

static const char *const state_words[] = {"pending", "approved", "quarantined", NULL};

static const struct field fields[] = {
    {.name = "server", .type = FIELD_REF, .flags = FIELD_READ_ONLY, .ref = "mcp-server"},
    {.name = "state",
     .type = FIELD_WORD,
     .flags = FIELD_NOT_ENFORCED | FIELD_FILTER,
     .words = state_words,
     .default_json = "\"pending\""},
    {.name = "tags",
     .type = FIELD_TEXT,
     .flags = FIELD_LIST,
     .min = 1,
     .max = 64,
     .rule = noun_slug_rule},
    {.name = "description", .type = FIELD_TEXT, .flags = FIELD_READ_ONLY, .max = 65536},
    {.name = "digest",
     .type = FIELD_TEXT,
     .flags = FIELD_READ_ONLY,
     .help = "SHA-256 of the definition last seen"},
    {.name = "definition",
     .type = FIELD_JSON,
     .flags = FIELD_READ_ONLY,
     .help = "as the server last gave it, where it is not larger than 64 KiB"},
    {.name = "absent_since",
     .type = FIELD_TIME,
     .flags = FIELD_READ_ONLY,
     .help = "when the server no longer listed it"},
    FIELD_END,
};

const struct noun noun_tool = {
    .name = "tool",
    .plural = "tools",
    .table = "tools",
    .id_prefix = "tool",
    .flags = NOUN_NO_CREATE | NOUN_NO_DELETE | NOUN_NAME_REPEATS | NOUN_NAME_STAYS,
    .write_roles = ROLES_GUARD,
    .fields = fields,
    .help = "discovered at a server",
};
