/*
 * event_out — an event of a stream whose data is one JSON object.
 *
 *     struct json_out o;
 *     event_out_begin(&o, "content_block_stop", out);
 *     json_out_u64(&o, "index", 0);
 *     return event_out_end(&o);
 *
 * Threads  one at a time.
 */
#pragma once

#include "common/base/json_out.h"

/* type: the event's name, and the first member of its object; NULL: it has neither. */
void event_out_begin(struct json_out *o, const char *type, struct buf *out);
MUST_USE enum err event_out_end(struct json_out *o);
