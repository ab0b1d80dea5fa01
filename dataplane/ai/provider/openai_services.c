/*
 * openai_services — the tables. A new service, or a new model, is a row here.
 */
#include "dataplane/ai/provider/openai_services.h"

#define NAME(literal)                                                                              \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }

/* What nearly every server takes. */
#define USUAL (TAKES_USAGE | TAKES_PENALTIES | TAKES_OBJECT | TAKES_IMAGES)
#define OPEN_WEIGHTS                                                                               \
    (USUAL | TAKES_CHOICES | TAKES_TOP_K | TAKES_SCHEMA | TAKES_PARALLEL | TAKES_USER | TAKES_VIDEO)
#define OPENAI                                                                                     \
    (USUAL | TAKES_CHOICES | TAKES_SCHEMA | TAKES_PARALLEL | TAKES_USER | TAKES_TIER |             \
     TAKES_VERBOSITY | TAKES_AUDIO | TAKES_FILES | TAKES_ALLOWED | TAKES_STRICT | TAKES_REFUSAL |  \
     TAKES_RESPONSES | TAKES_DEVELOPER)

#define OLD_LIMIT "max_tokens"
#define NEW_LIMIT "max_completion_tokens"

/*   quirks, host, what it takes, effort, limit, seed, forced tool, reasoning sent back as */
static const struct openai_service services[] = {
    {NAME(""), NAME("api.openai.com"), OPENAI | TAKES_BREAKPOINTS, EFFORT_WORD, NEW_LIMIT, "seed",
     "required", NULL},
    {NAME("cerebras"), NAME("api.cerebras.ai"),
     (USUAL & ~(unsigned)TAKES_PENALTIES) | TAKES_SCHEMA | TAKES_PARALLEL | TAKES_USER, EFFORT_WORD,
     NEW_LIMIT, "seed", "required", NULL},
    {NAME("deepinfra"), NAME("api.deepinfra.com"), OPEN_WEIGHTS, EFFORT_WORD, OLD_LIMIT, "seed",
     "required", NULL},
    {NAME("deepseek"), NAME("api.deepseek.com"), TAKES_USAGE | TAKES_PENALTIES | TAKES_OBJECT,
     EFFORT_SWITCH, OLD_LIMIT, NULL, "required", "reasoning_content"},
    {NAME("fireworks"), NAME("api.fireworks.ai"), OPEN_WEIGHTS, EFFORT_WORD, OLD_LIMIT, "seed",
     "required", "reasoning_content"},
    {NAME("groq"), NAME("api.groq.com"),
     TAKES_USAGE | TAKES_OBJECT | TAKES_SCHEMA | TAKES_PARALLEL | TAKES_USER | TAKES_IMAGES,
     EFFORT_WORD, NEW_LIMIT, "seed", "required", "reasoning"},
    {NAME("huggingface"), NAME("router.huggingface.co"), USUAL | TAKES_SCHEMA, EFFORT_NONE,
     OLD_LIMIT, "seed", "required", NULL},
    {NAME("litellm"), NAME("-"), OPENAI | TAKES_TOP_K | TAKES_CACHE, EFFORT_WORD, OLD_LIMIT, "seed",
     "required", "reasoning_content"},
    {NAME("llamacpp"), NAME("-"), USUAL | TAKES_CHOICES | TAKES_TOP_K | TAKES_SCHEMA | TAKES_AUDIO,
     EFFORT_TEMPLATE, OLD_LIMIT, "seed", "required", "reasoning_content"},
    {NAME("lmstudio"), NAME("-"), USUAL | TAKES_RESPONSES | TAKES_TOP_K | TAKES_SCHEMA, EFFORT_WORD,
     OLD_LIMIT, "seed", "required", NULL},
    {NAME("moonshot"), NAME("api.moonshot.ai"), USUAL | TAKES_CHOICES | TAKES_SCHEMA, EFFORT_SWITCH,
     OLD_LIMIT, NULL, "required", "reasoning_content"},
    {NAME("nvidia"), NAME("integrate.api.nvidia.com"), USUAL, EFFORT_NONE, OLD_LIMIT, "seed",
     "required", NULL},
    {NAME("openrouter"), NAME("openrouter.ai"),
     USUAL | TAKES_TOP_K | TAKES_SCHEMA | TAKES_PARALLEL | TAKES_USER | TAKES_VERBOSITY |
         TAKES_AUDIO | TAKES_VIDEO | TAKES_FILES | TAKES_CACHE | TAKES_DEVELOPER | TAKES_DETAILS,
     EFFORT_OBJECT, OLD_LIMIT, "seed", "required", "reasoning"},
    {NAME("perplexity"), NAME("api.perplexity.ai"),
     TAKES_PENALTIES | TAKES_TOP_K | TAKES_SCHEMA | TAKES_IMAGES, EFFORT_WORD, OLD_LIMIT, NULL,
     "required", NULL},
    {NAME("sambanova"), NAME("api.sambanova.ai"),
     TAKES_USAGE | TAKES_TOP_K | TAKES_OBJECT | TAKES_SCHEMA | TAKES_IMAGES, EFFORT_TEMPLATE,
     OLD_LIMIT, NULL, "required", NULL},
    {NAME("sglang"), NAME("-"), OPEN_WEIGHTS | TAKES_AUDIO, EFFORT_TEMPLATE, OLD_LIMIT, "seed",
     "required", "reasoning_content"},
    {NAME("together"), NAME("api.together.xyz"), OPEN_WEIGHTS, EFFORT_WORD, OLD_LIMIT, "seed",
     "required", NULL},
    {NAME("vllm"), NAME("-"), OPEN_WEIGHTS | TAKES_AUDIO | TAKES_RESPONSES, EFFORT_TEMPLATE,
     OLD_LIMIT, "seed", "required", "reasoning_content"},
    {NAME("xai"), NAME("api.x.ai"),
     USUAL | TAKES_CHOICES | TAKES_SCHEMA | TAKES_PARALLEL | TAKES_USER | TAKES_RESPONSES,
     EFFORT_WORD, NEW_LIMIT, "seed", "required", NULL},
    /* any other */
    {NAME(""), NAME(""),
     OPEN_WEIGHTS | TAKES_AUDIO | TAKES_FILES | TAKES_STRICT | TAKES_RESPONSES | TAKES_DEVELOPER,
     EFFORT_WORD, OLD_LIMIT, "seed", "required", NULL},
};

const struct openai_service openai_service_azure = {
    NAME("azure"), NAME(""), OPENAI, EFFORT_WORD, NEW_LIMIT, "seed", "required", NULL};

const struct openai_service openai_service_mistral = {
    NAME("mistral"),
    NAME(""),
    TAKES_CHOICES | TAKES_PENALTIES | TAKES_SCHEMA | TAKES_OBJECT | TAKES_PARALLEL | TAKES_AUDIO |
        TAKES_TOOL_NAME | TAKES_SHORT_IDS | TAKES_IMAGES | TAKES_STRICT,
    EFFORT_NONE,
    OLD_LIMIT,
    "random_seed",
    "any",
    NULL};

const struct openai_service *openai_service_of(const struct policy_provider *p)
{
    size_t i = 0;
    for (; i + 1 < ARRAY_LEN(services); i++) {
        const struct openai_service *s = &services[i];
        if (p->quirks.len ? slice_eq(s->name, p->quirks) : slice_ends(p->url.host, s->host))
            break;
    }
    return &services[i];
}

/*   name, reasons, sampling, none, minimal, xhigh, stops, verbosity */
static const struct openai_model models[] = {
    {NAME("gpt-3"), false, true, false, false, false, true, false},
    {NAME("gpt-4"), false, true, false, false, false, true, false},
    {NAME("chatgpt-"), false, true, false, false, false, true, false},
    {NAME("gpt-5-chat"), false, true, false, false, false, true, false},
    {NAME("gpt-oss"), true, true, false, false, false, true, false},
    {NAME("gpt-5.1-codex-max"), true, false, true, false, true, false, true},
    {NAME("gpt-5.1"), true, false, true, false, false, false, true},
    {NAME("gpt-5-codex"), true, false, false, false, false, false, true},
    {NAME("gpt-5-"), true, false, false, true, false, false, true},
    {NAME("gpt-5."), true, false, true, false, true, false, true},
    {NAME("gpt-5"), true, false, false, true, false, false, true},
    {NAME("gpt-"), true, false, true, false, true, false, true},
    {NAME("o1"), true, false, false, false, false, false, false},
    {NAME("o3"), true, false, false, false, false, false, false},
    {NAME("o4"), true, false, false, false, false, false, false},
    {NAME(""), true, true, true, true, true, true, true},
};

const struct openai_model *openai_model_of(struct slice id)
{
    size_t i = 0;
    if (slice_starts(id, SLICE("ft:"))) /* of one that was trained on */
        id = slice_from(id, 3);
    while (i + 1 < ARRAY_LEN(models) && !slice_starts(id, models[i].name))
        i++;
    return &models[i];
}

bool openai_has_rules(const struct openai_service *s)
{
    return s == &services[0] || s == &openai_service_azure;
}
