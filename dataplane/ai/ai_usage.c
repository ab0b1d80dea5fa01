/*
 * ai_usage — reports merged, and counted.
 */
#include "dataplane/ai/ai_usage.h"

#include "common/base/json_scan.h"
#include "common/base/limits.h"

#define PROMPT_BYTES 2 /* a token; the header says why they differ */
#define TEXT_BYTES 4

static void take(uint64_t *into, uint64_t said)
{
    if (said != AI_UNSAID)
        *into = said;
}

uint64_t ai_usage_member(const json_t *object, const char *name)
{
    const json_t *v = json_object_get(object, name);
    double n = json_number_value(v);
    bool counts = json_is_number(v) && n >= 0 && n <= (double)LIMIT_AI_TOKENS;
    return counts && n == (double)(uint64_t)n ? (uint64_t)n : AI_UNSAID;
}

uint64_t ai_usage_hit(const struct json_hit *hit)
{
    uint64_t n;
    return !json_scan_u64(hit, &n) && n <= LIMIT_AI_TOKENS ? n : AI_UNSAID;
}

void ai_usage_merge(struct ai_usage *into, const struct ai_usage *report)
{
    take(&into->prompt, report->prompt);
    take(&into->fresh, report->fresh);
    take(&into->cache_read, report->cache_read);
    take(&into->cache_write, report->cache_write);
    take(&into->cache_write_long, report->cache_write_long);
    take(&into->audio_input, report->audio_input);
    take(&into->audio_output, report->audio_output);
    take(&into->image_output, report->image_output);
    take(&into->output, report->output);
    take(&into->reasoning, report->reasoning);
    take(&into->total, report->total);
}

static uint64_t or_none(uint64_t n)
{
    return n == AI_UNSAID ? 0 : n;
}

static uint64_t at_most(uint64_t n, uint64_t max)
{
    return n < max ? n : max;
}

/* Some servers count reasoning beside the completion and only their total holds both; a reasoning
 * above the output cannot be a part of it either. */
static bool reasoning_stands_outside(const struct ai_usage *u, uint64_t input)
{
    if (u->reasoning == AI_UNSAID || u->reasoning == 0)
        return false;
    return u->reasoning > u->output || u->total == input + u->output + u->reasoning;
}

enum ai_counted ai_usage_count(const struct ai_usage *u, struct token_count *ret)
{
    *ret = (struct token_count){0};
    if (u->prompt == AI_UNSAID && u->fresh == AI_UNSAID)
        return AI_COUNTED_NOTHING;
    uint64_t read = or_none(u->cache_read), written = or_none(u->cache_write);
    uint64_t input = u->fresh != AI_UNSAID ? u->fresh + read + written : u->prompt;
    ret->input = input;
    ret->cache_read = at_most(read, input);
    ret->cache_write = at_most(written, input - ret->cache_read);
    ret->cache_write_long = at_most(or_none(u->cache_write_long), ret->cache_write);
    ret->audio_input = at_most(or_none(u->audio_input), input - ret->cache_read - ret->cache_write);
    if (u->output == AI_UNSAID)
        return AI_COUNTED_PROMPT;
    ret->output = u->output + (reasoning_stands_outside(u, input) ? u->reasoning : 0);
    ret->reasoning = or_none(u->reasoning);
    ret->audio_output = at_most(or_none(u->audio_output), ret->output);
    ret->image_output = at_most(or_none(u->image_output), ret->output - ret->audio_output);
    return AI_COUNTED_ALL;
}

uint64_t ai_usage_estimate_prompt(uint64_t bytes)
{
    return bytes / PROMPT_BYTES + 1;
}

void ai_meter_add(struct ai_meter *m, uint64_t bytes)
{
    m->pieces += bytes > 0;
    m->bytes += bytes;
}

uint64_t ai_meter_tokens(const struct ai_meter *m)
{
    uint64_t by_bytes = (m->bytes + TEXT_BYTES - 1) / TEXT_BYTES;
    return by_bytes > m->pieces ? by_bytes : m->pieces;
}
