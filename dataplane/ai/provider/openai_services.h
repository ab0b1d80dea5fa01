/*
 * openai_services — what services that speak OpenAI's protocol differ in, and what OpenAI's own
 * models do (dialects.md 1.7, 2.10).
 *
 * A service is found by the provider's `quirks`, else by its host; an unknown one is taken for a
 * server that knows what all of them know.
 *
 * Threads  any; constant.
 */
#pragma once

#include "common/policy/snapshot.h"

/* How it is told how much a model shall reason. */
enum openai_effort {
    EFFORT_NONE,    /* it is not */
    EFFORT_WORD,    /* reasoning_effort */
    EFFORT_OBJECT,  /* reasoning: {effort | max_tokens} */
    EFFORT_SWITCH,  /* thinking: {type: enabled | disabled} */
    EFFORT_TEMPLATE /* chat_template_kwargs: {enable_thinking}, beside reasoning_effort */
};

/* What it takes beyond messages, tools, a limit, temperature, top_p, stop and stream. */
enum openai_takes {
    TAKES_USAGE = 1 << 0,        /* stream_options.include_usage */
    TAKES_CHOICES = 1 << 1,      /* n */
    TAKES_PENALTIES = 1 << 2,    /* presence_penalty, frequency_penalty */
    TAKES_TOP_K = 1 << 3,        /* top_k */
    TAKES_SCHEMA = 1 << 4,       /* response_format json_schema */
    TAKES_OBJECT = 1 << 5,       /* response_format json_object */
    TAKES_PARALLEL = 1 << 6,     /* parallel_tool_calls */
    TAKES_USER = 1 << 7,         /* user */
    TAKES_TIER = 1 << 8,         /* service_tier */
    TAKES_VERBOSITY = 1 << 9,    /* verbosity */
    TAKES_AUDIO = 1 << 10,       /* parts input_audio */
    TAKES_VIDEO = 1 << 11,       /* parts video_url */
    TAKES_FILES = 1 << 12,       /* parts file */
    TAKES_ALLOWED = 1 << 13,     /* tool_choice allowed_tools */
    TAKES_STRICT = 1 << 14,      /* strict of a function */
    TAKES_REFUSAL = 1 << 15,     /* refusal of an assistant's message */
    TAKES_CACHE = 1 << 16,       /* cache_control of a part */
    TAKES_BREAKPOINTS = 1 << 22, /* prompt_cache_breakpoint of a part, with its newer models */
    TAKES_TOOL_NAME = 1 << 17,   /* name of a tool's message */
    TAKES_SHORT_IDS = 1 << 18,   /* ids of calls are nine letters and digits, and nothing else */
    TAKES_IMAGES = 1 << 19,      /* parts image_url */
    TAKES_DETAILS = 1 << 23,     /* reasoning_details of an assistant's message */
    TAKES_DEVELOPER = 1 << 21,   /* messages of the role developer */
    TAKES_RESPONSES = 1 << 20,   /* the path of responses, beside that of conversations */
};

struct openai_service {
    struct slice name, host; /* the word of `quirks`; the end of the host's name; either or both */
    unsigned takes;
    enum openai_effort effort;
    const char *limit_name;  /* of the output limit */
    const char *seed_name;   /* NULL: it takes none */
    const char *forced;      /* the word of tool_choice for any function */
    const char *replay_name; /* the member that reasoning is sent back as; NULL: it is not */
};

/* Never NULL. */
const struct openai_service *openai_service_of(const struct policy_provider *p);
extern const struct openai_service openai_service_azure, openai_service_mistral;

/* What OpenAI's models differ in. */
struct openai_model {
    struct slice name;         /* the beginning of the model's id; the first row that fits counts */
    bool reasons;              /* takes an effort */
    bool sampling;             /* takes temperature, top_p and penalties, also while it reasons */
    bool none, minimal, xhigh; /* words of the effort that it knows */
    bool stops;                /* takes stop */
    bool verbosity;            /* takes verbosity */
};

/* Never NULL: of a name that no row knows, as deployments have, nothing is held back. */
const struct openai_model *openai_model_of(struct slice id);
/* Are they what the service runs? */
bool openai_has_rules(const struct openai_service *s);
