/*
 * anthropic_models — what Claude models differ in (dialects.md 2.8).
 *
 * Threads  any; constant.
 */
#pragma once

#include "common/base/slice.h"

struct claude_model {
    struct slice name;   /* a part of the model's id; the first row that fits counts */
    unsigned max_output; /* tokens */
    bool sampling;       /* temperature, top_p and top_k are taken */
    bool adaptive;       /* thinking is adaptive, and effort says how much */
    bool budget;         /* thinking with a budget of tokens is taken */
    bool can_disable;    /* thinking can be switched off */
    bool forced_tool;    /* tool_choice may force a call */
    bool xhigh;          /* effort may be xhigh */
    bool structured;     /* output_config.format is taken */
    bool prefill;        /* the last message may be the assistant's */
};

/* Never NULL: a model that no row knows is taken for an old one. */
const struct claude_model *claude_model_of(struct slice id);
