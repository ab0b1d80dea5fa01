/*
 * generate — models/{model}:generateContent, :streamGenerateContent and :countTokens of the demo
 * provider: Gemini's dialect, plain, streamed as events, with function calls and thoughts. It
 * refuses what the real API refuses.
 *
 * Threads  one.
 */
#pragma once

#include "deploy/demo/serve.h"

/* Is the path one of a model's methods? */
bool generate_is(const struct visit *v);
void generate_handle(struct visit *v);
