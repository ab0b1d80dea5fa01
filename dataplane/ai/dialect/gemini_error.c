/*
 * gemini_error — the envelope of Google's APIs (google.rpc.Status).
 */
#include "dataplane/ai/dialect/gemini_error.h"

#include "common/base/json_out.h"
#include "common/base/json_scan.h"

static const char *status_word(unsigned status)
{
    static const struct {
        unsigned status;
        const char *word;
    } rows[] = {{400, "INVALID_ARGUMENT"}, {401, "UNAUTHENTICATED"},    {403, "PERMISSION_DENIED"},
                {404, "NOT_FOUND"},        {405, "UNIMPLEMENTED"},      {408, "DEADLINE_EXCEEDED"},
                {409, "ABORTED"},          {413, "INVALID_ARGUMENT"},   {415, "INVALID_ARGUMENT"},
                {422, "INVALID_ARGUMENT"}, {429, "RESOURCE_EXHAUSTED"}, {499, "CANCELLED"},
                {500, "INTERNAL"},         {501, "UNIMPLEMENTED"},      {502, "UNAVAILABLE"},
                {503, "UNAVAILABLE"},      {504, "DEADLINE_EXCEEDED"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].status == status)
            return rows[i].word;
    return status >= 500 ? "INTERNAL" : "FAILED_PRECONDITION";
}

/* Our own code is the reason of an ErrorInfo, which is where Google has such words. */
static void put_details(struct json_out *o, const struct ai_error *e)
{
    if (!e->code.len && !e->param.len)
        return;
    json_out_begin(o, "details", '[');
    if (e->code.len) {
        json_out_begin(o, NULL, '{');
        json_out_text(o, "@type", SLICE("type.googleapis.com/google.rpc.ErrorInfo"));
        json_out_text(o, "reason", e->code);
        json_out_text(o, "domain", SLICE("gatehouse"));
        json_out_end(o, '}');
    }
    if (e->param.len) {
        json_out_begin(o, NULL, '{');
        json_out_text(o, "@type", SLICE("type.googleapis.com/google.rpc.BadRequest"));
        json_out_begin(o, "fieldViolations", '[');
        json_out_begin(o, NULL, '{');
        json_out_text(o, "field", e->param);
        json_out_end(o, '}');
        json_out_end(o, ']');
        json_out_end(o, '}');
    }
    json_out_end(o, ']');
}

enum err gemini_write_error(struct buf *out, const struct ai_error *e)
{
    struct json_out o = {.to = out};
    json_out_begin(&o, NULL, '{');
    json_out_begin(&o, "error", '{');
    json_out_u64(&o, "code", e->status);
    json_out_text(&o, "message", e->message);
    json_out_text(&o, "status", slice_str(status_word(e->status)));
    put_details(&o, e);
    json_out_end(&o, '}');
    json_out_end(&o, '}');
    return o.e;
}

bool gemini_is_error(struct slice body)
{
    static const char *const wants[] = {"error.code", "error.message"};
    struct json_hit hits[2];
    struct json_scan_problem problem;
    enum json_type root;
    return !json_scan(body, wants, 2, hits, &root, &problem) && hits[0].type == JSON_SCAN_NUMBER &&
           hits[1].type == JSON_SCAN_STRING;
}
