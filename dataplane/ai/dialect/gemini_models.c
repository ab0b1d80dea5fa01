/*
 * gemini_models — the lists of models as Google's clients read them.
 */
#include "common/base/json_out.h"
#include "dataplane/ai/dialect/gemini_error.h"

static enum err write_model(struct buf *out, const struct ai_model_card *m)
{
    static const char *const methods[] = {"generateContent", "countTokens"};
    struct json_out o = {.to = out};
    json_out_begin(&o, NULL, '{');
    json_out_text(&o, "name", SLICE("models/"));
    if (!o.e)
        o.e = buf_json_string_more(out, m->name);
    json_out_text(&o, "version", SLICE(""));
    json_out_text(&o, "displayName", m->name);
    if (m->context)
        json_out_u64(&o, "inputTokenLimit", m->context);
    if (m->max_output)
        json_out_u64(&o, "outputTokenLimit", m->max_output);
    json_out_begin(&o, "supportedGenerationMethods", '[');
    for (size_t i = 0; i < ARRAY_LEN(methods); i++)
        json_out_text(&o, NULL, slice_str(methods[i]));
    json_out_end(&o, ']');
    json_out_end(&o, '}');
    return o.e;
}

/* All of them are one page. */
static enum err write_models_end(struct buf *out, struct slice first, struct slice last)
{
    (void)first;
    (void)last;
    return buf_append(out, SLICE("]}"));
}

const struct ai_dialect dialect_gemini_models = {
    .name = "gemini_models",
    .write_error = gemini_write_error,
    .is_error = gemini_is_error,
    .models_begin = {"{\"models\":[", 11},
    .write_model = write_model,
    .write_models_end = write_models_end,
    .query_key = {"key", 3},
};
