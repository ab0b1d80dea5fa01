/*
 * ollama — Ollama's own chat, whose streams are JSON values, one a line (dialects.md 1.7).
 *
 * Its calls of tools have no ids, and their arguments are objects: each gets an id here, and a
 * result is told by the name of its function.
 */
#include "common/base/digest.h"
#include "common/base/json.h"
#include "common/base/json_out.h"
#include "common/base/json_scan.h"
#include "common/base/limits.h"
#include "dataplane/ai/provider/emitter.h"
#include "dataplane/ai/provider/simple_body.h"

static bool speaks(const struct ai_endpoint *e)
{
    (void)e;
    return false;
}

static bool serves(const struct ai_endpoint *e)
{
    return e->kind == AI_CHAT || e->kind == AI_EMBEDDINGS;
}

/* ---- the request ---- */

static bool is_words(const struct ai_part *p)
{
    return p->kind == AI_PART_TEXT || p->kind == AI_PART_REFUSAL ||
           (p->kind == AI_PART_FILE && p->text.ptr && !p->data.ptr);
}

/* All texts of the list as one, with a line end between them. */
static void write_words(struct simple_body *w, const struct ai_part *first)
{
    struct slice all = SLICE("");
    for (const struct ai_part *p = first; p; p = p->next)
        if (is_words(p) && p->text.len)
            all = all.len
                      ? arena_printf(w->o->arena, "%.*s\n%.*s", SLICE_ARG(all), SLICE_ARG(p->text))
                      : p->text;
    if (!all.ptr && !w->j.e)
        w->j.e = ERR_NOMEM;
    json_out_text(&w->j, "content", all);
}

static void write_images(struct simple_body *w, const struct ai_part *first)
{
    bool any = false;
    for (const struct ai_part *p = first; p; p = p->next) {
        if (p->kind != AI_PART_IMAGE)
            continue;
        if (!p->data.ptr) {
            simple_body_refuse(w, "messages",
                               SLICE("an image must be inline, as a data: URL in base64"));
            return;
        }
        if (!any)
            json_out_begin(&w->j, "images", '[');
        any = true;
        json_out_text(&w->j, NULL, p->data);
    }
    if (any)
        json_out_end(&w->j, ']');
}

static bool is_object(struct slice text)
{
    struct json_scan_problem problem;
    enum json_type root;
    return !json_scan(text, NULL, 0, NULL, &root, &problem) && root == JSON_SCAN_OBJECT;
}

static void write_calls(struct simple_body *w, const struct ai_part *first)
{
    bool any = false;
    for (const struct ai_part *p = first; p; p = p->next) {
        if (p->kind != AI_PART_TOOL_CALL)
            continue;
        if (p->text.len && !is_object(p->text)) {
            simple_body_refuse(w, "messages",
                               SLICE("the arguments of a tool call are no JSON object"));
            return;
        }
        if (!any)
            json_out_begin(&w->j, "tool_calls", '[');
        any = true;
        json_out_begin(&w->j, NULL, '{');
        json_out_begin(&w->j, "function", '{');
        json_out_text(&w->j, "name", p->name);
        json_out_raw(&w->j, "arguments", p->text.len ? p->text : SLICE("{}"));
        json_out_end(&w->j, '}');
        json_out_end(&w->j, '}');
    }
    if (any)
        json_out_end(&w->j, ']');
}

static void check_parts(struct simple_body *w, const struct ai_part *first)
{
    for (const struct ai_part *p = first; p; p = p->next) {
        if (p->kind == AI_PART_FILE && !is_words(p))
            simple_body_refuse(w, "messages", SLICE("a file"));
        if (p->kind == AI_PART_AUDIO || p->kind == AI_PART_VIDEO)
            simple_body_refuse(w, "messages", SLICE("content of type audio or video"));
    }
}

static void write_results(struct simple_body *w, const struct ai_turn *t)
{
    for (const struct ai_part *p = t->parts.first; p; p = p->next) {
        if (p->kind != AI_PART_TOOL_RESULT)
            continue;
        const struct ai_part *inner = p->inner ? p->inner->first : NULL;
        struct slice name = ai_chat_function_of(w->chat, p);
        json_out_begin(&w->j, NULL, '{');
        json_out_text(&w->j, "role", SLICE("tool"));
        if (name.len)
            json_out_text(&w->j, "tool_name", name);
        write_words(w, inner);
        write_images(w, inner);
        check_parts(w, inner);
        json_out_end(&w->j, '}');
    }
}

static bool has_own(const struct ai_turn *t)
{
    for (const struct ai_part *p = t->parts.first; p; p = p->next)
        if (p->kind != AI_PART_TOOL_RESULT)
            return true;
    return false;
}

static void write_turn(struct simple_body *w, const struct ai_turn *t)
{
    static const char *const roles[] = {
        [AI_SYSTEM] = "system", [AI_USER] = "user", [AI_ASSISTANT] = "assistant"};
    const struct ai_part *first = t->parts.first;
    if (t->name.len)
        ai_outgoing_leave_out(w->o, "name");
    write_results(w, t);
    if (!has_own(t))
        return;
    json_out_begin(&w->j, NULL, '{');
    json_out_text(&w->j, "role", slice_str(roles[t->role]));
    write_words(w, first);
    for (const struct ai_part *p = first; p; p = p->next)
        if (p->kind == AI_PART_REASONING && p->text.len) {
            json_out_text(&w->j, "thinking", p->text);
            break;
        }
    write_images(w, first);
    write_calls(w, first);
    check_parts(w, first);
    json_out_end(&w->j, '}');
}

static void write_tools(struct simple_body *w)
{
    const struct ai_chat *c = w->chat;
    bool any = false;
    if (c->choosing == AI_CHOOSE_ANY || c->choosing == AI_CHOOSE_ONE)
        simple_body_refuse(w, "tool_choice", SLICE("a forced tool call"));
    if (c->choosing == AI_CHOOSE_NONE)
        return;
    for (const struct ai_function *f = c->functions; f; f = f->next) {
        if (!ai_chat_allows(c, f->name))
            continue;
        if (!any)
            json_out_begin(&w->j, "tools", '[');
        any = true;
        simple_body_function(w, f);
    }
    if (any)
        json_out_end(&w->j, ']');
    if (any && c->one_call_at_a_time)
        ai_outgoing_leave_out(w->o, "parallel_tool_calls");
}

static void write_options(struct simple_body *w)
{
    const struct ai_chat *c = w->chat;
    const struct {
        const char *name;
        const struct ai_number *number;
    } rows[] = {{"temperature", &c->temperature},
                {"top_p", &c->top_p},
                {"top_k", &c->top_k},
                {"presence_penalty", &c->presence_penalty},
                {"frequency_penalty", &c->frequency_penalty},
                {"seed", &c->seed}};
    uint64_t most = c->output_limit ? c->output_limit : w->o->changes.output_limit;
    json_out_begin(&w->j, "options", '{');
    if (most)
        json_out_u64(&w->j, "num_predict", most);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].number->set)
            json_out_real(&w->j, rows[i].name, rows[i].number->value);
    if (c->stops) {
        json_out_begin(&w->j, "stop", '[');
        for (const struct ai_word *s = c->stops; s; s = s->next)
            json_out_text(&w->j, NULL, s->text);
        json_out_end(&w->j, ']');
    }
    json_out_end(&w->j, '}');
}

static void write_format_and_thinking(struct simple_body *w)
{
    const struct ai_chat *c = w->chat;
    if (c->format == AI_FORMAT_SCHEMA && json_is_object(c->format_schema))
        json_out_tree(&w->j, "format", c->format_schema);
    else if (c->format != AI_FORMAT_TEXT)
        json_out_text(&w->j, "format", SLICE("json"));
    if (c->effort || c->reasoning_budget)
        json_out_bool(&w->j, "think", c->effort != AI_EFFORT_NONE);
}

static enum err write_body(struct ai_outgoing *o)
{
    struct simple_body w;
    simple_body_begin(&w, o);
    for (const struct ai_turn *t = w.chat->first; t; t = t->next)
        write_turn(&w, t);
    json_out_end(&w.j, ']');
    write_tools(&w);
    write_options(&w);
    write_format_and_thinking(&w);
    return simple_body_end(&w);
}

static enum err write_embed(struct ai_outgoing *o)
{
    struct json_out j;
    simple_embed_begin(&j, o);
    ai_put_inputs(&j, "input", o);
    if (o->chat->dimensions)
        json_out_u64(&j, "dimensions", o->chat->dimensions);
    return simple_embed_end(&j, o);
}

static enum err build(struct ai_outgoing *o)
{
    bool embeds = o->endpoint->kind == AI_EMBEDDINGS;
    enum err e = o->chat ? ai_outgoing_path(o, embeds ? SLICE("/api/embed") : SLICE("/api/chat"))
                         : ai_outgoing_refuse(o, NULL, SLICE("a request in this dialect"));
    if (!e)
        e = embeds ? write_embed(o) : write_body(o);
    if (e)
        return e;
    ai_outgoing_add(o, SLICE("content-type"), SLICE("application/json"));
    ai_outgoing_add_own(o);
    return ai_outgoing_sign(o, SLICE("authorization"), SLICE("Bearer "));
}

/* ---- errors ---- */

static void read_error(unsigned status, struct slice body, struct arena *a, struct ai_fault *ret)
{
    *ret = (struct ai_fault){.text = ai_fault_text(body, a),
                             .verdict = ai_verdict_of_status(status),
                             .usage = AI_USAGE_NONE};
    if (ret->verdict == AI_FATAL && slice_search(ret->text, SLICE("context length")) >= 0)
        ret->verdict = AI_TOO_LONG;
}

/* ---- what it says, as events ---- */

static struct slice new_id(const struct emitting *m, const char *prefix)
{
    unsigned char random[12];
    char hex[2 * sizeof(random) + 1];
    digest_random(random, sizeof(random));
    digest_hex(slice_of(random, sizeof(random)), hex);
    return arena_printf(m->d->arena, "%s%s", prefix, hex);
}

static enum err emit_start(const struct emitting *m, const json_t *tree)
{
    struct slice model = json_text(tree, "model");
    if (m->d->begun)
        return ERR_OK;
    m->d->begun = true;
    return emit(m, (struct ai_event){.kind = AI_START,
                                     .id = new_id(m, "ollama-"),
                                     .name = model.len ? model : m->d->model});
}

static enum err emit_arguments(const struct emitting *m, const json_t *arguments, unsigned block)
{
    struct buf text;
    if (json_is_string(arguments))
        return emit(m, (struct ai_event){.kind = AI_TOOL_ARGUMENTS,
                                         .block = block,
                                         .text = slice_of(json_string_value(arguments),
                                                          json_string_length(arguments))});
    buf_init(&text, LIMIT_AI_ANSWER);
    enum err e =
        json_is_object(arguments) ? json_write(arguments, &text) : buf_append(&text, SLICE("{}"));
    if (!e)
        e = emit(m, (struct ai_event){
                        .kind = AI_TOOL_ARGUMENTS, .block = block, .text = buf_slice(&text)});
    buf_fini(&text);
    return e;
}

/* A call comes whole. Each is a block of its own, behind the words, which are the first. */
static enum err emit_call(const struct emitting *m, const json_t *call)
{
    const json_t *function = json_object_get(call, "function");
    unsigned block = ++m->d->block;
    struct slice id = json_text(call, "id");
    enum err e = emit(m, (struct ai_event){.kind = AI_TOOL_START,
                                           .block = block,
                                           .id = id.len ? id : new_id(m, "call_"),
                                           .name = json_text(function, "name")});
    if (!e)
        e = emit_arguments(m, json_object_get(function, "arguments"), block);
    return e ? e : emit(m, (struct ai_event){.kind = AI_TOOL_END, .block = block});
}

/* The last value has the counts. A prompt that was cached whole is not counted. */
static enum err emit_end(const struct emitting *m, const json_t *tree)
{
    struct ai_usage u = AI_USAGE_NONE;
    enum ai_finish finish = slice_eq(json_text(tree, "done_reason"), SLICE("length"))
                                ? AI_FINISH_LENGTH
                            : m->d->block ? AI_FINISH_TOOLS
                                          : AI_FINISH_STOP;
    u.prompt = ai_usage_member(tree, "prompt_eval_count");
    u.output = ai_usage_member(tree, "eval_count");
    enum err e = ERR_OK;
    if (u.prompt != AI_UNSAID || u.output != AI_UNSAID)
        e = emit(m, (struct ai_event){.kind = AI_USAGE, .usage = u});
    if (!e)
        e = emit(m, (struct ai_event){.kind = AI_FINISH, .finish = finish});
    return e ? e : emit(m, (struct ai_event){.kind = AI_END});
}

static enum err emit_value(const struct emitting *m, const json_t *tree)
{
    const json_t *message = json_object_get(tree, "message");
    const json_t *calls = json_object_get(message, "tool_calls");
    enum err e = emit_start(m, tree);
    if (!e)
        e = emit_text(m, AI_REASONING, json_text(message, "thinking"));
    if (!e)
        e = emit_text(m, AI_TEXT, json_text(message, "content"));
    for (size_t i = 0; i < json_array_size(calls) && !e; i++)
        e = emit_call(m, json_array_get(calls, i));
    return e || !json_is_true(json_object_get(tree, "done")) ? e : emit_end(m, tree);
}

static enum err emit_fault(const struct emitting *m, struct slice data)
{
    struct ai_fault f;
    read_error(500, data, m->d->arena, &f);
    return emit(m, (struct ai_event){.kind = AI_ERROR, .text = f.text, .verdict = AI_RETRY});
}

static enum err decode(struct ai_decoder *d, const struct sse_event *e, ai_event_fn *fn, void *arg)
{
    const struct emitting m = {d, fn, arg};
    struct json_problem problem;
    JSON_AUTO json_t *tree = NULL;
    if (!e->has_data)
        return emit(&m, (struct ai_event){.kind = AI_OTHER});
    enum err err = json_read(e->data, &tree, &problem);
    if (err || !json_is_object(tree))
        return err == ERR_NOMEM ? err : ERR_PROTOCOL;
    if (json_is_string(json_object_get(tree, "error")))
        return emit_fault(&m, e->data);
    return emit_value(&m, tree);
}

static enum err decode_whole(struct ai_decoder *d, struct slice body, ai_event_fn *fn, void *arg)
{
    const struct emitting m = {d, fn, arg};
    struct json_problem problem;
    JSON_AUTO json_t *tree = NULL;
    enum err e = json_read(body, &tree, &problem);
    if (e)
        return e == ERR_NOMEM ? e : ERR_PROTOCOL;
    if (json_is_string(json_object_get(tree, "error")))
        return emit_fault(&m, body);
    const json_t *vectors = json_object_get(tree, "embeddings");
    if (vectors)
        return ai_emit_vectors(vectors, ai_usage_member(tree, "prompt_eval_count"), fn, arg);
    if (!json_is_object(json_object_get(tree, "message")))
        return ERR_PROTOCOL;
    return emit_value(&m, tree);
}

const struct ai_provider provider_ollama = {
    .name = {"ollama", 6},
    .framing = AI_FRAMES_LINES,
    .speaks = speaks,
    .serves = serves,
    .build = build,
    .read_error = read_error,
    .decode = decode,
    .decode_whole = decode_whole,
};
