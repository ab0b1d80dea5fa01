/*
 * model — a public name, the targets behind it in order, and what its tokens cost.
 */
#include <ctype.h>
#include <stdio.h>

#include "common/base/limits.h"
#include "common/base/strategy.h"
#include "controlplane/domain/field_value.h"
#include "controlplane/domain/nouns.h"
#include "controlplane/domain/role.h"
#include "proto/policy.pb-c.h"

static const char *const strategy_words[] = {
#define STRATEGY_WORD(name, word) #word,
    STRATEGY_TABLE(STRATEGY_WORD)
#undef STRATEGY_WORD
        NULL,
};

static const char *const unpriced_words[] = {"refuse", "allow", NULL};

static const struct field target_fields[] = {
    {.name = "provider",
     .type = FIELD_REF,
     .flags = FIELD_REQUIRED | FIELD_ONE_OF,
     .ref = "provider"},
    {.name = "model",
     .type = FIELD_TEXT,
     .flags = FIELD_REQUIRED,
     .min = 1,
     .max = 256,
     .rule = noun_label_rule,
     .help = "what the provider calls it; of a wildcard model a star in it stands for what the "
             "name's star does: \"*\", or \"anthropic.*\""},
    {.name = "weight",
     .type = FIELD_INT,
     .min = 0,
     .max = 1000000,
     .help = "its share under \"weighted\"; absent: 1; 0: only where all others failed"},
    FIELD_END,
};

/* ---- what its calls are given ---- */

static const char *const effort_words[] = {"none", "minimal", "low", "medium",
                                           "high", "xhigh",   "max", NULL};
static const char *const verbosity_words[] = {"low", "medium", "high", NULL};
static const char *const tier_words[] = {"auto", "default", "flex", "priority", NULL};

static const struct field parameter_fields[] = {
    {.name = "temperature", .type = FIELD_NUMBER, .min = 0, .max = 2},
    {.name = "top_p", .type = FIELD_NUMBER, .min = 0, .max = 1},
    {.name = "top_k", .type = FIELD_INT, .min = 1, .max = 1000000},
    {.name = "max_tokens",
     .type = FIELD_INT,
     .min = 1,
     .max = LIMIT_AI_TOKENS,
     .help = "of output, whatever the client's dialect calls it"},
    {.name = "seed", .type = FIELD_INT, .min = -2147483648LL, .max = 2147483647},
    {.name = "presence_penalty", .type = FIELD_NUMBER, .min = -2, .max = 2},
    {.name = "frequency_penalty", .type = FIELD_NUMBER, .min = -2, .max = 2},
    {.name = "stop",
     .type = FIELD_TEXT,
     .flags = FIELD_LIST,
     .min = 1,
     .max = LIMIT_MODEL_STOP,
     .least = 1,
     .most = LIMIT_MODEL_STOPS,
     .help = "texts that end the response"},
    {.name = "reasoning_effort", .type = FIELD_WORD, .words = effort_words},
    {.name = "verbosity", .type = FIELD_WORD, .words = verbosity_words},
    {.name = "service_tier", .type = FIELD_WORD, .words = tier_words},
    FIELD_END,
};

/* A model's readers see the values, and every caller of the model sends them: a name that could
 * hold a credential is none of these, nor one that belongs to a connection or to the gateway. */
static const char *extra_header_rule(struct slice text)
{
    static const char wrong[] = "must be in lower case and begin with \"x-\", or be "
                                "anthropic-beta, http-referer, openai-beta, openai-organization "
                                "or openai-project";
    static const char *const others[] = {"anthropic-beta", "http-referer", "openai-beta",
                                         "openai-organization", "openai-project"};
    static const char *const credentials[] = {"auth",  "cookie", "credential", "key",
                                              "passw", "secret", "session",    "signature",
                                              "token", "jwt",    "x-amz-",     "x-ms-"};
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (slice_eq(text, slice_str(others[i])))
            return NULL;
    if (text.len < 3 || !slice_starts(text, SLICE("x-")))
        return wrong;
    for (size_t i = 0; i < text.len; i++)
        if (!islower((unsigned char)text.ptr[i]) && !isdigit((unsigned char)text.ptr[i]) &&
            text.ptr[i] != '-')
            return wrong;
    for (size_t i = 0; i < ARRAY_LEN(credentials); i++)
        if (slice_search(text, slice_str(credentials[i])) >= 0)
            return "could hold a credential: those are the provider's";
    return noun_header_rule(text);
}

#define EXTRA_HEADER_PATTERN                                                                       \
    "^(?!.*(auth|cookie|credential|key|passw|secret|session|signature|token|jwt|x-amz-|x-ms-))"    \
    "(?!x-(gatehouse|forwarded)-)"                                                                 \
    "(x-[a-z0-9\\x2d]{1,62}|anthropic-beta|http-referer|openai-(beta|organization|project))$"

static const struct field header_fields[] = {
    {.name = "name",
     .type = FIELD_TEXT,
     .flags = FIELD_REQUIRED,
     .min = 3,
     .max = 64,
     .rule = extra_header_rule,
     .pattern = EXTRA_HEADER_PATTERN},
    {.name = "value",
     .type = FIELD_TEXT,
     .flags = FIELD_REQUIRED,
     .min = 1,
     .max = 128,
     .rule = noun_label_rule},
    FIELD_END,
};

/* A call without one of these would be another one, or none. */
static const char *drop_rule(struct slice text)
{
    static const char *const kept[] = {"contents", "input",  "messages", "model",
                                       "prompt",   "stream", "system",   "instructions"};
    for (size_t i = 0; i < text.len; i++)
        if (!isalnum((unsigned char)text.ptr[i]) && text.ptr[i] != '_')
            return "must have letters, digits and \"_\" only";
    for (size_t i = 0; i < ARRAY_LEN(kept); i++)
        if (slice_eq(text, slice_str(kept[i])))
            return "is a member that a call cannot do without";
    return NULL;
}

#define DROP_PATTERN                                                                               \
    "^(?!(contents|input|messages|model|prompt|stream|system|instructions)$)[A-Za-z0-9_]+$"

#define NEEDS_OVERRIDES FEATURE_BIT(FEATURE_MODEL_OVERRIDES)

static const struct field fields[] = {
    NOUN_DESCRIPTION,
    {.name = "strategy",
     .type = FIELD_WORD,
     .words = strategy_words,
     .default_json = "\"fallback\"",
     .help = "\"fallback\" tries the targets in order, \"weighted\" draws them by their weights"},
    {.name = "targets",
     .type = FIELD_OBJECT,
     .flags = FIELD_LIST | FIELD_REQUIRED,
     .fields = target_fields,
     .least = 1,
     .most = 64},
    {.name = "price",
     .type = FIELD_OBJECT,
     .fields = noun_price_fields,
     .help = "absent: what the catalogue of its target's vendor says"},
    {.name = "unpriced",
     .type = FIELD_WORD,
     .words = unpriced_words,
     .help = "without a price, calls under a budget are refused; \"allow\": they pass uncounted"},
    NOUN_TIMEOUTS("of its calls, before the provider's"),
    {.name = "max_output_tokens",
     .type = FIELD_INT,
     .min = 1,
     .max = 100000000,
     .help = "for the worst case of a request that names none"},
    {.name = "defaults",
     .type = FIELD_OBJECT,
     .fields = parameter_fields,
     .needs = NEEDS_OVERRIDES,
     .help = "parameters of calls that say nothing of them, by OpenAI's names, in every dialect"},
    {.name = "overrides",
     .type = FIELD_OBJECT,
     .fields = parameter_fields,
     .needs = NEEDS_OVERRIDES,
     .help = "parameters of all calls, whatever the client says"},
    {.name = "drop",
     .type = FIELD_TEXT,
     .flags = FIELD_LIST,
     .min = 1,
     .max = 64,
     .most = LIMIT_MODEL_DROPS,
     .rule = drop_rule,
     .pattern = DROP_PATTERN,
     .needs = NEEDS_OVERRIDES,
     .help = "members of the client's body that are left out before defaults apply, by OpenAI's "
             "names or the dialect's own"},
    {.name = "headers",
     .type = FIELD_OBJECT,
     .flags = FIELD_LIST,
     .fields = header_fields,
     .most = LIMIT_MODEL_HEADERS,
     .needs = NEEDS_OVERRIDES,
     .help = "sent to the provider with each call; none that could hold a credential"},
    {.name = "system_prompt",
     .type = FIELD_TEXT,
     .min = 1,
     .max = LIMIT_MODEL_SYSTEM_PROMPT,
     .needs = NEEDS_OVERRIDES,
     .help = "stands before the client's own in each call"},
    {.name = "capabilities",
     .type = FIELD_TEXT,
     .flags = FIELD_LIST | FIELD_NOT_ENFORCED,
     .min = 1,
     .max = 64,
     .rule = noun_slug_rule},
    FIELD_END,
};

static bool is_wildcard(struct slice name)
{
    return slice_eq(name, SLICE("*")) || slice_ends(name, SLICE("/*"));
}

static feature_set name_needs(struct slice name)
{
    return is_wildcard(name) ? FEATURE_BIT(FEATURE_MODEL_WILDCARD) : FEATURES_NONE;
}

/* A star in a target stands for what the star of the name does. */
static void check(struct reading *r, const json_t *old, json_t *doc)
{
    const json_t *targets = json_object_get(doc, "targets");
    (void)old;
    noun_price_check(r, json_object_get(doc, "price"), "/price");
    for (size_t i = 0; i < json_array_size(targets); i++) {
        struct slice model = json_text(json_array_get(targets, i), "model");
        ptrdiff_t star = slice_find(model, '*');
        char at[FIELD_POINTER_MAX];
        snprintf(at, sizeof(at), "/targets/%zu/model", i);
        if (star >= 0 && !is_wildcard(r->name))
            reading_problem(r, at, "has a star, and the model's name has none");
        else if (star >= 0 && slice_find(slice_from(model, (size_t)star + 1), '*') >= 0)
            reading_problem(r, at, "must not have more than one star");
    }
}

const struct noun noun_model = {
    .name = "model",
    .plural = "models",
    .table = "models",
    .id_prefix = "model",
    .kind = GATEHOUSE__OBJECT_KIND__KIND_MODEL,
    .write_roles = ROLES_WRITE | ROLE_BILLING,
    .name_rule = noun_model_rule,
    .name_needs = name_needs,
    .fields = fields,
    .check = check,
    .help = "a public name and the targets behind it",
};
