/*
 * anthropic_models — the table. A new model is a row here.
 */
#include "dataplane/ai/provider/anthropic_models.h"

#define NAME(literal)                                                                              \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }

/*   name, max output, sampling, adaptive, budget, disable, forced tool, xhigh, structured, prefill
 */
static const struct claude_model models[] = {
    {NAME("claude-sonnet-5-5"), 128000, false, true, false, false, false, true, true, false},
    {NAME("claude-opus-5-5"), 128000, false, true, false, false, false, true, true, false},
    {NAME("claude-haiku-5-5"), 128000, false, true, false, true, true, true, true, false},
    {NAME("claude-opus-5"), 128000, false, true, true, true, true, true, true, false},
    {NAME("claude-fable-5-2"), 128000, false, true, false, false, false, true, true, false},
    {NAME("claude-fable-5-1"), 128000, false, true, false, false, false, true, true, false},
    {NAME("claude-fable-5"), 128000, false, true, false, false, true, true, true, false},
    {NAME("opus-4-8"), 128000, false, true, true, true, true, true, true, false},
    {NAME("opus-4-7"), 128000, false, true, true, true, true, true, true, false},
    {NAME("sonnet-5"), 128000, false, true, true, true, true, true, true, false},
    {NAME("sonnet-4-6"), 128000, true, true, true, true, true, false, true, false},
    {NAME("opus-4-6"), 128000, true, true, true, true, true, false, true, false},
    {NAME("sonnet-4-5"), 64000, true, false, true, true, true, false, true, true},
    {NAME("opus-4-5"), 64000, true, false, true, true, true, false, true, true},
    {NAME("haiku-4-5"), 64000, true, false, true, true, true, false, true, true},
    {NAME("opus-4-1"), 32000, true, false, true, true, true, false, true, true},
    {NAME("opus-4"), 32000, true, false, true, true, true, false, false, true},
    {NAME("sonnet-4"), 64000, true, false, true, true, true, false, false, true},
    {NAME(""), 4096, true, false, false, true, true, false, false, true},
};

const struct claude_model *claude_model_of(struct slice id)
{
    size_t i = 0;
    while (i + 1 < ARRAY_LEN(models) && slice_search(id, models[i].name) < 0)
        i++;
    return &models[i];
}
