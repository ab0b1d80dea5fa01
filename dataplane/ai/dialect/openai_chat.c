/*
 * openai_chat — OpenAI's chat completions, as clients speak it.
 */
#include <time.h>

#include "dataplane/ai/ai_assembly.h"
#include "dataplane/ai/dialect/body_shape.h"
#include "dataplane/ai/dialect/event_out.h"
#include "dataplane/ai/dialect/openai_body.h"
#include "dataplane/ai/dialect/openai_error.h"
#include "dataplane/ai/dialect/openai_parse.h"

static struct slice or_else(struct slice raw, struct slice other)
{
    return raw.len ? raw : other;
}

static void begin_chunk(const struct ai_writer *w, struct json_out *o, struct buf *out)
{
    event_out_begin(o, NULL, out);
    json_out_raw(o, "id", or_else(w->id, SLICE("\"chatcmpl-ended\"")));
    json_out_text(o, "object", SLICE("chat.completion.chunk"));
    json_out_raw(o, "created", or_else(w->created, SLICE("0")));
    json_out_raw(o, "model", or_else(w->model, SLICE("\"\"")));
    json_out_begin(o, "choices", '[');
}

static bool has_ended(const struct ai_writer *w, uint64_t choice)
{
    return choice < 128 && (w->ended[choice / 64] >> (choice % 64) & 1);
}

static void put_usage(struct json_out *o, const struct token_count *t)
{
    json_out_begin(o, "usage", '{');
    json_out_u64(o, "prompt_tokens", t->input);
    json_out_u64(o, "completion_tokens", t->output);
    json_out_u64(o, "total_tokens", t->input + t->output);
    json_out_begin(o, "prompt_tokens_details", '{');
    json_out_u64(o, "cached_tokens", t->cache_read);
    json_out_u64(o, "cache_write_tokens", t->cache_write);
    json_out_end(o, '}');
    json_out_begin(o, "completion_tokens_details", '{');
    json_out_u64(o, "reasoning_tokens", t->reasoning);
    json_out_end(o, '}');
    json_out_end(o, '}');
}

static enum err write_usage(const struct ai_writer *w, const struct token_count *t, struct buf *out)
{
    struct json_out o;
    begin_chunk(w, &o, out);
    json_out_end(&o, ']');
    put_usage(&o, t);
    return event_out_end(&o);
}

static enum err write_length_stop(const struct ai_writer *w, const struct token_count *so_far,
                                  struct buf *out)
{
    struct json_out o;
    begin_chunk(w, &o, out);
    for (uint64_t i = 0; i < w->choices; i++) {
        if (has_ended(w, i))
            continue;
        json_out_begin(&o, NULL, '{');
        json_out_u64(&o, "index", i);
        json_out_raw(&o, "delta", SLICE("{}"));
        json_out_text(&o, "finish_reason", SLICE("length"));
        json_out_end(&o, '}');
    }
    json_out_end(&o, ']');
    enum err e = event_out_end(&o);
    return e || !w->wants_usage ? e : write_usage(w, so_far, out);
}

/* ---- a stream from events ---- */

static struct slice finish_name(enum ai_finish f)
{
    static const char *const names[] = {[AI_FINISH_NONE] = "stop",
                                        [AI_FINISH_STOP] = "stop",
                                        [AI_FINISH_LENGTH] = "length",
                                        [AI_FINISH_TOOLS] = "tool_calls",
                                        [AI_FINISH_FILTER] = "content_filter"};
    return slice_str(names[f]);
}

/* a chunk of one choice, open in its delta */
static void begin_delta(const struct ai_writer *w, unsigned choice, struct json_out *o,
                        struct buf *out)
{
    begin_chunk(w, o, out);
    json_out_begin(o, NULL, '{');
    json_out_u64(o, "index", choice);
    json_out_begin(o, "delta", '{');
}

/* finish: .ptr NULL: the choice goes on */
static enum err end_delta(const struct ai_writer *w, struct slice finish, struct json_out *o)
{
    json_out_end(o, '}');
    if (finish.ptr)
        json_out_text(o, "finish_reason", finish);
    else
        json_out_raw(o, "finish_reason", SLICE("null"));
    json_out_end(o, '}');
    json_out_end(o, ']');
    if (w->wants_usage)
        json_out_raw(o, "usage", SLICE("null"));
    return event_out_end(o);
}

static enum err write_text(struct ai_writer *w, const struct ai_event *e, const char *member,
                           struct buf *out)
{
    struct json_out o;
    size_t from = out->len;
    begin_delta(w, e->choice, &o, out);
    json_out_text(&o, member, e->text);
    size_t words_end = out->len - 1;
    enum err err = end_delta(w, SLICE_NONE, &o);
    ai_words_written(w, from, words_end, out);
    return err;
}

/* Not OpenAI's own: images that a model drew, as OpenRouter and LiteLLM tell them. `text` is base64
 * without a character that JSON escapes. */
static void put_image(struct json_out *o, struct slice type, struct slice text, unsigned index)
{
    const struct slice url[] = {SLICE("\"data:"), type, SLICE(";base64,"), text, SLICE("\"")};
    json_out_begin(o, NULL, '{');
    json_out_text(o, "type", SLICE("image_url"));
    json_out_begin(o, "image_url", '{');
    json_out_raw(o, "url", url[0]);
    for (size_t i = 1; i < ARRAY_LEN(url) && !o->e; i++)
        o->e = buf_append(o->to, url[i]);
    json_out_end(o, '}');
    json_out_u64(o, "index", index);
    json_out_end(o, '}');
}

static bool is_image(struct slice type, struct slice text)
{
    for (size_t i = 0; i < type.len; i++)
        if (type.ptr[i] <= ' ' || type.ptr[i] == '"' || type.ptr[i] == '\\')
            return false;
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] <= ' ' || text.ptr[i] == '"' || text.ptr[i] == '\\')
            return false;
    return slice_starts(type, SLICE("image/")) && text.len;
}

static enum err write_image(struct ai_writer *w, const struct ai_event *e, struct buf *out)
{
    struct json_out o;
    if (!is_image(e->name, e->text))
        return ERR_OK;
    begin_delta(w, e->choice, &o, out);
    json_out_begin(&o, "images", '[');
    put_image(&o, e->name, e->text, w->images++);
    json_out_end(&o, ']');
    return end_delta(w, SLICE_NONE, &o);
}

static enum err write_start(const struct ai_writer *w, struct buf *out)
{
    struct json_out o;
    enum err e = ERR_OK;
    for (unsigned i = 0; !e && i < w->choices; i++) {
        begin_delta(w, i, &o, out);
        json_out_text(&o, "role", SLICE("assistant"));
        json_out_text(&o, "content", SLICE(""));
        e = end_delta(w, SLICE_NONE, &o);
    }
    return e;
}

/* A block of reasoning as its provider wants it back. */
static void put_sealed(struct json_out *o, struct slice redacted, struct slice text,
                       struct slice signature)
{
    json_out_begin(o, NULL, '{');
    json_out_text(o, "type", redacted.len ? SLICE("redacted_thinking") : SLICE("thinking"));
    if (redacted.len) {
        json_out_text(o, "data", redacted);
    } else {
        json_out_text(o, "thinking", text);
        json_out_text(o, "signature", signature);
    }
    json_out_end(o, '}');
}

/* Not OpenAI's own: names that vLLM, DeepSeek and LiteLLM gave it (dialects.md 1.1). */
static enum err write_reasoning(struct ai_writer *w, const struct ai_event *e, struct buf *out)
{
    struct json_out o;
    enum err err = ERR_OK;
    if (!e->id.len && e->text.len)
        err = write_text(w, e, "reasoning_content", out);
    if (err || (!e->id.len && !e->signature.len))
        return err;
    begin_delta(w, e->choice, &o, out);
    json_out_begin(&o, "thinking_blocks", '[');
    put_sealed(&o, e->id, SLICE(""), e->signature);
    json_out_end(&o, ']');
    return end_delta(w, SLICE_NONE, &o);
}

static uint32_t tool_key(const struct ai_event *e)
{
    return (uint32_t)(e->choice << 16 | (e->block & 0xFFFF));
}

/* Calls are counted from 0 in each choice, whatever blocks stand between them. -1: unknown. */
static int tool_index(const struct ai_writer *w, const struct ai_event *e)
{
    int index = -1, count = 0;
    for (unsigned i = 0; i < w->tools; i++) {
        if (w->tool_at[i] == tool_key(e))
            index = count;
        count += w->tool_at[i] >> 16 == e->choice;
    }
    return index;
}

/* As Google's own endpoint of this dialect tells the signature of a call, which it wants back. */
static void put_signature(struct json_out *o, struct slice signature)
{
    if (!signature.len)
        return;
    json_out_begin(o, "extra_content", '{');
    json_out_begin(o, "google", '{');
    json_out_text(o, "thought_signature", signature);
    json_out_end(o, '}');
    json_out_end(o, '}');
}

static void put_call(struct json_out *o, struct slice id, struct slice name, struct slice arguments,
                     struct slice signature)
{
    json_out_text(o, "id", id);
    json_out_text(o, "type", SLICE("function"));
    json_out_begin(o, "function", '{');
    json_out_text(o, "name", name);
    json_out_text(o, "arguments", arguments);
    json_out_end(o, '}');
    put_signature(o, signature);
}

static void begin_call(const struct ai_writer *w, const struct ai_event *e, struct json_out *o,
                       struct buf *out)
{
    begin_delta(w, e->choice, o, out);
    json_out_begin(o, "tool_calls", '[');
    json_out_begin(o, NULL, '{');
    json_out_u64(o, "index", (uint64_t)tool_index(w, e));
}

static enum err end_call(const struct ai_writer *w, struct json_out *o)
{
    json_out_end(o, '}');
    json_out_end(o, ']');
    return end_delta(w, SLICE_NONE, o);
}

static enum err write_tool_start(struct ai_writer *w, const struct ai_event *e, struct buf *out)
{
    struct json_out o;
    if (w->tools >= AI_WRITER_TOOLS)
        return ERR_PROTOCOL;
    w->tool_at[w->tools++] = tool_key(e);
    begin_call(w, e, &o, out);
    put_call(&o, e->id, e->name, SLICE(""), e->signature);
    return end_call(w, &o);
}

static enum err write_arguments(struct ai_writer *w, const struct ai_event *e, struct buf *out)
{
    struct json_out o;
    size_t from = out->len;
    if (tool_index(w, e) < 0)
        return ERR_PROTOCOL;
    begin_call(w, e, &o, out);
    json_out_begin(&o, "function", '{');
    json_out_text(&o, "arguments", e->text);
    size_t words_end = out->len - 1;
    json_out_end(&o, '}');
    enum err err = end_call(w, &o);
    ai_words_written(w, from, words_end, out);
    return err;
}

static enum err write_finish(struct ai_writer *w, const struct ai_event *e, struct buf *out)
{
    struct json_out o;
    if (e->choice < 128)
        w->ended[e->choice / 64] |= 1ull << (e->choice % 64);
    begin_delta(w, e->choice, &o, out);
    return end_delta(w, finish_name(e->finish), &o);
}

static enum err write_end(const struct ai_writer *w, struct buf *out)
{
    enum err e = w->wants_usage ? write_usage(w, &w->usage, out) : ERR_OK;
    return e ? e : buf_append(out, SLICE("data: [DONE]\n\n"));
}

static enum err write_event(struct ai_writer *w, const struct ai_event *e, struct buf *out)
{
    if (e->raw.ptr)
        return buf_append(out, e->raw);
    switch (e->kind) {
    case AI_START:
        return write_start(w, out);
    case AI_TEXT:
        return write_text(w, e, "content", out);
    case AI_REFUSAL:
        return write_text(w, e, "refusal", out);
    case AI_REASONING:
        return write_reasoning(w, e, out);
    case AI_TOOL_START:
        return write_tool_start(w, e, out);
    case AI_TOOL_ARGUMENTS:
        return write_arguments(w, e, out);
    case AI_FINISH:
        return write_finish(w, e, out);
    case AI_END:
        return write_end(w, out);
    case AI_MEDIA:
        return write_image(w, e, out);
    case AI_ERROR:
        return openai_write_stream_error(
            out,
            &(struct ai_error){.status = AI_UPSTREAM_FAILED, .message = e->text, .code = e->name});
    case AI_TOOL_END:
    case AI_CITATION:
    case AI_BLOCK_END:
    case AI_USAGE:
    case AI_OTHER:
        break;
    }
    return ERR_OK;
}

/* ---- a whole response ---- */

static void put_tools(struct json_out *o, const struct ai_choice *c)
{
    const struct ai_block *t;
    size_t at = 0, n = 0;
    while ((t = ai_choice_next(c, AI_TOOL_START, &at))) {
        if (n++ == 0)
            json_out_begin(o, "tool_calls", '[');
        json_out_begin(o, NULL, '{');
        put_call(o, buf_slice(&t->id), buf_slice(&t->name), buf_slice(&t->text),
                 buf_slice(&t->signature));
        json_out_end(o, '}');
    }
    if (n)
        json_out_end(o, ']');
}

/* The blocks of one kind as one string. False: there is none. */
static bool put_joined(struct json_out *o, const struct ai_choice *c, enum ai_event_kind kind,
                       const char *member)
{
    const struct ai_block *b;
    size_t at = 0;
    bool any = false;
    while ((b = ai_choice_next(c, kind, &at))) {
        if (!b->text.len)
            continue;
        if (!any)
            json_out_text(o, member, buf_slice(&b->text));
        else if (!o->e)
            o->e = buf_json_string_more(o->to, buf_slice(&b->text));
        any = true;
    }
    return any;
}

/* Reasoning for readers, and beside it the blocks as their provider wants them back. */
static void put_thinking(struct json_out *o, const struct ai_choice *c)
{
    const struct ai_block *b;
    size_t at = 0, n = 0;
    put_joined(o, c, AI_REASONING, "reasoning_content");
    while ((b = ai_choice_next(c, AI_REASONING, &at))) {
        if (!b->signature.len && !b->redacted.len)
            continue;
        if (n++ == 0)
            json_out_begin(o, "thinking_blocks", '[');
        put_sealed(o, buf_slice(&b->redacted), buf_slice(&b->text), buf_slice(&b->signature));
    }
    if (n)
        json_out_end(o, ']');
}

static bool has(const struct ai_choice *c, enum ai_event_kind kind)
{
    size_t at = 0;
    return ai_choice_next(c, kind, &at) != NULL;
}

static void put_images(struct json_out *o, const struct ai_choice *c)
{
    const struct ai_block *b;
    size_t at = 0;
    unsigned n = 0;
    while ((b = ai_choice_next(c, AI_MEDIA, &at))) {
        if (!is_image(buf_slice(&b->name), buf_slice(&b->text)))
            continue;
        if (n == 0)
            json_out_begin(o, "images", '[');
        put_image(o, buf_slice(&b->name), buf_slice(&b->text), n++);
    }
    if (n)
        json_out_end(o, ']');
}

static void put_message(struct json_out *o, const struct ai_choice *c)
{
    json_out_begin(o, "message", '{');
    json_out_text(o, "role", SLICE("assistant"));
    if (!put_joined(o, c, AI_TEXT, "content"))
        json_out_raw(o, "content",
                     has(c, AI_TOOL_START) || has(c, AI_REFUSAL) ? SLICE("null") : SLICE("\"\""));
    if (!put_joined(o, c, AI_REFUSAL, "refusal"))
        json_out_raw(o, "refusal", SLICE("null"));
    put_thinking(o, c);
    put_images(o, c);
    put_tools(o, c);
    json_out_end(o, '}');
}

static void put_choice(struct json_out *o, const struct ai_choice *c, unsigned index)
{
    json_out_begin(o, NULL, '{');
    json_out_u64(o, "index", index);
    put_message(o, c);
    json_out_raw(o, "logprobs", SLICE("null"));
    json_out_text(o, "finish_reason", finish_name(c->finish));
    json_out_end(o, '}');
}

static enum err write_whole(const struct ai_assembly *a, struct buf *out)
{
    struct token_count tokens;
    struct json_out o = {.to = out};
    json_out_begin(&o, NULL, '{');
    json_out_text(&o, "id", buf_slice(&a->id));
    json_out_text(&o, "object", SLICE("chat.completion"));
    json_out_u64(&o, "created", (uint64_t)time(NULL));
    json_out_text(&o, "model", buf_slice(&a->model));
    json_out_begin(&o, "choices", '[');
    for (unsigned i = 0; i < AI_ASSEMBLY_CHOICES && a->choices[i].seen; i++)
        put_choice(&o, &a->choices[i], i);
    json_out_end(&o, ']');
    if (ai_usage_count(&a->usage, &tokens) == AI_COUNTED_ALL)
        put_usage(&o, &tokens);
    json_out_end(&o, '}');
    return o.e;
}

const struct ai_dialect dialect_openai_chat = {
    .name = "openai_chat",
    .words = &words_openai_chat,
    .read = openai_read_chat,
    .parse = openai_parse_chat,
    .measure = openai_measure,
    .splice = openai_splice,
    .write_error = openai_write_error,
    .write_stream_error = openai_write_stream_error,
    .write_length_stop = write_length_stop,
    .write_event = write_event,
    .write_whole = write_whole,
    .is_error = openai_is_error,
    .keep_alive = {": keep-alive\n\n", 14},
    .stream_end = {"data: [DONE]\n\n", 14},
};
