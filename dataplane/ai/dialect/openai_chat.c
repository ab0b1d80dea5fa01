/*
 * openai_chat — OpenAI's chat completions, as clients speak it.
 */
#include "dataplane/ai/dialect/openai_body.h"
#include "dataplane/ai/dialect/openai_error.h"

static struct slice or_else(struct slice raw, struct slice other)
{
    return raw.len ? raw : other;
}

static enum err begin_chunk(const struct ai_writer *w, struct buf *out)
{
    struct slice id = or_else(w->id, SLICE("\"chatcmpl-ended\""));
    struct slice created = or_else(w->created, SLICE("0"));
    struct slice model = or_else(w->model, SLICE("\"\""));
    return buf_printf(out,
                      "data: {\"id\":%.*s,\"object\":\"chat.completion.chunk\",\"created\":%.*s,"
                      "\"model\":%.*s,\"choices\":[",
                      SLICE_ARG(id), SLICE_ARG(created), SLICE_ARG(model));
}

static bool has_ended(const struct ai_writer *w, uint64_t choice)
{
    return choice < 128 && (w->ended[choice / 64] >> (choice % 64) & 1);
}

static enum err write_usage(const struct ai_writer *w, const struct token_count *t, struct buf *out)
{
    enum err e = begin_chunk(w, out);
    return e ? e
             : buf_printf(out,
                          "],\"usage\":{\"prompt_tokens\":%llu,\"completion_tokens\":%llu,"
                          "\"total_tokens\":%llu}}\n\n",
                          (unsigned long long)t->input, (unsigned long long)t->output,
                          (unsigned long long)(t->input + t->output));
}

static enum err write_length_stop(const struct ai_writer *w, const struct token_count *so_far,
                                  struct buf *out)
{
    enum err e = begin_chunk(w, out);
    const char *comma = "";
    for (uint64_t i = 0; !e && i < w->choices; i++) {
        if (has_ended(w, i))
            continue;
        e = buf_printf(out, "%s{\"index\":%llu,\"delta\":{},\"finish_reason\":\"length\"}", comma,
                       (unsigned long long)i);
        comma = ",";
    }
    if (!e)
        e = buf_append(out, SLICE("]}\n\n"));
    return e || !w->wants_usage ? e : write_usage(w, so_far, out);
}

const struct ai_dialect dialect_openai_chat = {
    .name = "openai_chat",
    .read = openai_read_chat,
    .splice = openai_splice,
    .write_error = openai_write_error,
    .write_stream_error = openai_write_stream_error,
    .write_length_stop = write_length_stop,
    .stream_end = {"data: [DONE]\n\n", 14},
};
