/*
 * ai_usage — how many tokens a call took, as a provider reports it piece by piece, or as we count.
 *
 * Providers mean different things by one word (dialects.md 2.6). A report names some of the parts
 * below, and the last report wins for each. ai_usage_count makes token counts of them, in which
 *
 *   input  ≥ cache_read + cache_write      output ≥ reasoning
 *
 * hold whatever was reported: cached parts beyond the prompt are cut, and reasoning that the total
 * shows to stand outside of the output is added to it.
 *
 * Threads  any; pure.
 */
#pragma once

#include "common/base/json.h"
#include "common/base/money.h"

#define AI_UNSAID UINT64_MAX

struct ai_usage {
    uint64_t prompt; /* all of it, cached parts included */
    uint64_t fresh;  /* the part of it that is neither read from nor written to a cache */
    uint64_t cache_read, cache_write;
    uint64_t output;
    uint64_t reasoning;
    uint64_t total;
    uint64_t cache_write_long;           /* of cache_write: for an hour */
    uint64_t audio_input;                /* of the prompt */
    uint64_t audio_output, image_output; /* of the output */
};

#define AI_USAGE_NONE                                                                              \
    ((struct ai_usage){AI_UNSAID, AI_UNSAID, AI_UNSAID, AI_UNSAID, AI_UNSAID, AI_UNSAID,           \
                       AI_UNSAID, AI_UNSAID, AI_UNSAID, AI_UNSAID, AI_UNSAID})

/* A member that is a count of tokens, also where a language without integers wrote it: 1200.0.
 * AI_UNSAID for what none can be: absent, null, negative, a fraction, more than a call can take. */
uint64_t ai_usage_member(const json_t *object, const char *name);
/* The same of a number that json_form has matched. */
struct json_hit;
uint64_t ai_usage_hit(const struct json_hit *hit);

void ai_usage_merge(struct ai_usage *into, const struct ai_usage *report);

enum ai_counted {
    AI_COUNTED_NOTHING,
    AI_COUNTED_PROMPT, /* and no output was named, as where nothing is written */
    AI_COUNTED_ALL,
};
enum ai_counted ai_usage_count(const struct ai_usage *u, struct token_count *ret);

/* Tokens of a prompt that its provider did not count: the prompt's text held 2.1 bytes a token
 * where it was densest (dialects.md 4), so half its bytes errs on the dear side without being
 * absurd. */
uint64_t ai_usage_estimate_prompt(uint64_t bytes);

/* What a model has written so far, for the case that its provider does not count it: its text, its
 * reasoning, the arguments of its tool calls. A token of prose is about four bytes. */
struct ai_meter {
    uint64_t pieces; /* events of a stream that held text; each is one token at least */
    uint64_t bytes;  /* of the text as it stands, escapes and all */
};

void ai_meter_add(struct ai_meter *m, uint64_t bytes); /* one event's text */
uint64_t ai_meter_tokens(const struct ai_meter *m);
