/*
 * trace_context — the traceparent header of W3C Trace Context, level 2: read and written.
 *
 * Threads  any.
 */
#pragma once

#include "common/base/slice.h"

#define TRACE_HEADER_LEN 55

/* Reads `00-<32 hex>-<16 hex>-<2 hex>`; ERR_INVALID for any other form, or zero ids. Later
 * versions are read by the same first four fields, as the recommendation says. */
MUST_USE enum err trace_read(struct slice header, struct slice *trace_id, struct slice *parent_id);
/* A new random span id: 16 hex digits and a NUL. */
void trace_span_id(char out[static 17]);
/* What goes upstream on behalf of one span of this trace. */
struct slice trace_header(const char *trace_id, const char *span_id,
                          char out[static TRACE_HEADER_LEN + 1]);
