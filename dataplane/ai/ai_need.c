/*
 * ai_need — the members by which dialects ask for what not all models can. Their names do not
 * collide, so that one table serves all dialects.
 */
#include "dataplane/ai/ai_need.h"

#include "dataplane/ai/ai_cost.h"

enum want {
    TOOLS,
    FUNCTIONS,
    TOOL_CONFIG,
    FORMAT,
    TEXT_FORMAT,
    OUTPUT_FORMAT,
    OUTPUT_CONFIG,
    SCHEMA,
    JSON_SCHEMA,
    MIME,
    EFFORT,
    REASONING,
    THINKING,
    THINKING_CONFIG,
    AUDIO,
    LOGPROBS,
    WEB_SEARCH,
    WANTS
};

static const char *const wants[WANTS] = {
    [TOOLS] = "tools",
    [FUNCTIONS] = "functions",
    [TOOL_CONFIG] = "toolConfig.tools",            /* Converse */
    [FORMAT] = "response_format.type",             /* chat completions, Cohere */
    [TEXT_FORMAT] = "text.format.type",            /* responses */
    [OUTPUT_FORMAT] = "output_format.type",        /* messages, as they were first */
    [OUTPUT_CONFIG] = "output_config.format.type", /* messages */
    [SCHEMA] = "generationConfig.responseSchema",  /* Gemini */
    [JSON_SCHEMA] = "generationConfig.responseJsonSchema",
    [MIME] = "generationConfig.responseMimeType",
    [EFFORT] = "reasoning_effort",
    [REASONING] = "reasoning.effort",
    [THINKING] = "thinking.type",
    [THINKING_CONFIG] = "generationConfig.thinkingConfig",
    [AUDIO] = "audio",
    [LOGPROBS] = "logprobs",
    [WEB_SEARCH] = "web_search_options",
};

static bool is_text(const struct json_hit *h, const char *text)
{
    struct slice quoted = h->raw;
    return h->type == JSON_SCAN_STRING &&
           slice_eq(slice_of(quoted.ptr + 1, quoted.len - 2), slice_str(text));
}

static bool is_filled(const struct json_hit *h)
{
    struct json_hit item;
    struct slice rest = h->raw;
    return h->type == JSON_SCAN_ARRAY && json_scan_item(&rest, &item);
}

static bool is_there(const struct json_hit *h)
{
    return h->type == JSON_SCAN_OBJECT;
}

static bool is_effort(const struct json_hit *h)
{
    return h->type == JSON_SCAN_STRING && !is_text(h, "none");
}

static bool says_schema(const struct json_hit *h)
{
    return is_text(h, "json_schema");
}

uint32_t ai_need_of_body(struct slice body)
{
    struct json_hit at[WANTS];
    struct json_scan_problem problem;
    enum json_type root;
    uint32_t need = 0;
    if (json_scan(body, wants, WANTS, at, &root, &problem))
        return 0;
    if (is_filled(&at[TOOLS]) || is_filled(&at[FUNCTIONS]) || is_filled(&at[TOOL_CONFIG]))
        need |= CAPABILITY_BIT(CAPABILITY_TOOLS);
    if (says_schema(&at[FORMAT]) || says_schema(&at[TEXT_FORMAT]) ||
        says_schema(&at[OUTPUT_FORMAT]) || says_schema(&at[OUTPUT_CONFIG]) ||
        is_there(&at[SCHEMA]) || is_there(&at[JSON_SCHEMA]))
        need |= CAPABILITY_BIT(CAPABILITY_JSON_SCHEMA);
    else if (is_text(&at[FORMAT], "json_object") || is_text(&at[TEXT_FORMAT], "json_object") ||
             is_text(&at[MIME], "application/json"))
        need |= CAPABILITY_BIT(CAPABILITY_JSON_MODE);
    if (is_effort(&at[EFFORT]) || is_effort(&at[REASONING]) || is_text(&at[THINKING], "enabled") ||
        is_text(&at[THINKING], "adaptive") || is_there(&at[THINKING_CONFIG]))
        need |= CAPABILITY_BIT(CAPABILITY_REASONING);
    if (is_there(&at[AUDIO]))
        need |= CAPABILITY_BIT(CAPABILITY_AUDIO_OUTPUT);
    if (at[LOGPROBS].type == JSON_SCAN_TRUE || at[LOGPROBS].type == JSON_SCAN_NUMBER)
        need |= CAPABILITY_BIT(CAPABILITY_LOGPROBS);
    if (is_there(&at[WEB_SEARCH]))
        need |= CAPABILITY_BIT(CAPABILITY_WEB_SEARCH);
    return need;
}

static uint32_t need_of_media(const struct ai_prompt *p)
{
    return (p->images + p->images_low ? CAPABILITY_BIT(CAPABILITY_VISION) : 0) |
           (p->audio_bytes ? CAPABILITY_BIT(CAPABILITY_AUDIO) : 0) |
           (p->files ? CAPABILITY_BIT(CAPABILITY_DOCUMENTS) : 0);
}

struct route_need ai_need_from(const struct ai_prompt *p, struct slice body)
{
    return (struct route_need){.prompt = ai_cost_prompt_size(p),
                               .capabilities = need_of_media(p) | ai_need_of_body(body)};
}

const struct route_need *ai_need(void *arg)
{
    struct ai_call *c = arg;
    if (c->is_need_known)
        return &c->need;
    bool is_json = !c->request.is_form && c->endpoint->kind != AI_REALTIME;
    ai_cost_measure(c);
    c->is_need_known = true;
    c->need = ai_need_from(&c->request.prompt, is_json ? buf_slice(&c->rq->body) : SLICE_NONE);
    c->need.output_ceiling = c->request.output_ceiling * c->request.choices;
    c->need.writes = c->endpoint->kind != AI_EMBEDDINGS;
    return &c->need;
}
