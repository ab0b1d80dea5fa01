/*
 * chat_tokens — how many tokens a request's prompt has by o200k, its text and tools; no media.
 *
 * Threads  any; pure.
 */
#pragma once

#include "dataplane/ai/ai_chat.h"

uint64_t chat_tokens(const struct ai_chat *c);
