/*
 * gemini_body — what clients of Gemini's dialect send, read (dialects.md 1.5).
 *
 * Members are known by both of their spellings, "generationConfig" and "generation_config", as the
 * API itself knows them; a body that spells one member both ways is refused.
 *
 * Threads  any.
 */
#pragma once

#include "dataplane/ai/dialect/dialect.h"

enum err gemini_read_generate(const struct ai_incoming *in, struct ai_request *ret,
                              struct slice *detail);
enum err gemini_parse_generate(const struct ai_incoming *in, struct ai_chat *ret);
enum err gemini_splice_generate(const struct ai_request *r, struct slice body,
                                const struct ai_changes *c, struct arena *a,
                                struct slice ret[static AI_REQUEST_PIECES]);

/* countTokens: contents, or a whole request whose model is named in it once more, as the path names
 * it. */
enum err gemini_read_count(const struct ai_incoming *in, struct ai_request *ret,
                           struct slice *detail);
/* "models/x" or "x" in a member is the model of the path. */
bool gemini_is_same_model(const struct json_hit *h, struct slice name, struct arena *a);
enum err gemini_parse_count(const struct ai_incoming *in, struct ai_chat *ret);
enum err gemini_splice_count(const struct ai_request *r, struct slice body,
                             const struct ai_changes *c, struct arena *a,
                             struct slice ret[static AI_REQUEST_PIECES]);
