/*
 * ai_frame — what a dialect wrote for words, to be written again around other ones.
 *
 * Most events of a stream add words to the block that is open, and what a dialect writes for them
 * differs in those words alone. A dialect that writes so says where they stand (ai_words_written),
 * and is not asked again until something else is to be written.
 *
 * Owns     nothing.
 * Threads  one at a time.
 */
#pragma once

#include "dataplane/ai/dialect/dialect.h"

#define AI_FRAME_MAX 448 /* bytes around the words; a chunk of OpenAI's has 200 */

struct ai_frame {
    size_t before, behind; /* bytes around the words, their quotes among them; 0: it is empty */
    enum ai_event_kind kind;
    unsigned choice, block;
    char text[AI_FRAME_MAX]; /* what stands before the words, then what stands behind */
};

/* out: what the dialect has written to, last for e. What was kept before is not kept any more. */
void ai_frame_keep(struct ai_frame *f, const struct ai_event *e, const struct ai_writer *w,
                   const struct buf *out);
/* Would the dialect write e as it wrote what is kept? */
bool ai_frame_fits(const struct ai_frame *f, const struct ai_event *e);
/* e fits. */
MUST_USE enum err ai_frame_write(const struct ai_frame *f, const struct ai_event *e,
                                 struct buf *out);
