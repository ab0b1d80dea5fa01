/*
 * grant — opens something to an agent or a team, for one task or any.
 */
#include "controlplane/domain/nouns.h"
#include "controlplane/domain/role.h"
#include "proto/policy.pb-c.h"

static const struct field warning_fields[] = {
    {.name = "pointer", .type = FIELD_TEXT, .help = "RFC 6901, into the grant"},
    {.name = "detail", .type = FIELD_TEXT},
    FIELD_END,
};

static const struct field fields[] = {
    {.name = "agent", .type = FIELD_REF, .ref = "agent"},
    {.name = "team", .type = FIELD_REF, .ref = "team"},
    {.name = "task", .type = FIELD_REF, .ref = "task", .help = "absent: any task, and none"},
    {.name = "server", .type = FIELD_REF, .ref = "mcp-server"},
    {.name = "tools",
     .type = FIELD_TEXT,
     .flags = FIELD_LIST,
     .min = 1,
     .max = 128,
     .rule = noun_tool_rule,
     .help = "exact names, or \"*\"; goes with server"},
    {.name = "service", .type = FIELD_REF, .ref = "api-service"},
    {.name = "routes",
     .type = FIELD_OBJECT,
     .flags = FIELD_LIST,
     .fields = noun_route_fields,
     .least = 1,
     .help = "goes with service; absent: all of it"},
    NOUN_MODELS("exact names, \"prefix/*\" or \"*\""),
    {.name = "warnings",
     .type = FIELD_OBJECT,
     .flags = FIELD_LIST | FIELD_READ_ONLY | FIELD_COMPUTED,
     .fields = warning_fields,
     .help = "what of it opens nothing now; absent: nothing known"},
    FIELD_END,
};

static bool has(const json_t *doc, const char *name)
{
    return json_object_get(doc, name) != NULL;
}

static void check(struct reading *r, const json_t *old, json_t *doc)
{
    (void)old;
    if (json_array_size(r->problems) > 0)
        return; /* what could not be read would be called missing */
    if (has(doc, "agent") == has(doc, "team"))
        reading_problem(r, "", "name an agent or a team, one of them");
    if (has(doc, "server") + has(doc, "service") + has(doc, "models") != 1)
        reading_problem(r, "", "grant a server, a service or models, one of them");
    if (has(doc, "server") && !has(doc, "tools"))
        reading_problem(r, "/tools", "is required with a server; [\"*\"] is all of them");
    if (!has(doc, "server") && has(doc, "tools"))
        reading_problem(r, "/tools", "only goes with a server");
    if (!has(doc, "service") && has(doc, "routes"))
        reading_problem(r, "/routes", "only goes with a service");
}

const struct noun noun_grant = {
    .name = "grant",
    .plural = "grants",
    .table = "grants",
    .id_prefix = "grant",
    .kind = GATEHOUSE__OBJECT_KIND__KIND_GRANT,
    .flags = NOUN_UNNAMED,
    .write_roles = ROLES_GUARD,
    .fields = fields,
    .check = check,
    .help = "opens something to an agent or a team",
};
