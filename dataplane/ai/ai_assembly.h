/*
 * ai_assembly — a whole response, gathered from a provider's events for a dialect to write.
 *
 * Owns     the texts it gathers: together at most LIMIT_AI_ANSWER.
 * Fails    ERR_NOMEM; ERR_TOO_BIG; ERR_PROTOCOL: an event of the provider's error, or one that
 *          names a choice or a tool call beyond the ceilings below.
 * Threads  one at a time.
 */
#pragma once

#include "common/base/buf.h"
#include "dataplane/ai/ai_event.h"

#define AI_ASSEMBLY_CHOICES 16
#define AI_ASSEMBLY_TOOLS 128 /* of one choice */

struct ai_tool {
    unsigned block;
    struct buf id, name, arguments;
};

struct ai_choice {
    bool seen;
    struct buf text, reasoning, refusal;
    struct buf signature; /* of the reasoning, by which its provider knows it again */
    struct buf redacted;  /* reasoning that only its provider can read */
    struct ai_tool *tools;
    size_t tool_count;
    enum ai_finish finish;
};

struct ai_assembly {
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
