/*
 * ai_likeness — the last event of a stream that only said words. Most events differ from it in
 * those alone, so what it said need not be read out of each of them again.
 *
 * Words that hold no quote, no backslash and no control byte begin and end neither a member of a
 * JSON object nor a line of an event. So two events that are equal around such words say the same
 * but for the words. (Of an event whose data is no JSON at all this need not hold; such words are
 * counted, and otherwise it is passed on like any other.)
 *
 * Of a stream that is decoded, an event is remembered that was decoded to words and to nothing
 * else. What a decoder keeps of such an event does not change where the next says other words of
 * the same block, so the next one need not be shown to it.
 *
 * Owns     nothing.
 * Threads  one at a time.
 */
#pragma once

#include "common/net/sse.h"
#include "dataplane/ai/provider/provider.h"

#define AI_LIKENESS_MAX 512 /* bytes around the words; a chunk of OpenAI's has 200 */

struct ai_likeness {
    size_t before, behind; /* bytes around the words; before 0: nothing is remembered */
    size_t unasked_from_end, unasked_len; /* of the event; len 0: it holds nothing unasked */
    /* What it was decoded to; zero where it was glanced at. */
    enum ai_event_kind kind;
    unsigned choice, block;
    char text[AI_LIKENESS_MAX]; /* what stands before the words, then what stands behind */
};

/* An event that is like the remembered one. */
struct ai_alike {
    size_t len;           /* of the event; 0: it is not like it, or not all there */
    struct slice words;   /* UTF-8 */
    bool plain;           /* each of them stands for itself in JSON that we write (escape.h) */
    struct slice unasked; /* as in ai_glance */
};

/* g: what the provider sees in e; said: what e was decoded to, NULL where it was not. An event that
 * says more than words is not remembered, nor is what was before; what was before stays behind
 * words with escapes. */
void ai_likeness_remember(struct ai_likeness *l, const struct sse_event *e,
                          const struct ai_glance *g, const struct ai_event *said);
/* bytes: from the beginning of an event on. */
struct ai_alike ai_likeness_match(const struct ai_likeness *l, struct slice bytes);
