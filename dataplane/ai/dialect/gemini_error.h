/*
 * gemini_error — errors as clients of Google's APIs read them: the status, its word, and our own
 * code as the reason of an ErrorInfo.
 *
 * Threads  any.
 */
#pragma once

#include "dataplane/ai/dialect/dialect.h"

enum err gemini_write_error(struct buf *out, const struct ai_error *e);
bool gemini_is_error(struct slice body);
