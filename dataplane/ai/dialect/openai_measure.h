/*
 * openai_measure — how large a prompt is, whatever way its JSON is spelt.
 *
 * Equal bodies measure equal: white space, escapes, the order of members and the spelling of
 * numbers make no difference; and as equal prompts do in other dialects (ai_chat_measure), without
 * being parsed. What has no place in the normal form counts as JSON. A text token is at least one
 * byte, so the measured text bounds the tokens of all that is text. Parts that are none (images,
 * audio, files) are counted by their kind and take no part in the text, however they travel; a
 * part, or a tool, of a kind that is not known cannot be bounded.
 *
 * Threads  any; pure.
 */
#pragma once

#include "dataplane/ai/ai_request.h"

/* body: was read by openai_read_chat or openai_read_embeddings */
void openai_measure(struct slice body, struct ai_prompt *ret);
