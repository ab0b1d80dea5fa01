/*
 * gemini_models — what differs between Gemini models, as data.
 *
 * Threads  any; constant.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/slice.h"
#include "dataplane/ai/ai_chat.h"

enum gemini_thinking {
    GEMINI_THINKS_NOT,
    GEMINI_THINKS_BY_BUDGET, /* thinkingBudget, a number of tokens */
    GEMINI_THINKS_BY_LEVEL,  /* thinkingLevel, a word */
};

struct gemini_model {
    struct slice name; /* found anywhere in the model's id; the first row that fits is taken */
    enum gemini_thinking thinking;
    uint32_t budget_min, budget_max; /* of a budget other than 0 */
    bool can_disable;                /* takes a budget of 0 */
    enum ai_effort lowest;           /* of a level; it has no "none" */
    bool medium;                     /* has the level between low and high */
    bool signs;                      /* wants its signatures back with its function calls */
    bool penalties;                  /* takes presencePenalty and frequencyPenalty */
    bool schema_beside_tools;        /* writes by a schema where functions are declared too */
};

/* The last row fits every id. */
const struct gemini_model *gemini_model_of(struct slice id);
/* "MINIMAL" … "HIGH": the nearest that the model has. */
struct slice gemini_level(const struct gemini_model *m, enum ai_effort effort);
/* Tokens of thinking for an effort, within the model's bounds. */
uint32_t gemini_budget(const struct gemini_model *m, enum ai_effort effort);
/* A budget that another dialect named, as an effort. */
enum ai_effort gemini_effort_of(uint64_t budget);
