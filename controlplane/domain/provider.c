/*
 * provider — an upstream service for models: URL, dialect, and credentials with limits of their
 * own.
 */
#include <ctype.h>
#include <stdio.h>

#include "common/base/data_policy.h"
#include "common/base/service_words.h"
#include "common/net/tls.h"
#include "controlplane/domain/credential_source.h"
#include "controlplane/domain/field_value.h"
#include "controlplane/domain/nouns.h"
#include "controlplane/domain/role.h"
#include "proto/policy.pb-c.h"

#define CREDENTIALS_MOST 30 /* with as many dropped at once they stay below NOUN_SECRETS_MOST */

#define WORD(word, address) word,
static const char *const dialect_words[] = {SERVICE_DIALECT_TABLE(WORD) NULL};
static const char *const quirks_words[] = {SERVICE_QUIRKS_TABLE(WORD) NULL};
#undef WORD

static const struct field_word_needs dialect_needs[] = {
    {"anthropic", FEATURE_BIT(FEATURE_PROVIDER_ANTHROPIC)},
    {"azure", FEATURE_BIT(FEATURE_PROVIDER_AZURE)},
    {"gemini", FEATURE_BIT(FEATURE_PROVIDER_GEMINI)},
    {"vertex", FEATURE_BIT(FEATURE_PROVIDER_VERTEX)},
    {"bedrock", FEATURE_BIT(FEATURE_PROVIDER_BEDROCK)},
    {"mistral", FEATURE_BIT(FEATURE_PROVIDER_MISTRAL)},
    {"cohere", FEATURE_BIT(FEATURE_PROVIDER_COHERE)},
    {"ollama", FEATURE_BIT(FEATURE_PROVIDER_OLLAMA)},
    {NULL, FEATURES_NONE},
};

/* https://docs.aws.amazon.com/IAM/latest/APIReference/API_AccessKey.html */
static const char *access_key_rule(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!isalnum((unsigned char)text.ptr[i]) && text.ptr[i] != '_')
            return "must have letters, digits and \"_\" only";
    return NULL;
}

static const char *version_rule(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!isalnum((unsigned char)text.ptr[i]) && text.ptr[i] != '-' && text.ptr[i] != '.')
            return "must have letters, digits, \"-\" and \".\" only";
    return NULL;
}

static const struct field credential_fields[] = {
    {.name = "id", .type = FIELD_TEXT, .min = 1, .help = "ours; kept while the name stays"},
    {.name = "name",
     .type = FIELD_TEXT,
     .flags = FIELD_REQUIRED,
     .min = 1,
     .max = 128,
     .rule = noun_label_rule},
    {.name = "secret",
     .type = FIELD_SECRET,
     .beside = "source",
     .unless = "source",
     .help = "the provider's key; of Vertex the service account's JSON document, kept in its "
             "compact form; beside access_key_id the secret access key; beside source what proves "
             "the account there; never shown; dropped with another source"},
    {.name = "access_key_id",
     .type = FIELD_TEXT,
     .min = 16,
     .max = 128,
     .rule = access_key_rule,
     .pattern = "^[A-Za-z0-9_]+$",
     .help = "of Bedrock: requests are signed; absent: `secret` is a bearer key"},
    {.name = "session_token",
     .type = FIELD_SECRET,
     .flags = FIELD_OPTIONAL,
     .beside = "access_key_id",
     .help = "of Bedrock, with temporary credentials; dropped with its access key"},
    {.name = "rpm",
     .type = FIELD_INT,
     .min = 1,
     .max = 100000000,
     .help = "requests a minute that the provider allows: no more are sent, over all data planes"},
    {.name = "tpm",
     .type = FIELD_INT,
     .min = 1,
     .max = 4000000000,
     .help = "tokens a minute that the provider allows: no more are sent, over all data planes"},
    {.name = "weight",
     .type = FIELD_INT,
     .min = 0,
     .max = 1000000,
     .default_json = "1",
     .help = "its share of the calls; 0: none, as long as another has one"},
    {.name = "region",
     .type = FIELD_TEXT,
     .min = 1,
     .max = 64,
     .rule = noun_label_rule,
     .help = "where it is served; of Bedrock and Vertex it stands in the host's name"},
    {.name = "source",
     .type = FIELD_OBJECT,
     .fields = credential_source_fields,
     .needs = FEATURE_BIT(FEATURE_PROVIDER_SOURCE),
     .help = "where it is had from, for a while, and had anew ahead of its end; absent: it is the "
             "secret"},
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

static const char *certificates_rule(struct slice text)
{
    const struct tls_client_pem pem = {.ca = text};
    struct tls_context *t = NULL;
    const char *why = NULL;
    if (tls_client_from_pem(&pem, &t, &why) == ERR_INVALID)
        return why;
    tls_drop(t);
    return NULL;
}

#define PEM_MOST 65536

static const struct field tls_fields[] = {
    {.name = "ca",
     .type = FIELD_TEXT,
     .min = 1,
     .max = PEM_MOST,
     .rule = certificates_rule,
     .help = "certificates in PEM that are trusted instead of the system's"},
    {.name = "certificate",
     .type = FIELD_TEXT,
     .min = 1,
     .max = PEM_MOST,
     .rule = certificates_rule,
     .help = "ours, in PEM, with its chain, where the provider wants one"},
    {.name = "secret",
     .type = FIELD_SECRET,
     .flags = FIELD_OPTIONAL,
     .beside = "certificate",
     .help = "the certificate's private key in PEM; never shown"},
    FIELD_END,
};

static const struct field proxy_fields[] = {
    {.name = "url",
     .type = FIELD_URL,
     .flags = FIELD_REQUIRED,
     .help = "http://host:port; it is told to CONNECT; allow_cidrs are about its address"},
    {.name = "username", .type = FIELD_TEXT, .min = 1, .max = 128, .rule = noun_label_rule},
    {.name = "secret",
     .type = FIELD_SECRET,
     .flags = FIELD_OPTIONAL,
     .beside = "url",
     .help = "the password; never shown; dropped with another url"},
    FIELD_END,
};

static const char *const data_policy_words[] = {
#define DATA_POLICY_WORD(name, word) word,
    DATA_POLICY_TABLE(DATA_POLICY_WORD)
#undef DATA_POLICY_WORD
        NULL,
};

static const struct field breaker_fields[] = {
    {.name = "failures",
     .type = FIELD_INT,
     .min = 1,
     .max = 1000,
     .help = "one after another, after which an endpoint is left out"},
    {.name = "open_ms",
     .type = FIELD_INT,
     .min = 100,
     .max = 3600000,
     .help = "for so long, until one call tries it again"},
    FIELD_END,
};

static const char *check_path_rule(struct slice text)
{
    if (text.len == 0 || text.ptr[0] != '/')
        return "must begin with \"/\"";
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c <= 0x20 || c >= 0x7f || c == '#' || c == '\\')
            return "must be a path and a query, percent-encoded";
    }
    return NULL;
}

static const struct field health_check_fields[] = {
    {.name = "interval_s", .type = FIELD_INT, .flags = FIELD_REQUIRED, .min = 1, .max = 86400},
    {.name = "path",
     .type = FIELD_TEXT,
     .flags = FIELD_REQUIRED,
     .min = 1,
     .max = 512,
     .rule = check_path_rule,
     .pattern = "^/[!\"$-\\[\\]-~]*$",
     .help = "below base_url, by GET: as \"/models\""},
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
     .flags = FIELD_GUARDS_SECRET | FIELD_WITH_QUERY | FIELD_WITH_REGION,
     .help = "what the vendor's own SDK would be given: with /v1 for OpenAI and Mistral, the "
             "origin for most others; \"{region}\" stands for the credential's; absent: the "
             "vendor's own, where it has one; another host clears the secrets"},
    {.name = "quirks",
     .type = FIELD_WORD,
     .words = quirks_words,
     .needs = FEATURE_BIT(FEATURE_PROVIDER_QUIRKS),
     .help = "of openai: which service it is, where it differs from OpenAI"},
    {.name = "api_version",
     .type = FIELD_TEXT,
     .min = 1,
     .max = 64,
     .rule = version_rule,
     .pattern = "^[A-Za-z0-9.\\x2d]+$",
     .help = "of azure; absent: the API that has no versions"},
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
    {.name = "catalogue",
     .type = FIELD_REF,
     .ref = "catalogue",
     .needs = FEATURE_BIT(FEATURE_PRICES_OWN),
     .help = "what its models cost, before the catalogue of its vendor, for what it lists"},
    {.name = "headers",
     .type = FIELD_OBJECT,
     .flags = FIELD_LIST,
     .fields = header_fields,
     .most = 8,
     .help = "sent with each request"},
    {.name = "tls",
     .type = FIELD_OBJECT,
     .fields = tls_fields,
     .needs = FEATURE_BIT(FEATURE_PROVIDER_ROUTE),
     .help = "which certificates are trusted, and our own; absent: the system's roots, and none"},
    {.name = "proxy",
     .type = FIELD_OBJECT,
     .fields = proxy_fields,
     .needs = FEATURE_BIT(FEATURE_PROVIDER_ROUTE),
     .help = "an HTTP proxy between the data plane and the provider"},
    {.name = "bills_cancelled",
     .type = FIELD_BOOL,
     .help =
         "does it bill the prompt of a call that was taken back? absent: as its dialect's owner "
         "is known to"},
    {.name = "data_policy",
     .type = FIELD_WORD,
     .flags = FIELD_LIST,
     .words = data_policy_words,
     .help = "what its operator promises of the data that it is sent"},
    {.name = "breaker",
     .type = FIELD_OBJECT,
     .fields = breaker_fields,
     .help = "when a credential's endpoint is left out, and for how long; absent: 5 failures"},
    {.name = "retry_budget",
     .type = FIELD_NUMBER,
     .min = 0,
     .max = 1,
     .help = "the share of its live calls that may be tried again; absent: 0.2"},
    {.name = "health_check",
     .type = FIELD_OBJECT,
     .flags = FIELD_NOT_ENFORCED,
     .fields = health_check_fields,
     .help = "what each credential's endpoint is to be asked for; data planes do not ask yet, and "
             "calls alone show its health"},
    FIELD_END,
};

/* ---- rules over several members ---- */

#define WORD(word, address) {word, address},
static const struct {
    const char *word, *address;
} dialect_addresses[] = {SERVICE_DIALECT_TABLE(WORD)},
  quirks_addresses[] = {SERVICE_QUIRKS_TABLE(WORD)};
#undef WORD

/* The vendor's own address; NULL: there is none. */
static const char *own_address(const json_t *doc)
{
    struct slice dialect = json_text(doc, "dialect"), quirks = json_text(doc, "quirks");
    for (size_t i = 0; i < ARRAY_LEN(quirks_addresses); i++)
        if (slice_eq(quirks, slice_str(quirks_addresses[i].word)))
            return quirks_addresses[i].address;
    for (size_t i = 0; i < ARRAY_LEN(dialect_addresses); i++)
        if (slice_eq(dialect, slice_str(dialect_addresses[i].word)))
            return dialect_addresses[i].address;
    return NULL;
}

/* The vendor's own address is written out. It follows the vendor, as long as it is the vendor's. */
static void settle_address(struct reading *r, const json_t *old, json_t *doc)
{
    const char *was = old != NULL ? own_address(old) : NULL, *is = own_address(doc);
    bool own_before = was != NULL && slice_eq(json_text(doc, "base_url"), slice_str(was)) &&
                      slice_eq(json_text(old, "base_url"), slice_str(was));
    if (json_object_get(doc, "base_url") != NULL && !own_before)
        return;
    if (is != NULL)
        json_object_set_new(doc, "base_url", json_string(is));
    else
        reading_problem(r, "/base_url", "is required: there is none that all customers share");
}

static bool is_host_label(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!islower((unsigned char)s.ptr[i]) && !isdigit((unsigned char)s.ptr[i]) &&
            (s.ptr[i] != '-' || i == 0 || i == s.len - 1))
            return false;
    return s.len > 0;
}

static void check_credential(struct reading *r, const json_t *doc, const json_t *c, size_t i)
{
    char at[FIELD_POINTER_MAX];
    struct slice dialect = json_text(doc, "dialect");
    bool bedrock = slice_eq(dialect, SLICE("bedrock"));
    bool regional = slice_search(json_text(doc, "base_url"), slice_str(SERVICE_REGION)) >= 0;
    bool has_key_id = json_object_get(c, "access_key_id") != NULL;
    if (has_key_id && !bedrock) {
        snprintf(at, sizeof(at), "/credentials/%zu/access_key_id", i);
        reading_problem(r, at, "only goes with the dialect bedrock");
    }
    if (json_object_get(c, "session_token") != NULL && !has_key_id) {
        snprintf(at, sizeof(at), "/credentials/%zu/session_token", i);
        reading_problem(r, at, "only goes with an access_key_id");
    }
    snprintf(at, sizeof(at), "/credentials/%zu/region", i);
    struct slice region = json_text(c, "region");
    bool signs = has_key_id || credential_source_is_regional(json_object_get(c, "source"));
    if ((regional || signs) && !is_host_label(region))
        reading_problem(r, at, "is required, as \"eu-west-1\": it names the host that is called");
}

static void check_route(struct reading *r, const json_t *doc)
{
    const json_t *tls = json_object_get(doc, "tls"), *proxy = json_object_get(doc, "proxy");
    struct slice key = json_text(tls, "secret"), certificate = json_text(tls, "certificate");
    struct tls_context *t = NULL;
    const char *why = NULL;
    if (key.len && tls_client_from_pem(&(struct tls_client_pem){.cert = certificate, .key = key},
                                       &t, &why) == ERR_INVALID)
        reading_problem(r, "/tls/secret", "%s", why);
    tls_drop(t);
    if (slice_starts(json_text(proxy, "url"), SLICE("https:")))
        reading_problem(r, "/proxy/url",
                        "must begin with http: what goes through it is TLS itself");
    if (slice_find(json_text(proxy, "username"), ':') >= 0)
        reading_problem(r, "/proxy/username", "must not contain \":\" (RFC 7617)");
}

/* The entry it was, by its id or else by its name. */
static const json_t *entry_before(const json_t *old, const json_t *credential)
{
    const json_t *list = json_object_get(old, "credentials");
    const char *by = json_object_get(credential, "id") != NULL ? "id" : "name";
    for (size_t i = 0; i < json_array_size(list); i++)
        if (slice_eq(json_text(json_array_get(list, i), by), json_text(credential, by)))
            return json_array_get(list, i);
    return NULL;
}

/* What is had without a secret goes where an owner sent it: no other host, and none that another
 * root of trust lets a proxy be. */
static void check_host(struct reading *r, const json_t *old, const json_t *doc)
{
    static const struct {
        const char *object, *member, *pointer;
    } ways[] = {{NULL, "base_url", "/base_url"}, {"tls", "ca", "/tls/ca"}};
    if (old == NULL || r->is_owner ||
        !credential_source_needs_no_secret(json_object_get(doc, "credentials")))
        return;
    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        const char *in = ways[i].object;
        const json_t *was = in ? json_object_get(old, in) : old;
        const json_t *is = in ? json_object_get(doc, in) : doc;
        if (!slice_eq(json_text(was, ways[i].member), json_text(is, ways[i].member)))
            reading_problem(r, ways[i].pointer,
                            "only the owner role may change this: a credential is had without a "
                            "secret that this would clear");
    }
}

static void check(struct reading *r, const json_t *old, json_t *doc)
{
    if (json_array_size(r->problems) > 0)
        return;
    struct slice dialect = json_text(doc, "dialect");
    settle_address(r, old, doc);
    if (json_object_get(doc, "quirks") != NULL && !slice_eq(dialect, SLICE("openai")))
        reading_problem(r, "/quirks", "only goes with the dialect openai");
    if (json_object_get(doc, "api_version") != NULL && !slice_eq(dialect, SLICE("azure")))
        reading_problem(r, "/api_version", "only goes with the dialect azure");
    /* the data planes of the first stage do not know it */
    if (slice_search(json_text(doc, "base_url"), slice_str(SERVICE_REGION)) >= 0 &&
        !slice_eq(dialect, SLICE("bedrock")) && !slice_eq(dialect, SLICE("vertex")))
        reading_problem(r, "/base_url",
                        "only goes with bedrock and vertex, where it has \"{region}\"");
    check_route(r, doc);
    check_host(r, old, doc);
    const json_t *credentials = json_object_get(doc, "credentials");
    for (size_t i = 0; i < json_array_size(credentials); i++)
        check_credential(r, doc, json_array_get(credentials, i), i);
    for (size_t i = 0; i < json_array_size(credentials); i++)
        credential_source_check(r, doc, json_array_get(credentials, i),
                                entry_before(old, json_array_get(credentials, i)), i);
}

const struct noun noun_provider = {
    .name = "provider",
    .plural = "providers",
    .table = "providers",
    .id_prefix = "prov",
    .kind = GATEHOUSE__OBJECT_KIND__KIND_PROVIDER,
    .write_roles = ROLES_WRITE,
    .fields = fields,
    .check = check,
    .help = "where models live",
};
