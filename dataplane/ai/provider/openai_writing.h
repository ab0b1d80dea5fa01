/*
 * openai_writing — a body that is being written for a service of OpenAI's protocol: what its parts
 * share. Private to openai_request and openai_messages.
 *
 * Threads  one at a time.
 */
#pragma once

#include "common/base/json_out.h"
#include "dataplane/ai/provider/openai_names.h"
#include "dataplane/ai/provider/openai_services.h"
#include "dataplane/ai/provider/provider.h"

struct writing {
    struct ai_outgoing *o;
    const struct ai_chat *chat;
    const struct openai_service *service;
    const struct openai_model *rules; /* NULL: not a model of OpenAI's */
    struct json_out j;
    bool refused;
};

static inline bool takes(const struct writing *w, enum openai_takes what)
{
    return w->service->takes & what;
}

static inline void refuse(struct writing *w, const char *param, struct slice why)
{
    w->refused = ai_outgoing_refuse(w->o, param, why) == ERR_INVALID;
}

static inline void leave_out(const struct writing *w, const char *name)
{
    ai_outgoing_leave_out(w->o, name);
}

/* A function's name, as the service takes it. */
static inline void write_name(struct writing *w, const char *member, struct slice name)
{
    char text[OPENAI_NAME_MAX];
    json_out_text(&w->j, member, openai_function_name(name, text));
}

/* The mark of a text or a tool, where the service has one. */
void openai_write_mark(struct writing *w, enum ai_cache_mark mark);
void openai_write_messages(struct writing *w);
