/*
 * typed_event — an event of a stream whose JSON says its type once more, as Anthropic and Cohere
 * write them.
 *
 * Threads  any; pure.
 */
#pragma once

#include "common/base/json_out.h"

/* Members follow. */
static inline void typed_event_begin(struct json_out *o, const char *type)
{
    o->e = buf_printf(o->to, "event: %s\ndata: ", type);
    o->comma = false;
    json_out_begin(o, NULL, '{');
    json_out_text(o, "type", slice_str(type));
}

static inline enum err typed_event_end(struct json_out *o)
{
    json_out_end(o, '}');
    return o->e ? o->e : buf_append(o->to, SLICE("\n\n"));
}
