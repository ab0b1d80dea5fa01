/*
 * event_out — lines around an object.
 */
#include "dataplane/ai/dialect/event_out.h"

static void put(struct json_out *o, struct slice text)
{
    if (!o->e)
        o->e = buf_append(o->to, text);
}

void event_out_begin(struct json_out *o, const char *type, struct buf *out)
{
    *o = (struct json_out){.to = out};
    if (type) {
        put(o, SLICE("event: "));
        put(o, slice_str(type));
        put(o, SLICE("\n"));
    }
    put(o, SLICE("data: "));
    json_out_begin(o, NULL, '{');
    if (type)
        json_out_text(o, "type", slice_str(type));
}

enum err event_out_end(struct json_out *o)
{
    json_out_end(o, '}');
    put(o, SLICE("\n\n"));
    return o->e;
}
