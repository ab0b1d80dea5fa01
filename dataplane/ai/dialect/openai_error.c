/*
 * openai_error — the envelope, as a body and as an event of a stream.
 */
#include "dataplane/ai/dialect/openai_error.h"

#include "common/base/json_scan.h"

/* What OpenAI's SDKs show as `type` (dialects.md 1.8: the class follows the status). */
static struct slice type_of(unsigned status)
{
    switch (status) {
    case 401:
        return SLICE("authentication_error");
    case 403:
        return SLICE("permission_error");
    case 429:
        return SLICE("rate_limit_error");
    default:
        return status >= 500 ? SLICE("server_error") : SLICE("invalid_request_error");
    }
}

enum err openai_write_error_object(struct buf *out, const struct ai_error *e)
{
    struct slice type = e->type.len ? e->type : type_of(e->status);
    enum err err = buf_append(out, SLICE("{\"message\":"));
    if (!err)
        err = buf_json_string(out, e->message);
    if (!err)
        err = buf_append(out, SLICE(",\"type\":"));
    if (!err)
        err = buf_json_string(out, type);
    if (!err)
        err = buf_append(out, SLICE(",\"param\":"));
    if (!err)
        err = e->param.len ? buf_json_string(out, e->param) : buf_append(out, SLICE("null"));
    if (!err)
        err = buf_append(out, SLICE(",\"code\":"));
    if (!err)
        err = e->code.len ? buf_json_string(out, e->code) : buf_append(out, SLICE("null"));
    return err ? err : buf_append(out, SLICE("}"));
}

enum err openai_write_error(struct buf *out, const struct ai_error *e)
{
    enum err err = buf_append(out, SLICE("{\"error\":"));
    if (!err)
        err = openai_write_error_object(out, e);
    return err ? err : buf_append(out, SLICE("}"));
}

enum err openai_write_stream_error(struct buf *out, const struct ai_error *e)
{
    enum err err = buf_append(out, SLICE("data: "));
    if (!err)
        err = openai_write_error(out, e);
    return err ? err : buf_append(out, SLICE("\n\n"));
}

bool openai_is_error(struct slice body)
{
    static const char *const wants[] = {"error.message"};
    struct json_hit hit;
    struct json_scan_problem problem;
    enum json_type root;
    return !json_scan(body, wants, 1, &hit, &root, &problem) && hit.type == JSON_SCAN_STRING;
}
