/*
 * openai_models — the list of models, as OpenAI gives it (dialects.md 1.3). It has no body to read
 * and nothing to relay.
 */
#include "dataplane/ai/dialect/openai_error.h"

static enum err write_model(struct buf *out, const struct ai_model_card *m)
{
    enum err e = buf_append(out, SLICE("{\"id\":"));
    if (!e)
        e = buf_json_string(out, m->name);
    return e ? e
             : buf_printf(out, ",\"object\":\"model\",\"created\":%lld,\"owned_by\":\"gatehouse\"}",
                          (long long)(m->created_at_us / 1000000));
}

static enum err write_models_end(struct buf *out, struct slice first, struct slice last)
{
    (void)first;
    (void)last;
    return buf_append(out, SLICE("]}"));
}

const struct ai_dialect dialect_openai_models = {
    .name = "openai_models",
    .write_error = openai_write_error,
    .write_stream_error = openai_write_stream_error,
    .is_error = openai_is_error,
    .models_begin = {"{\"object\":\"list\",\"data\":[", 25},
    .write_model = write_model,
    .write_models_end = write_models_end,
};
