/*
 * anthropic_error — Anthropic's error envelope, as a body and as an event of a stream.
 *
 * Threads  any; pure.
 */
#pragma once

#include "dataplane/ai/dialect/dialect.h"

MUST_USE enum err anthropic_write_error(struct buf *out, const struct ai_error *e);
MUST_USE enum err anthropic_write_stream_error(struct buf *out, const struct ai_error *e);
bool anthropic_is_error(struct slice body);

/* What this API calls headers that responses have. */
extern const struct header_names anthropic_header_names;
