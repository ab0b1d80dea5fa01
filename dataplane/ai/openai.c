/*
 * openai — the envelopes of OpenAI's dialect: refusals, errors inside a stream, a stream that we
 * end at its ceiling.
 */
#include "dataplane/ai/ai_private.h"

/* What OpenAI's SDKs show as `type` (dialects.md 1.8: the class follows the status). */
static struct slice type_of(const struct refusal *r)
{
    unsigned status = refusal_row(r->id)->status;
    switch (status) {
    case 401:
        return SLICE("authentication_error");
    case 403:
        return SLICE("permission_error");
    case 429:
        return r->id == REFUSAL_BUDGET ? SLICE("insufficient_quota") : SLICE("rate_limit_error");
    default:
        return status >= 500 ? SLICE("server_error") : SLICE("invalid_request_error");
    }
}

static enum err write_error(struct buf *out, struct slice message, struct slice type,
                            struct slice param, struct slice code)
{
    enum err e = buf_append(out, SLICE("{\"error\":{\"message\":"));
    if (!e)
        e = buf_json_string(out, message);
    if (!e)
        e = buf_append(out, SLICE(",\"type\":"));
    if (!e)
        e = buf_json_string(out, type);
    if (!e)
        e = buf_append(out, SLICE(",\"param\":"));
    if (!e)
        e = param.len ? buf_json_string(out, param) : buf_append(out, SLICE("null"));
    if (!e)
        e = buf_append(out, SLICE(",\"code\":"));
    if (!e)
        e = buf_json_string(out, code);
    return e ? e : buf_append(out, SLICE("}}"));
}

enum err openai_refusal_body(struct request *rq, struct buf *out, const char **content_type)
{
    const struct ai_work *w = rq->gate_state;
    const char *param = w ? w->request.param : NULL;
    *content_type = "application/json";
    return write_error(out, refusal_sentence(&rq->refusal, rq->arena), type_of(&rq->refusal),
                       slice_str(param), slice_str(refusal_row(rq->refusal.id)->code));
}

enum err openai_refusal_event(struct request *rq, struct buf *out)
{
    const char *type;
    enum err e = buf_append(out, SLICE("data: "));
    if (!e)
        e = openai_refusal_body(rq, out, &type);
    return e ? e : buf_append(out, SLICE("\n\n"));
}

static struct slice or_else(struct slice raw, struct slice other)
{
    return raw.len ? raw : other;
}

enum err openai_length_stop(struct ai_work *w, struct buf *out)
{
    struct slice id = or_else(w->chunk_id, SLICE("\"chatcmpl-ended\""));
    struct slice created = or_else(w->chunk_created, SLICE("0"));
    struct slice model = or_else(w->chunk_model, SLICE("\"\""));
    enum err e = buf_printf(out,
                            "data: {\"id\":%.*s,\"object\":\"chat.completion.chunk\","
                            "\"created\":%.*s,\"model\":%.*s,\"choices\":[{\"index\":0,"
                            "\"delta\":{},\"finish_reason\":\"length\"}]}\n\n",
                            SLICE_ARG(id), SLICE_ARG(created), SLICE_ARG(model));
    if (e || !w->request.wants_usage)
        return e;
    uint64_t prompt = usage_estimate_prompt(w->rq->body.len);
    uint64_t output = bill_output(w);
    return buf_printf(out,
                      "data: {\"id\":%.*s,\"object\":\"chat.completion.chunk\",\"created\":%.*s,"
                      "\"model\":%.*s,\"choices\":[],\"usage\":{\"prompt_tokens\":%llu,"
                      "\"completion_tokens\":%llu,\"total_tokens\":%llu}}\n\n",
                      SLICE_ARG(id), SLICE_ARG(created), SLICE_ARG(model),
                      (unsigned long long)prompt, (unsigned long long)output,
                      (unsigned long long)prompt + output);
}
