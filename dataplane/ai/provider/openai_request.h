/*
 * openai_request — a conversation as services take it that speak OpenAI's chat completions
 * (dialects.md 2, from the other side).
 *
 * Threads  any; pure.
 */
#pragma once

#include "dataplane/ai/provider/openai_services.h"
#include "dataplane/ai/provider/provider.h"

/* Writes the body into o->translated and o->pieces. ERR_INVALID: ai_outgoing_refuse; ERR_NOMEM;
 * ERR_TOO_BIG. */
MUST_USE enum err openai_write_body(struct ai_outgoing *o, const struct openai_service *s);

/* OpenAI's names of functions are of 64 letters, digits, '_' and '-' at most. One that is not is
 * told by another, which is the same for the same name. */
#define OPENAI_NAME_MAX 64
struct slice openai_function_name(struct slice name, char out[static OPENAI_NAME_MAX]);
/* The name that the client knows the function by; `told` where no function of the chat is told so.
 */
struct slice openai_own_function_name(const struct ai_chat *chat, struct slice told);
