/*
 * mcp-server — a tool server reached over Streamable HTTP.
 */
#include "controlplane/domain/nouns.h"
#include "controlplane/domain/role.h"
#include "proto/policy.pb-c.h"

static const char *const transport_words[] = {"streamable-http", "stdio", NULL};
static const char *const approve_words[] = {"first", "each", NULL};

static const struct field discovery_fields[] = {
    {.name = "last_listed_at", .type = FIELD_TIME, .help = "when its tools were last listed"},
    {.name = "last_tried_at", .type = FIELD_TIME, .help = "when that was last tried"},
    {.name = "last_error",
     .type = FIELD_TEXT,
     .help = "why the last try failed; absent where it did not"},
    {.name = "dataplane", .type = FIELD_TEXT, .help = "that tried"},
    {.name = "tools", .type = FIELD_INT, .max = INT32_MAX, .help = "in its last list"},
    {.name = "left_out",
     .type = FIELD_INT,
     .max = INT32_MAX,
     .help = "entries of that list without a usable name, or with one that stands twice"},
    {.name = "next_at", .type = FIELD_TIME, .help = "when they are listed again at the latest"},
    FIELD_END,
};

static const struct field fields[] = {
    NOUN_DESCRIPTION,
    {.name = "transport",
     .type = FIELD_WORD,
     .flags = FIELD_REQUIRED,
     .words = transport_words,
     .help = "\"streamable-http\"; \"stdio\" is not served yet"},
    {.name = "url",
     .type = FIELD_URL,
     .flags = FIELD_GUARDS_SECRET,
     .help = "its MCP endpoint; another host clears the secret"},
    NOUN_ALLOW_CIDRS,
    NOUN_POOLS,
    NOUN_ENABLED,
    {.name = "credential",
     .type = FIELD_OBJECT,
     .fields = noun_credential_fields,
     .help = "a header injected into each call"},
    {.name = "approve",
     .type = FIELD_WORD,
     .flags = FIELD_NOT_ENFORCED,
     .words = approve_words,
     .help = "\"each\": also the tools of the first report wait for approval"},
    {.name = "launcher",
     .type = FIELD_TEXT,
     .flags = FIELD_LOCAL,
     .min = 1,
     .help = "of a stdio server"},
    {.name = "parameters",
     .type = FIELD_JSON,
     .flags = FIELD_LOCAL,
     .help = "of a stdio server's launcher"},
    {.name = "discovery",
     .type = FIELD_OBJECT,
     .flags = FIELD_READ_ONLY | FIELD_COMPUTED,
     .fields = discovery_fields,
     .help = "how it went to find its tools; absent before the first try"},
    FIELD_END,
};

static void check(struct reading *r, const json_t *old, json_t *doc)
{
    (void)old;
    const char *transport = json_string_value(json_object_get(doc, "transport"));
    if (transport != NULL && strcmp(transport, "stdio") == 0) {
        reading_problem(r, "/transport", "stdio servers are not served yet: use streamable-http");
        return;
    }
    if (json_object_get(doc, "url") == NULL && json_array_size(r->problems) == 0)
        reading_problem(r, "/url", "is required");
    static const char *const stdio_only[] = {"launcher", "parameters"};
    for (size_t i = 0; i < ARRAY_LEN(stdio_only); i++)
        if (json_object_get(doc, stdio_only[i]) != NULL)
            reading_problem(r, i == 0 ? "/launcher" : "/parameters",
                            "only goes with the transport \"stdio\"");
}

const struct noun noun_mcp_server = {
    .name = "mcp-server",
    .plural = "mcp-servers",
    .table = "mcp_servers",
    .id_prefix = "mcp",
    .kind = GATEHOUSE__OBJECT_KIND__KIND_MCP_SERVER,
    .write_roles = ROLES_WRITE,
    .name_rule = noun_slug_rule,
    .fields = fields,
    .check = check,
    .help = "a tool server",
};
