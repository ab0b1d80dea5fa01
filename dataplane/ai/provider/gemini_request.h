/*
 * gemini_request — a request in the normal form as one to Gemini (dialects.md 2.1 to 2.3).
 *
 * What Gemini has no word for is left out and named in the notice, or refused where leaving it out
 * would change the meaning.
 *
 * Threads  any.
 */
#pragma once

#include "dataplane/ai/provider/provider.h"

/* What differs between the services that speak this protocol. */
struct gemini_service {
    bool call_ids; /* function calls and their responses carry ids */
};

/* o->translated is the body. ERR_INVALID: see ai_outgoing.why. */
MUST_USE enum err gemini_write_request(struct ai_outgoing *o, const struct gemini_service *s);
