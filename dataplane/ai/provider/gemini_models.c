/*
 * gemini_models — the table. A model that differs from its generation is a row here. Ids that no
 * row names are taken for the newest generation, as they are not known in advance.
 */
#include "dataplane/ai/provider/gemini_models.h"

#include "common/base/slice.h"

#define NAME(literal)                                                                              \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }
#define LEVEL GEMINI_THINKS_BY_LEVEL
#define BUDGET GEMINI_THINKS_BY_BUDGET
#define NOT GEMINI_THINKS_NOT
#define MINIMAL AI_EFFORT_MINIMAL
#define LOW AI_EFFORT_LOW

/*   name, thinking, least and largest budget, can disable, lowest, medium, signs, penalties,
 *   schema beside tools */
static const struct gemini_model models[] = {
    {NAME("gemini-1"), NOT, 0, 0, false, LOW, false, false, true, false},
    {NAME("gemini-2.0"), NOT, 0, 0, false, LOW, false, false, true, false},
    {NAME("gemini-2.5-flash-lite"), BUDGET, 512, 24576, true, LOW, false, false, false, false},
    {NAME("gemini-2.5-flash"), BUDGET, 1, 24576, true, LOW, false, false, false, false},
    {NAME("gemini-2.5"), BUDGET, 128, 32768, false, LOW, false, false, false, false},
    {NAME("gemini-3-pro"), LEVEL, 0, 0, false, LOW, false, true, true, true},
    {NAME("gemini-3.1-pro"), LEVEL, 0, 0, false, LOW, true, true, true, true},
    {NAME("gemma"), NOT, 0, 0, false, LOW, false, false, true, false},
    {NAME(""), LEVEL, 0, 0, false, MINIMAL, true, true, true, true},
};

const struct gemini_model *gemini_model_of(struct slice id)
{
    size_t i = 0;
    while (i + 1 < ARRAY_LEN(models) && slice_search(id, models[i].name) < 0)
        i++;
    return &models[i];
}

struct slice gemini_level(const struct gemini_model *m, enum ai_effort effort)
{
    if (effort < m->lowest)
        effort = m->lowest;
    if (effort == AI_EFFORT_MINIMAL)
        return SLICE("MINIMAL");
    if (effort == AI_EFFORT_LOW)
        return SLICE("LOW");
    return effort == AI_EFFORT_MEDIUM && m->medium ? SLICE("MEDIUM") : SLICE("HIGH");
}

/* As Google's own endpoint of OpenAI's dialect reads reasoning_effort. */
uint32_t gemini_budget(const struct gemini_model *m, enum ai_effort effort)
{
    static const uint32_t tokens[] = {
        [AI_EFFORT_UNSAID] = 0,    [AI_EFFORT_NONE] = 0,      [AI_EFFORT_MINIMAL] = 1024,
        [AI_EFFORT_LOW] = 1024,    [AI_EFFORT_MEDIUM] = 8192, [AI_EFFORT_HIGH] = 24576,
        [AI_EFFORT_XHIGH] = 32768, [AI_EFFORT_MAX] = 32768,
    };
    uint32_t n = tokens[effort];
    if (n == 0 && m->can_disable)
        return 0;
    if (n < m->budget_min)
        return m->budget_min;
    return n > m->budget_max ? m->budget_max : n;
}

enum ai_effort gemini_effort_of(uint64_t budget)
{
    if (budget <= 1024)
        return AI_EFFORT_LOW;
    return budget <= 8192 ? AI_EFFORT_MEDIUM : AI_EFFORT_HIGH;
}
