/*
 * bedrock_models — the table. A new family is a row here.
 */
#include "dataplane/ai/provider/bedrock_models.h"

#define NAME(literal)                                                                              \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }

/*   name, reasoning, sampling, stops, top_k, cache, tool cache, forced tool, schema
 * Of Claude, sampling, forced calls and schemas follow the model: see anthropic_models. */
static const struct bedrock_model models[] = {
    {NAME("claude"), BEDROCK_REASONING_CLAUDE, true, true, true, true, true, true, true},
    {NAME("amazon.nova-2"), BEDROCK_REASONING_NOVA, true, true, false, true, false, true, true},
    {NAME("amazon.nova"), BEDROCK_REASONING_NONE, true, true, false, true, false, true, true},
    {NAME("openai.gpt-oss"), BEDROCK_REASONING_OSS, false, false, false, false, false, true, true},
    {NAME("openai.gpt"), BEDROCK_REASONING_EFFORT, false, false, false, false, false, true, true},
    {NAME(""), BEDROCK_REASONING_NONE, true, true, false, false, false, true, true},
};

const struct bedrock_model *bedrock_model_of(struct slice id)
{
    size_t i = 0;
    while (i + 1 < ARRAY_LEN(models) && slice_search(id, models[i].name) < 0)
        i++;
    return &models[i];
}
