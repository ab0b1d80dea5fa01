/*
 * request — what the gates and the splice need to know of a body, found by one scan.
 *
 * Fails    ERR_INVALID with the refusal's detail: which member, and what is wrong with it.
 * Threads  any.
 */
#pragma once

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/json_scan.h"
#include "dataplane/ai/vocab.h"

#define AI_WANTS(X)                                                                                \
    X(MODEL, "model")                                                                              \
    X(STREAM, "stream")                                                                            \
    X(STREAM_OPTIONS, "stream_options")                                                            \
    X(INCLUDE_USAGE, "stream_options.include_usage")                                               \
    X(MAX_TOKENS, "max_tokens")                                                                    \
    X(MAX_COMPLETION_TOKENS, "max_completion_tokens")                                              \
    X(N, "n")                                                                                      \
    X(SESSION_ID, "metadata.session_id")                                                           \
    X(PROMPT_CACHE_KEY, "prompt_cache_key")                                                        \
    X(WEB_SEARCH, "web_search_options")                                                            \
    X(MESSAGES, "messages")                                                                        \
    X(INPUT, "input")                                                                              \
    X(TOOLS, "tools")

enum ai_want {
#define AI_WANT_ENUM(name, path) WANT_##name,
    AI_WANTS(AI_WANT_ENUM) WANT_COUNT
#undef AI_WANT_ENUM
};

struct ai_request {
    struct json_hit hits[WANT_COUNT];
    struct slice model; /* unescaped, in the arena */
    bool stream;
    bool wants_usage;        /* the client asked for the usage chunk itself */
    uint64_t choices;        /* n */
    uint64_t output_ceiling; /* max_completion_tokens or max_tokens; 0: none named */
    struct slice session_id, prompt_cache_key; /* SLICE_NONE: absent */
    bool hosted_tools; /* the provider works, and bills, on its own account */
    const char *param; /* the member a refusal is about; NULL: the body */
};

MUST_USE enum err ai_request_read(const struct ai_endpoint *e, struct slice body, struct arena *a,
                                  struct ai_request *ret, struct slice *detail);
/* The body as it goes upstream, in pieces: the target's model name in place, usage asked for in
 * streams; all else lies in the body as it came. What is new is the arena's. */
#define AI_REQUEST_PIECES 5
MUST_USE enum err ai_request_splice(const struct ai_request *r, struct slice body,
                                    struct slice model, struct arena *a,
                                    struct slice ret[static AI_REQUEST_PIECES]);
