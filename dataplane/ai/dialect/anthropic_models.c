/*
 * anthropic_models — the list of models as Anthropic gives it (dialects.md 1.4). It stands at the
 * same paths as OpenAI's; a client of Anthropic's says the version of the API.
 */
#include "common/base/clock.h"
#include "common/base/json_out.h"
#include "dataplane/ai/dialect/anthropic_error.h"

static void put_count(struct json_out *o, const char *name, uint64_t n)
{
    if (n)
        json_out_u64(o, name, n);
    else
        json_out_raw(o, name, SLICE("null"));
}

/* What this API says of a model and is not known here is null, as it is there. */
static enum err write_model(struct buf *out, const struct ai_model_card *m)
{
    static const char *const unknown[] = {"capabilities", "deprecated_at", "line", "retires_at"};
    char time[CLOCK_TEXT_MAX];
    struct json_out o = {.to = out};
    json_out_begin(&o, NULL, '{');
    json_out_text(&o, "type", SLICE("model"));
    json_out_text(&o, "id", m->name);
    json_out_text(&o, "display_name", m->name);
    json_out_text(&o, "created_at", clock_format(m->created_at_us, time));
    json_out_text(&o, "lifecycle", SLICE("active"));
    put_count(&o, "max_input_tokens", m->context);
    put_count(&o, "max_tokens", m->max_output);
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++)
        json_out_raw(&o, unknown[i], SLICE("null"));
    json_out_end(&o, '}');
    return o.e;
}

/* All of it is one page. */
static enum err write_models_end(struct buf *out, struct slice first, struct slice last)
{
    struct json_out o = {.to = out, .e = buf_append(out, SLICE("],")), .comma = false};
    json_out_bool(&o, "has_more", false);
    if (first.len) {
        json_out_text(&o, "first_id", first);
        json_out_text(&o, "last_id", last);
    } else {
        json_out_raw(&o, "first_id", SLICE("null"));
        json_out_raw(&o, "last_id", SLICE("null"));
    }
    json_out_end(&o, '}');
    return o.e;
}

const struct ai_dialect dialect_anthropic_models = {
    .name = "anthropic_models",
    .write_error = anthropic_write_error,
    .write_stream_error = anthropic_write_stream_error,
    .is_error = anthropic_is_error,
    .header_names = &anthropic_header_names,
    .models_begin = {"{\"data\":[", 9},
    .write_model = write_model,
    .write_models_end = write_models_end,
};
