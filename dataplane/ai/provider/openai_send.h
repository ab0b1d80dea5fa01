/*
 * openai_send — what requests to OpenAI's protocols have in common: where they go, their headers
 * and their credential, and what their errors say.
 *
 * Threads  any; pure.
 */
#pragma once

#include "dataplane/ai/provider/provider.h"

/* "/chat/completions" behind the target's base URL */
MUST_USE enum err openai_path(struct ai_outgoing *o, struct slice rest);
/* Headers and credential; `bare`: what the body is, and what it may be answered with, is said
 * already. */
MUST_USE enum err openai_sign(struct ai_outgoing *o);
MUST_USE enum err openai_sign_bare(struct ai_outgoing *o);
void openai_read_error(unsigned status, struct slice body, struct arena *a, struct ai_fault *ret);
