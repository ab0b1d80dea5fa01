/*
 * cohere — Cohere's chat, version 2 (dialects.md 1.7).
 */
#include "common/base/json.h"
#include "common/base/json_out.h"
#include "common/base/json_scan.h"
#include "common/base/limits.h"
#include "dataplane/ai/provider/emitter.h"
#include "dataplane/ai/provider/simple_body.h"

#define STOPS_MAX 5

static bool speaks(const struct ai_endpoint *e)
{
    return e->dialect == &dialect_cohere_chat || e->dialect == &dialect_cohere_embed;
}

static bool serves(const struct ai_endpoint *e)
{
    return e->kind == AI_CHAT || e->kind == AI_EMBEDDINGS;
}

/* ---- the request ---- */

static void write_image(struct simple_body *w, const struct ai_part *p)
{
    struct slice url = p->url;
    if (p->data.ptr)
        url = arena_printf(w->o->arena, "data:%.*s;base64,%.*s", SLICE_ARG(p->media_type),
                           SLICE_ARG(p->data));
    if (!url.ptr) {
        simple_body_refuse(w, "messages", SLICE("an image must be inline or at a URL"));
        return;
    }
    json_out_begin(&w->j, NULL, '{');
    json_out_text(&w->j, "type", SLICE("image_url"));
    json_out_begin(&w->j, "image_url", '{');
    json_out_text(&w->j, "url", url);
    if (p->detail.len)
        json_out_text(&w->j, "detail", p->detail);
    json_out_end(&w->j, '}');
    json_out_end(&w->j, '}');
}

static void write_words(struct simple_body *w, const char *type, struct slice text)
{
    if (!text.len)
        return;
    json_out_begin(&w->j, NULL, '{');
    json_out_text(&w->j, "type", slice_str(type));
    json_out_text(&w->j, type, text);
    json_out_end(&w->j, '}');
}

static void write_part(struct simple_body *w, const struct ai_part *p)
{
    switch (p->kind) {
    case AI_PART_TEXT:
    case AI_PART_REFUSAL:
        write_words(w, "text", p->text);
        break;
    case AI_PART_REASONING:
        write_words(w, "thinking", p->text);
        break;
    case AI_PART_IMAGE:
        write_image(w, p);
        break;
    case AI_PART_FILE:
        if (p->text.ptr && !p->data.ptr)
            write_words(w, "text", p->text);
        else
            simple_body_refuse(w, "messages", SLICE("a file"));
        break;
    case AI_PART_AUDIO:
        simple_body_refuse(w, "messages", SLICE("content of type input_audio"));
        break;
    case AI_PART_VIDEO:
        simple_body_refuse(w, "messages", SLICE("content of type video"));
        break;
    case AI_PART_TOOL_CALL:
    case AI_PART_TOOL_RESULT:
        break;
    }
}

/* Has the turn parts that stand in `content`? */
static bool has_content(const struct ai_turn *t)
{
    for (const struct ai_part *p = t->parts.first; p; p = p->next)
        if (p->kind != AI_PART_TOOL_CALL && p->kind != AI_PART_TOOL_RESULT &&
            (p->text.len || p->data.ptr || p->url.ptr || p->file_id.ptr))
            return true;
    return false;
}

static void write_content(struct simple_body *w, const struct ai_part *first)
{
    json_out_begin(&w->j, "content", '[');
    for (const struct ai_part *p = first; p; p = p->next)
        write_part(w, p);
    json_out_end(&w->j, ']');
}

static void write_calls(struct simple_body *w, const struct ai_turn *t)
{
    bool any = false;
    for (const struct ai_part *p = t->parts.first; p; p = p->next) {
        if (p->kind != AI_PART_TOOL_CALL)
            continue;
        if (!any)
            json_out_begin(&w->j, "tool_calls", '[');
        any = true;
        json_out_begin(&w->j, NULL, '{');
        json_out_text(&w->j, "id", p->id);
        json_out_text(&w->j, "type", SLICE("function"));
        json_out_begin(&w->j, "function", '{');
        json_out_text(&w->j, "name", p->name);
        json_out_text(&w->j, "arguments", p->text.len ? p->text : SLICE("{}"));
        json_out_end(&w->j, '}');
        json_out_end(&w->j, '}');
    }
    if (any)
        json_out_end(&w->j, ']');
}

static void write_results(struct simple_body *w, const struct ai_turn *t)
{
    for (const struct ai_part *p = t->parts.first; p; p = p->next) {
        if (p->kind != AI_PART_TOOL_RESULT)
            continue;
        json_out_begin(&w->j, NULL, '{');
        json_out_text(&w->j, "role", SLICE("tool"));
        json_out_text(&w->j, "tool_call_id", p->id);
        write_content(w, p->inner ? p->inner->first : NULL);
        json_out_end(&w->j, '}');
    }
}

static bool has_calls(const struct ai_turn *t)
{
    for (const struct ai_part *p = t->parts.first; p; p = p->next)
        if (p->kind == AI_PART_TOOL_CALL)
            return true;
    return false;
}

static void write_turn(struct simple_body *w, const struct ai_turn *t)
{
    static const char *const roles[] = {
        [AI_SYSTEM] = "system", [AI_USER] = "user", [AI_ASSISTANT] = "assistant"};
    if (t->name.len)
        ai_outgoing_leave_out(w->o, "name");
    write_results(w, t);
    if (!has_content(t) && !has_calls(t))
        return;
    json_out_begin(&w->j, NULL, '{');
    json_out_text(&w->j, "role", slice_str(roles[t->role]));
    if (has_content(t))
        write_content(w, t->parts.first);
    write_calls(w, t);
    json_out_end(&w->j, '}');
}

static bool is_sent(const struct ai_chat *c, const struct ai_function *f)
{
    bool chosen = c->choosing != AI_CHOOSE_ONE || slice_eq(f->name, c->chosen);
    return chosen && ai_chat_allows(c, f->name);
}

/* A named tool is told by sending no other. */
static void write_tools(struct simple_body *w)
{
    const struct ai_chat *c = w->chat;
    bool any = false;
    for (const struct ai_function *f = c->functions; f; f = f->next) {
        if (!is_sent(c, f))
            continue;
        if (!any)
            json_out_begin(&w->j, "tools", '[');
        any = true;
        simple_body_function(w, f);
    }
    if (any)
        json_out_end(&w->j, ']');
    if (any && c->choosing == AI_CHOOSE_NONE)
        json_out_text(&w->j, "tool_choice", SLICE("NONE"));
    else if (any && (c->choosing == AI_CHOOSE_ANY || c->choosing == AI_CHOOSE_ONE))
        json_out_text(&w->j, "tool_choice", SLICE("REQUIRED"));
    else if (!any && (c->choosing == AI_CHOOSE_ANY || c->choosing == AI_CHOOSE_ONE))
        simple_body_refuse(w, "tool_choice", SLICE("a choice among no tools"));
    if (any && c->one_call_at_a_time)
        ai_outgoing_leave_out(w->o, "parallel_tool_calls");
}

static void write_numbers(struct simple_body *w)
{
    const struct ai_chat *c = w->chat;
    const struct {
        const char *name;
        const struct ai_number *number;
    } rows[] = {{"temperature", &c->temperature},
                {"p", &c->top_p},
                {"k", &c->top_k},
                {"frequency_penalty", &c->frequency_penalty},
                {"presence_penalty", &c->presence_penalty},
                {"seed", &c->seed}};
    uint64_t most = c->output_limit ? c->output_limit : w->o->changes.output_limit;
    if (most)
        json_out_u64(&w->j, "max_tokens", most);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        bool clamped = i == 0 && rows[i].number->value > 1;
        if (!rows[i].number->set)
            continue;
        if (clamped)
            ai_outgoing_leave_out(w->o, "temperature above 1");
        json_out_real(&w->j, rows[i].name, clamped ? 1.0 : rows[i].number->value);
    }
}

static void write_stops(struct simple_body *w)
{
    size_t n = 0;
    for (const struct ai_word *s = w->chat->stops; s; s = s->next) {
        if (++n > STOPS_MAX) {
            simple_body_refuse(w, "stop", SLICE("more than five stop sequences"));
            break;
        }
        if (n == 1)
            json_out_begin(&w->j, "stop_sequences", '[');
        json_out_text(&w->j, NULL, s->text);
    }
    if (n)
        json_out_end(&w->j, ']');
}

static void write_format(struct simple_body *w)
{
    const struct ai_chat *c = w->chat;
    if (c->format == AI_FORMAT_TEXT)
        return;
    json_out_begin(&w->j, "response_format", '{');
    json_out_text(&w->j, "type", SLICE("json_object"));
    if (c->format == AI_FORMAT_SCHEMA && json_is_object(c->format_schema))
        json_out_tree(&w->j, "json_schema", c->format_schema);
    json_out_end(&w->j, '}');
}

static void write_thinking(struct simple_body *w)
{
    const struct ai_chat *c = w->chat;
    if (!c->effort && !c->reasoning_budget)
        return;
    json_out_begin(&w->j, "thinking", '{');
    json_out_text(&w->j, "type",
                  c->effort == AI_EFFORT_NONE ? SLICE("disabled") : SLICE("enabled"));
    if (c->reasoning_budget && c->effort != AI_EFFORT_NONE)
        json_out_u64(&w->j, "token_budget", c->reasoning_budget);
    json_out_end(&w->j, '}');
}

static enum err write_body(struct ai_outgoing *o)
{
    struct simple_body w;
    simple_body_begin(&w, o);
    for (const struct ai_turn *t = w.chat->first; t; t = t->next)
        write_turn(&w, t);
    json_out_end(&w.j, ']');
    write_tools(&w);
    write_numbers(&w);
    write_stops(&w);
    write_format(&w);
    write_thinking(&w);
    return simple_body_end(&w);
}

/* input_type must be said; texts that are stored and found are what most embeddings are of. */
static enum err write_embed(struct ai_outgoing *o)
{
    struct json_out j;
    simple_embed_begin(&j, o);
    json_out_text(&j, "input_type", SLICE("search_document"));
    json_out_raw(&j, "embedding_types", SLICE("[\"float\"]"));
    ai_put_inputs(&j, "texts", o);
    if (o->chat->dimensions)
        json_out_u64(&j, "output_dimension", o->chat->dimensions);
    return simple_embed_end(&j, o);
}

static enum err set_path(struct ai_outgoing *o)
{
    bool versioned = slice_ends(o->url->path, SLICE("/v2"));
    struct slice path = o->endpoint->kind == AI_EMBEDDINGS ? SLICE("/v2/embed") : SLICE("/v2/chat");
    return ai_outgoing_path(o, slice_from(path, versioned ? 3 : 0));
}

static enum err set_body(struct ai_outgoing *o)
{
    if (!o->chat)
        return o->endpoint->dialect->splice(o->request, o->body, &o->changes, o->arena, o->pieces);
    return o->endpoint->kind == AI_EMBEDDINGS ? write_embed(o) : write_body(o);
}

static enum err build(struct ai_outgoing *o)
{
    enum err e = set_path(o);
    if (!e)
        e = set_body(o);
    if (e)
        return e;
    ai_outgoing_add(o, SLICE("content-type"), SLICE("application/json"));
    ai_outgoing_add(o, SLICE("accept"),
                    o->request->stream ? SLICE("text/event-stream") : SLICE("application/json"));
    ai_outgoing_add_own(o);
    return ai_outgoing_sign(o, SLICE("authorization"), SLICE("Bearer "));
}

/* ---- errors ---- */

/* In a stream the last event says it. */
static struct slice text_of_event(struct slice body, struct arena *a)
{
    static const char *const wants[] = {"delta.error"};
    struct json_hit hit;
    struct json_scan_problem problem;
    enum json_type root;
    struct slice text;
    if (json_scan_response(body, wants, 1, &hit, &root, &problem) || hit.type != JSON_SCAN_STRING)
        return SLICE_NONE;
    char *out = arena_alloc(a, hit.raw.len);
    return out && !json_scan_text(&hit, out, hit.raw.len, &text) ? ai_fault_clean(text, a)
                                                                 : SLICE_NONE;
}

static void read_error(unsigned status, struct slice body, struct arena *a, struct ai_fault *ret)
{
    *ret = (struct ai_fault){.text = ai_fault_text(body, a),
                             .verdict = ai_verdict_of_status(status),
                             .usage = AI_USAGE_NONE};
    if (!ret->text.len)
        ret->text = text_of_event(body, a);
    if (ret->verdict == AI_FATAL && (slice_search(ret->text, SLICE("too many tokens")) >= 0 ||
                                     slice_search(ret->text, SLICE("context length")) >= 0))
        ret->verdict = AI_TOO_LONG;
    if (status == 498) /* Cohere: a blocked input or output */
        ret->verdict = AI_CONTENT;
}

/* ---- what it says, as events ---- */

static enum err emit_start(const struct emitting *m, struct slice id)
{
    if (m->d->begun)
        return ERR_OK;
    m->d->begun = true;
    return emit(m, (struct ai_event){.kind = AI_START, .id = id, .name = m->d->model});
}

/* `tokens` are what the model saw; cached ones are among them. */
static enum err emit_usage(const struct emitting *m, const json_t *usage)
{
    struct ai_usage u = AI_USAGE_NONE;
    const json_t *tokens = json_object_get(usage, "tokens");
    if (!json_is_object(usage))
        return ERR_OK;
    if (!json_is_object(tokens))
        tokens = json_object_get(usage, "billed_units");
    u.prompt = ai_usage_member(tokens, "input_tokens");
    u.output = ai_usage_member(tokens, "output_tokens");
    u.cache_read = ai_usage_member(usage, "cached_tokens");
    return emit(m, (struct ai_event){.kind = AI_USAGE, .usage = u});
}

static enum err emit_finish(const struct emitting *m, struct slice reason, struct slice text)
{
    static const struct {
        struct slice reason;
        enum ai_finish finish;
    } rows[] = {{{"MAX_TOKENS", 10}, AI_FINISH_LENGTH},
                {{"TOOL_CALL", 9}, AI_FINISH_TOOLS},
                {{"ERROR_TOXIC", 11}, AI_FINISH_FILTER}};
    enum ai_finish finish = AI_FINISH_STOP; /* COMPLETE, STOP_SEQUENCE */
    if (!reason.len)
        return ERR_OK;
    if (slice_eq(reason, SLICE("ERROR")) || slice_eq(reason, SLICE("TIMEOUT")))
        return emit(m, (struct ai_event){.kind = AI_ERROR,
                                         .text = text.len ? ai_fault_clean(text, m->d->arena)
                                                          : SLICE("the model has failed"),
                                         .name = reason,
                                         .verdict = AI_RETRY});
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (slice_eq(reason, rows[i].reason))
            finish = rows[i].finish;
    m->d->finished = true;
    return emit(m, (struct ai_event){.kind = AI_FINISH, .finish = finish});
}

static enum err emit_call(const struct emitting *m, const json_t *call)
{
    const json_t *function = json_object_get(call, "function");
    enum err e = emit(m, (struct ai_event){.kind = AI_TOOL_START,
                                           .id = json_text(call, "id"),
                                           .name = json_text(function, "name")});
    return e ? e : emit_text(m, AI_TOOL_ARGUMENTS, json_text(function, "arguments"));
}

static enum err emit_content(const struct emitting *m, const json_t *content)
{
    enum err e = emit_text(m, AI_REASONING, json_text(content, "thinking"));
    return e ? e : emit_text(m, AI_TEXT, json_text(content, "text"));
}

/* Calls have numbers of their own, behind those of the content's blocks. */
#define CALLS_FROM 1000

static void note_block(struct ai_decoder *d, const json_t *tree, bool call)
{
    const json_t *index = json_object_get(tree, "index");
    if (json_is_integer(index))
        d->block = (unsigned)json_integer_value(index) + (call ? CALLS_FROM : 0);
}

static enum err emit_end(const struct emitting *m, const json_t *delta)
{
    enum err e = emit_usage(m, json_object_get(delta, "usage"));
    if (!e)
        e = emit_finish(m, json_text(delta, "finish_reason"), json_text(delta, "error"));
    return e || !m->d->finished ? e : emit(m, (struct ai_event){.kind = AI_END});
}

static enum err decode_event(const struct emitting *m, const json_t *tree)
{
    struct slice type = json_text(tree, "type");
    const json_t *delta = json_object_get(tree, "delta");
    const json_t *message = json_object_get(delta, "message");
    const json_t *call = json_object_get(message, "tool_calls");
    enum err e = emit_start(m, json_text(tree, "id"));
    if (e)
        return e;
    note_block(m->d, tree, slice_starts(type, SLICE("tool-call-")));
    if (slice_eq(type, SLICE("content-start")) || slice_eq(type, SLICE("content-delta")))
        return emit_content(m, json_object_get(message, "content"));
    if (slice_eq(type, SLICE("content-end")))
        return emit(m, (struct ai_event){.kind = AI_BLOCK_END});
    if (slice_eq(type, SLICE("tool-plan-delta")))
        return emit_text(m, AI_REASONING, json_text(message, "tool_plan"));
    if (slice_eq(type, SLICE("tool-call-start")))
        return emit_call(m, call);
    if (slice_eq(type, SLICE("tool-call-delta")))
        return emit_text(m, AI_TOOL_ARGUMENTS,
                         json_text(json_object_get(call, "function"), "arguments"));
    if (slice_eq(type, SLICE("tool-call-end")))
        return emit(m, (struct ai_event){.kind = AI_TOOL_END});
    if (slice_eq(type, SLICE("message-end")))
        return emit_end(m, delta);
    return emit(m, (struct ai_event){.kind = AI_OTHER});
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
    if (!e->has_data || slice_eq(slice_trim(e->data), SLICE("[DONE]")))
        return emit(&m, (struct ai_event){.kind = AI_OTHER});
    enum err err = json_read(e->data, &tree, &problem);
    if (err || !json_is_object(tree))
        return err == ERR_NOMEM ? err : ERR_PROTOCOL;
    if (!json_object_get(tree, "type") && json_object_get(tree, "message"))
        return emit_fault(&m, e->data);
    return decode_event(&m, tree);
}

/* Vectors of other types are for clients of this dialect alone, who get them as they came. */
static enum err emit_embeddings(const json_t *tree, ai_event_fn *fn, void *arg)
{
    const json_t *units = json_object_get(json_object_get(tree, "meta"), "billed_units");
    return ai_emit_vectors(json_object_get(json_object_get(tree, "embeddings"), "float"),
                           ai_usage_member(units, "input_tokens"), fn, arg);
}

static enum err decode_whole(struct ai_decoder *d, struct slice body, ai_event_fn *fn, void *arg)
{
    const struct emitting m = {d, fn, arg};
    struct json_problem problem;
    JSON_AUTO json_t *tree = NULL;
    enum err e = json_read(body, &tree, &problem);
    const json_t *message = json_object_get(tree, "message");
    if (!e && json_object_size(json_object_get(tree, "embeddings")))
        return emit_embeddings(tree, fn, arg);
    if (e || !json_is_object(message))
        return e == ERR_NOMEM ? e : ERR_PROTOCOL;
    const json_t *content = json_object_get(message, "content");
    const json_t *calls = json_object_get(message, "tool_calls");
    e = emit_start(&m, json_text(tree, "id"));
    if (!e)
        e = emit_text(&m, AI_REASONING, json_text(message, "tool_plan"));
    for (size_t i = 0; i < json_array_size(content) && !e; i++) {
        d->block = (unsigned)i;
        e = emit_content(&m, json_array_get(content, i));
    }
    for (size_t i = 0; i < json_array_size(calls) && !e; i++) {
        d->block = (unsigned)i + CALLS_FROM;
        e = emit_call(&m, json_array_get(calls, i));
    }
    if (!e)
        e = emit_usage(&m, json_object_get(tree, "usage"));
    if (!e)
        e = emit_finish(&m, json_text(tree, "finish_reason"), SLICE_NONE);
    return e ? e : emit(&m, (struct ai_event){.kind = AI_END});
}

const struct ai_provider provider_cohere = {
    .name = {"cohere", 6},
    .hidden_prompt = 600, /* its own instructions for tools */
    .speaks = speaks,
    .serves = serves,
    .build = build,
    .read_error = read_error,
    .decode = decode,
    .decode_whole = decode_whole,
};
