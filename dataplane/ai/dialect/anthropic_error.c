/*
 * anthropic_error — the envelope, as a body and as an event of a stream.
 */
#include "dataplane/ai/dialect/anthropic_error.h"

#include "common/base/json_scan.h"
#include "common/request/request.h"

/* dialects.md 1.4. A word of another dialect would be unknown to clients, which switch on it. */
static struct slice type_of(unsigned status)
{
    switch (status) {
    case 401:
        return SLICE("authentication_error");
    case 402:
        return SLICE("billing_error");
    case 403:
        return SLICE("permission_error");
    case 404:
        return SLICE("not_found_error");
    case 413:
        return SLICE("request_too_large");
    case 429:
        return SLICE("rate_limit_error");
    case 503:
    case 529:
        return SLICE("overloaded_error");
    case 504:
        return SLICE("timeout_error");
    default:
        return status >= 500 ? SLICE("api_error") : SLICE("invalid_request_error");
    }
}

/* The SDKs show `details.error_code` beside the type. */
static enum err write_details(struct buf *out, const struct ai_error *e)
{
    enum err err = buf_append(out, SLICE(",\"details\":{\"error_code\":"));
    if (!err)
        err = buf_json_string(out, e->code);
    if (!err && e->param.len)
        err = buf_append(out, SLICE(",\"param\":"));
    if (!err && e->param.len)
        err = buf_json_string(out, e->param);
    return err ? err : buf_append(out, SLICE("}"));
}

enum err anthropic_write_error(struct buf *out, const struct ai_error *e)
{
    enum err err = buf_append(out, SLICE("{\"type\":\"error\",\"error\":{\"type\":"));
    if (!err)
        err = buf_json_string(out, type_of(e->status));
    if (!err)
        err = buf_append(out, SLICE(",\"message\":"));
    if (!err)
        err = buf_json_string(out, e->message);
    if (!err && e->code.len)
        err = write_details(out, e);
    if (!err)
        err = buf_append(out, SLICE("}"));
    if (!err && e->request_id.len)
        err = buf_append(out, SLICE(",\"request_id\":"));
    if (!err && e->request_id.len)
        err = buf_json_string(out, e->request_id);
    return err ? err : buf_append(out, SLICE("}"));
}

enum err anthropic_write_stream_error(struct buf *out, const struct ai_error *e)
{
    enum err err = buf_append(out, SLICE("event: error\ndata: "));
    if (!err)
        err = anthropic_write_error(out, e);
    return err ? err : buf_append(out, SLICE("\n\n"));
}

bool anthropic_is_error(struct slice body)
{
    static const char *const wants[] = {"type", "error.type", "error.message"};
    struct json_hit hits[ARRAY_LEN(wants)];
    struct json_scan_problem problem;
    enum json_type root;
    return !json_scan(body, wants, ARRAY_LEN(wants), hits, &root, &problem) &&
           slice_eq(hits[0].raw, SLICE("\"error\"")) && hits[1].type == JSON_SCAN_STRING &&
           hits[2].type == JSON_SCAN_STRING;
}

const struct header_names anthropic_header_names = {
    .id = "request-id",
    .limit = "anthropic-ratelimit-requests-limit",
    .remaining = "anthropic-ratelimit-requests-remaining",
    .reset = "anthropic-ratelimit-requests-reset",
    .reset_is_time = true,
};
