/*
 * grant — opens something to an agent or a team, for one task or any.
 */
#include <stdio.h>

#include "controlplane/domain/field_value.h"
#include "controlplane/domain/nouns.h"
#include "controlplane/domain/role.h"
#include "proto/policy.pb-c.h"

static const struct field warning_fields[] = {
    {.name = "pointer", .type = FIELD_TEXT, .help = "RFC 6901, into the grant"},
    {.name = "detail", .type = FIELD_TEXT},
    FIELD_END,
};

static const char *const unpriced_words[] = {"refuse", "allow", NULL};

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
     .flags = FIELD_LIST | FIELD_WIRE_ALWAYS,
     .fields = noun_route_fields,
     .least = 1,
     .help = "goes with service, where absent is all of it, or with provider, where it is required "
             "and lies below its base URL"},
    {.name = "provider",
     .type = FIELD_REF,
     .ref = "provider",
     .needs = FEATURE_BIT(FEATURE_PASSTHROUGH),
     .help = "passthrough: the routes of its own API are open at /passthrough/{provider}/"},
    {.name = "unpriced",
     .type = FIELD_WORD,
     .words = unpriced_words,
     .help = "goes with provider: calls whose cost is not known, but for GET and HEAD, are refused "
             "under a budget; \"allow\": they pass uncounted"},
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

/* Passthrough is opened by method and path, never as a whole, and only to paths of one reading. */
static void check_provider(struct reading *r, const json_t *doc)
{
    const json_t *routes = json_object_get(doc, "routes");
    if (!has(doc, "provider") && has(doc, "unpriced"))
        reading_problem(r, "/unpriced", "only goes with a provider");
    if (!has(doc, "provider"))
        return;
    if (!routes)
        reading_problem(r, "/routes", "is required with a provider");
    for (size_t i = 0; i < json_array_size(routes); i++) {
        char at[FIELD_POINTER_MAX];
        snprintf(at, sizeof(at), "/routes/%zu/opaque", i);
        if (json_is_true(json_object_get(json_array_get(routes, i), "opaque")))
            reading_problem(r, at, "only goes with a service");
    }
}

static void check(struct reading *r, const json_t *old, json_t *doc)
{
    (void)old;
    if (json_array_size(r->problems) > 0)
        return; /* what could not be read would be called missing */
    if (has(doc, "agent") == has(doc, "team"))
        reading_problem(r, "", "name an agent or a team, one of them");
    if (has(doc, "server") + has(doc, "service") + has(doc, "models") + has(doc, "provider") != 1)
        reading_problem(r, "", "grant a server, a service, models or a provider, one of them");
    if (has(doc, "server") && !has(doc, "tools"))
        reading_problem(r, "/tools", "is required with a server; [\"*\"] is all of them");
    if (!has(doc, "server") && has(doc, "tools"))
        reading_problem(r, "/tools", "only goes with a server");
    if (!has(doc, "service") && !has(doc, "provider") && has(doc, "routes"))
        reading_problem(r, "/routes", "only goes with a service or a provider");
    check_provider(r, doc);
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
