/*
 * ai_need — what a call needs of its target: how long its prompt is, and the capabilities that its
 * body asks for, whatever dialect it is in.
 *
 * The body is scanned once more for it, so it is looked for only where targets differ in it. A
 * member that no provider of the dialect would miss (an effort of "none", an empty list) asks for
 * nothing.
 *
 * Threads  the request's loop.
 */
#pragma once

#include "dataplane/ai/ai_call.h"
#include "dataplane/ai/route/route_need.h"

/* arg: the struct ai_call. Lent until the call ends; the same each time. */
const struct route_need *ai_need(void *arg);
/* The same of a prompt that was measured, and a body; output_ceiling and writes are the caller's.
 */
struct route_need ai_need_from(const struct ai_prompt *p, struct slice body);
/* Bits of enum model_capability that a body asks for by its members; media are not looked at. */
uint32_t ai_need_of_body(struct slice body);
