/*
 * api-service — one of the company's own APIs, its routes, and the credential put into calls.
 */
#include "controlplane/domain/nouns.h"
#include "controlplane/domain/role.h"
#include "proto/policy.pb-c.h"

static const struct field fields[] = {
    NOUN_DESCRIPTION,
    {.name = "base_url",
     .type = FIELD_URL,
     .flags = FIELD_REQUIRED | FIELD_GUARDS_SECRET,
     .help = "another host clears the secret"},
    NOUN_ALLOW_CIDRS,
    NOUN_POOLS,
    NOUN_ENABLED,
    {.name = "credential",
     .type = FIELD_OBJECT,
     .fields = noun_credential_fields,
     .help = "a header injected into each call"},
    {.name = "routes",
     .type = FIELD_OBJECT,
     .flags = FIELD_LIST | FIELD_REQUIRED,
     .fields = noun_route_fields,
     .least = 1,
     .help = "what of it may be granted at all"},
    {.name = "set_cookie",
     .type = FIELD_BOOL,
     .flags = FIELD_WIRE_ALWAYS,
     .default_json = "false",
     .help = "its responses may carry Set-Cookie"},
    FIELD_END,
};

const struct noun noun_api_service = {
    .name = "api-service",
    .plural = "api-services",
    .table = "api_services",
    .id_prefix = "api",
    .kind = GATEHOUSE__OBJECT_KIND__KIND_API_SERVICE,
    .write_roles = ROLES_WRITE,
    .name_rule = noun_slug_rule,
    .fields = fields,
    .help = "a company's own API",
};
