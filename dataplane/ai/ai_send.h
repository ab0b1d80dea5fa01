/*
 * ai_send — starts the request to one target.
 *
 * Threads  the request's loop.
 */
#pragma once

#include "dataplane/ai/ai_call.h"

/* Uses c->provider, c->attempt and c->credential. */
MUST_USE enum err ai_send(struct ai_call *c, const struct candidate *target,
                          const struct http_call_events *events);
