/*
 * cohere_error — {"id","message"} (dialects.md 1.7).
 */
#include "dataplane/ai/dialect/cohere_error.h"

#include "common/base/json_out.h"
#include "common/base/json_scan.h"

/* The envelope has no place for the member that an error is about: the message names it. */
static void put_message(struct json_out *o, const struct ai_error *e)
{
    struct buf text;
    buf_init(&text, 4096);
    bool names = e->param.len && slice_search(e->message, e->param) < 0 &&
                 !buf_printf(&text, "%.*s: %.*s", SLICE_ARG(e->param), SLICE_ARG(e->message));
    json_out_text(o, "message", names ? buf_slice(&text) : e->message);
    buf_fini(&text);
}

enum err cohere_write_error(struct buf *out, const struct ai_error *e)
{
    struct json_out o = {.to = out};
    json_out_begin(&o, NULL, '{');
    if (e->request_id.len)
        json_out_text(&o, "id", e->request_id);
    put_message(&o, e);
    if (e->code.len)
        json_out_text(&o, "code", e->code);
    json_out_end(&o, '}');
    return o.e;
}

bool cohere_is_error(struct slice body)
{
    static const char *const wants[] = {"message", "finish_reason", "delta.error"};
    struct json_hit hits[ARRAY_LEN(wants)];
    struct json_scan_problem problem;
    enum json_type root;
    if (json_scan(body, wants, ARRAY_LEN(wants), hits, &root, &problem))
        return false;
    return (hits[0].type == JSON_SCAN_STRING && hits[1].type == JSON_SCAN_ABSENT) ||
           hits[2].type == JSON_SCAN_STRING; /* the last event of a stream */
}
