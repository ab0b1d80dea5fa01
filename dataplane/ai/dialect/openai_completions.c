/*
 * openai_completions — OpenAI's older completions: a text, and how it goes on.
 *
 * For a provider of conversations the prompt is what the user says. What only a model of plain text
 * can do (a suffix, token ids, an echo) is refused there.
 */
#include <time.h>

#include "common/base/limits.h"
#include "dataplane/ai/ai_assembly.h"
#include "dataplane/ai/dialect/body_member.h"
#include "dataplane/ai/dialect/body_shape.h"
#include "dataplane/ai/dialect/event_out.h"
#include "dataplane/ai/dialect/openai_error.h"

#define CHOICES_MAX 128
#define LIMIT_UNSAID 16 /* tokens where max_tokens is absent, by OpenAI's documentation */

#define WANTS(X)                                                                                   \
    X(MODEL, "model")                                                                              \
    X(PROMPT, "prompt")                                                                            \
    X(STREAM, "stream")                                                                            \
    X(OPTIONS, "stream_options")                                                                   \
    X(INCLUDE_USAGE, "stream_options.include_usage")                                               \
    X(MAX_TOKENS, "max_tokens")                                                                    \
    X(N, "n")                                                                                      \
    X(BEST_OF, "best_of")

enum want {
#define WANT_ENUM(name, path) W_##name,
    WANTS(WANT_ENUM) W_COUNT
#undef WANT_ENUM
};

static const char *const wants[] = {
#define WANT_PATH(name, path) path,
    WANTS(WANT_PATH)
#undef WANT_PATH
};

_Static_assert(W_COUNT <= AI_HITS, "each wanted member has its place");

/* ---- read ---- */

/* How many prompts there are: a list of texts, or of lists of token ids, has several. */
static uint64_t prompts_in(const struct json_hit *h)
{
    struct slice rest = h->raw;
    struct json_hit item;
    uint64_t n = 0;
    if (h->type != JSON_SCAN_ARRAY)
        return 1;
    while (json_scan_item(&rest, &item)) {
        if (item.type == JSON_SCAN_NUMBER)
            return 1;
        n++;
    }
    return n ? n : 1;
}

static enum err read_members(struct body_reading *d)
{
    struct ai_request *r = d->r;
    uint64_t n = 1, best = 0;
    const struct json_hit *prompt = &r->hits[W_PROMPT], *options = &r->hits[W_OPTIONS];
    enum err e = body_read_model(d, W_MODEL);
    if (!e && prompt->type != JSON_SCAN_STRING && prompt->type != JSON_SCAN_ARRAY)
        e = body_wrong(d, W_PROMPT, "a string or an array");
    if (!e && !body_is_absent(options) && options->type != JSON_SCAN_OBJECT)
        e = body_wrong(d, W_OPTIONS, "an object");
    if (!e)
        e = body_read_flag(d, W_STREAM, &r->stream);
    if (!e)
        e = body_read_flag(d, W_INCLUDE_USAGE, &r->wants_usage);
    r->output_ceiling = LIMIT_UNSAID;
    if (!e)
        e = body_read_count(d, W_MAX_TOKENS, LIMIT_AI_TOKENS, &r->output_ceiling);
    if (!e)
        e = body_read_count(d, W_N, CHOICES_MAX, &n);
    if (!e)
        e = body_read_count(d, W_BEST_OF, CHOICES_MAX, &best);
    r->choices = (best > n ? best : n) * prompts_in(prompt);
    if (!e && r->choices > LIMIT_AI_TOKENS)
        e = body_wrong(d, W_PROMPT, "fewer prompts");
    return e;
}

static enum err read_body(const struct ai_incoming *in, struct ai_request *ret,
                          struct slice *detail)
{
    struct body_reading d = {.r = ret, .names = wants, .arena = in->arena};
    enum err e = body_scan(&d, in->body, W_COUNT);
    if (!e)
        e = read_members(&d);
    *detail = d.detail;
    return e;
}

/* ---- splice ---- */

/* Usage is asked for in each stream; where the client did not, its chunk does not reach it. */
static bool usage_edit(const struct ai_request *r, struct slice body, struct arena *a,
                       struct body_edit *ret)
{
    const struct json_hit *options = &r->hits[W_OPTIONS], *include = &r->hits[W_INCLUDE_USAGE];
    if (!r->stream || include->type == JSON_SCAN_TRUE)
        return false;
    if (include->type != JSON_SCAN_ABSENT)
        *ret = (struct body_edit){include->raw.ptr, include->raw.len, SLICE("true")};
    else if (options->type == JSON_SCAN_OBJECT)
        *ret = body_set_member(include, "include_usage", options->raw, SLICE("true"), a);
    else
        *ret =
            body_set_member(options, "stream_options", body, SLICE("{\"include_usage\":true}"), a);
    return true;
}

static enum err splice(const struct ai_request *r, struct slice body, const struct ai_changes *c,
                       struct arena *a, struct slice ret[static AI_REQUEST_PIECES])
{
    struct body_edit edits[2];
    size_t n = 0;
    if (!slice_eq(c->model, r->model)) {
        const struct slice raw = r->hits[W_MODEL].raw;
        edits[n++] = (struct body_edit){raw.ptr, raw.len, body_quoted(a, c->model)};
    }
    if (usage_edit(r, body, a, &edits[n]))
        n++;
    for (size_t i = 0; i < n; i++)
        if (!edits[i].text.ptr)
            return ERR_NOMEM;
    memset(ret, 0, AI_REQUEST_PIECES * sizeof(*ret));
    body_apply(edits, n, body, ret);
    return ERR_OK;
}

/* ---- the normal form ---- */

static enum err add_prompt(struct ai_chat *c, const json_t *text)
{
    struct ai_turn *turn = ai_chat_add_turn(c, AI_USER);
    struct ai_part *part = turn ? ai_chat_add_part(c, &turn->parts, AI_PART_TEXT) : NULL;
    if (!part)
        return ERR_NOMEM;
    part->text = slice_of(json_string_value(text), json_string_length(text));
    return ERR_OK;
}

/* Each token id is a token; a text is no shorter than its tokens. */
static enum err add_tokens(struct ai_chat *c, const json_t *list)
{
    c->other_bytes += json_array_size(list);
    return ai_chat_add_other(c, "prompt", true, SLICE("token ids instead of text"), NULL);
}

static enum err parse_prompt(struct ai_chat *c, const json_t *v)
{
    const json_t *item;
    size_t i, n = json_array_size(v);
    enum err e = ERR_OK;
    if (json_is_string(v))
        return add_prompt(c, v);
    if (!json_is_array(v) || !n)
        return ai_chat_wrong(c, "prompt", SLICE("must be a string or an array"));
    if (json_is_integer(json_array_get(v, 0)))
        return add_tokens(c, v);
    json_array_foreach(v, i, item)
    {
        if (e)
            break;
        if (json_is_string(item))
            e = add_prompt(c, item);
        else if (json_is_array(item))
            e = add_tokens(c, item);
        else
            e = ai_chat_wrong(c, "prompt", SLICE("must hold strings, or arrays of token ids"));
    }
    return e || n == 1 ? e : ai_chat_add_other(c, "prompt", true, SLICE("several prompts"), NULL);
}

static enum err parse_number(struct ai_chat *c, const char *name, const json_t *v,
                             struct ai_number *ret)
{
    if (json_is_null(v))
        return ERR_OK;
    if (!json_is_number(v))
        return ai_chat_wrong(c, name, SLICE("must be a number"));
    *ret = (struct ai_number){true, json_number_value(v)};
    return ERR_OK;
}

static enum err parse_stops(struct ai_chat *c, const json_t *v)
{
    const json_t *item;
    size_t i;
    enum err e = ERR_OK;
    if (json_is_null(v))
        return ERR_OK;
    if (json_is_string(v))
        return ai_chat_add_stop(c, slice_of(json_string_value(v), json_string_length(v)));
    if (!json_is_array(v))
        return ai_chat_wrong(c, "stop", SLICE("must be a string or an array"));
    json_array_foreach(v, i, item)
    {
        if (!e)
            e = json_is_string(item) ? ai_chat_add_stop(c, slice_of(json_string_value(item),
                                                                    json_string_length(item)))
                                     : ai_chat_wrong(c, "stop", SLICE("must hold strings"));
    }
    return e;
}

static bool says_something(const json_t *v)
{
    if (json_is_string(v))
        return json_string_length(v) > 0;
    if (json_is_integer(v))
        return json_integer_value(v) > 0;
    return json_is_true(v) || json_object_size(v) > 0 || json_array_size(v) > 0;
}

static enum err parse_member(struct ai_chat *c, const char *name, const json_t *v)
{
    static const struct {
        const char *name;
        size_t at;
    } numbers[] = {{"temperature", offsetof(struct ai_chat, temperature)},
                   {"top_p", offsetof(struct ai_chat, top_p)},
                   {"presence_penalty", offsetof(struct ai_chat, presence_penalty)},
                   {"frequency_penalty", offsetof(struct ai_chat, frequency_penalty)},
                   {"seed", offsetof(struct ai_chat, seed)}};
    static const char *const read_before[] = {"model", "stream", "stream_options", "max_tokens"};
    /* what only a model of plain text can do, and what only a conversation can say */
    static const char *const binding[] = {
        "suffix", "echo",      "logprobs",        "logit_bias",      "messages",
        "tools",  "functions", "response_format", "reasoning_effort"};
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        if (strcmp(name, numbers[i].name) == 0)
            return parse_number(c, name, v, (struct ai_number *)((char *)c + numbers[i].at));
    for (size_t i = 0; i < ARRAY_LEN(read_before); i++)
        if (strcmp(name, read_before[i]) == 0)
            return ERR_OK;
    for (size_t i = 0; i < ARRAY_LEN(binding); i++)
        if (strcmp(name, binding[i]) == 0)
            return says_something(v) ? ai_chat_add_other(c, name, true, SLICE_NONE, v) : ERR_OK;
    if (strcmp(name, "prompt") == 0)
        return parse_prompt(c, v);
    if (strcmp(name, "stop") == 0)
        return parse_stops(c, v);
    if (strcmp(name, "user") == 0) {
        c->user =
            json_is_string(v) ? slice_of(json_string_value(v), json_string_length(v)) : SLICE_NONE;
        return ERR_OK;
    }
    if (strcmp(name, "n") == 0) {
        c->choices = json_is_integer(v) ? (uint64_t)json_integer_value(v) : 1;
        return ERR_OK;
    }
    if (strcmp(name, "best_of") == 0)
        return json_is_integer(v) && json_integer_value(v) > 1
                   ? ai_chat_add_other(c, name, true, SLICE("the best of several"), NULL)
                   : ERR_OK;
    return json_is_null(v) ? ERR_OK : ai_chat_add_other(c, name, false, SLICE_NONE, v);
}

static enum err parse(const struct ai_incoming *in, struct ai_chat *ret)
{
    struct json_problem problem;
    const char *name;
    json_t *v;
    enum err e = json_read(in->body, &ret->root, &problem);
    if (e == ERR_NOMEM)
        return e;
    if (e || !json_is_object(ret->root))
        return ai_chat_wrong(ret, NULL, arena_copy(in->arena, slice_str(problem.text)));
    const json_t *limit = json_object_get(ret->root, "max_tokens");
    ret->stream = json_is_true(json_object_get(ret->root, "stream"));
    ret->output_limit = json_is_integer(limit) ? (uint64_t)json_integer_value(limit) : LIMIT_UNSAID;
    json_object_foreach(ret->root, name, v)
    {
        if (!e)
            e = parse_member(ret, name, v);
    }
    return e;
}

/* ---- written ---- */

static struct slice finish_name(enum ai_finish f)
{
    static const char *const names[] = {[AI_FINISH_NONE] = "stop",
                                        [AI_FINISH_STOP] = "stop",
                                        [AI_FINISH_LENGTH] = "length",
                                        [AI_FINISH_TOOLS] = "stop",
                                        [AI_FINISH_FILTER] = "content_filter"};
    return slice_str(names[f]);
}

static void begin_chunk(const struct ai_writer *w, struct json_out *o, struct buf *out)
{
    event_out_begin(o, NULL, out);
    json_out_raw(o, "id", w->id.len ? w->id : SLICE("\"cmpl-ended\""));
    json_out_text(o, "object", SLICE("text_completion"));
    json_out_raw(o, "created", w->created.len ? w->created : SLICE("0"));
    json_out_raw(o, "model", w->model.len ? w->model : SLICE("\"\""));
    json_out_begin(o, "choices", '[');
}

/* finish: .ptr NULL: the choice goes on */
static void end_choice(struct json_out *o, unsigned index, struct slice finish)
{
    json_out_u64(o, "index", index);
    json_out_raw(o, "logprobs", SLICE("null"));
    if (finish.ptr)
        json_out_text(o, "finish_reason", finish);
    else
        json_out_raw(o, "finish_reason", SLICE("null"));
    json_out_end(o, '}');
}

static void put_usage(struct json_out *o, const struct token_count *t)
{
    json_out_begin(o, "usage", '{');
    json_out_u64(o, "prompt_tokens", t->input);
    json_out_u64(o, "completion_tokens", t->output);
    json_out_u64(o, "total_tokens", t->input + t->output);
    json_out_begin(o, "prompt_tokens_details", '{');
    json_out_u64(o, "cached_tokens", t->cache_read);
    json_out_end(o, '}');
    json_out_begin(o, "completion_tokens_details", '{');
    json_out_u64(o, "reasoning_tokens", t->reasoning);
    json_out_end(o, '}');
    json_out_end(o, '}');
}

static enum err write_chunk(struct ai_writer *w, unsigned index, struct slice text,
                            struct slice finish, struct buf *out)
{
    struct json_out o;
    size_t from = out->len;
    begin_chunk(w, &o, out);
    json_out_begin(&o, NULL, '{');
    json_out_text(&o, "text", text);
    size_t words_end = out->len - 1;
    end_choice(&o, index, finish);
    json_out_end(&o, ']');
    enum err e = event_out_end(&o);
    ai_words_written(w, from, words_end, out);
    return e;
}

static enum err write_usage(const struct ai_writer *w, const struct token_count *t, struct buf *out)
{
    struct json_out o;
    begin_chunk(w, &o, out);
    json_out_end(&o, ']');
    put_usage(&o, t);
    return event_out_end(&o);
}

static void note_event(struct ai_writer *w, const struct ai_event *e)
{
    if (e->kind == AI_FINISH && e->choice < 128)
        w->ended[e->choice / 64] |= 1ull << (e->choice % 64);
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
    note_event(w, e);
    if (e->kind == AI_TEXT || e->kind == AI_REFUSAL)
        return write_chunk(w, e->choice, e->text, SLICE_NONE, out);
    if (e->kind == AI_FINISH)
        return write_chunk(w, e->choice, SLICE(""), finish_name(e->finish), out);
    if (e->kind == AI_END)
        return write_end(w, out);
    if (e->kind == AI_ERROR)
        return openai_write_stream_error(
            out,
            &(struct ai_error){.status = AI_UPSTREAM_FAILED, .message = e->text, .code = e->name});
    return ERR_OK; /* reasoning has no place here, and no tool was defined */
}

static enum err write_length_stop(const struct ai_writer *w, const struct token_count *so_far,
                                  struct buf *out)
{
    struct ai_writer last = *w;
    enum err e = ERR_OK;
    for (unsigned i = 0; !e && i < w->choices && i < 128; i++)
        if (!(w->ended[i / 64] >> (i % 64) & 1))
            e = write_chunk(&last, i, SLICE(""), SLICE("length"), out);
    return e || !w->wants_usage ? e : write_usage(w, so_far, out);
}

/* One string of all blocks. */
static void put_text(struct json_out *o, const struct ai_choice *c)
{
    json_out_text(o, "text", SLICE(""));
    for (size_t i = 0; !o->e && i < c->block_count; i++)
        if (c->blocks[i].kind == AI_TEXT || c->blocks[i].kind == AI_REFUSAL)
            o->e = buf_json_string_more(o->to, buf_slice(&c->blocks[i].text));
}

static enum err write_whole(const struct ai_assembly *a, struct buf *out)
{
    struct token_count tokens;
    struct json_out o = {.to = out};
    json_out_begin(&o, NULL, '{');
    json_out_text(&o, "id", buf_slice(&a->id));
    json_out_text(&o, "object", SLICE("text_completion"));
    json_out_u64(&o, "created", (uint64_t)time(NULL));
    json_out_text(&o, "model", buf_slice(&a->model));
    json_out_begin(&o, "choices", '[');
    for (unsigned i = 0; i < AI_ASSEMBLY_CHOICES && a->choices[i].seen; i++) {
        json_out_begin(&o, NULL, '{');
        put_text(&o, &a->choices[i]);
        end_choice(&o, i, finish_name(a->choices[i].finish));
    }
    json_out_end(&o, ']');
    if (ai_usage_count(&a->usage, &tokens) == AI_COUNTED_ALL)
        put_usage(&o, &tokens);
    json_out_end(&o, '}');
    return o.e;
}

/* OpenAI's names of what these are called here, in notices and refusals. */
static const char *const own_names[][2] = {
    {"max_completion_tokens", "max_tokens"}, {"messages", "prompt"}, {NULL, NULL}};

const struct ai_dialect dialect_openai_completions = {
    .name = "openai_completions",
    .words = &words_openai_completions,
    .read = read_body,
    .parse = parse,
    .splice = splice,
    .write_error = openai_write_error,
    .write_stream_error = openai_write_stream_error,
    .write_length_stop = write_length_stop,
    .write_event = write_event,
    .note_event = note_event,
    .write_whole = write_whole,
    .is_error = openai_is_error,
    .names = own_names,
    .keep_alive = {": keep-alive\n\n", 14},
    .stream_end = {"data: [DONE]\n\n", 14},
};
