/*
 * gemini — Gemini's generateContent, as clients speak it (dialects.md 1.5).
 *
 * Each event of a stream is a response object with a piece of it. A stream is server-sent events
 * where the client asks for `alt=sse`, and else one JSON array whose elements arrive one by one:
 * two dialects that differ in what stands around each object.
 *
 * A function call must be written in one piece, so that its arguments are taken from what has been
 * gathered once the call ends. Finish reasons are held back to the last object, which has the
 * usage, as the service itself sends it.
 */
#include "common/base/json_out.h"
#include "common/base/json_scan.h"
#include "dataplane/ai/ai_assembly.h"
#include "dataplane/ai/dialect/body_shape.h"
#include "dataplane/ai/dialect/gemini_body.h"
#include "dataplane/ai/dialect/gemini_error.h"

/* ---- what stands around an object of a stream ---- */

static enum err begin_sse(struct ai_writer *w, struct buf *out)
{
    (void)w;
    return buf_append(out, SLICE("data: "));
}

static enum err end_sse(const struct ai_writer *w, struct buf *out, bool last)
{
    (void)w;
    (void)last;
    return buf_append(out, SLICE("\r\n\r\n"));
}

static enum err begin_element(struct ai_writer *w, struct buf *out)
{
    return buf_append(out, ai_writer_begins(w) ? SLICE("[") : SLICE(",\r\n"));
}

static enum err end_element(const struct ai_writer *w, struct buf *out, bool last)
{
    (void)w;
    return last ? buf_append(out, SLICE("]")) : ERR_OK;
}

struct framing {
    enum err (*begin)(struct ai_writer *w, struct buf *out);
    enum err (*end)(const struct ai_writer *w, struct buf *out, bool last);
};

static const struct framing as_events = {begin_sse, end_sse},
                            as_array = {begin_element, end_element};

/* ---- pieces of a response object ---- */

static void put_usage(struct json_out *o, const struct token_count *t)
{
    json_out_begin(o, "usageMetadata", '{');
    json_out_u64(o, "promptTokenCount", t->input);
    json_out_u64(o, "candidatesTokenCount", t->output - t->reasoning);
    json_out_u64(o, "totalTokenCount", t->input + t->output);
    if (t->cache_read)
        json_out_u64(o, "cachedContentTokenCount", t->cache_read);
    if (t->reasoning)
        json_out_u64(o, "thoughtsTokenCount", t->reasoning);
    json_out_end(o, '}');
}

static const char *finish_name(enum ai_finish f)
{
    static const char *const names[] = {[AI_FINISH_NONE] = "STOP",
                                        [AI_FINISH_STOP] = "STOP",
                                        [AI_FINISH_LENGTH] = "MAX_TOKENS",
                                        [AI_FINISH_TOOLS] = "STOP",
                                        [AI_FINISH_FILTER] = "SAFETY"};
    return names[f];
}

static void begin_candidate(struct json_out *o)
{
    json_out_begin(o, NULL, '{');
    json_out_begin(o, "content", '{');
    json_out_begin(o, "parts", '[');
}

static void end_candidate(struct json_out *o, unsigned index, const char *finish)
{
    json_out_end(o, ']');
    json_out_text(o, "role", SLICE("model"));
    json_out_end(o, '}');
    if (finish)
        json_out_text(o, "finishReason", slice_str(finish));
    json_out_u64(o, "index", index);
    json_out_end(o, '}');
}

/* Returns where its words end. */
static size_t put_text_part(struct json_out *o, struct slice text, bool thought,
                            struct slice signature)
{
    json_out_begin(o, NULL, '{');
    json_out_text(o, "text", text);
    size_t words_end = o->to->len - 1;
    if (thought)
        json_out_bool(o, "thought", true);
    if (signature.len)
        json_out_text(o, "thoughtSignature", signature);
    json_out_end(o, '}');
    return words_end;
}

static bool is_object(struct slice json)
{
    struct json_scan_problem problem;
    enum json_type root;
    return !json_scan(json, NULL, 0, NULL, &root, &problem) && root == JSON_SCAN_OBJECT;
}

/* Arguments that are no object, which only a broken model writes, are told as they came. */
static void put_call_part(struct json_out *o, const struct ai_block *b)
{
    struct slice args = slice_trim(buf_slice(&b->text));
    json_out_begin(o, NULL, '{');
    json_out_begin(o, "functionCall", '{');
    if (b->id.len)
        json_out_text(o, "id", buf_slice(&b->id));
    json_out_text(o, "name", buf_slice(&b->name));
    if (!args.len)
        json_out_raw(o, "args", SLICE("{}"));
    else if (is_object(args))
        json_out_raw(o, "args", args);
    else {
        json_out_begin(o, "args", '{');
        json_out_text(o, "invalid_arguments", args);
        json_out_end(o, '}');
    }
    json_out_end(o, '}');
    if (b->signature.len)
        json_out_text(o, "thoughtSignature", buf_slice(&b->signature));
    json_out_end(o, '}');
}

/* ---- a stream ---- */

static struct slice or_else(struct slice raw, struct slice other)
{
    return raw.len ? raw : other;
}

static void put_identity(struct json_out *o, const struct ai_writer *w)
{
    json_out_raw(o, "modelVersion", or_else(w->model, SLICE("\"\"")));
    json_out_raw(o, "responseId", or_else(w->id, SLICE("\"\"")));
}

struct piece {
    struct json_out o;
    struct ai_writer *w;
    const struct framing *f;
};

static void begin_object(struct piece *p)
{
    p->o.e = p->f->begin(p->w, p->o.to);
    json_out_begin(&p->o, NULL, '{');
    json_out_begin(&p->o, "candidates", '[');
}

static enum err end_object(struct piece *p, const struct token_count *usage, bool last)
{
    json_out_end(&p->o, ']');
    if (usage)
        put_usage(&p->o, usage);
    put_identity(&p->o, p->w);
    json_out_end(&p->o, '}');
    return p->o.e ? p->o.e : p->f->end(p->w, p->o.to, last);
}

static enum err write_text(struct piece *p, const struct ai_event *e)
{
    bool thought = e->kind == AI_REASONING;
    if (!e->text.len && !(thought && e->signature.len))
        return ERR_OK; /* reasoning that only its provider can read has no place */
    size_t from = p->o.to->len;
    bool opens = p->f == &as_array && !p->w->blocks.begun;
    begin_object(p);
    begin_candidate(&p->o);
    size_t words_end = put_text_part(&p->o, e->text, thought, e->signature);
    end_candidate(&p->o, e->choice, NULL);
    enum err err = end_object(p, NULL, false);
    if (!opens)
        ai_words_written(p->w, from, words_end, p->o.to);
    return err;
}

static const struct ai_block *block_of(const struct ai_writer *w, const struct ai_event *e)
{
    const struct ai_choice *c =
        w->whole && e->choice < AI_ASSEMBLY_CHOICES ? &w->whole->choices[e->choice] : NULL;
    for (size_t i = c ? c->block_count : 0; i > 0; i--)
        if (c->blocks[i - 1].block == e->block && c->blocks[i - 1].kind == AI_TOOL_START)
            return &c->blocks[i - 1];
    return NULL;
}

static enum err write_call(struct piece *p, const struct ai_event *e)
{
    const struct ai_block *b = block_of(p->w, e);
    if (!b)
        return ERR_PROTOCOL;
    begin_object(p);
    begin_candidate(&p->o);
    put_call_part(&p->o, b);
    end_candidate(&p->o, e->choice, NULL);
    return end_object(p, NULL, false);
}

static enum ai_finish *finish_of(struct ai_writer *w, unsigned choice)
{
    return choice < ARRAY_LEN(w->finish_of) ? &w->finish_of[choice] : NULL;
}

static void note_finish(struct ai_writer *w, const struct ai_event *e)
{
    enum ai_finish *f = finish_of(w, e->choice);
    if (f)
        *f = e->finish;
}

/* The last object: each choice with why it ended, and the usage. */
static enum err write_last(struct piece *p, enum ai_finish other, const struct token_count *usage)
{
    begin_object(p);
    for (unsigned i = 0; i < p->w->choices && i < ARRAY_LEN(p->w->finish_of); i++) {
        enum ai_finish f = p->w->finish_of[i];
        begin_candidate(&p->o);
        put_text_part(&p->o, SLICE(""), false, SLICE_NONE);
        end_candidate(&p->o, i, finish_name(f ? f : other));
    }
    return end_object(p, usage, true);
}

static enum err write_failure(struct piece *p, const struct ai_event *e)
{
    const struct ai_error error = {
        .status = AI_UPSTREAM_FAILED, .message = e->text, .code = e->name};
    p->o.e = p->f->begin(p->w, p->o.to);
    if (!p->o.e)
        p->o.e = gemini_write_error(p->o.to, &error);
    return p->o.e ? p->o.e : p->f->end(p->w, p->o.to, true);
}

static enum err write(struct piece *p, const struct ai_event *e)
{
    switch (e->kind) {
    case AI_TEXT:
    case AI_REASONING:
    case AI_REFUSAL:
        return write_text(p, e);
    case AI_TOOL_END:
        return write_call(p, e);
    case AI_FINISH:
        note_finish(p->w, e);
        return ERR_OK;
    case AI_END:
        return write_last(p, AI_FINISH_STOP, &p->w->usage);
    case AI_ERROR:
        return write_failure(p, e);
    case AI_START:
    case AI_TOOL_START:
    case AI_TOOL_ARGUMENTS:
    case AI_CITATION:
    case AI_MEDIA:
    case AI_BLOCK_END:
    case AI_USAGE:
    case AI_OTHER:
        break;
    }
    return ERR_OK;
}

static enum err write_event(struct ai_writer *w, const struct ai_event *e, struct buf *out)
{
    struct piece p = {.o = {.to = out}, .w = w, .f = &as_events};
    return e->raw.ptr ? buf_append(out, e->raw) : write(&p, e);
}

/* An array is open from its first element on, so that an error can follow wherever it breaks off.
 */
static enum err write_opening(struct piece *p)
{
    begin_object(p);
    begin_candidate(&p->o);
    put_text_part(&p->o, SLICE(""), false, SLICE_NONE);
    end_candidate(&p->o, 0, NULL);
    return end_object(p, NULL, false);
}

static enum err write_element(struct ai_writer *w, const struct ai_event *e, struct buf *out)
{
    struct piece p = {.o = {.to = out}, .w = w, .f = &as_array};
    return e->kind == AI_START ? write_opening(&p) : write(&p, e);
}

static enum err write_length_stop(const struct ai_writer *w, const struct token_count *so_far,
                                  struct buf *out)
{
    struct ai_writer own = *w;
    struct piece p = {.o = {.to = out}, .w = &own, .f = &as_events};
    return write_last(&p, AI_FINISH_LENGTH, so_far);
}

static enum err write_element_stop(const struct ai_writer *w, const struct token_count *so_far,
                                   struct buf *out)
{
    struct ai_writer own = *w;
    struct piece p = {.o = {.to = out}, .w = &own, .f = &as_array};
    return write_last(&p, AI_FINISH_LENGTH, so_far);
}

static enum err write_stream_error(struct buf *out, const struct ai_error *e)
{
    enum err err = buf_append(out, SLICE("data: "));
    if (!err)
        err = gemini_write_error(out, e);
    return err ? err : buf_append(out, SLICE("\r\n\r\n"));
}

/* An element stands before it: a stream begins for the client with its first. */
static enum err write_error_element(struct buf *out, const struct ai_error *e)
{
    enum err err = buf_append(out, SLICE(",\r\n"));
    if (!err)
        err = gemini_write_error(out, e);
    return err ? err : buf_append(out, SLICE("]"));
}

/* ---- a whole response ---- */

static void put_block(struct json_out *o, const struct ai_block *b)
{
    bool thought = b->kind == AI_REASONING;
    if (b->kind == AI_TOOL_START)
        put_call_part(o, b);
    else if (b->text.len || (thought && b->signature.len))
        put_text_part(o, buf_slice(&b->text), thought, buf_slice(&b->signature));
}

static enum err write_whole(const struct ai_assembly *a, struct buf *out)
{
    struct json_out o = {.to = out};
    struct token_count tokens;
    json_out_begin(&o, NULL, '{');
    json_out_begin(&o, "candidates", '[');
    for (unsigned i = 0; i < AI_ASSEMBLY_CHOICES && a->choices[i].seen; i++) {
        const struct ai_choice *c = &a->choices[i];
        begin_candidate(&o);
        for (size_t j = 0; j < c->block_count; j++)
            put_block(&o, &c->blocks[j]);
        end_candidate(&o, i, finish_name(c->finish));
    }
    json_out_end(&o, ']');
    if (ai_usage_count(&a->usage, &tokens) == AI_COUNTED_ALL)
        put_usage(&o, &tokens);
    json_out_text(&o, "modelVersion", buf_slice(&a->model));
    json_out_text(&o, "responseId", buf_slice(&a->id));
    json_out_end(&o, '}');
    return o.e;
}

/* What providers call by OpenAI's names. */
static const char *const names[][2] = {
    {"messages", "contents"},
    {"tool_choice", "toolConfig"},
    {"n", "generationConfig.candidateCount"},
    {"stop", "generationConfig.stopSequences"},
    {"stop of white space", "generationConfig.stopSequences of white space"},
    {"temperature", "generationConfig.temperature"},
    {"temperature above 1", "generationConfig.temperature above 1"},
    {"top_p", "generationConfig.topP"},
    {"top_k", "generationConfig.topK"},
    {"seed", "generationConfig.seed"},
    {"presence_penalty", "generationConfig.presencePenalty"},
    {"frequency_penalty", "generationConfig.frequencyPenalty"},
    {"max_tokens", "generationConfig.maxOutputTokens"},
    {"max_completion_tokens", "generationConfig.maxOutputTokens"},
    {"response_format", "generationConfig.responseSchema"},
    {"reasoning_effort", "generationConfig.thinkingConfig"},
    {"service_tier", "serviceTier"},
    {NULL, NULL},
};

static void note_finish_event(struct ai_writer *w, const struct ai_event *e)
{
    w->blocks.begun = true;
    if (e->kind == AI_FINISH)
        note_finish(w, e);
}

#define COMMON                                                                                     \
    .read = gemini_read_generate, .parse = gemini_parse_generate,                                  \
    .splice = gemini_splice_generate, .write_error = gemini_write_error,                           \
    .is_error = gemini_is_error, .write_whole = write_whole, .note_event = note_finish_event,      \
    .keeps_whole = true, .names = names, .query_key = {"key", 3}

const struct ai_dialect dialect_gemini = {
    COMMON,
    .name = "gemini",
    .words = &words_gemini,
    .write_stream_error = write_stream_error,
    .write_length_stop = write_length_stop,
    .write_event = write_event,
    .keep_alive = {": keep-alive\r\n\r\n", 16},
};

const struct ai_dialect dialect_gemini_array = {
    COMMON,
    .name = "gemini_array",
    .words = &words_gemini,
    .write_stream_error = write_error_element,
    .write_length_stop = write_element_stop,
    .write_event = write_element,
    .keep_alive = {"\r\n", 2},
    .stream_type = {"application/json", 16},
};

/* ---- countTokens ---- */

static enum err write_count(uint64_t tokens, struct buf *out)
{
    struct json_out o = {.to = out};
    json_out_begin(&o, NULL, '{');
    json_out_u64(&o, "totalTokens", tokens);
    json_out_end(&o, '}');
    return o.e;
}

const struct ai_dialect dialect_gemini_count = {
    .name = "gemini_count",
    .read = gemini_read_count,
    .parse = gemini_parse_count,
    .splice = gemini_splice_count,
    .write_error = gemini_write_error,
    .write_stream_error = write_stream_error,
    .write_count = write_count,
    .is_error = gemini_is_error,
    .names = names,
    .query_key = {"key", 3},
};
