/*
 * provider — an upstream service for models: URL, dialect, and credentials with limits of their
 * own.
 */
#include "controlplane/domain/nouns.h"
#include "controlplane/domain/role.h"
#include "proto/policy.pb-c.h"

#define CREDENTIALS_MOST 30 /* with as many dropped at once they stay below NOUN_SECRETS_MOST */

static const char *const dialect_words[] = {
    "openai",
    "anthropic",
    NULL,
};
static const struct field_word_needs dialect_needs[] = {
    {"anthropic", FEATURE_BIT(FEATURE_PROVIDER_ANTHROPIC)},
    {NULL, FEATURES_NONE},
};

static const struct field credential_fields[] = {
    {.name = "id", .type = FIELD_TEXT, .min = 1, .help = "ours; kept while the name stays"},
    {.name = "name",
     .type = FIELD_TEXT,
     .flags = FIELD_REQUIRED,
     .min = 1,
     .max = 128,
     .rule = noun_label_rule},
    {.name = "secret", .type = FIELD_SECRET, .help = "the provider's key; never shown"},
    {.name = "rpm",
     .type = FIELD_INT,
     .flags = FIELD_NOT_ENFORCED,
     .min = 1,
     .max = 100000000,
     .help = "requests a minute that the provider allows"},
    {.name = "tpm",
     .type = FIELD_INT,
     .flags = FIELD_NOT_ENFORCED,
     .min = 1,
     .max = 4000000000,
     .help = "tokens a minute that the provider allows"},
    {.name = "weight",
     .type = FIELD_INT,
     .min = 0,
     .max = 1000000,
     .default_json = "1",
     .help = "its share of the calls; 0: none, as long as another has one"},
    {.name = "region",
     .type = FIELD_TEXT,
     .flags = FIELD_NOT_ENFORCED,
     .min = 1,
     .max = 64,
     .rule = noun_label_rule,
     .help = "where it is served"},
    FIELD_END,
};

/* Every reader of the provider sees the values, so they must not hold a secret. */
static const struct field header_fields[] = {
    {.name = "name",
     .type = FIELD_TEXT,
     .flags = FIELD_REQUIRED,
     .min = 1,
     .max = 64,
     .rule = noun_header_rule},
    {.name = "value",
     .type = FIELD_TEXT,
     .flags = FIELD_REQUIRED,
     .min = 1,
     .max = 512,
     .rule = noun_label_rule},
    FIELD_END,
};

static const struct field fields[] = {
    NOUN_DESCRIPTION,
    {.name = "dialect",
     .type = FIELD_WORD,
     .flags = FIELD_REQUIRED,
     .words = dialect_words,
     .word_needs = dialect_needs,
     .help = "what it speaks"},
    {.name = "base_url",
     .type = FIELD_URL,
     .flags = FIELD_REQUIRED | FIELD_GUARDS_SECRET | FIELD_WITH_QUERY,
     .help = "up to and with /v1, a query like api-version behind it; another host clears the "
             "secrets"},
    NOUN_ALLOW_CIDRS,
    NOUN_POOLS,
    NOUN_ENABLED,
    {.name = "credentials",
     .type = FIELD_OBJECT,
     .flags = FIELD_LIST | FIELD_IDENTITY,
     .fields = credential_fields,
     .id_prefix = "cred",
     .most = CREDENTIALS_MOST,
     .default_json = "[]",
     .help = "several may share the load"},
    NOUN_TIMEOUTS("of its calls; a model's own come first"),
    {.name = "headers",
     .type = FIELD_OBJECT,
     .flags = FIELD_LIST,
     .fields = header_fields,
     .most = 8,
     .help = "sent with each request"},
    {.name = "bills_cancelled",
     .type = FIELD_BOOL,
     .help =
         "does it bill the prompt of a call that was taken back? absent: as its dialect's owner "
         "is known to"},
    FIELD_END,
};

const struct noun noun_provider = {
    .name = "provider",
    .plural = "providers",
    .table = "providers",
    .id_prefix = "prov",
    .kind = GATEHOUSE__OBJECT_KIND__KIND_PROVIDER,
    .write_roles = ROLES_WRITE,
    .fields = fields,
    .help = "where models live",
};
