/*
 * bedrock_request — a conversation as Bedrock's Converse takes it (dialects.md 1.6, 2).
 *
 * What the API has no word for and what may be left out is left out and named; what may not is
 * refused with the member that it is about.
 *
 * Threads  any; pure.
 */
#pragma once

#include "dataplane/ai/provider/provider.h"

/* Writes the body into o->translated and o->pieces. ERR_INVALID: ai_outgoing_refuse; ERR_NOMEM;
 * ERR_TOO_BIG. */
MUST_USE enum err bedrock_write_body(struct ai_outgoing *o);
