/*
 * anthropic_request — a conversation as Anthropic's Messages API takes it (dialects.md 2).
 *
 * What the API has no word for and what may be left out is left out and named; what may not is
 * refused with the member that it is about. Other services that run Claude take the same body
 * without the model's name, or with a version in its place (anthropic_wrapping).
 *
 * anthropic_content writes the system prompt and the turns; the rest is anthropic_request's.
 *
 * Threads  any; pure.
 */
#pragma once

#include "common/base/json_out.h"
#include "dataplane/ai/provider/anthropic_models.h"
#include "dataplane/ai/provider/provider.h"

/* How the service wants the body that is not Anthropic's own. */
struct anthropic_wrapping {
    bool no_model;        /* the model stands in the path */
    bool no_stream;       /* and so does whether it streams */
    struct slice version; /* "anthropic_version"; empty: it is a header */
};

/* Writes the body into o->translated and o->pieces. ERR_INVALID: ai_outgoing_refuse; ERR_NOMEM;
 * ERR_TOO_BIG. */
MUST_USE enum err anthropic_write_body(struct ai_outgoing *o, const struct anthropic_wrapping *w);

/* ---- what the two files share ---- */

struct anthropic_writing {
    struct ai_outgoing *o;
    const struct ai_chat *chat;
    const struct claude_model *rules;
    struct json_out j;
    unsigned breakpoints; /* cache marks written */
    bool refused;
};

/* How much the model shall reason, in the words of its generation. */
enum anthropic_thinking {
    ANTHROPIC_UNSAID,
    ANTHROPIC_OFF,
    ANTHROPIC_ADAPTIVE,
    ANTHROPIC_BUDGET,
};

struct anthropic_plan {
    enum anthropic_thinking thinking;
    uint64_t budget;
    const char *effort; /* NULL: none is said */
};

struct anthropic_plan anthropic_plan_reasoning(struct anthropic_writing *w);
void anthropic_write_thinking(struct anthropic_writing *w, const struct anthropic_plan *p);
/* "output_config": the effort, and the schema of the output; or nothing. */
void anthropic_write_output_config(struct anthropic_writing *w, const struct anthropic_plan *p);
void anthropic_refuse(struct anthropic_writing *w, const char *param, struct slice why);
void anthropic_mark(struct anthropic_writing *w, enum ai_cache_mark mark);
/* "system"; with what the format adds to it, or nothing. */
void anthropic_write_system(struct anthropic_writing *w, struct slice more);
/* "messages" */
void anthropic_write_messages(struct anthropic_writing *w);
/* Has the history calls of tools in a turn without signed reasoning? */
bool anthropic_calls_unsigned(const struct ai_chat *chat);
