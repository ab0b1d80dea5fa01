/*
 * chat — /v1/chat/completions of the demo provider: plain, streamed, with tool calls.
 *
 * Threads  one.
 */
#pragma once

#include "deploy/demo/demo_provider/delivery.h"

void chat_handle(struct visit *v);
/* {"error":{…}} in OpenAI's form */
void chat_error(struct visit *v, unsigned status, const char *type, const char *message);
