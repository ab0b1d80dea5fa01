/*
 * openai_parse — a body of OpenAI's chat completions in the normal form (dialects.md 1.1).
 *
 * Threads  any; pure.
 */
#pragma once

#include "dataplane/ai/dialect/dialect.h"

MUST_USE enum err openai_parse_chat(const struct ai_incoming *in, struct ai_chat *ret);
