/*
 * openai_body — reads the bodies of OpenAI's dialects, changes a few members in place, and measures
 * the prompt.
 *
 * Threads  any; pure.
 */
#pragma once

#include "dataplane/ai/dialect/dialect.h"

#define OPENAI_CHAT_WANTS(X)                                                                       \
    X(MODEL, "model")                                                                              \
    X(STREAM, "stream")                                                                            \
    X(STREAM_OPTIONS, "stream_options")                                                            \
    X(INCLUDE_USAGE, "stream_options.include_usage")                                               \
    X(MAX_TOKENS, "max_tokens")                                                                    \
    X(MAX_COMPLETION_TOKENS, "max_completion_tokens")                                              \
    X(N, "n")                                                                                      \
    X(SESSION_ID, "metadata.session_id")                                                           \
    X(PROMPT_CACHE_KEY, "prompt_cache_key")                                                        \
    X(MESSAGES, "messages")                                                                        \
    X(INPUT, "input")                                                                              \
    X(TOOLS, "tools")

/* of embeddings alone */
#define OPENAI_EMBEDDING_WANTS(X)                                                                  \
    X(ENCODING_FORMAT, "encoding_format")                                                          \
    X(DIMENSIONS, "dimensions")                                                                    \
    X(USER, "user")

/* The places of ai_request.hits, for chat and for embeddings. */
enum openai_want {
#define OPENAI_WANT_ENUM(name, path) OPENAI_##name,
    OPENAI_CHAT_WANTS(OPENAI_WANT_ENUM) OPENAI_WANTS,
    OPENAI_BEFORE_EMBEDDINGS = OPENAI_WANTS - 1,
    OPENAI_EMBEDDING_WANTS(OPENAI_WANT_ENUM) OPENAI_ALL_WANTS
#undef OPENAI_WANT_ENUM
};

MUST_USE enum err openai_read_chat(const struct ai_incoming *in, struct ai_request *ret,
                                   struct slice *detail);
MUST_USE enum err openai_read_embeddings(const struct ai_incoming *in, struct ai_request *ret,
                                         struct slice *detail);
/* The model's name, usage requested in streams, and the output limit. */
MUST_USE enum err openai_splice(const struct ai_request *r, struct slice body,
                                const struct ai_changes *c, struct arena *a,
                                struct slice ret[static AI_REQUEST_PIECES]);

/* How large a prompt is, whatever way its JSON is spelt. body: was read by openai_read_chat or
 * openai_read_embeddings.
 *
 * Equal bodies measure equal: white space, escapes, the order of members and the spelling of
 * numbers make no difference; and as equal prompts do in other dialects (ai_chat_measure), without
 * being parsed. What has no place in the normal form counts as JSON. A text token is at least one
 * byte, so the measured text bounds the tokens of all that is text. Parts that are none (images,
 * audio, files) are counted by their kind and take no part in the text, however they travel; a
 * part, or a tool, of a kind that is not known cannot be bounded. */
void openai_measure(struct slice body, struct ai_prompt *ret);
