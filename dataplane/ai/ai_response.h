/*
 * ai_response — what the response of one target means: what the client gets of it, or how the
 * attempt failed, and what it cost either way.
 *
 * The functions say what happened and leave to ai_attempt what follows from it. A response that is
 * none is a failed attempt: an error in a 200, an empty or cut one, one in another form than was
 * requested. Streams are ai_stream's, from their head on.
 *
 * Threads  the request's loop.
 */
#pragma once

#include "dataplane/ai/ai_call.h"

enum ai_response_result {
    AI_RESPONSE_ON,      /* more of it is due */
    AI_RESPONSE_STREAM,  /* a stream was requested, and this is one: ai_stream_open */
    AI_RESPONSE_WHOLE,   /* c->answer is what the client gets */
    AI_RESPONSE_NO_PATH, /* the target has no such path, and is to be told in another way */
    AI_RESPONSE_FAILED,  /* c->failure says how */
};

/* The head came; it is not the 101 that a session begins with. */
MUST_USE enum ai_response_result ai_response_head(struct ai_call *c, const struct http_head *head);
/* GATHERING: a part of the body; its end, or as much of it as is waited for. */
MUST_USE enum ai_response_result ai_response_body(struct ai_call *c, struct slice data);
MUST_USE enum ai_response_result ai_response_end(struct ai_call *c);
/* There was no response, or it broke off before any of it had reached the client: c->failure. */
void ai_response_lost(struct ai_call *c, const struct exchange_failure *f);
/* A fault is injected: as if the target had said this status, and nothing else. c->failure. */
void ai_response_injected(struct ai_call *c, unsigned status);
/* A stream failed before any of it had reached the client, as c->failure says: what it cost. */
void ai_response_stream_failed(struct ai_call *c);

/* What the upstream said with an error status, for the client: c->answer. In the provider's own
 * words where it speaks the client's dialect, else in the dialect's. */
void ai_response_tell_error(struct ai_call *c);
/* No target counts the prompt, so this gate does: c->answer. */
MUST_USE enum err ai_response_estimate_count(struct ai_call *c);
/* The head of c->answer; returns how many. */
#define AI_RESPONSE_HEADERS (AI_PASS_HEADERS + 3)
size_t ai_response_headers(const struct ai_call *c, struct http_header *ret);
