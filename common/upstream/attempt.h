/*
 * attempt — the record of one try at one upstream, as the trace of a call keeps it.
 *
 * An exchange fills it; the gate adds what only it knows (tokens, model).
 *
 * Threads  its call's loop.
 */
#pragma once

#include "common/base/money.h"
#include "common/base/slice.h"

/* How a call ended, or one attempt of it. */
enum request_outcome { OUTCOME_OK, OUTCOME_REFUSED, OUTCOME_ERROR, OUTCOME_CANCELLED };

/* Texts live in the call's arena, in the policy it holds, or are constant. */
struct attempt {
    struct slice provider, model, server, service;
    char span_id[17];
    int64_t started_at_us;
    uint64_t duration_us;
    uint64_t head_us;     /* from the request to the head of the response; 0: no head came */
    unsigned http_status; /* 0: no head came */
    enum request_outcome end;
    struct slice code;
    struct token_count tokens;
    struct slice upstream_request_id;
};
