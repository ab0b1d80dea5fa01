/*
 * openai_error — the error envelope that all of OpenAI's dialects share (dialects.md 1.1).
 *
 * Threads  any; pure.
 */
#pragma once

#include "dataplane/ai/dialect/dialect.h"

/* What stands behind "error". */
MUST_USE enum err openai_write_error_object(struct buf *out, const struct ai_error *e);
MUST_USE enum err openai_write_error(struct buf *out, const struct ai_error *e);
MUST_USE enum err openai_write_stream_error(struct buf *out, const struct ai_error *e);
/* {"error": {"message": "…"}}, as OpenAI's SDKs read it. */
bool openai_is_error(struct slice body);
