/*
 * model — a public name, the targets behind it in order, and what its tokens cost.
 */
#include <ctype.h>
#include <stdio.h>

#include "common/base/failure_class.h"
#include "common/base/id.h"
#include "common/base/limits.h"
#include "common/base/model_capability.h"
#include "common/base/sticky.h"
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

/* Which targets, and in what order, a plane that does not know the word would not find. */
static const struct field_word_needs strategy_needs[] = {
    {"least_in_flight", FEATURE_BIT(FEATURE_ROUTING_STRATEGIES)},
    {"lowest_latency", FEATURE_BIT(FEATURE_ROUTING_STRATEGIES)},
    {"lowest_cost", FEATURE_BIT(FEATURE_ROUTING_STRATEGIES)},
    {"highest_throughput", FEATURE_BIT(FEATURE_ROUTING_STRATEGIES)},
    {NULL, FEATURES_NONE},
};

static const char *const unpriced_words[] = {"refuse", "allow", NULL};

#define NEEDS_RULES FEATURE_BIT(FEATURE_ROUTING_RULES)

/* ---- when a target is eligible ---- */

/* A model's readers see the values of its headers and conditions. */
static bool could_hold_credential(struct slice name)
{
    static const char *const words[] = {"auth",  "cookie", "credential", "key",
                                        "passw", "secret", "session",    "signature",
                                        "token", "jwt",    "x-amz-",     "x-ms-"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (slice_search(name, slice_str(words[i])) >= 0)
            return true;
    return false;
}

static const char *condition_header_rule(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!islower((unsigned char)text.ptr[i]) && !isdigit((unsigned char)text.ptr[i]) &&
            text.ptr[i] != '-' && text.ptr[i] != '_')
            return "must have lower-case letters, digits, \"-\" and \"_\" only";
    if (text.len < 1 || text.len > 64)
        return "must have 1 to 64 characters";
    return could_hold_credential(text) ? "could hold a credential" : NULL;
}

#define CONDITION_HEADER_PATTERN                                                                   \
    "^(?!.*(auth|cookie|credential|key|passw|secret|session|signature|token|jwt|x-amz-|x-ms-))"    \
    "[a-z0-9_\\x2d]{1,64}$"

static const char *metadata_rule(struct slice text)
{
    if (text.len < 1 || text.len > 64)
        return "must have 1 to 64 bytes";
    for (size_t i = 0; i < text.len; i++)
        if (!isalnum((unsigned char)text.ptr[i]) && strchr("-_.:", text.ptr[i]) == NULL)
            return "must have letters, digits, \"-\", \"_\", \".\" and \":\" only";
    return NULL;
}

static bool is_clock(struct slice text, int most)
{
    if (text.len != 5 || text.ptr[2] != ':')
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (i != 2 && !isdigit((unsigned char)text.ptr[i]))
            return false;
    int hours = (text.ptr[0] - '0') * 10 + text.ptr[1] - '0';
    int minutes = (text.ptr[3] - '0') * 10 + text.ptr[4] - '0';
    return minutes < 60 && hours * 60 + minutes <= most;
}

static const char *from_rule(struct slice text)
{
    return is_clock(text, 24 * 60 - 1) ? NULL : "must be a time from 00:00 to 23:59";
}

static const char *to_rule(struct slice text)
{
    return is_clock(text, 24 * 60) ? NULL : "must be a time from 00:00 to 24:00";
}

static const char *offset_rule(struct slice text)
{
    bool is_signed = text.len == 6 && (text.ptr[0] == '+' || text.ptr[0] == '-');
    return is_signed && is_clock(slice_from(text, 1), 14 * 60)
               ? NULL
               : "must be a distance from UTC as +01:00, of at most 14 hours";
}

static const char *const day_words[] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun", NULL};

#define HOUR_PATTERN "([01][0-9]|2[0-3]):[0-5][0-9]"

static const struct field hours_fields[] = {
    {.name = "from",
     .type = FIELD_TEXT,
     .flags = FIELD_REQUIRED,
     .min = 5,
     .max = 5,
     .rule = from_rule,
     .pattern = "^" HOUR_PATTERN "$"},
    {.name = "to",
     .type = FIELD_TEXT,
     .flags = FIELD_REQUIRED,
     .min = 5,
     .max = 5,
     .rule = to_rule,
     .pattern = "^(" HOUR_PATTERN "|24:00)$",
     .help = "exclusive; before `from`: of the next day"},
    {.name = "days",
     .type = FIELD_WORD,
     .flags = FIELD_LIST,
     .words = day_words,
     .least = 1,
     .most = 7,
     .help = "on which `from` lies; absent: all"},
    {.name = "utc_offset",
     .type = FIELD_TEXT,
     .min = 6,
     .max = 6,
     .rule = offset_rule,
     .pattern = "^[+\\x2d]((0[0-9]|1[0-3]):[0-5][0-9]|14:00)$",
     .default_json = "\"+00:00\"",
     .help = "of the place whose hours these are"},
    FIELD_END,
};

/* The entry only permits: where the named object is withheld, no call comes from it. */
#define ONE_OF_NOUN(plural, noun)                                                                  \
    {                                                                                              \
        .name = plural, .type = FIELD_REF, .flags = FIELD_LIST | FIELD_NARROWS, .ref = noun,       \
        .least = 1, .most = 64                                                                     \
    }

static const struct field when_fields[] = {
    {.name = "headers",
     .type = FIELD_PAIRS,
     .min = 1,
     .max = 256,
     .least = 1,
     .most = 8,
     .rule = condition_header_rule,
     .pattern = CONDITION_HEADER_PATTERN,
     .help = "of the client's request, with these values"},
    {.name = "metadata",
     .type = FIELD_PAIRS,
     .min = 1,
     .max = 512,
     .least = 1,
     .most = 16,
     .rule = metadata_rule,
     .pattern = "^[A-Za-z0-9_.:\\x2d]{1,64}$",
     .help = "members of the body's `metadata`, with these values"},
    ONE_OF_NOUN("teams", "team"),
    ONE_OF_NOUN("agents", "agent"),
    ONE_OF_NOUN("keys", "key"),
    {.name = "hours", .type = FIELD_OBJECT, .fields = hours_fields, .help = "of the day"},
    FIELD_END,
};

/* ---- targets ---- */

static const char *const capability_words[] = {
#define CAPABILITY_WORD(name, word) word,
    MODEL_CAPABILITY_TABLE(CAPABILITY_WORD)
#undef CAPABILITY_WORD
        NULL,
};

static const struct field target_fields[] = {
    {.name = "provider",
     .type = FIELD_REF,
     .flags = FIELD_ONE_OF,
     .ref = "provider",
     .help = "absent: the target is another model"},
    {.name = "model",
     .with = "provider",
     .type = FIELD_TEXT,
     .flags = FIELD_REQUIRED,
     .min = 1,
     .max = 256,
     .rule = noun_label_rule,
     .help = "what the provider calls it; of a wildcard model a star in it stands for what the "
             "name's star does: \"*\", or \"anthropic.*\""},
    {.name = "model",
     .without = "provider",
     .type = FIELD_REF,
     .flags = FIELD_REQUIRED | FIELD_ONE_OF,
     .ref = "model",
     .wire = "target_model_id",
     .needs = NEEDS_RULES,
     .help = "without a provider: another model, whose targets are tried here"},
    {.name = "weight",
     .type = FIELD_INT,
     .min = 0,
     .max = 1000000,
     .help = "its share under \"weighted\"; absent: 1; 0: only where all others failed"},
    {.name = "region",
     .type = FIELD_TEXT,
     .min = 1,
     .max = 64,
     .rule = noun_label_rule,
     .help = "where it is served, for a team's `regions`; absent: the credential's"},
    {.name = "capabilities",
     .type = FIELD_WORD,
     .flags = FIELD_LIST,
     .words = capability_words,
     .needs = NEEDS_RULES,
     .help = "absent: the model's"},
    {.name = "context_tokens",
     .type = FIELD_INT,
     .min = 1,
     .max = 1000000000,
     .needs = NEEDS_RULES,
     .help = "the longest prompt and response together; absent: what the catalogue says"},
    {.name = "max_output_tokens",
     .type = FIELD_INT,
     .min = 1,
     .max = LIMIT_AI_TOKENS,
     .needs = NEEDS_RULES,
     .help = "the longest response; absent: what the catalogue says"},
    {.name = "when",
     .type = FIELD_OBJECT,
     .fields = when_fields,
     .needs = NEEDS_RULES,
     .help = "the calls that it is eligible for: all that is said must hold; absent: all"},
    {.name = "shadow",
     .type = FIELD_NUMBER,
     .flags = FIELD_NOT_ENFORCED,
     .min = 0,
     .max = 1,
     .needs = NEEDS_RULES,
     .help = "it is not tried: it is there for copies of this share of the calls, at least 0.001, "
             "which data planes do not send yet"},
    FIELD_END,
};

/* ---- when a call is tried again, and elsewhere ---- */

static const char *const retry_words[] = {"5xx", "429", "timeout", "connect", NULL};

static const struct field retry_fields[] = {
    {.name = "attempts",
     .type = FIELD_INT,
     .flags = FIELD_REQUIRED,
     .min = 0,
     .max = 5,
     .help = "more tries at the same target, within the provider's retry_budget"},
    {.name = "on",
     .type = FIELD_WORD,
     .flags = FIELD_LIST,
     .words = retry_words,
     .least = 1,
     .default_json = "[\"5xx\",\"429\",\"timeout\",\"connect\"]"},
    FIELD_END,
};

static const char *failure_rule(struct slice text)
{
    static const char *const words[] = {
#define FAILURE_WORD(name, word) word,
        FAILURE_CLASS_TABLE(FAILURE_WORD)
#undef FAILURE_WORD
    };
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (slice_eq(text, slice_str(words[i])))
            return NULL;
    bool is_status = text.len == 3 && (text.ptr[0] == '4' || text.ptr[0] == '5') &&
                     isdigit((unsigned char)text.ptr[1]) && isdigit((unsigned char)text.ptr[2]);
    return is_status ? NULL
                     : "must be one of 5xx, 429, timeout, connect, credential, content_refused, "
                       "context_too_long, 4xx, or a status like 404";
}

static const struct field fallback_fields[] = {
    {.name = "on",
     .type = FIELD_TEXT,
     .flags = FIELD_LIST | FIELD_REQUIRED,
     .min = 3,
     .max = 16,
     .rule = failure_rule,
     .pattern = "^(5xx|timeout|connect|credential|content_refused|context_too_long|4xx|"
                "[45][0-9][0-9])$",
     .most = 24,
     .help = "[]: no other target is tried"},
    FIELD_END,
};

static const char *const sticky_words[] = {
#define STICKY_WORD(name, word) word,
    STICKY_TABLE(STICKY_WORD)
#undef STICKY_WORD
        NULL,
};

static const struct field max_price_fields[] = {
    {.name = "input_per_mtok", .type = FIELD_PRICE},
    {.name = "output_per_mtok", .type = FIELD_PRICE},
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
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (slice_eq(text, slice_str(others[i])))
            return NULL;
    if (text.len < 3 || !slice_starts(text, SLICE("x-")))
        return wrong;
    for (size_t i = 0; i < text.len; i++)
        if (!islower((unsigned char)text.ptr[i]) && !isdigit((unsigned char)text.ptr[i]) &&
            text.ptr[i] != '-')
            return wrong;
    if (could_hold_credential(text))
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
     .word_needs = strategy_needs,
     .default_json = "\"fallback\"",
     .help = "\"fallback\" tries the targets in order, \"weighted\" draws them by their weights; "
             "the others prefer what has least to do, begins soonest, costs least for this call, "
             "writes fastest"},
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
     .type = FIELD_WORD,
     .flags = FIELD_LIST,
     .words = capability_words,
     .help = "what its targets can do; absent: what the catalogue of each says; a call that needs "
             "more leaves a target out, where that is known of it"},
    {.name = "retry",
     .type = FIELD_OBJECT,
     .fields = retry_fields,
     .needs = NEEDS_RULES,
     .help = "absent: a call is not tried twice at one target"},
    {.name = "fallback",
     .type = FIELD_OBJECT,
     .fields = fallback_fields,
     .needs = NEEDS_RULES,
     .help = "after which failures the next target is tried; absent: after those that another "
             "target may not have"},
    {.name = "sticky",
     .type = FIELD_WORD,
     .words = sticky_words,
     .needs = NEEDS_RULES,
     .help = "what stays with one target and credential while they are well; absent: nothing"},
    {.name = "max_price",
     .type = FIELD_OBJECT,
     .fields = max_price_fields,
     .needs = NEEDS_RULES,
     .help = "targets that are dearer are left out"},
    {.name = "hedge_after_ms",
     .type = FIELD_INT,
     .min = 1,
     .max = 600000,
     .needs = NEEDS_RULES,
     .help = "a second target is tried beside the first, where that is silent for so long; absent: "
             "never"},
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
static void check_star(struct reading *r, struct slice model, const char *at)
{
    ptrdiff_t star = slice_find(model, '*');
    if (star >= 0 && !is_wildcard(r->name))
        reading_problem(r, at, "has a star, and the model's name has none");
    else if (star >= 0 && slice_find(slice_from(model, (size_t)star + 1), '*') >= 0)
        reading_problem(r, at, "must not have more than one star");
}

/* ---- models as targets ---- */

struct nesting {
    struct reading *r;
    unsigned looked_up;
    bool is_circle;
    bool is_deep; /* or too wide to be looked through */
};

/* The longest way down from these targets, in models. */
static unsigned depth_below(struct nesting *n, const json_t *targets, unsigned level);

static unsigned depth_of(struct nesting *n, const json_t *target, unsigned level)
{
    char id[ID_MAX] = "";
    JSON_AUTO json_t *spec = NULL;
    struct slice model = json_text(target, "model");
    const struct lookup *l = n->r->lookup;
    if (json_object_get(target, "provider") != NULL || n->is_circle)
        return 0;
    n->is_circle = n->r->id.len > 0 && slice_eq(model, n->r->id);
    n->is_deep = n->is_deep || level > LIMIT_MODEL_DEPTH || ++n->looked_up > LIMIT_MODEL_NESTED;
    if (n->is_circle || n->is_deep)
        return 1;
    enum err e = l->find(l->arg, "model", model, id, &spec);
    if (e != ERR_OK && e != ERR_NOT_FOUND && n->r->failed == ERR_OK)
        n->r->failed = e;
    return 1 + depth_below(n, json_object_get(spec, "targets"), level + 1);
}

static unsigned depth_below(struct nesting *n, const json_t *targets, unsigned level)
{
    unsigned deepest = 0;
    for (size_t i = 0; i < json_array_size(targets); i++) {
        unsigned depth = depth_of(n, json_array_get(targets, i), level);
        deepest = depth > deepest ? depth : deepest;
    }
    return deepest;
}

/* Writes are one after the other, so no circle is closed from two sides. */
static void check_nesting(struct reading *r, const json_t *targets)
{
    struct nesting n = {.r = r};
    unsigned below = depth_below(&n, targets, 1), above = 0;
    const struct lookup *l = r->lookup;
    if (below == 0 || r->failed != ERR_OK)
        return;
    if (l->height != NULL && r->id.len > 0) {
        enum err e = l->height(l->arg, "model", r->id, LIMIT_MODEL_DEPTH, &above);
        if (e != ERR_OK)
            r->failed = e;
    }
    if (n.is_circle)
        reading_problem(r, "/targets", "leads back to this model");
    else if (n.is_deep || above + 1 + below > LIMIT_MODEL_DEPTH)
        reading_problem(r, "/targets",
                        "leads through too many models: at most %d on one way, and %d in all",
                        LIMIT_MODEL_DEPTH, LIMIT_MODEL_NESTED);
}

/* Of a model that stands as a target only weight and condition are this target's own. */
static void check_nested(struct reading *r, const json_t *target, size_t i)
{
    static const char *const others[] = {"region", "capabilities", "context_tokens",
                                         "max_output_tokens", "shadow"};
    for (size_t k = 0; k < ARRAY_LEN(others); k++) {
        char at[FIELD_POINTER_MAX];
        snprintf(at, sizeof(at), "/targets/%zu/%s", i, others[k]);
        if (json_object_get(target, others[k]) != NULL)
            reading_problem(r, at, "only goes with a provider");
    }
}

/* In thousandths none at all would make it a target like any other. */
static void check_shadow(struct reading *r, const json_t *target, size_t i)
{
    const json_t *share = json_object_get(target, "shadow");
    char at[FIELD_POINTER_MAX];
    snprintf(at, sizeof(at), "/targets/%zu/shadow", i);
    if (share != NULL && json_number_value(share) < 0.001)
        reading_problem(r, at, "must be at least 0.001");
}

static void check_hours(struct reading *r, const json_t *target, size_t i)
{
    const json_t *hours = json_object_get(json_object_get(target, "when"), "hours");
    char at[FIELD_POINTER_MAX];
    snprintf(at, sizeof(at), "/targets/%zu/when/hours/to", i);
    if (hours != NULL && slice_eq(json_text(hours, "from"), json_text(hours, "to")))
        reading_problem(r, at, "must differ from `from`; without hours it is all day");
}

static void check(struct reading *r, const json_t *old, json_t *doc)
{
    const json_t *targets = json_object_get(doc, "targets");
    size_t shadows = 0;
    (void)old;
    noun_price_check(r, json_object_get(doc, "price"), "/price");
    for (size_t i = 0; i < json_array_size(targets); i++) {
        const json_t *target = json_array_get(targets, i);
        char at[FIELD_POINTER_MAX];
        snprintf(at, sizeof(at), "/targets/%zu/model", i);
        if (json_object_get(target, "provider") != NULL)
            check_star(r, json_text(target, "model"), at);
        else
            check_nested(r, target, i);
        check_hours(r, target, i);
        check_shadow(r, target, i);
        shadows += json_number_value(json_object_get(target, "shadow")) > 0;
    }
    if (shadows > 0 && shadows == json_array_size(targets))
        reading_problem(r, "/targets", "must have one that is no shadow");
    if (json_array_size(r->problems) == 0)
        check_nesting(r, targets);
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
