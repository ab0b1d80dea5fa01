/*
 * bedrock_models — what the families of models behind Bedrock's Converse differ in
 * (dialects.md 1.6, 2.1).
 *
 * Threads  any; constant.
 */
#pragma once

#include "common/base/slice.h"

/* How a model is told how much to reason. */
enum bedrock_reasoning {
    BEDROCK_REASONING_NONE,
    BEDROCK_REASONING_CLAUDE, /* as Anthropic's own API: thinking, output_config */
    BEDROCK_REASONING_NOVA,   /* reasoningConfig */
    BEDROCK_REASONING_OSS,    /* reasoning_effort */
    BEDROCK_REASONING_EFFORT, /* reasoning.effort */
};

struct bedrock_model {
    struct slice name; /* a part of the model's id; the first row that fits counts */
    enum bedrock_reasoning reasoning;
    bool sampling;    /* temperature and topP are taken */
    bool stops;       /* stopSequences */
    bool top_k;       /* additionalModelRequestFields.top_k */
    bool cache;       /* cachePoint in messages and the system prompt, */
    bool tool_cache;  /* and among the tools */
    bool forced_tool; /* toolChoice may force a call */
    bool schema;      /* outputConfig.textFormat is taken */
};

/* Never NULL. */
const struct bedrock_model *bedrock_model_of(struct slice id);
