/*
 * openai_chat — OpenAI's chat completions, as clients speak it.
 */
#include <stdio.h>
#include <time.h>

#include "dataplane/ai/ai_assembly.h"
#include "dataplane/ai/dialect/body_shape.h"
#include "dataplane/ai/dialect/openai_body.h"
#include "dataplane/ai/dialect/openai_error.h"
#include "dataplane/ai/dialect/openai_parse.h"

static struct slice or_else(struct slice raw, struct slice other)
{
    return raw.len ? raw : other;
}

static enum err put_all(struct buf *out, const struct slice *parts, size_t n)
{
    size_t all = 0;
    char *to;
    for (size_t i = 0; i < n; i++)
        all += parts[i].len;
    enum err e = buf_room(out, all, &to);
    if (e)
        return e;
    for (size_t i = 0; i < n; to += parts[i++].len)
        memcpy(to, parts[i].ptr, parts[i].len);
    buf_commit(out, all);
    return ERR_OK;
}

static enum err begin_chunk(const struct ai_writer *w, struct buf *out)
{
    struct slice id = or_else(w->id, SLICE("\"chatcmpl-ended\""));
    struct slice created = or_else(w->created, SLICE("0"));
    struct slice model = or_else(w->model, SLICE("\"\""));
    const struct slice parts[] = {
        SLICE("data: {\"id\":"),
        id,
        SLICE(",\"object\":\"chat.completion.chunk\",\"created\":"),
        created,
        SLICE(",\"model\":"),
        model,
        SLICE(",\"choices\":["),
    };
    return put_all(out, parts, ARRAY_LEN(parts));
}

static bool has_ended(const struct ai_writer *w, uint64_t choice)
{
    return choice < 128 && (w->ended[choice / 64] >> (choice % 64) & 1);
}

static enum err write_counts(const struct token_count *t, struct buf *out)
{
    return buf_printf(out,
                      "\"usage\":{\"prompt_tokens\":%llu,\"completion_tokens\":%llu,"
                      "\"total_tokens\":%llu,\"prompt_tokens_details\":{\"cached_tokens\":%llu,"
                      "\"cache_write_tokens\":%llu},\"completion_tokens_details\":{"
                      "\"reasoning_tokens\":%llu}}",
                      (unsigned long long)t->input, (unsigned long long)t->output,
                      (unsigned long long)(t->input + t->output), (unsigned long long)t->cache_read,
                      (unsigned long long)t->cache_write, (unsigned long long)t->reasoning);
}

static enum err write_usage(const struct ai_writer *w, const struct token_count *t, struct buf *out)
{
    enum err e = begin_chunk(w, out);
    if (!e)
        e = buf_append(out, SLICE("],"));
    if (!e)
        e = write_counts(t, out);
    return e ? e : buf_append(out, SLICE("}\n\n"));
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

/* ---- a stream from events ---- */

static const char *finish_name(enum ai_finish f)
{
    static const char *const names[] = {[AI_FINISH_NONE] = "stop",
                                        [AI_FINISH_STOP] = "stop",
                                        [AI_FINISH_LENGTH] = "length",
                                        [AI_FINISH_TOOLS] = "tool_calls",
                                        [AI_FINISH_FILTER] = "content_filter"};
    return names[f];
}

static enum err begin_delta(const struct ai_writer *w, unsigned choice, struct buf *out)
{
    char room[SLICE_U64_MAX], *end = room + sizeof(room);
    size_t len = slice_write_u64(end, choice);
    const struct slice parts[] = {SLICE("{\"index\":"), slice_of(end - len, len),
                                  SLICE(",\"delta\":{")};
    enum err e = begin_chunk(w, out);
    return e ? e : put_all(out, parts, ARRAY_LEN(parts));
}

static enum err end_delta(const struct ai_writer *w, const char *finish, struct buf *out)
{
    const struct slice quote = finish ? SLICE("\"") : SLICE("");
    const struct slice parts[] = {SLICE("},\"finish_reason\":"),
                                  quote,
                                  finish ? slice_str(finish) : SLICE("null"),
                                  quote,
                                  SLICE("}]"),
                                  w->wants_usage ? SLICE(",\"usage\":null") : SLICE(""),
                                  SLICE("}\n\n")};
    return put_all(out, parts, ARRAY_LEN(parts));
}

/* a chunk with one member of text, whose name and colon are `open` */
static enum err write_text(const struct ai_writer *w, const struct ai_event *e, const char *open,
                           struct slice text, const char *close, struct buf *out)
{
    enum err err = begin_delta(w, e->choice, out);
    if (!err)
        err = buf_append(out, slice_str(open));
    if (!err)
        err = buf_json_string(out, text);
    if (!err)
        err = buf_append(out, slice_str(close));
    return err ? err : end_delta(w, NULL, out);
}

/* Not OpenAI's own: images that a model drew, as OpenRouter and LiteLLM tell them. `text` is base64
 * without a character that JSON escapes. */
static enum err put_image(struct slice type, struct slice text, unsigned index, struct buf *out)
{
    return buf_printf(out,
                      "{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:%.*s;base64,%.*s\"},"
                      "\"index\":%u}",
                      SLICE_ARG(type), SLICE_ARG(text), index);
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
    if (!is_image(e->name, e->text))
        return ERR_OK;
    enum err err = begin_delta(w, e->choice, out);
    if (!err)
        err = buf_append(out, SLICE("\"images\":["));
    if (!err)
        err = put_image(e->name, e->text, w->images++, out);
    if (!err)
        err = buf_append(out, SLICE("]"));
    return err ? err : end_delta(w, NULL, out);
}

static enum err write_start(const struct ai_writer *w, struct buf *out)
{
    enum err e = ERR_OK;
    for (unsigned i = 0; !e && i < w->choices; i++) {
        e = begin_delta(w, i, out);
        if (!e)
            e = buf_append(out, SLICE("\"role\":\"assistant\",\"content\":\"\""));
        if (!e)
            e = end_delta(w, NULL, out);
    }
    return e;
}

/* Not OpenAI's own: names that vLLM, DeepSeek and LiteLLM gave it (dialects.md 1.1). */
static enum err write_reasoning(const struct ai_writer *w, const struct ai_event *e,
                                struct buf *out)
{
    enum err err = ERR_OK;
    if (e->id.len)
        return write_text(w, e,
                          "\"thinking_blocks\":[{\"type\":\"redacted_thinking\",\"data\":", e->id,
                          "}]", out);
    if (e->text.len)
        err = write_text(w, e, "\"reasoning_content\":", e->text, "", out);
    if (err || !e->signature.len)
        return err;
    return write_text(
        w, e, "\"thinking_blocks\":[{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":",
        e->signature, "}]", out);
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
static enum err put_signature(struct slice signature, struct buf *out)
{
    if (!signature.len)
        return ERR_OK;
    enum err e = buf_append(out, SLICE(",\"extra_content\":{\"google\":{\"thought_signature\":"));
    if (!e)
        e = buf_json_string(out, signature);
    return e ? e : buf_append(out, SLICE("}}"));
}

static enum err write_tool_start(struct ai_writer *w, const struct ai_event *e, struct buf *out)
{
    if (w->tools >= AI_WRITER_TOOLS)
        return ERR_PROTOCOL;
    w->tool_at[w->tools++] = tool_key(e);
    enum err err = begin_delta(w, e->choice, out);
    if (!err)
        err = buf_printf(out, "\"tool_calls\":[{\"index\":%d,\"id\":", tool_index(w, e));
    if (!err)
        err = buf_json_string(out, e->id);
    if (!err)
        err = buf_append(out, SLICE(",\"type\":\"function\",\"function\":{\"name\":"));
    if (!err)
        err = buf_json_string(out, e->name);
    if (!err)
        err = buf_append(out, SLICE(",\"arguments\":\"\"}"));
    if (!err)
        err = put_signature(e->signature, out);
    if (!err)
        err = buf_append(out, SLICE("}]"));
    return err ? err : end_delta(w, NULL, out);
}

static enum err write_arguments(const struct ai_writer *w, const struct ai_event *e,
                                struct buf *out)
{
    char open[64];
    snprintf(open, sizeof(open),
             "\"tool_calls\":[{\"index\":%d,\"function\":{\"arguments\":", tool_index(w, e));
    return tool_index(w, e) < 0 ? ERR_PROTOCOL : write_text(w, e, open, e->text, "}}]", out);
}

static enum err write_finish(struct ai_writer *w, const struct ai_event *e, struct buf *out)
{
    if (e->choice < 128)
        w->ended[e->choice / 64] |= 1ull << (e->choice % 64);
    enum err err = begin_delta(w, e->choice, out);
    return err ? err : end_delta(w, finish_name(e->finish), out);
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
        return write_text(w, e, "\"content\":", e->text, "", out);
    case AI_REFUSAL:
        return write_text(w, e, "\"refusal\":", e->text, "", out);
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

static enum err put_text(struct buf *out, const char *open, const struct buf *text)
{
    enum err e = buf_append(out, slice_str(open));
    return e ? e : buf_json_string(out, buf_slice(text));
}

static enum err put_tool(const struct ai_block *t, bool first, struct buf *out)
{
    enum err e = put_text(out, first ? "{\"id\":" : ",{\"id\":", &t->id);
    if (!e)
        e = put_text(out, ",\"type\":\"function\",\"function\":{\"name\":", &t->name);
    if (!e)
        e = put_text(out, ",\"arguments\":", &t->text);
    if (!e)
        e = buf_append(out, SLICE("}"));
    if (!e)
        e = put_signature(buf_slice(&t->signature), out);
    return e ? e : buf_append(out, SLICE("}"));
}

static enum err put_tools(const struct ai_choice *c, struct buf *out)
{
    const struct ai_block *t;
    size_t at = 0, n = 0;
    enum err e = ERR_OK;
    while (!e && (t = ai_choice_next(c, AI_TOOL_START, &at))) {
        if (n == 0)
            e = buf_append(out, SLICE(",\"tool_calls\":["));
        if (!e)
            e = put_tool(t, n++ == 0, out);
    }
    return e || !n ? e : buf_append(out, SLICE("]"));
}

/* The blocks of one kind as one string. *any: there is one. */
static enum err put_joined(const struct ai_choice *c, enum ai_event_kind kind, const char *open,
                           struct buf *out, bool *any)
{
    const struct ai_block *b;
    size_t at = 0;
    enum err e = ERR_OK;
    *any = false;
    while (!e && (b = ai_choice_next(c, kind, &at))) {
        if (!b->text.len)
            continue;
        e = buf_append(out, *any ? SLICE("") : slice_str(open));
        if (!e)
            e = *any ? buf_json_string_more(out, buf_slice(&b->text))
                     : buf_json_string(out, buf_slice(&b->text));
        *any = true;
    }
    return e;
}

static enum err put_sealed(const struct ai_block *b, struct buf *out)
{
    enum err e;
    if (b->redacted.len)
        e = put_text(out, "{\"type\":\"redacted_thinking\",\"data\":", &b->redacted);
    else
        e = put_text(out, "{\"type\":\"thinking\",\"thinking\":", &b->text);
    if (!e && !b->redacted.len)
        e = put_text(out, ",\"signature\":", &b->signature);
    return e ? e : buf_append(out, SLICE("}"));
}

/* Reasoning for readers, and beside it the blocks as their provider wants them back. */
static enum err put_thinking(const struct ai_choice *c, struct buf *out)
{
    const struct ai_block *b;
    size_t at = 0, n = 0;
    bool any;
    enum err e = put_joined(c, AI_REASONING, ",\"reasoning_content\":", out, &any);
    while (!e && (b = ai_choice_next(c, AI_REASONING, &at))) {
        if (!b->signature.len && !b->redacted.len)
            continue;
        e = buf_append(out, n++ ? SLICE(",") : SLICE(",\"thinking_blocks\":["));
        if (!e)
            e = put_sealed(b, out);
    }
    return e || !n ? e : buf_append(out, SLICE("]"));
}

static bool has(const struct ai_choice *c, enum ai_event_kind kind)
{
    size_t at = 0;
    return ai_choice_next(c, kind, &at) != NULL;
}

static enum err put_images(const struct ai_choice *c, struct buf *out)
{
    const struct ai_block *b;
    size_t at = 0;
    unsigned n = 0;
    enum err e = ERR_OK;
    while (!e && (b = ai_choice_next(c, AI_MEDIA, &at))) {
        if (!is_image(buf_slice(&b->name), buf_slice(&b->text)))
            continue;
        e = buf_append(out, n ? SLICE(",") : SLICE(",\"images\":["));
        if (!e)
            e = put_image(buf_slice(&b->name), buf_slice(&b->text), n++, out);
    }
    return e || !n ? e : buf_append(out, SLICE("]"));
}

static enum err put_message(const struct ai_choice *c, struct buf *out)
{
    bool any;
    enum err e = buf_append(out, SLICE("\"message\":{\"role\":\"assistant\",\"content\":"));
    if (!e)
        e = put_joined(c, AI_TEXT, "", out, &any);
    if (!e && !any)
        e = buf_append(out,
                       has(c, AI_TOOL_START) || has(c, AI_REFUSAL) ? SLICE("null") : SLICE("\"\""));
    if (!e)
        e = put_joined(c, AI_REFUSAL, ",\"refusal\":", out, &any);
    if (!e && !any)
        e = buf_append(out, SLICE(",\"refusal\":null"));
    if (!e)
        e = put_thinking(c, out);
    if (!e)
        e = put_images(c, out);
    if (!e)
        e = put_tools(c, out);
    return e ? e : buf_append(out, SLICE("}"));
}

static enum err put_choice(const struct ai_choice *c, unsigned index, struct buf *out)
{
    enum err e = buf_printf(out, "%s{\"index\":%u,", index ? "," : "", index);
    if (!e)
        e = put_message(c, out);
    return e ? e
             : buf_printf(out, ",\"logprobs\":null,\"finish_reason\":\"%s\"}",
                          finish_name(c->finish));
}

static enum err write_whole(const struct ai_assembly *a, struct buf *out)
{
    struct token_count tokens;
    enum err e = put_text(out, "{\"id\":", &a->id);
    if (!e)
        e = buf_printf(out, ",\"object\":\"chat.completion\",\"created\":%lld",
                       (long long)time(NULL));
    if (!e)
        e = put_text(out, ",\"model\":", &a->model);
    if (!e)
        e = buf_append(out, SLICE(",\"choices\":["));
    for (unsigned i = 0; !e && i < AI_ASSEMBLY_CHOICES && a->choices[i].seen; i++)
        e = put_choice(&a->choices[i], i, out);
    if (!e)
        e = buf_append(out, SLICE("]"));
    if (!e && ai_usage_count(&a->usage, &tokens) == AI_COUNTED_ALL) {
        e = buf_append(out, SLICE(","));
        if (!e)
            e = write_counts(&tokens, out);
    }
    return e ? e : buf_append(out, SLICE("}"));
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
