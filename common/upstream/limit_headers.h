/*
 * limit_headers — what a provider's response says of its own rate limits, and how long it asks to
 * wait, in the forms that providers have:
 *
 *   OpenAI, Groq, Cerebras   x-ratelimit-{limit,remaining,reset}-{requests,tokens}; "6ms", "1m30s"
 *   Azure                    the same, often without a reset; retry-after-ms, x-ms-retry-after-ms
 *   Anthropic                anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-
 *                            {limit,remaining,reset}; RFC 3339
 *   Mistral                  x-ratelimit-{limit,remaining}-{req,tokens}-minute,
 *                            x-ratelimitbysize-{limit,remaining}-minute, ratelimitbysize-…
 *   IETF's drafts            ratelimit-{limit,remaining,reset}; RateLimit: limit=…, remaining=…
 *   others                   x-ratelimit-{limit,remaining,reset}; seconds, or seconds since 1970
 *
 * OpenAI and Anthropic say when a limit is whole again, and refill it all the time until then; of
 * the others it is assumed that all of it comes back at that moment. Where several limits of tokens
 * are named, the one with the least left counts. What cannot be read counts as not said: a wait of
 * more than a day, above all.
 *
 * Threads  any; pure.
 */
#pragma once

#include "common/net/http1.h"

#define LIMIT_HEADERS_WAIT_MAX_US (UINT64_C(86400) * 1000000)

struct limit_left {
    bool is_said;    /* how much is left */
    bool is_gradual; /* it refills all the time; else all at once */
    uint64_t limit;  /* 0: not said */
    uint64_t remaining;
    uint64_t reset_us; /* from now, until it is whole; 0: not said */
};

struct limit_headers {
    struct limit_left requests, tokens;
    uint64_t retry_us; /* 0: it names no time */
};

/* Is it worth a reading? Most responses of most providers say nothing, and cost little so. */
bool limit_headers_are_there(const struct http_head *h);
/* wall_us: now, for times of day. false: nothing of it was said. */
bool limit_headers_read(const struct http_head *h, int64_t wall_us, struct limit_headers *ret);

/* A duration ("6ms", "1m30.5s", "2"), seconds since 1970, RFC 3339 or HTTP's date, as microseconds
 * from now on. ERR_INVALID: it is none of them, or more than a day. */
MUST_USE enum err limit_wait_read(struct slice text, int64_t wall_us, uint64_t *ret_us);
