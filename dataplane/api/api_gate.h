/*
 * api — the API gate: plain HTTPS calls of agents to the company's own services.
 *
 * `/api/{service}/…`: the service by name, the rest by method and path grant, the company's
 * credential injected, the client's never forwarded; bodies stream both ways.
 *
 * Threads  its worker's loop.
 */
#pragma once

#include "common/request/request.h"

extern const struct gate api_gate;

/* problem.c: a refusal as RFC 9457 has it */
enum err problem_body(struct request *rq, struct buf *out, const char **content_type);
