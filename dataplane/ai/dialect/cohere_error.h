/*
 * cohere_error — errors as Cohere's API tells them.
 *
 * Threads  any; pure.
 */
#pragma once

#include "dataplane/ai/dialect/dialect.h"

enum err cohere_write_error(struct buf *out, const struct ai_error *e);
/* A whole body, or the last event of a stream. */
bool cohere_is_error(struct slice body);
