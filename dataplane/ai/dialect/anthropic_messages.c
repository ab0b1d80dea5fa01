/*
 * anthropic_messages — Anthropic's Messages API, as clients speak it (dialects.md 1.4).
 *
 * The blocks of a stream follow each other: one is begun, filled and ended before the next, each
 * with the next index. Providers of other dialects say the pieces of parallel calls in any order
 * and do not say where a call ends, so a call is taken to be whole once its arguments are a whole
 * JSON value; what comes for another block until then is held back (in the request's arena), and
 * nothing of it is lost. A block is begun with its first piece, and the message with the first
 * block.
 */
#include <stdio.h>

#include "common/base/digest.h"
#include "common/base/limits.h"
#include "dataplane/ai/ai_assembly.h"
#include "dataplane/ai/dialect/anthropic_body.h"
#include "dataplane/ai/dialect/anthropic_error.h"
#include "dataplane/ai/dialect/body_shape.h"
#include "dataplane/ai/dialect/event_out.h"

/* An event that waits for the end of the open block. */
struct ai_held {
    struct ai_held *next;
    struct ai_event event;
};

/* ---- events of the stream ---- */

/* How long what was written to a cache is kept. */
static void put_creation(struct json_out *o, const struct token_count *t)
{
    json_out_begin(o, "cache_creation", '{');
    json_out_u64(o, "ephemeral_5m_input_tokens", t->cache_write - t->cache_write_long);
    json_out_u64(o, "ephemeral_1h_input_tokens", t->cache_write_long);
    json_out_end(o, '}');
}

/* The three parts of the prompt apart, as this API counts. */
static void put_usage(struct json_out *o, const struct token_count *t)
{
    json_out_begin(o, "usage", '{');
    json_out_u64(o, "input_tokens", t->input - t->cache_read - t->cache_write);
    json_out_u64(o, "cache_creation_input_tokens", t->cache_write);
    json_out_u64(o, "cache_read_input_tokens", t->cache_read);
    json_out_u64(o, "output_tokens", t->output);
    if (t->cache_write)
        put_creation(o, t);
    if (t->reasoning) {
        json_out_begin(o, "output_tokens_details", '{');
        json_out_u64(o, "thinking_tokens", t->reasoning);
        json_out_end(o, '}');
    }
    json_out_end(o, '}');
}

static void put_own_id(struct json_out *o, const char *prefix)
{
    unsigned char random[12];
    char hex[2 * sizeof(random) + 1], text[64];
    digest_random(random, sizeof(random));
    digest_hex(slice_of(random, sizeof(random)), hex);
    snprintf(text, sizeof(text), "%s_%s", prefix, hex);
    json_out_text(o, "id", slice_str(text));
}

/* The provider's id, or one of our own: two messages never have the same. */
static void put_id(struct json_out *o, struct slice id)
{
    if (id.len)
        json_out_text(o, "id", id);
    else
        put_own_id(o, "msg");
}

#define CALL_ID_MAX 512

/* Anthropic takes no other characters when the conversation goes to it later, as it came. Other
 * providers take what the client repeats, in a call and in its result alike. */
static void put_call_id(struct json_out *o, struct slice id)
{
    char clean[CALL_ID_MAX];
    size_t n = 0;
    for (; n < id.len && n < sizeof(clean); n++) {
        char ch = id.ptr[n];
        bool fits = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
                    (ch >= '0' && ch <= '9') || ch == '_' || ch == '-';
        clean[n] = fits ? ch : '_';
    }
    if (n)
        json_out_text(o, "id", slice_of(clean, n));
    else
        put_own_id(o, "toolu");
}

static void put_head(struct json_out *o)
{
    json_out_text(o, "type", SLICE("message"));
    json_out_text(o, "role", SLICE("assistant"));
}

static enum err begin_message(struct ai_writer *w, struct buf *out)
{
    struct json_out o;
    if (!ai_writer_begins(w))
        return ERR_OK;
    event_out_begin(&o, "message_start", out);
    json_out_begin(&o, "message", '{');
    if (w->id.len > 2)
        json_out_raw(&o, "id", w->id);
    else
        put_id(&o, SLICE_NONE);
    put_head(&o);
    json_out_raw(&o, "model", w->model.len ? w->model : SLICE("\"\""));
    json_out_raw(&o, "content", SLICE("[]"));
    json_out_raw(&o, "stop_reason", SLICE("null"));
    json_out_raw(&o, "stop_sequence", SLICE("null"));
    put_usage(&o, &w->usage);
    json_out_end(&o, '}');
    return event_out_end(&o);
}

/* What only its maker can read is marked as the maker's, and goes to no other account later. */
static void put_sealed(struct json_out *o, const char *name, struct slice value,
                       const struct ai_context *to)
{
    char mark[AI_MARK_LEN];
    struct buf all;
    if (!value.len || !to->marker || !to->account.text[0] ||
        !ai_mark_write(to->marker, &to->account, value, mark)) {
        json_out_text(o, name, value);
        return;
    }
    buf_init(&all, LIMIT_AI_ANSWER);
    enum err e = buf_append(&all, value);
    if (!e)
        e = buf_append(&all, slice_of(mark, sizeof(mark)));
    json_out_text(o, name, buf_slice(&all));
    o->e = o->e ? o->e : e;
    buf_fini(&all);
}

/* ---- blocks ---- */

static void walk_string(struct ai_writer *w, char ch)
{
    if (w->call.escaped)
        w->call.escaped = false;
    else if (ch == '\\')
        w->call.escaped = true;
    else if (ch == '"')
        w->call.in_string = false;
}

/* Is the value whole that a call's arguments are? Counts brackets outside of strings. */
static void walk_arguments(struct ai_writer *w, struct slice piece)
{
    for (size_t i = 0; i < piece.len; i++) {
        char ch = piece.ptr[i];
        if (w->call.in_string) {
            walk_string(w, ch);
        } else if (ch == '"') {
            w->call.in_string = true;
        } else if (ch == '{' || ch == '[') {
            w->call.depth++;
            w->call.is_whole = false;
        } else if ((ch == '}' || ch == ']') && w->call.depth) {
            w->call.depth--;
            w->call.is_whole = w->call.depth == 0;
        }
    }
}

static bool may_end(const struct ai_writer *w)
{
    return !w->blocks.is_open || w->blocks.open != AI_TOOL_START || w->call.is_whole;
}

/* What kind of block an event belongs to. A refusal is text here. */
static enum ai_event_kind block_kind(const struct ai_event *e)
{
    switch (e->kind) {
    case AI_REASONING:
        return AI_REASONING;
    case AI_TOOL_START:
    case AI_TOOL_ARGUMENTS:
    case AI_TOOL_END:
        return AI_TOOL_START;
    default:
        return AI_TEXT;
    }
}

static bool is_same_block(enum ai_event_kind kind, unsigned block, const struct ai_event *e)
{
    return kind == block_kind(e) && block == e->block && e->kind != AI_TOOL_START;
}

static bool is_of_open(const struct ai_writer *w, const struct ai_event *e)
{
    return w->blocks.is_open && is_same_block(w->blocks.open, w->blocks.open_block, e);
}

static enum err end_block(struct ai_writer *w, struct buf *out)
{
    struct json_out o;
    if (!w->blocks.is_open)
        return ERR_OK;
    w->blocks.is_open = false;
    event_out_begin(&o, "content_block_stop", out);
    json_out_u64(&o, "index", w->blocks.next_index++);
    return event_out_end(&o);
}

static void put_block(struct json_out *o, const struct ai_event *e, const struct ai_context *to)
{
    switch (block_kind(e)) {
    case AI_TOOL_START:
        json_out_text(o, "type", SLICE("tool_use"));
        put_call_id(o, e->id);
        json_out_text(o, "name", e->name);
        json_out_raw(o, "input", SLICE("{}"));
        break;
    case AI_REASONING:
        json_out_text(o, "type", e->id.len ? SLICE("redacted_thinking") : SLICE("thinking"));
        put_sealed(o, e->id.len ? "data" : "thinking", e->id, to);
        if (!e->id.len)
            json_out_text(o, "signature", SLICE(""));
        break;
    default:
        json_out_text(o, "type", SLICE("text"));
        json_out_text(o, "text", SLICE(""));
        break;
    }
}

static void note_begun(struct ai_writer *w, const struct ai_event *e)
{
    w->blocks.is_open = true;
    w->blocks.open = block_kind(e);
    w->blocks.open_block = e->block;
    memset(&w->call, 0, sizeof(w->call));
    w->has_calls = w->has_calls || w->blocks.open == AI_TOOL_START;
}

static enum err begin_block(struct ai_writer *w, const struct ai_event *e, struct buf *out)
{
    struct json_out o;
    note_begun(w, e);
    event_out_begin(&o, "content_block_start", out);
    json_out_u64(&o, "index", w->blocks.next_index);
    json_out_begin(&o, "content_block", '{');
    put_block(&o, e, &w->to);
    json_out_end(&o, '}');
    return event_out_end(&o);
}

static enum err write_delta(struct ai_writer *w, const char *type, const char *member,
                            struct slice text, struct buf *out)
{
    struct json_out o;
    size_t from = out->len;
    if (!text.len)
        return ERR_OK;
    event_out_begin(&o, "content_block_delta", out);
    json_out_u64(&o, "index", w->blocks.next_index);
    json_out_begin(&o, "delta", '{');
    json_out_text(&o, "type", slice_str(type));
    if (strcmp(member, "signature") == 0)
        put_sealed(&o, member, text, &w->to);
    else
        json_out_text(&o, member, text);
    size_t words_end = out->len - 1;
    json_out_end(&o, '}');
    enum err e = event_out_end(&o);
    if (w->blocks.open != AI_TOOL_START) /* of arguments it is followed where they end */
        ai_words_written(w, from, words_end, out);
    return e;
}

/* An event of the block that is open. */
static enum err fill(struct ai_writer *w, const struct ai_event *e, struct buf *out)
{
    enum err err;
    switch (e->kind) {
    case AI_TEXT:
    case AI_REFUSAL:
        w->refused = w->refused || e->kind == AI_REFUSAL;
        return write_delta(w, "text_delta", "text", e->text, out);
    case AI_REASONING:
        err = write_delta(w, "thinking_delta", "thinking", e->text, out);
        if (!err)
            err = write_delta(w, "signature_delta", "signature", e->signature, out);
        return err || !e->id.len ? err : end_block(w, out);
    case AI_TOOL_ARGUMENTS:
        walk_arguments(w, e->text);
        return write_delta(w, "input_json_delta", "partial_json", e->text, out);
    case AI_TOOL_END:
        return end_block(w, out);
    default:
        return ERR_OK;
    }
}

static enum err begin_and_fill(struct ai_writer *w, const struct ai_event *e, struct buf *out)
{
    /* Blanks behind the arguments of a call that has ended say nothing. */
    if (e->kind == AI_TOOL_ARGUMENTS)
        return slice_trim(e->text).len ? ERR_PROTOCOL : ERR_OK;
    if (e->kind == AI_TOOL_END)
        return ERR_OK;
    if (e->kind != AI_TOOL_START && !e->text.len && !e->id.len && !e->signature.len)
        return ERR_OK;
    enum err err = end_block(w, out);
    if (!err)
        err = begin_block(w, e, out);
    return err ? err : fill(w, e, out);
}

static enum err hold(struct ai_writer *w, const struct ai_event *e)
{
    struct ai_held *h = w->arena ? arena_alloc(w->arena, sizeof(*h)) : NULL;
    if (!h)
        return ERR_NOMEM;
    *h = (struct ai_held){.event = *e};
    struct slice *texts[] = {&h->event.text, &h->event.id, &h->event.name, &h->event.signature};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (!texts[i]->len)
            continue;
        *texts[i] = arena_copy(w->arena, *texts[i]);
        if (!texts[i]->ptr)
            return ERR_NOMEM;
    }
    struct ai_held **end = &w->held;
    while (*end)
        end = &(*end)->next;
    *end = h;
    return ERR_OK;
}

/* The block that has waited longest, with all that is there of it. */
static enum err release_block(struct ai_writer *w, struct buf *out)
{
    struct ai_held *first = w->held, *rest = NULL, **end = &rest;
    enum ai_event_kind kind = block_kind(&first->event);
    unsigned block = first->event.block;
    enum err err = begin_and_fill(w, &first->event, out);
    for (struct ai_held *h = first->next, *next; h; h = next) {
        next = h->next;
        if (w->blocks.is_open && is_same_block(kind, block, &h->event)) {
            err = err ? err : fill(w, &h->event, out);
        } else {
            *end = h;
            end = &h->next;
            h->next = NULL;
        }
    }
    w->held = rest;
    return err;
}

static enum err release(struct ai_writer *w, struct buf *out)
{
    enum err err = ERR_OK;
    while (!err && w->held && may_end(w))
        err = release_block(w, out);
    return err;
}

/* All that is held, whether the block before it is whole or not. */
static enum err release_all(struct ai_writer *w, struct buf *out)
{
    enum err err = ERR_OK;
    while (!err && w->held)
        err = release_block(w, out);
    return err ? err : end_block(w, out);
}

static enum err place(struct ai_writer *w, const struct ai_event *e, struct buf *out)
{
    enum err err = begin_message(w, out);
    if (err)
        return err;
    if (!is_of_open(w, e))
        return w->held || !may_end(w) ? hold(w, e) : begin_and_fill(w, e, out);
    err = fill(w, e, out);
    return err ? err : release(w, out);
}

static enum err on_block_end(struct ai_writer *w, const struct ai_event *e, struct buf *out)
{
    bool of_open = w->blocks.is_open && w->blocks.open_block == e->block;
    enum err err = of_open && may_end(w) ? end_block(w, out) : ERR_OK;
    return err ? err : release(w, out);
}

/* ---- the end ---- */

static const struct ai_stop_words stop_words = {.stop = "end_turn",
                                                .sequence = "stop_sequence",
                                                .length = "max_tokens",
                                                .tools = "tool_use",
                                                .filter = "refusal"};

static void put_stop(struct json_out *o, const char *reason, struct slice sequence)
{
    json_out_text(o, "stop_reason", slice_str(reason));
    if (sequence.len && strcmp(reason, "stop_sequence") == 0)
        json_out_text(o, "stop_sequence", sequence);
    else
        json_out_raw(o, "stop_sequence", SLICE("null"));
}

static enum err write_stop(const char *reason, struct slice sequence, const struct token_count *t,
                           struct buf *out)
{
    struct json_out o;
    event_out_begin(&o, "message_delta", out);
    json_out_begin(&o, "delta", '{');
    put_stop(&o, reason, sequence);
    json_out_end(&o, '}');
    put_usage(&o, t);
    return event_out_end(&o);
}

#define MESSAGE_STOP "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"

static enum err write_end(struct ai_writer *w, struct buf *out)
{
    enum err err = begin_message(w, out);
    if (!err)
        err = release_all(w, out);
    const char *reason = ai_stop_word(&stop_words, w->blocks.finish, w->refused, w->has_calls,
                                      w->stop_sequence.len > 0);
    if (!err)
        err = write_stop(reason, w->stop_sequence, &w->usage, out);
    return err ? err : buf_append(out, SLICE(MESSAGE_STOP));
}

static enum err note_finish(struct ai_writer *w, const struct ai_event *e)
{
    w->blocks.finish = e->finish;
    w->stop_sequence = e->text.len && w->arena ? arena_copy(w->arena, e->text) : SLICE_NONE;
    return ERR_OK;
}

static enum err write_length_stop(const struct ai_writer *w, const struct token_count *so_far,
                                  struct buf *out)
{
    struct ai_writer last = *w;
    last.usage = *so_far;
    enum err err = begin_message(&last, out);
    if (!err)
        err = release_all(&last, out);
    return err ? err : write_stop("max_tokens", SLICE_NONE, so_far, out);
}

/* `raw` is not used: what begins and ends a block, and the end's message_delta, are no events of
 * their own, so bytes of the provider's would stand between ours without them. */
static enum err write_event(struct ai_writer *w, const struct ai_event *e, struct buf *out)
{
    if (e->choice) /* this dialect has one */
        return ERR_OK;
    switch (e->kind) {
    case AI_START:
        return begin_message(w, out);
    case AI_TEXT:
    case AI_REFUSAL:
    case AI_REASONING:
    case AI_TOOL_START:
    case AI_TOOL_ARGUMENTS:
    case AI_TOOL_END:
        return place(w, e, out);
    case AI_BLOCK_END:
        return on_block_end(w, e, out);
    case AI_FINISH:
        return note_finish(w, e);
    case AI_END:
        return write_end(w, out);
    case AI_ERROR:
        return anthropic_write_stream_error(
            out,
            &(struct ai_error){.status = AI_UPSTREAM_FAILED, .message = e->text, .code = e->name});
    case AI_CITATION:
    case AI_MEDIA:
    case AI_USAGE:
    case AI_OTHER:
        break;
    }
    return ERR_OK;
}

/* What the provider itself wrote: blocks in their order. */
static void note_event(struct ai_writer *w, const struct ai_event *e)
{
    switch (e->kind) {
    case AI_START:
        w->blocks.begun = true;
        break;
    case AI_TEXT:
    case AI_REFUSAL:
    case AI_REASONING:
    case AI_TOOL_START:
    case AI_TOOL_ARGUMENTS:
        w->blocks.is_open = true;
        w->blocks.next_index = e->block;
        break;
    case AI_TOOL_END:
    case AI_BLOCK_END:
        w->blocks.is_open = false;
        w->blocks.next_index = e->block + 1;
        break;
    default:
        break;
    }
}

/* ---- a whole response ---- */

/* The arguments must be an object here; what a model wrote instead is kept under a name. */
static void put_input(struct json_out *o, struct slice text)
{
    struct json_problem problem;
    JSON_AUTO json_t *tree = NULL;
    if (!slice_trim(text).len) {
        json_out_raw(o, "input", SLICE("{}"));
        return;
    }
    if (!json_read(text, &tree, &problem) && json_is_object(tree)) {
        json_out_raw(o, "input", text);
        return;
    }
    json_out_begin(o, "input", '{');
    json_out_text(o, "unparsed", text);
    json_out_end(o, '}');
}

static void put_whole_block(struct json_out *o, const struct ai_block *b,
                            const struct ai_context *to)
{
    if (b->kind != AI_TOOL_START && b->kind != AI_REASONING && !b->text.len)
        return; /* this API has no empty texts */
    json_out_begin(o, NULL, '{');
    if (b->kind == AI_TOOL_START) {
        json_out_text(o, "type", SLICE("tool_use"));
        put_call_id(o, buf_slice(&b->id));
        json_out_text(o, "name", buf_slice(&b->name));
        put_input(o, buf_slice(&b->text));
    } else if (b->kind == AI_REASONING && b->redacted.len) {
        json_out_text(o, "type", SLICE("redacted_thinking"));
        put_sealed(o, "data", buf_slice(&b->redacted), to);
    } else if (b->kind == AI_REASONING) {
        json_out_text(o, "type", SLICE("thinking"));
        json_out_text(o, "thinking", buf_slice(&b->text));
        put_sealed(o, "signature", buf_slice(&b->signature), to);
    } else {
        json_out_text(o, "type", SLICE("text"));
        json_out_text(o, "text", buf_slice(&b->text));
    }
    json_out_end(o, '}');
}

static enum err write_whole(const struct ai_assembly *a, struct buf *out)
{
    const struct ai_choice *c = &a->choices[0];
    struct json_out o = {.to = out};
    struct token_count tokens = {0};
    bool refused = false, has_calls = false;
    ai_usage_count(&a->usage, &tokens);
    json_out_begin(&o, NULL, '{');
    put_id(&o, buf_slice(&a->id));
    put_head(&o);
    json_out_text(&o, "model", buf_slice(&a->model));
    json_out_begin(&o, "content", '[');
    for (size_t i = 0; i < c->block_count; i++) {
        put_whole_block(&o, &c->blocks[i], &a->to);
        refused = refused || c->blocks[i].kind == AI_REFUSAL;
        has_calls = has_calls || c->blocks[i].kind == AI_TOOL_START;
    }
    json_out_end(&o, ']');
    put_stop(&o, ai_stop_word(&stop_words, c->finish, refused, has_calls, c->stop.len > 0),
             buf_slice(&c->stop));
    put_usage(&o, &tokens);
    json_out_end(&o, '}');
    return o.e;
}

/* As this API calls what others call by OpenAI's names. */
static const char *const names[][2] = {{"max_completion_tokens", "max_tokens"},
                                       {"stop", "stop_sequences"},
                                       {"response_format", "output_config.format"},
                                       {"reasoning_effort", "thinking"},
                                       {"parallel_tool_calls", "tool_choice"},
                                       {"user", "metadata.user_id"},
                                       {NULL, NULL}};

const struct ai_dialect dialect_anthropic_messages = {
    .name = "anthropic_messages",
    .words = &words_anthropic,
    .read = anthropic_read_messages,
    .parse = anthropic_parse,
    .splice = anthropic_splice,
    .write_error = anthropic_write_error,
    .write_stream_error = anthropic_write_stream_error,
    .write_length_stop = write_length_stop,
    .write_event = write_event,
    .note_event = note_event,
    .write_whole = write_whole,
    .is_error = anthropic_is_error,
    .header_names = &anthropic_header_names,
    .overloaded = 529,
    .marks = true,
    .tells_prompt = true,
    .seals_calls = true,
    .names = names,
    .keep_alive = {"event: ping\ndata: {\"type\":\"ping\"}\n\n", 35},
    .stream_end = {MESSAGE_STOP, sizeof(MESSAGE_STOP) - 1},
};

/* ---- count_tokens: the same body, and a number ---- */

static enum err write_count(uint64_t tokens, struct buf *out)
{
    struct json_out o = {.to = out};
    json_out_begin(&o, NULL, '{');
    json_out_u64(&o, "input_tokens", tokens);
    json_out_end(&o, '}');
    return o.e;
}

const struct ai_dialect dialect_anthropic_count = {
    .name = "anthropic_count",
    .words = &words_anthropic_count,
    .read = anthropic_read_count,
    .parse = anthropic_parse,
    .splice = anthropic_splice,
    .write_error = anthropic_write_error,
    .write_stream_error = anthropic_write_stream_error,
    .write_count = write_count,
    .marks = true,
    .is_error = anthropic_is_error,
    .header_names = &anthropic_header_names,
    .names = names,
};
