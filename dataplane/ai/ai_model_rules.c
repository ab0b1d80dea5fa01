/*
 * ai_model_rules — rows are searched from the first; a name that holds the row's text fits.
 */
#include "dataplane/ai/ai_model_rules.h"

#define NAME(literal)                                                                              \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }

/* Providers' own tables of October 2026: tiles of 512 pixels at most eight, or patches of 32. */
static const struct {
    struct slice model;
    uint64_t low, high;
} images[] = {
    {NAME("gpt-4o-mini"), 2833, 48169},
    {NAME("gpt-4.1-nano"), 3780, 3780},
    {NAME("gpt-4.1-mini"), 2643, 2643},
    {NAME("gpt-5-nano"), 3780, 3780},
    {NAME("gpt-5-mini"), 2643, 2643},
    {NAME("o4-mini"), 2643, 2643},
    {NAME("gpt-4o"), 85, 1445},
    {NAME("gpt-4.1"), 85, 1445},
    {NAME("gpt-4"), 85, 1445},
    {NAME("o1"), 75, 1275},
    {NAME("o3"), 75, 1275},
    {NAME("gpt-5"), 12000, 12000}, /* detail "original" */
    {NAME("claude"), 5000, 5000},
    {NAME("gemini"), 8000, 8000},
    {NAME("mistral"), 4096, 4096},
    {NAME("pixtral"), 4096, 4096},
    {NAME(""), 16384, 16384},
};

static const struct {
    struct slice model;
    uint64_t tokens;
} outputs[] = {
    {NAME("gpt-3.5"), 4096},     {NAME("gpt-4o"), 16384},  {NAME("gpt-4.1"), 32768},
    {NAME("gpt-4-turbo"), 4096}, {NAME("gpt-4"), 8192},    {NAME("gpt-5"), 128000},
    {NAME("o1"), 100000},        {NAME("o3"), 100000},     {NAME("o4"), 100000},
    {NAME("claude-3"), 4096},    {NAME("claude"), 128000}, {NAME("gemini"), 65536},
};

uint64_t ai_model_image_tokens(struct slice model, bool low)
{
    size_t i = 0;
    while (i + 1 < ARRAY_LEN(images) && slice_search(model, images[i].model) < 0)
        i++;
    return low ? images[i].low : images[i].high;
}

uint64_t ai_model_max_output(struct slice model)
{
    for (size_t i = 0; i < ARRAY_LEN(outputs); i++)
        if (slice_search(model, outputs[i].model) >= 0)
            return outputs[i].tokens;
    return 0;
}
