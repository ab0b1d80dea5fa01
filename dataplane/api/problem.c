/* problem — a refusal as application/problem+json (RFC 9457). */
#include "dataplane/api/api_gate.h"

static enum err member(struct buf *out, const char *name, struct slice value, bool first)
{
    enum err e = buf_printf(out, "%s\"%s\":", first ? "{" : ",", name);
    return e == ERR_OK ? buf_json_string(out, value) : e;
}

enum err problem_body(struct request *rq, struct buf *out, const char **content_type)
{
    const struct refusal_row *row = refusal_row(rq->refusal.id);
    *content_type = "application/problem+json";
    enum err e = member(out, "type", SLICE("about:blank"), true);
    if (e == ERR_OK)
        e = member(out, "title", slice_str(http1_reason(row->status)), false);
    if (e == ERR_OK)
        e = buf_printf(out, ",\"status\":%u", row->status);
    if (e == ERR_OK)
        e = member(out, "detail", refusal_sentence(&rq->refusal, rq->arena), false);
    if (e == ERR_OK)
        e = member(out, "code", slice_str(row->code), false);
    if (e == ERR_OK)
        e = member(out, "instance", slice_str(rq->request_id), false);
    return e == ERR_OK ? buf_append(out, SLICE("}")) : e;
}
