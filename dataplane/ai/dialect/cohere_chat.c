/*
 * cohere_chat — Cohere's chat, version 2, as its clients speak it (dialects.md 1.7).
 *
 * Blocks of content and calls of tools have numbers of their own, each from 0. Why the model
 * stopped and the usage are one event, the last; an error in a stream is that event too.
 */
#include "common/base/json_scan.h"
#include "common/request/request.h"
#include "dataplane/ai/ai_assembly.h"
#include "dataplane/ai/dialect/body_shape.h"
#include "dataplane/ai/dialect/cohere_body.h"
#include "dataplane/ai/dialect/cohere_error.h"
#include "dataplane/ai/dialect/event_out.h"

/* ---- events ---- */

/* {"type":…, "index":…, "delta":{"message":{ */
static void begin_message(struct json_out *o, const char *type, unsigned index, struct buf *out)
{
    event_out_begin(o, type, out);
    json_out_u64(o, "index", index);
    json_out_begin(o, "delta", '{');
    json_out_begin(o, "message", '{');
}

static enum err end_message(struct json_out *o)
{
    json_out_end(o, '}');
    json_out_end(o, '}');
    return event_out_end(o);
}

static enum err write_start(struct ai_writer *w, struct buf *out)
{
    struct json_out o;
    if (!ai_writer_begins(w))
        return ERR_OK;
    event_out_begin(&o, "message-start", out);
    json_out_raw(&o, "id", w->id.len > 2 ? w->id : SLICE("\"chat\""));
    json_out_raw(&o, "delta",
                 SLICE("{\"message\":{\"role\":\"assistant\",\"content\":[],\"tool_plan\":\"\","
                       "\"tool_calls\":[],\"citations\":[]}}"));
    return event_out_end(&o);
}

static enum err write_index(const char *type, unsigned index, struct buf *out)
{
    struct json_out o;
    event_out_begin(&o, type, out);
    json_out_u64(&o, "index", index);
    return event_out_end(&o);
}

/* ---- blocks ---- */

static enum err end_words(struct ai_writer *w, struct buf *out)
{
    if (!w->blocks.is_open)
        return ERR_OK;
    w->blocks.is_open = false;
    return write_index("content-end", w->blocks.next_index++, out);
}

static enum err write_content(struct ai_writer *w, const char *type, bool named, bool thought,
                              struct slice text, struct buf *out)
{
    struct json_out o;
    const char *member = thought ? "thinking" : "text";
    size_t from = out->len;
    begin_message(&o, type, w->blocks.next_index, out);
    json_out_begin(&o, "content", '{');
    if (named)
        json_out_text(&o, "type", slice_str(member));
    json_out_text(&o, member, text);
    size_t words_end = out->len - 1;
    json_out_end(&o, '}');
    enum err e = end_message(&o);
    ai_words_written(w, from, words_end, out);
    return e;
}

static enum err write_words(struct ai_writer *w, const struct ai_event *e, struct buf *out)
{
    bool thought = e->kind == AI_REASONING;
    bool same = w->blocks.is_open && (w->blocks.open == AI_REASONING) == thought &&
                w->blocks.open_block == e->block;
    enum err err = ERR_OK;
    if (!e->text.len)
        return ERR_OK;
    w->refused = w->refused || e->kind == AI_REFUSAL;
    if (!same) {
        err = end_words(w, out);
        w->blocks.is_open = true;
        w->blocks.open = thought ? AI_REASONING : AI_TEXT;
        w->blocks.open_block = e->block;
        if (!err)
            err = write_content(w, "content-start", true, thought, SLICE(""), out);
    }
    return err ? err : write_content(w, "content-delta", false, thought, e->text, out);
}

/* ---- calls of tools: the provider's block of each, by its number ---- */

#define ENDED UINT32_MAX

static unsigned find_call(const struct ai_writer *w, unsigned block)
{
    unsigned i = 0;
    while (i < w->tools && w->tool_at[i] != block)
        i++;
    return i;
}

static enum err end_call(struct ai_writer *w, unsigned i, struct buf *out)
{
    if (i == w->tools || w->tool_at[i] == ENDED)
        return ERR_OK;
    w->tool_at[i] = ENDED;
    return write_index("tool-call-end", i, out);
}

static enum err end_calls(struct ai_writer *w, struct buf *out)
{
    enum err e = ERR_OK;
    for (unsigned i = 0; i < w->tools && !e; i++)
        e = end_call(w, i, out);
    return e;
}

static enum err begin_call(struct ai_writer *w, const struct ai_event *e, struct buf *out)
{
    struct json_out o;
    enum err err = end_words(w, out);
    if (w->tools == AI_WRITER_TOOLS)
        return ERR_TOO_BIG;
    if (err)
        return err;
    begin_message(&o, "tool-call-start", w->tools, out);
    w->tool_at[w->tools++] = e->block;
    json_out_begin(&o, "tool_calls", '{');
    json_out_text(&o, "id", e->id);
    json_out_text(&o, "type", SLICE("function"));
    json_out_begin(&o, "function", '{');
    json_out_text(&o, "name", e->name);
    json_out_text(&o, "arguments", SLICE(""));
    json_out_end(&o, '}');
    json_out_end(&o, '}');
    return end_message(&o);
}

static enum err write_arguments(struct ai_writer *w, const struct ai_event *e, struct buf *out)
{
    struct json_out o;
    unsigned i = find_call(w, e->block);
    size_t from = out->len;
    if (i == w->tools || !e->text.len)
        return ERR_OK;
    begin_message(&o, "tool-call-delta", i, out);
    json_out_begin(&o, "tool_calls", '{');
    json_out_begin(&o, "function", '{');
    json_out_text(&o, "arguments", e->text);
    size_t words_end = out->len - 1;
    json_out_end(&o, '}');
    json_out_end(&o, '}');
    enum err err = end_message(&o);
    ai_words_written(w, from, words_end, out);
    return err;
}

/* ---- the end ---- */

static const struct ai_stop_words stop_words = {.stop = "COMPLETE",
                                                .sequence = "STOP_SEQUENCE",
                                                .length = "MAX_TOKENS",
                                                .tools = "TOOL_CALL",
                                                .filter = "ERROR_TOXIC"};

static void put_counts(struct json_out *o, const char *name, uint64_t input, uint64_t output)
{
    json_out_begin(o, name, '{');
    json_out_u64(o, "input_tokens", input);
    json_out_u64(o, "output_tokens", output);
    json_out_end(o, '}');
}

static void put_usage(struct json_out *o, const struct token_count *t)
{
    json_out_begin(o, "usage", '{');
    put_counts(o, "billed_units", t->input, t->output);
    put_counts(o, "tokens", t->input, t->output);
    if (t->cache_read)
        json_out_u64(o, "cached_tokens", t->cache_read);
    json_out_end(o, '}');
}

static enum err write_end(struct ai_writer *w, const char *reason, const struct token_count *t,
                          struct buf *out)
{
    struct json_out o;
    enum err e = write_start(w, out);
    if (!e)
        e = end_words(w, out);
    if (!e)
        e = end_calls(w, out);
    if (e)
        return e;
    event_out_begin(&o, "message-end", out);
    json_out_begin(&o, "delta", '{');
    json_out_text(&o, "finish_reason", slice_str(reason));
    put_usage(&o, t);
    json_out_end(&o, '}');
    return event_out_end(&o);
}

static enum err write_length_stop(const struct ai_writer *w, const struct token_count *so_far,
                                  struct buf *out)
{
    struct ai_writer last = *w;
    return write_end(&last, "MAX_TOKENS", so_far, out);
}

/* ---- errors ---- */

static enum err write_stream_error(struct buf *out, const struct ai_error *e)
{
    struct json_out o;
    event_out_begin(&o, "message-end", out);
    json_out_begin(&o, "delta", '{');
    json_out_text(&o, "finish_reason", SLICE("ERROR"));
    json_out_text(&o, "error", e->message);
    json_out_end(&o, '}');
    return event_out_end(&o);
}

/* ---- what is written ---- */

static enum err write_event(struct ai_writer *w, const struct ai_event *e, struct buf *out)
{
    enum err err;
    if (e->raw.ptr)
        return buf_append(out, e->raw);
    if (e->choice) /* this dialect has one */
        return ERR_OK;
    switch (e->kind) {
    case AI_START:
        return write_start(w, out);
    case AI_TEXT:
    case AI_REFUSAL:
    case AI_REASONING:
        err = write_start(w, out);
        return err ? err : write_words(w, e, out);
    case AI_TOOL_START:
        err = write_start(w, out);
        return err ? err : begin_call(w, e, out);
    case AI_TOOL_ARGUMENTS:
        return write_arguments(w, e, out);
    case AI_TOOL_END:
        return end_call(w, find_call(w, e->block), out);
    case AI_BLOCK_END:
        return w->blocks.open_block == e->block ? end_words(w, out) : ERR_OK;
    case AI_FINISH:
        w->blocks.finish = e->finish;
        w->ended[0] = e->text.len > 0; /* at a stop sequence */
        return ERR_OK;
    case AI_ERROR:
        return write_stream_error(out, &(struct ai_error){.message = e->text});
    case AI_END:
        return write_end(
            w, ai_stop_word(&stop_words, w->blocks.finish, w->refused, w->tools > 0, w->ended[0]),
            &w->usage, out);
    case AI_CITATION:
    case AI_MEDIA:
    case AI_USAGE:
    case AI_OTHER:
        break;
    }
    return ERR_OK;
}

static void put_block(struct json_out *o, const struct ai_block *b)
{
    const char *member = b->kind == AI_REASONING ? "thinking" : "text";
    json_out_begin(o, NULL, '{');
    json_out_text(o, "type", slice_str(member));
    json_out_text(o, member, buf_slice(&b->text));
    json_out_end(o, '}');
}

static void put_call(struct json_out *o, const struct ai_block *b)
{
    json_out_begin(o, NULL, '{');
    json_out_text(o, "id", buf_slice(&b->id));
    json_out_text(o, "type", SLICE("function"));
    json_out_begin(o, "function", '{');
    json_out_text(o, "name", buf_slice(&b->name));
    json_out_text(o, "arguments", b->text.len ? buf_slice(&b->text) : SLICE("{}"));
    json_out_end(o, '}');
    json_out_end(o, '}');
}

/* The blocks that are calls, or those that are not. Returns how many. */
static size_t put_blocks(struct json_out *o, const struct ai_choice *c, const char *name,
                         bool calls)
{
    size_t n = 0;
    for (size_t i = 0; i < c->block_count; i++) {
        const struct ai_block *b = &c->blocks[i];
        if ((b->kind == AI_TOOL_START) != calls || (!calls && !b->text.len))
            continue;
        if (!n++)
            json_out_begin(o, name, '[');
        if (calls)
            put_call(o, b);
        else
            put_block(o, b);
    }
    if (n)
        json_out_end(o, ']');
    return n;
}

static enum err write_whole(const struct ai_assembly *a, struct buf *out)
{
    const struct ai_choice *c = &a->choices[0];
    struct token_count t = {0};
    struct json_out o = {.to = out};
    bool refused = false;
    for (size_t i = 0; i < c->block_count; i++)
        refused = refused || c->blocks[i].kind == AI_REFUSAL;
    (void)ai_usage_count(&a->usage, &t);
    json_out_begin(&o, NULL, '{');
    json_out_text(&o, "id", buf_slice(&a->id));
    json_out_begin(&o, "message", '{');
    json_out_text(&o, "role", SLICE("assistant"));
    put_blocks(&o, c, "content", false);
    size_t calls = put_blocks(&o, c, "tool_calls", true);
    json_out_end(&o, '}');
    json_out_text(
        &o, "finish_reason",
        slice_str(ai_stop_word(&stop_words, c->finish, refused, calls > 0, c->stop.len > 0)));
    put_usage(&o, &t);
    json_out_end(&o, '}');
    return o.e;
}

/* OpenAI's names of members, and this API's. */
static const char *const names[][2] = {
    {"top_p", "p"}, {"top_k", "k"}, {"stop", "stop_sequences"}, {"reasoning_effort", "thinking"},
    {NULL, NULL},
};

const struct ai_dialect dialect_cohere_chat = {
    .name = "cohere_chat",
    .words = &words_cohere,
    .read = cohere_read,
    .parse = cohere_parse,
    .splice = cohere_splice,
    .write_error = cohere_write_error,
    .write_stream_error = write_stream_error,
    .write_length_stop = write_length_stop,
    .write_event = write_event,
    .write_whole = write_whole,
    .is_error = cohere_is_error,
    .keep_alive = {": keep-alive\n\n", 14},
    .names = names,
};
