/*
 * model_capability — what a model can do beyond text for text, by the words that the admin API
 * takes. A set of them is a uint32_t with bit n for capability n.
 *
 * Threads  any; constant.
 */
#pragma once

#include <stdint.h>

#define MODEL_CAPABILITY_TABLE(X)                                                                  \
    X(TOOLS, "tools")                   /* calls of functions */                                   \
    X(PARALLEL_TOOLS, "parallel_tools") /* several in one response */                              \
    X(VISION, "vision")                 /* images in the prompt */                                 \
    X(AUDIO, "audio")                   /* audio in the prompt */                                  \
    X(VIDEO, "video")                   /* video in the prompt */                                  \
    X(DOCUMENTS, "documents")           /* files in the prompt, as PDF */                          \
    X(AUDIO_OUTPUT, "audio_output")                                                                \
    X(IMAGE_OUTPUT, "image_output")                                                                \
    X(JSON_MODE, "json_mode")     /* responses that are JSON */                                    \
    X(JSON_SCHEMA, "json_schema") /* responses that follow a schema */                             \
    X(REASONING, "reasoning")                                                                      \
    X(PROMPT_CACHE, "prompt_cache")                                                                \
    X(WEB_SEARCH, "web_search")                                                                    \
    X(LOGPROBS, "logprobs")

enum model_capability {
#define CAPABILITY_ENUM(name, word) CAPABILITY_##name,
    MODEL_CAPABILITY_TABLE(CAPABILITY_ENUM)
#undef CAPABILITY_ENUM
        CAPABILITY_COUNT
};

#define CAPABILITY_BIT(c) (UINT32_C(1) << (c))
