/*
 * json_lines — JSON values, one a line (NDJSON), cut out of a byte stream.
 *
 * Each line is given as an sse_event: `data` is the line without its end and the white space around
 * it. A blank line is given without data, so that all raw bytes together are what came in.
 *
 * Owns     nothing: a line that was cut lies in the caller's buffer, at most `max` bytes.
 * Fails    ERR_TOO_BIG, ERR_NOMEM.
 * Threads  one at a time.
 */
#pragma once

#include "common/net/sse.h"

/* As aws_event_next. */
MUST_USE enum err json_lines_next(struct buf *rest, size_t max, struct slice *bytes,
                                  struct sse_event *ret);
bool json_lines_is_begun(const struct buf *rest);
