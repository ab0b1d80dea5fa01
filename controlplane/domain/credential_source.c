/* credential_source — one table of types: what each goes with, wants and takes. */
#include "controlplane/domain/credential_source.h"

#include <ctype.h>
#include <stdio.h>

#include "common/base/service_words.h"
#include "controlplane/domain/field_value.h"
#include "controlplane/domain/noun.h"

#define WORD(word, dialect) word,
static const char *const type_words[] = {SERVICE_SOURCE_TABLE(WORD) NULL};
#undef WORD

static const char *token_word_rule(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] <= 0x20 || text.ptr[i] >= 0x7f)
            return "must have printable ASCII characters without spaces only";
    return NULL;
}
#define TOKEN_WORD_PATTERN "^[\\x21-\\x7e]+$"

/* https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html */
static const char *session_name_rule(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!isalnum((unsigned char)text.ptr[i]) && !memchr("_+=,.@-", text.ptr[i], 7))
            return "must have letters, digits and \"_+=,.@-\" only";
    return NULL;
}

/* One segment of a path, and nothing that leads out of it. */
static const char *segment_rule(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!isalnum((unsigned char)text.ptr[i]) && !memchr("_.@-", text.ptr[i], 4))
            return "must have letters, digits and \"_.@-\" only";
    return text.len > 0 && text.ptr[0] == '.' ? "must not begin with \".\"" : NULL;
}

/* Kubernetes and others have "..data" beside what is named; nothing is read above the folder. */
static const char *file_rule(struct slice text)
{
    struct slice part;
    while (slice_split(&text, '/', &part)) {
        if (!part.len || part.ptr[0] == '.')
            return "must be a path of plain names below the data plane's folder of token files";
        for (size_t i = 0; i < part.len; i++)
            if (part.ptr[i] <= 0x20 || part.ptr[i] >= 0x7f)
                return "must be a path of plain names below the data plane's folder of token files";
    }
    return NULL;
}
#define FILE_PATTERN                                                                               \
    "^[\\x21-\\x2d\\x30-\\x7e][\\x21-\\x2e\\x30-\\x7e]*(/[\\x21-\\x2d\\x30-\\x7e]"                 \
    "[\\x21-\\x2e\\x30-\\x7e]*)*$"

const struct field credential_source_fields[] = {
    {.name = "type",
     .type = FIELD_WORD,
     .flags = FIELD_REQUIRED,
     .words = type_words,
     .help = "what it is asked for; each goes with one dialect"},
    {.name = "url",
     .type = FIELD_URL,
     .flags = FIELD_WITH_QUERY | FIELD_WITH_METADATA,
     .help =
         "the service; of a machine or a container always given, and its address named alone in "
         "allow_cidrs where it is a metadata address; absent: AWS STS of the region, Google's "
         "STS, the tenant's token endpoint"},
    {.name = "role",
     .type = FIELD_TEXT,
     .min = 1,
     .max = 2048,
     .rule = token_word_rule,
     .pattern = TOKEN_WORD_PATTERN,
     .help = "of aws_web_identity its ARN; of aws_imds its name; absent there: the instance's"},
    {.name = "session_name",
     .type = FIELD_TEXT,
     .min = 2,
     .max = 64,
     .rule = session_name_rule,
     .pattern = "^[A-Za-z0-9_+=,.@\\x2d]+$",
     .help = "of aws_web_identity; absent: gatehouse"},
    {.name = "token_file",
     .type = FIELD_TEXT,
     .min = 1,
     .max = 256,
     .rule = file_rule,
     .pattern = FILE_PATTERN,
     .help =
         "what proves the account, below the folder GATEHOUSE_TOKEN_DIR of the data plane; read "
         "for each fetch; only an owner may set it"},
    {.name = "token_url",
     .type = FIELD_URL,
     .flags = FIELD_WITH_QUERY,
     .help = "of gcp_external_account: where its subject token is fetched"},
    {.name = "token_field",
     .type = FIELD_TEXT,
     .min = 1,
     .max = 64,
     .rule = token_word_rule,
     .pattern = TOKEN_WORD_PATTERN,
     .help = "the member that is the token, where the file or the response is a JSON object"},
    {.name = "audience",
     .type = FIELD_TEXT,
     .min = 1,
     .max = 512,
     .rule = token_word_rule,
     .pattern = TOKEN_WORD_PATTERN,
     .help = "of gcp_external_account: //iam.googleapis.com/projects/…/providers/…"},
    {.name = "subject_token_type",
     .type = FIELD_TEXT,
     .min = 1,
     .max = 128,
     .rule = token_word_rule,
     .pattern = TOKEN_WORD_PATTERN,
     .help = "of gcp_external_account; absent: urn:ietf:params:oauth:token-type:jwt"},
    {.name = "impersonation_url",
     .type = FIELD_URL,
     .flags = FIELD_WITH_QUERY,
     .help = "of gcp_external_account: …/serviceAccounts/NAME:generateAccessToken; absent: the "
             "exchanged token is used itself"},
    {.name = "service_account",
     .type = FIELD_TEXT,
     .min = 1,
     .max = 128,
     .rule = segment_rule,
     .pattern = "^[A-Za-z0-9_@\\x2d][A-Za-z0-9_.@\\x2d]*$",
     .help = "of gcp_metadata; absent: default"},
    {.name = "project",
     .type = FIELD_TEXT,
     .min = 1,
     .max = 64,
     .rule = segment_rule,
     .pattern = "^[A-Za-z0-9_@\\x2d][A-Za-z0-9_.@\\x2d]*$",
     .help = "of Vertex, where base_url names none"},
    {.name = "tenant",
     .type = FIELD_TEXT,
     .min = 1,
     .max = 128,
     .rule = segment_rule,
     .pattern = "^[A-Za-z0-9_@\\x2d][A-Za-z0-9_.@\\x2d]*$",
     .help = "of azure_client: its id or domain"},
    {.name = "client_id",
     .type = FIELD_TEXT,
     .min = 1,
     .max = 128,
     .rule = token_word_rule,
     .pattern = TOKEN_WORD_PATTERN,
     .help = "of azure_client"},
    {.name = "scope",
     .type = FIELD_TEXT,
     .min = 1,
     .max = 256,
     .rule = token_word_rule,
     .pattern = TOKEN_WORD_PATTERN,
     .help = "of azure_client; absent: https://cognitiveservices.azure.com/.default"},
    FIELD_END,
};

enum proof { PROOF_NONE, PROOF_MAY, PROOF_MUST };

static const struct source_rule {
    const char *type;
    enum proof proof; /* by a secret, token_file or token_url */
    bool machine;     /* what it gives is the machine's own identity */
    bool regional;
    const char *wants[3];
    const char *takes[7];
} rules[] = {
    {"aws_container", PROOF_MAY, true, true, {"url"}, {"token_file", "token_field"}},
    {"aws_imds", PROOF_NONE, true, true, {"url"}, {"role"}},
    {"aws_web_identity",
     PROOF_MUST,
     false,
     true,
     {"role"},
     {"url", "session_name", "token_file", "token_field"}},
    {"gcp_metadata", PROOF_NONE, true, false, {"url"}, {"service_account", "project"}},
    {"gcp_external_account",
     PROOF_MUST,
     false,
     false,
     {"audience"},
     {"url", "token_file", "token_url", "token_field", "subject_token_type", "impersonation_url",
      "project"}},
    {"azure_client",
     PROOF_MUST,
     false,
     false,
     {"client_id"},
     {"url", "tenant", "scope", "token_file", "token_field"}},
};

#define WORD(word, dialect) {word, dialect},
static const struct {
    const char *type, *dialect;
} dialects[] = {SERVICE_SOURCE_TABLE(WORD)};
#undef WORD

static const struct source_rule *rule_of(const json_t *source)
{
    struct slice type = json_text(source, "type");
    for (size_t i = 0; i < ARRAY_LEN(rules); i++)
        if (slice_eq(type, slice_str(rules[i].type)))
            return &rules[i];
    return NULL;
}

static const char *dialect_of(const struct source_rule *rule)
{
    for (size_t i = 0; i < ARRAY_LEN(dialects); i++)
        if (strcmp(dialects[i].type, rule->type) == 0)
            return dialects[i].dialect;
    return "";
}

static bool is_among(const char *const *names, size_t n, const char *name)
{
    for (size_t i = 0; i < n && names[i] != NULL; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

/* A problem at /credentials/N/MEMBER, or below its source. */
static void complain(struct reading *r, size_t place, const char *below, const char *member,
                     const char *what)
{
    char at[FIELD_POINTER_MAX];
    snprintf(at, sizeof(at), "/credentials/%zu%s/%s", place, below, member);
    reading_problem(r, at, "%s", what);
}

#define SOURCE "/source"

static void check_members(struct reading *r, const struct source_rule *rule, const json_t *source,
                          size_t place)
{
    for (const struct field *f = credential_source_fields + 1; f->name != NULL; f++) {
        bool given = json_object_get(source, f->name) != NULL;
        bool wants = is_among(rule->wants, ARRAY_LEN(rule->wants), f->name);
        if (wants && !given)
            complain(r, place, SOURCE, f->name, "is required: this type needs it");
        else if (given && !wants && !is_among(rule->takes, ARRAY_LEN(rule->takes), f->name))
            complain(r, place, SOURCE, f->name, "only goes with another type");
    }
    bool entra = strcmp(rule->type, "azure_client") == 0;
    if (entra && json_object_get(source, "url") == NULL &&
        json_object_get(source, "tenant") == NULL)
        complain(r, place, SOURCE, "tenant", "is required, where there is no url");
    if (json_object_get(source, "token_field") != NULL &&
        json_object_get(source, "token_file") == NULL &&
        json_object_get(source, "token_url") == NULL)
        complain(r, place, SOURCE, "token_field", "only goes with a token_file or a token_url");
}

/* One thing proves the account. */
static void check_proof(struct reading *r, const struct source_rule *rule, const json_t *credential,
                        const json_t *old, size_t place)
{
    const json_t *source = json_object_get(credential, "source");
    const json_t *was = json_object_get(old, "source");
    bool kept =
        json_is_true(json_object_get(old, "secret_set")) && was != NULL && json_equal(was, source);
    bool secret = json_object_get(credential, "secret") != NULL || kept;
    bool file = json_object_get(source, "token_file") != NULL;
    bool url = json_object_get(source, "token_url") != NULL;
    unsigned proofs = (unsigned)secret + file + url;
    if (rule->proof == PROOF_NONE && secret)
        complain(r, place, "", "secret", "only goes with a source that takes one");
    else if (rule->proof == PROOF_MUST && proofs == 0)
        complain(r, place, "", "secret", "is required: it proves the account to its source");
    else if (proofs > 1)
        complain(r, place, "", "secret", "only goes with neither a token_file nor a token_url");
}

static bool is_of_machine(const json_t *source)
{
    const struct source_rule *rule = rule_of(source);
    return rule != NULL && (rule->machine || json_object_get(source, "token_file") != NULL);
}

bool credential_source_is_regional(const json_t *source)
{
    const struct source_rule *rule = rule_of(source);
    return rule != NULL && rule->regional;
}

void credential_source_check(struct reading *r, const json_t *doc, const json_t *credential,
                             const json_t *old, size_t place)
{
    const json_t *source = json_object_get(credential, "source");
    const json_t *was = json_object_get(old, "source");
    const struct source_rule *rule = rule_of(source);
    if (rule == NULL)
        return;
    const char *dialect = dialect_of(rule);
    if (!slice_eq(json_text(doc, "dialect"), slice_str(dialect))) {
        char what[64];
        snprintf(what, sizeof(what), "only goes with the dialect %s", dialect);
        complain(r, place, SOURCE, "type", what);
        return;
    }
    if (json_object_get(credential, "access_key_id") != NULL)
        complain(r, place, "", "access_key_id", "only goes with a credential without a source");
    bool changed = was == NULL || !json_equal(was, source);
    if (changed && is_of_machine(source) && !r->is_owner)
        complain(r, place, "", "source",
                 "only the owner role may set this: it is what a data plane's machine is");
    check_members(r, rule, source, place);
    check_proof(r, rule, credential, old, place);
}

bool credential_source_needs_no_secret(const json_t *credentials)
{
    for (size_t i = 0; i < json_array_size(credentials); i++) {
        const json_t *source = json_object_get(json_array_get(credentials, i), "source");
        if (is_of_machine(source) || json_object_get(source, "token_url") != NULL)
            return true;
    }
    return false;
}
