/*
 * openai_responses — OpenAI's responses, as clients speak it: what a model says as items.
 *
 * Each block of the normal form is an item of the output: its text a message, its reasoning a
 * summary, its call of a tool a function call. Calls may be open side by side, text and reasoning
 * end where the next block begins. Every event has the next sequence number, and the last one holds
 * the whole response.
 */
#include <time.h>

#include "dataplane/ai/ai_assembly.h"
#include "dataplane/ai/dialect/body_shape.h"
#include "dataplane/ai/dialect/openai_error.h"
#include "dataplane/ai/dialect/openai_responses_body.h"
#include "dataplane/ai/dialect/openai_stored.h"

#define ID_MAX 64 /* of an upstream's id, as it goes into ours */

/* ---- the response object ---- */

enum state { IN_PROGRESS, COMPLETED, INCOMPLETE };

/* What items and responses are written from, in a stream and outside. */
struct source {
    char id[ID_MAX + 1];
    struct slice model;   /* as JSON, */
    struct slice name;    /* or plain */
    struct slice created; /* as JSON */
    const struct ai_assembly *whole;
    const struct ai_context *to;
};

/* Ids of ours begin with the kind of thing, so that of an upstream's only plain characters stay. */
static void clean_id(struct slice from, char out[static ID_MAX + 1])
{
    size_t n = 0;
    for (size_t i = 0; i < from.len && n < ID_MAX; i++) {
        char c = from.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '_';
        if (plain)
            out[n++] = c;
    }
    out[n] = '\0';
}

static enum err put(struct buf *out, const char *text)
{
    return buf_append(out, slice_str(text));
}

static enum err put_string(struct buf *out, const char *before, struct slice text)
{
    enum err e = put(out, before);
    return e ? e : buf_json_string(out, text);
}

static const char *status_name(enum state s)
{
    static const char *const names[] = {
        [IN_PROGRESS] = "in_progress", [COMPLETED] = "completed", [INCOMPLETE] = "incomplete"};
    return names[s];
}

/* The tool's arguments; a call without any has an empty object. */
static struct slice arguments_of(const struct ai_block *b)
{
    return b->text.len ? buf_slice(&b->text) : SLICE("{}");
}

static const char *prefix_of(const struct ai_block *b)
{
    if (b->kind == AI_TOOL_START)
        return "fc";
    return b->kind == AI_REASONING ? "rs" : "msg";
}

static enum err put_item_id(const struct source *s, const struct ai_block *b, size_t index,
                            struct buf *out)
{
    return buf_printf(out, "\"%s_%s_%zu\"", prefix_of(b), s->id, index);
}

static enum err put_content(const struct ai_block *b, struct slice text, struct buf *out)
{
    if (b->kind == AI_REFUSAL) {
        enum err e = put_string(out, "{\"type\":\"refusal\",\"refusal\":", text);
        return e ? e : put(out, "}");
    }
    enum err e = put_string(out, "{\"type\":\"output_text\",\"text\":", text);
    return e ? e : put(out, ",\"annotations\":[],\"logprobs\":[]}");
}

static enum err put_message(const struct ai_block *b, enum state state, struct buf *out)
{
    enum err e = buf_printf(
        out, ",\"type\":\"message\",\"status\":\"%s\",\"role\":\"assistant\",\"content\":[",
        status_name(state));
    if (!e && state != IN_PROGRESS)
        e = put_content(b, buf_slice(&b->text), out);
    return e ? e : put(out, "]}");
}

static enum err put_call(const struct ai_block *b, enum state state, struct buf *out)
{
    enum err e =
        buf_printf(out, ",\"type\":\"function_call\",\"status\":\"%s\"", status_name(state));
    if (!e)
        e = put_string(out, ",\"call_id\":", buf_slice(&b->id));
    if (!e)
        e = put_string(out, ",\"name\":", buf_slice(&b->name));
    if (!e)
        e = put_string(out, ",\"arguments\":", state == IN_PROGRESS ? SLICE("") : arguments_of(b));
    return e ? e : put(out, "}");
}

static enum err put_reasoning(const struct source *s, const struct ai_block *b, enum state state,
                              struct buf *out)
{
    bool summed = state != IN_PROGRESS && b->text.len;
    enum err e = put(out, ",\"type\":\"reasoning\",\"summary\":[");
    if (!e && summed)
        e = put_string(out, "{\"type\":\"summary_text\",\"text\":", buf_slice(&b->text));
    if (!e && summed)
        e = put(out, "}");
    if (!e)
        e = put(out, "]");
    if (!e && state != IN_PROGRESS)
        e = openai_signature_write(s->to, buf_slice(&b->signature), buf_slice(&b->redacted), out);
    return e ? e : put(out, "}");
}

static enum err put_item(const struct source *s, const struct ai_block *b, size_t index,
                         enum state state, struct buf *out)
{
    enum err e = put(out, "{\"id\":");
    if (!e)
        e = put_item_id(s, b, index, out);
    if (e)
        return e;
    if (b->kind == AI_TOOL_START)
        return put_call(b, state, out);
    return b->kind == AI_REASONING ? put_reasoning(s, b, state, out) : put_message(b, state, out);
}

static const struct ai_choice *choice_of(const struct source *s)
{
    return &s->whole->choices[0];
}

/* A response cut at its ceiling was cut in its last item. */
static enum err put_output(const struct source *s, enum state state, struct buf *out)
{
    const struct ai_choice *c = choice_of(s);
    enum err e = put(out, ",\"output\":[");
    for (size_t i = 0; !e && state != IN_PROGRESS && i < c->block_count; i++) {
        bool cut = state == INCOMPLETE && i + 1 == c->block_count;
        e = i ? put(out, ",") : ERR_OK;
        if (!e)
            e = put_item(s, &c->blocks[i], i, cut ? INCOMPLETE : COMPLETED, out);
    }
    return e ? e : put(out, "]");
}

/* What the client said, where it said it, or what it means to say nothing. */
static enum err put_request(const struct ai_request *r, struct buf *out)
{
    static const struct {
        enum openai_responses_want want;
        const char *name, *absent;
    } rows[] = {
        {RESPONSES_INSTRUCTIONS, "instructions", "null"},
        {RESPONSES_MAX_OUTPUT_TOKENS, "max_output_tokens", "null"},
        {RESPONSES_METADATA, "metadata", "{}"},
        {RESPONSES_PARALLEL, "parallel_tool_calls", "true"},
        {RESPONSES_REASONING, "reasoning", "{\"effort\":null,\"summary\":null}"},
        {RESPONSES_TEMPERATURE, "temperature", "null"},
        {RESPONSES_TEXT, "text", "{\"format\":{\"type\":\"text\"}}"},
        {RESPONSES_TOOL_CHOICE, "tool_choice", "\"auto\""},
        {RESPONSES_TOOLS, "tools", "[]"},
        {RESPONSES_TOP_P, "top_p", "null"},
    };
    enum err e = put(out, ",\"previous_response_id\":null,\"store\":false,\"background\":false,"
                          "\"truncation\":\"disabled\"");
    for (size_t i = 0; !e && i < ARRAY_LEN(rows); i++) {
        const struct json_hit *h = r ? &r->hits[rows[i].want] : NULL;
        bool said = h && h->type != JSON_SCAN_ABSENT && h->type != JSON_SCAN_NULL;
        e = buf_printf(out, ",\"%s\":", rows[i].name);
        if (!e)
            e = said ? buf_append(out, h->raw) : put(out, rows[i].absent);
    }
    return e;
}

static enum err put_usage(const struct token_count *t, struct buf *out)
{
    if (!t)
        return put(out, ",\"usage\":null");
    return buf_printf(out,
                      ",\"usage\":{\"input_tokens\":%llu,\"input_tokens_details\":{"
                      "\"cached_tokens\":%llu,\"cache_write_tokens\":%llu},\"output_tokens\":%llu,"
                      "\"output_tokens_details\":{\"reasoning_tokens\":%llu},"
                      "\"total_tokens\":%llu}",
                      (unsigned long long)t->input, (unsigned long long)t->cache_read,
                      (unsigned long long)t->cache_write, (unsigned long long)t->output,
                      (unsigned long long)t->reasoning, (unsigned long long)(t->input + t->output));
}

static enum state state_of(enum ai_finish f)
{
    return f == AI_FINISH_LENGTH || f == AI_FINISH_FILTER ? INCOMPLETE : COMPLETED;
}

static enum err put_why(enum ai_finish f, struct buf *out)
{
    if (state_of(f) == COMPLETED)
        return put(out, ",\"incomplete_details\":null");
    return buf_printf(out, ",\"incomplete_details\":{\"reason\":\"%s\"}",
                      f == AI_FINISH_LENGTH ? "max_output_tokens" : "content_filter");
}

static enum err put_response(const struct source *s, enum state state, enum ai_finish f,
                             const struct token_count *usage, struct buf *out)
{
    enum err e = buf_printf(
        out, "{\"id\":\"resp_%s\",\"object\":\"response\",\"created_at\":%.*s,\"status\":\"%s\"",
        s->id, SLICE_ARG(s->created), status_name(state));
    if (!e)
        e = put(out, ",\"error\":null");
    if (!e)
        e = put_why(f, out);
    if (!e)
        e = put(out, ",\"model\":");
    if (!e)
        e = s->model.len ? buf_append(out, s->model) : buf_json_string(out, s->name);
    if (!e)
        e = put_output(s, state, out);
    if (!e)
        e = put_request(s->to->request, out);
    if (!e)
        e = put_usage(usage, out);
    return e ? e : put(out, "}");
}

/* ---- a stream from events ---- */

static const struct ai_assembly nothing;

static struct slice unquoted(struct slice s)
{
    return s.len > 1 ? slice_of(s.ptr + 1, s.len - 2) : s;
}

static struct source source_of(const struct ai_writer *w)
{
    struct source s = {
        .model = w->model,
        .created = w->created.len ? w->created : SLICE("0"),
        .whole = w->whole ? w->whole : &nothing,
        .to = &w->to,
    };
    struct slice id = unquoted(w->id);
    clean_id(slice_starts(id, SLICE("resp_")) ? slice_from(id, 5) : id, s.id);
    return s;
}

static enum err begin_event(struct ai_writer *w, const char *type, struct buf *out)
{
    return buf_printf(out, "event: %s\ndata: {\"type\":\"%s\",\"sequence_number\":%llu", type, type,
                      (unsigned long long)w->blocks.sequence++);
}

static enum err end_event(struct buf *out)
{
    return put(out, "}\n\n");
}

static enum err response_event(struct ai_writer *w, const char *type, enum state state,
                               enum ai_finish f, const struct token_count *usage, struct buf *out)
{
    struct source s = source_of(w);
    enum err e = begin_event(w, type, out);
    if (!e)
        e = put(out, ",\"response\":");
    if (!e)
        e = put_response(&s, state, f, usage, out);
    return e ? e : end_event(out);
}

static enum err write_start(struct ai_writer *w, struct buf *out)
{
    enum err e = response_event(w, "response.created", IN_PROGRESS, AI_FINISH_NONE, NULL, out);
    return e ? e
             : response_event(w, "response.in_progress", IN_PROGRESS, AI_FINISH_NONE, NULL, out);
}

/* A block, and its place among the items. */
struct item {
    const struct ai_block *block;
    size_t index;
};

static bool find_item(const struct ai_writer *w, enum ai_event_kind kind, unsigned block,
                      struct item *ret)
{
    const struct ai_choice *c = w->whole ? &w->whole->choices[0] : &nothing.choices[0];
    for (size_t i = c->block_count; i > 0; i--)
        if (c->blocks[i - 1].block == block && c->blocks[i - 1].kind == kind) {
            *ret = (struct item){&c->blocks[i - 1], i - 1};
            return true;
        }
    return false;
}

/* An event of one item: its id and index behind what every event has. */
static enum err begin_item_event(struct ai_writer *w, const char *type, const struct item *i,
                                 struct buf *out)
{
    struct source s = source_of(w);
    enum err e = begin_event(w, type, out);
    if (!e)
        e = put(out, ",\"item_id\":");
    if (!e)
        e = put_item_id(&s, i->block, i->index, out);
    return e ? e : buf_printf(out, ",\"output_index\":%zu", i->index);
}

static enum err whole_item_event(struct ai_writer *w, const char *type, const struct item *i,
                                 enum state state, struct buf *out)
{
    struct source s = source_of(w);
    enum err e = begin_event(w, type, out);
    if (!e)
        e = buf_printf(out, ",\"output_index\":%zu,\"item\":", i->index);
    if (!e)
        e = put_item(&s, i->block, i->index, state, out);
    return e ? e : end_event(out);
}

/* The events that differ from kind to kind in their names alone. */
struct grammar {
    const char *part_added, *delta, *done, *part_done, *place, *text;
};

static const struct grammar *grammar_of(enum ai_event_kind kind)
{
    static const struct grammar
        text = {"response.content_part.added", "response.output_text.delta",
                "response.output_text.done",   "response.content_part.done",
                ",\"content_index\":0",        ",\"logprobs\":[],\"text\":"},
        refusal = {"response.content_part.added", "response.refusal.delta", "response.refusal.done",
                   "response.content_part.done",  ",\"content_index\":0",   ",\"refusal\":"},
        reasoning = {"response.reasoning_summary_part.added",
                     "response.reasoning_summary_text.delta",
                     "response.reasoning_summary_text.done",
                     "response.reasoning_summary_part.done",
                     ",\"summary_index\":0",
                     ",\"text\":"};
    if (kind == AI_REASONING)
        return &reasoning;
    return kind == AI_REFUSAL ? &refusal : &text;
}

static enum err put_part(const struct ai_block *b, struct slice text, struct buf *out)
{
    if (b->kind != AI_REASONING)
        return put_content(b, text, out);
    enum err e = put_string(out, "{\"type\":\"summary_text\",\"text\":", text);
    return e ? e : put(out, "}");
}

static enum err part_event(struct ai_writer *w, const char *type, const struct item *i,
                           struct slice text, struct buf *out)
{
    const struct grammar *g = grammar_of(i->block->kind);
    enum err e = begin_item_event(w, type, i, out);
    if (!e)
        e = put(out, g->place);
    if (!e)
        e = put(out, ",\"part\":");
    if (!e)
        e = put_part(i->block, text, out);
    return e ? e : end_event(out);
}

/* ---- the end of an item ---- */

static enum err end_part(struct ai_writer *w, const struct item *i, struct buf *out)
{
    const struct grammar *g = grammar_of(i->block->kind);
    struct slice text = buf_slice(&i->block->text);
    enum err e = begin_item_event(w, g->done, i, out);
    if (!e)
        e = put(out, g->place);
    if (!e)
        e = put_string(out, g->text, text);
    if (!e)
        e = end_event(out);
    return e ? e : part_event(w, g->part_done, i, text, out);
}

/* The text, reasoning or refusal that is open. */
static enum err end_block(struct ai_writer *w, enum state state, struct buf *out)
{
    struct item i;
    enum err e = ERR_OK;
    if (!w->blocks.is_open)
        return ERR_OK;
    w->blocks.is_open = false;
    if (!find_item(w, w->blocks.open, w->blocks.open_block, &i))
        return ERR_PROTOCOL;
    if (i.block->kind != AI_REASONING || w->blocks.has_part)
        e = end_part(w, &i, out);
    return e ? e : whole_item_event(w, "response.output_item.done", &i, state, out);
}

static enum err end_tool(struct ai_writer *w, const struct item *i, enum state state,
                         struct buf *out)
{
    enum err e = begin_item_event(w, "response.function_call_arguments.done", i, out);
    if (!e)
        e = put_string(out, ",\"name\":", buf_slice(&i->block->name));
    if (!e)
        e = put_string(out, ",\"arguments\":", arguments_of(i->block));
    if (!e)
        e = end_event(out);
    return e ? e : whole_item_event(w, "response.output_item.done", i, state, out);
}

static bool take_open_tool(struct ai_writer *w, unsigned block)
{
    for (unsigned i = 0; i < w->tools; i++)
        if (w->tool_at[i] == block) {
            memmove(&w->tool_at[i], &w->tool_at[i + 1], (w->tools - i - 1) * sizeof(w->tool_at[0]));
            w->tools--;
            return true;
        }
    return false;
}

static enum err write_tool_end(struct ai_writer *w, unsigned block, enum state state,
                               struct buf *out)
{
    struct item i;
    if (!take_open_tool(w, block))
        return ERR_OK;
    return find_item(w, AI_TOOL_START, block, &i) ? end_tool(w, &i, state, out) : ERR_PROTOCOL;
}

static enum err end_all(struct ai_writer *w, enum state state, struct buf *out)
{
    enum err e = end_block(w, state, out);
    while (!e && w->tools)
        e = write_tool_end(w, w->tool_at[0], state, out);
    return e;
}

/* ---- its beginning, and its pieces ---- */

static enum err begin_part(struct ai_writer *w, const struct item *i, struct buf *out)
{
    w->blocks.has_part = true;
    return part_event(w, grammar_of(i->block->kind)->part_added, i, SLICE(""), out);
}

static enum err begin_block(struct ai_writer *w, const struct ai_event *e, const struct item *i,
                            struct buf *out)
{
    bool open = w->blocks.is_open && w->blocks.open == e->kind && w->blocks.open_block == e->block;
    if (open)
        return ERR_OK;
    enum err err = end_block(w, COMPLETED, out);
    w->blocks.is_open = true;
    w->blocks.open = e->kind;
    w->blocks.open_block = e->block;
    w->blocks.has_part = false;
    return err ? err : whole_item_event(w, "response.output_item.added", i, IN_PROGRESS, out);
}

/* A signature comes with the item's end; reasoning that only its provider can read has no text. */
static enum err write_words(struct ai_writer *w, const struct ai_event *e, struct buf *out)
{
    struct item i;
    const struct grammar *g = grammar_of(e->kind);
    if (!find_item(w, e->kind, e->block, &i))
        return ERR_PROTOCOL;
    enum err err = begin_block(w, e, &i, out);
    if (err || !e->text.len)
        return err;
    if (!w->blocks.has_part)
        err = begin_part(w, &i, out);
    if (!err)
        err = begin_item_event(w, g->delta, &i, out);
    if (!err)
        err = put(out, g->place);
    if (!err)
        err = put_string(out, ",\"delta\":", e->text);
    if (!err && e->kind == AI_TEXT)
        err = put(out, ",\"logprobs\":[]");
    return err ? err : end_event(out);
}

static enum err write_tool_start(struct ai_writer *w, const struct ai_event *e, struct buf *out)
{
    struct item i;
    if (w->tools >= AI_WRITER_TOOLS || !find_item(w, AI_TOOL_START, e->block, &i))
        return ERR_PROTOCOL;
    enum err err = end_block(w, COMPLETED, out);
    w->tool_at[w->tools++] = e->block;
    return err ? err : whole_item_event(w, "response.output_item.added", &i, IN_PROGRESS, out);
}

static enum err write_arguments(struct ai_writer *w, const struct ai_event *e, struct buf *out)
{
    struct item i;
    if (!e->text.len)
        return ERR_OK;
    if (!find_item(w, AI_TOOL_START, e->block, &i))
        return ERR_PROTOCOL;
    enum err err = begin_item_event(w, "response.function_call_arguments.delta", &i, out);
    if (!err)
        err = put_string(out, ",\"delta\":", e->text);
    return err ? err : end_event(out);
}

static enum err write_finish(struct ai_writer *w, const struct ai_event *e, struct buf *out)
{
    w->blocks.finish = e->finish;
    return end_all(w, state_of(e->finish), out);
}

static enum err write_last(struct ai_writer *w, enum ai_finish f, const struct token_count *usage,
                           struct buf *out)
{
    enum state state = state_of(f);
    enum err e = end_all(w, state, out);
    const char *type = state == COMPLETED ? "response.completed" : "response.incomplete";
    return e ? e : response_event(w, type, state, f, usage, out);
}

static enum err write_event(struct ai_writer *w, const struct ai_event *e, struct buf *out)
{
    if (e->choice)
        return ERR_OK; /* only one was requested */
    if (e->raw.ptr)
        return openai_stored_mark_event(&w->to, e->raw, out);
    switch (e->kind) {
    case AI_START:
        return write_start(w, out);
    case AI_TEXT:
    case AI_REFUSAL:
    case AI_REASONING:
        return write_words(w, e, out);
    case AI_TOOL_START:
        return write_tool_start(w, e, out);
    case AI_TOOL_ARGUMENTS:
        return write_arguments(w, e, out);
    case AI_TOOL_END:
        return write_tool_end(w, e->block, COMPLETED, out);
    case AI_BLOCK_END:
        return end_block(w, COMPLETED, out);
    case AI_FINISH:
        return write_finish(w, e, out);
    case AI_END:
        return write_last(w, w->blocks.finish, &w->usage, out);
    case AI_ERROR:
        return openai_responses_write_stream_error(
            out,
            &(struct ai_error){
                .status = AI_UPSTREAM_FAILED, .message = e->text, .code = e->name, .in_stream = w});
    case AI_CITATION:
    case AI_MEDIA:
    case AI_USAGE:
    case AI_OTHER:
        break;
    }
    return ERR_OK;
}

/* The gateway ends it, at what is reserved. */
static enum err write_length_stop(const struct ai_writer *w, const struct token_count *so_far,
                                  struct buf *out)
{
    struct ai_writer last = *w;
    return write_last(&last, AI_FINISH_LENGTH, so_far, out);
}

/* OpenAI's SDKs raise it, in both of the forms that they know. */
enum err openai_responses_write_stream_error(struct buf *out, const struct ai_error *e)
{
    unsigned long long sequence = e->in_stream ? e->in_stream->blocks.sequence : 0;
    enum err err = put(out, "event: error\ndata: {\"type\":\"error\"");
    if (!err)
        err = buf_printf(out, ",\"sequence_number\":%llu", sequence);
    if (!err)
        err = put(out, ",\"code\":");
    if (!err)
        err = e->code.len ? buf_json_string(out, e->code) : put(out, "null");
    if (!err)
        err = put_string(out, ",\"message\":", e->message);
    if (!err)
        err = put(out, ",\"param\":");
    if (!err)
        err = e->param.len ? buf_json_string(out, e->param) : put(out, "null");
    if (!err)
        err = put(out, ",\"error\":");
    if (!err)
        err = openai_write_error_object(out, e);
    return err ? err : end_event(out);
}

/* ---- a whole response ---- */

static enum err write_whole(const struct ai_assembly *a, struct buf *out)
{
    struct token_count tokens;
    char now[24];
    snprintf(now, sizeof(now), "%lld", (long long)time(NULL));
    struct source s = {
        .name = buf_slice(&a->model), .created = slice_str(now), .whole = a, .to = &a->to};
    clean_id(buf_slice(&a->id), s.id);
    enum ai_finish f = a->choices[0].finish;
    bool counted = ai_usage_count(&a->usage, &tokens) == AI_COUNTED_ALL;
    return put_response(&s, state_of(f), f, counted ? &tokens : NULL, out);
}

/* A body's envelope, or an event that says what went wrong. */
static bool is_error(struct slice body)
{
    static const char *const wants[] = {"type", "message", "response.error.message"};
    struct json_hit hits[ARRAY_LEN(wants)];
    struct json_scan_problem problem;
    enum json_type root;
    if (openai_is_error(body))
        return true;
    if (json_scan_response(body, wants, ARRAY_LEN(wants), hits, &root, &problem))
        return false;
    bool named = slice_eq(hits[0].raw, SLICE("\"error\"")) && hits[1].type == JSON_SCAN_STRING;
    return named || hits[2].type == JSON_SCAN_STRING;
}

/* OpenAI's names of what these are called here, in notices and refusals. */
static const char *const own_names[][2] = {
    {"max_completion_tokens", "max_output_tokens"},
    {"max_tokens", "max_output_tokens"},
    {"messages", "input"},
    {"reasoning_effort", "reasoning.effort"},
    {"response_format", "text.format"},
    {"verbosity", "text.verbosity"},
    {NULL, NULL},
};

const struct ai_dialect dialect_openai_responses = {
    .name = "openai_responses",
    .words = &words_openai_responses,
    .read = openai_responses_read,
    .parse = openai_responses_parse,
    .splice = openai_responses_splice,
    .write_error = openai_write_error,
    .write_stream_error = openai_responses_write_stream_error,
    .write_length_stop = write_length_stop,
    .write_event = write_event,
    .write_whole = write_whole,
    .marks = true,
    .mark_event = openai_stored_mark_event,
    .mark_whole = openai_stored_mark_body,
    .is_error = is_error,
    .names = own_names,
    .keep_alive = {": keep-alive\n\n", 14},
    .keeps_whole = true,
    .seals_calls = true,
};

/* ---- how many tokens the same body has ---- */

static enum err write_count(uint64_t tokens, struct buf *out)
{
    return buf_printf(out, "{\"object\":\"response.input_tokens\",\"input_tokens\":%llu}",
                      (unsigned long long)tokens);
}

const struct ai_dialect dialect_openai_responses_count = {
    .name = "openai_responses_count",
    .words = &words_openai_responses_count,
    .read = openai_responses_read,
    .parse = openai_responses_parse,
    .splice = openai_responses_splice,
    .write_error = openai_write_error,
    .write_stream_error = openai_write_stream_error,
    .write_count = write_count,
    .marks = true,
    .mark_event = openai_stored_mark_event,
    .is_error = openai_is_error,
    .names = own_names,
};
