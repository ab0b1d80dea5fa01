/*
 * openai_responses_body — reads a body of /v1/responses, and changes it for a target that speaks
 * the same.
 *
 * Ids and encrypted contents carry marks (ai_mark.h) on the client's side and none on the
 * provider's. `read` says which account they bind the call to; `unmark` takes the marks off for one
 * target, leaves out the encrypted contents of other accounts with their items, and refuses ids
 * that were not given to this owner.
 *
 * Threads  any; pure.
 */
#pragma once

#include "dataplane/ai/ai_chat.h"
#include "dataplane/ai/ai_mark.h"
#include "dataplane/ai/dialect/dialect.h"

#define OPENAI_RESPONSES_WANTS(X)                                                                  \
    X(MODEL, "model")                                                                              \
    X(STREAM, "stream")                                                                            \
    X(MAX_OUTPUT_TOKENS, "max_output_tokens")                                                      \
    X(INPUT, "input")                                                                              \
    X(INSTRUCTIONS, "instructions")                                                                \
    X(TOOLS, "tools")                                                                              \
    X(TOOL_CHOICE, "tool_choice")                                                                  \
    X(PARALLEL, "parallel_tool_calls")                                                             \
    X(TEMPERATURE, "temperature")                                                                  \
    X(TOP_P, "top_p")                                                                              \
    X(TEXT, "text")                                                                                \
    X(REASONING, "reasoning")                                                                      \
    X(PREVIOUS, "previous_response_id")                                                            \
    X(CONVERSATION, "conversation")                                                                \
    X(CONVERSATION_ID, "conversation.id")                                                          \
    X(STORE, "store")                                                                              \
    X(BACKGROUND, "background")                                                                    \
    X(PROMPT, "prompt")                                                                            \
    X(METADATA, "metadata")                                                                        \
    X(SESSION_ID, "metadata.session_id")                                                           \
    X(PROMPT_CACHE_KEY, "prompt_cache_key")

/* The places of ai_request.hits. */
enum openai_responses_want {
#define RESPONSES_WANT_ENUM(name, path) RESPONSES_##name,
    OPENAI_RESPONSES_WANTS(RESPONSES_WANT_ENUM) RESPONSES_WANTS
#undef RESPONSES_WANT_ENUM
};

MUST_USE enum err openai_responses_read(const struct ai_incoming *in, struct ai_request *ret,
                                        struct slice *detail);
MUST_USE enum err openai_responses_parse(const struct ai_incoming *in, struct ai_chat *ret);
MUST_USE enum err openai_responses_splice(const struct ai_request *r, struct slice body,
                                          const struct ai_changes *c, struct arena *a,
                                          struct slice ret[static AI_REQUEST_PIECES]);
MUST_USE enum err openai_responses_write_stream_error(struct buf *out, const struct ai_error *e);
