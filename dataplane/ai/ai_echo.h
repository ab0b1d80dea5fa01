/*
 * ai_echo — the credential of the attempt under way, where an upstream sends it back
 * (common/upstream/echo.h).
 *
 * Threads  the request's loop.
 */
#pragma once

#include "dataplane/ai/ai_call.h"

bool ai_echo_in(const struct ai_call *c, struct slice text);
/* Masks it and raises the alarm; false: it was not there. */
bool ai_echo_mask(struct ai_call *c, char *text, size_t len, const char *where);
void ai_echo_alarm(struct ai_call *c, const char *where);
