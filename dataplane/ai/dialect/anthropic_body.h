/*
 * anthropic_body — the body of Anthropic's Messages API: what the gate reads of it by one scan, the
 * splice, and all of it as ai_chat (dialects.md 1.4).
 *
 * Threads  any; pure.
 */
#pragma once

#include "dataplane/ai/ai_chat.h"
#include "dataplane/ai/dialect/dialect.h"

/* The places of ai_request.hits. */
#define ANTHROPIC_BODY_WANTS(X)                                                                    \
    X(MODEL, "model")                                                                              \
    X(STREAM, "stream")                                                                            \
    X(MAX_TOKENS, "max_tokens")                                                                    \
    X(MESSAGES, "messages")                                                                        \
    X(TOOLS, "tools")                                                                              \
    X(USER_ID, "metadata.user_id")

enum anthropic_want {
#define ANTHROPIC_WANT_ENUM(name, path) ANTHROPIC_##name,
    ANTHROPIC_BODY_WANTS(ANTHROPIC_WANT_ENUM) ANTHROPIC_WANTS
#undef ANTHROPIC_WANT_ENUM
};

MUST_USE enum err anthropic_read_messages(const struct ai_incoming *in, struct ai_request *ret,
                                          struct slice *detail);
/* The same without max_tokens. */
MUST_USE enum err anthropic_read_count(const struct ai_incoming *in, struct ai_request *ret,
                                       struct slice *detail);
/* The model's name; and thinking that another account has signed, or none, is taken out. The output
 * limit always stands in the body. */
MUST_USE enum err anthropic_splice(const struct ai_request *r, struct slice body,
                                   const struct ai_changes *c, struct arena *a,
                                   struct slice ret[static AI_REQUEST_PIECES]);
MUST_USE enum err anthropic_parse(const struct ai_incoming *in, struct ai_chat *ret);

/* The session that Claude Code writes into metadata.user_id: "user_…_session_UUID", or JSON with
 * session_id. SLICE_NONE: it names none. */
struct slice anthropic_session_of(struct slice user_id, struct arena *a);
