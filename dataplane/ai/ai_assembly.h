/*
 * ai_assembly — a whole response, gathered from a provider's events for a dialect to write.
 *
 * A choice is a list of blocks, in the order in which they were begun. Blocks of the same kind may
 * follow each other, where the provider told them apart by their numbers.
 *
 * Owns     the texts it gathers: together at most LIMIT_AI_ANSWER.
 * Fails    ERR_NOMEM; ERR_TOO_BIG; ERR_PROTOCOL: an event of the provider's error, or one that
 *          names a choice or a block beyond the ceilings below.
 * Threads  one at a time.
 */
#pragma once

#include "common/base/buf.h"
#include "dataplane/ai/dialect/dialect.h"

#define AI_ASSEMBLY_CHOICES 16
#define AI_ASSEMBLY_BLOCKS 1024 /* of one choice */

struct ai_block {
    enum ai_event_kind kind; /* AI_TEXT, AI_REASONING, AI_REFUSAL, AI_TOOL_START or AI_MEDIA */
    unsigned block;          /* the provider's number of it */
    struct buf text;         /* its words; of a tool call the arguments, which may be empty */
    struct buf id, name;     /* of a tool call */
    struct buf signature;
    struct buf redacted; /* reasoning that only its provider can read, in place of words */
};

struct ai_choice {
    bool seen;
    struct ai_block *blocks;
    size_t block_count, block_cap;
    enum ai_finish finish;
    struct buf stop; /* the stop sequence that it ended at; may be empty */
};

struct ai_chat;

struct ai_assembly {
    const struct ai_chat *asked; /* what it responds to; NULL where no dialect needs it */
    struct ai_context to;        /* set before it is written */
    struct buf id, model;
    struct ai_choice choices[AI_ASSEMBLY_CHOICES];
    struct ai_usage usage;
    bool ended;
    bool failed; /* the provider said an error */
    size_t bytes;
};

MUST_USE struct ai_assembly *ai_assembly_new(void);
void ai_assembly_free(struct ai_assembly *a);                       /* NULL is fine */
enum err ai_assembly_add(void *assembly, const struct ai_event *e); /* an ai_event_fn */
/* Every choice that was begun has its end. */
bool ai_assembly_is_whole(const struct ai_assembly *a);

/* The next block of a kind at or behind *at, which then is the one behind it; NULL: none. */
const struct ai_block *ai_choice_next(const struct ai_choice *c, enum ai_event_kind kind,
                                      size_t *at);
