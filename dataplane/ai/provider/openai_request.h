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
