/*
 * openai_names — names of functions as services of OpenAI's protocol take them, and back.
 *
 * Threads  any; pure.
 */
#pragma once

#include "dataplane/ai/ai_chat.h"

/* OpenAI's names of functions are of 64 letters, digits, '_' and '-' at most. One that is not is
 * told by another, which is the same for the same name. */
#define OPENAI_NAME_MAX 64
struct slice openai_function_name(struct slice name, char out[static OPENAI_NAME_MAX]);
/* The name that the client knows the function by; `told` where no function of the chat is told so.
 */
struct slice openai_own_function_name(const struct ai_chat *chat, struct slice told);
/* Is it one already, whatever its length? */
bool openai_is_plain_name(struct slice name);
