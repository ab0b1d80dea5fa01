/*
 * openai_details — `reasoning_details`, in which OpenRouter tells reasoning that it wants back
 * unchanged (openrouter.ai/docs, "Reasoning Tokens"):
 *
 *   {"type": "reasoning.text" | "reasoning.summary" | "reasoning.encrypted",
 *    "text" | "summary" | "data": …, "signature": …, "id": …, "format": …, "index": …}
 *
 * No other dialect has places for all of it. A detail that its maker must have again passes as one
 * opaque seal: base64 of the detail itself, without the words, which dialects tell beside it.
 *
 * Threads  any; data.
 */
#pragma once

#include "common/base/json.h"
#include "dataplane/ai/ai_chat.h"

/* Its words, as readers may see them; may be empty. */
struct slice openai_detail_text(const json_t *detail);
/* What a model made that no reader can: a signature of the words, or data in their place. */
bool openai_detail_is_signed(const json_t *detail);
bool openai_detail_is_encrypted(const json_t *detail);

/* The arena's. */
MUST_USE enum err openai_detail_seal(const json_t *detail, struct arena *a, struct slice *ret);
/* The detail that was sealed so, with its words; the caller's. NULL where the part has no such
 * seal. ERR_NOMEM, or ERR_OK. */
MUST_USE enum err openai_detail_open(const struct ai_part *p, struct arena *a, json_t **ret);
