/*
 * attempts_kit — a model with several targets, and what its calls' attempts came to.
 *
 * Fails    by cmocka.
 * Threads  one, as flow.h.
 */
#pragma once

#include "tests/kit/flow/flow.h"

#define CHAT "/v1/chat/completions"
#define HELLO "{\"model\":\"small\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}"
#define RESPONSE                                                                                   \
    "{\"choices\":[{\"message\":{\"content\":\"hi\"}}],"                                           \
    "\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5}}"
#define BROKEN "{\"error\":{\"message\":\"broken\"}}"

/* "small" of "alice", at so many of the first upstreams */
struct flow_policy attempts_policy(size_t targets);
/* alice says HELLO to it. */
struct flow_client *attempts_ask(struct flow *k);
/* The attempts of the next recorded call, the number of each one's provider, and its code where it
 * failed: "0:status_500 1". */
void expect_attempts(struct flow *k, const char *want);
