/*
 * cohere_body — members that only Cohere knows are kept by name; documents bind, since an answer
 * without them is another one.
 */
#include "dataplane/ai/dialect/cohere_body.h"

#include "common/base/json_scan.h"
#include "common/base/limits.h"
#include "dataplane/ai/dialect/body_member.h"

/* ---- by places ---- */

enum hit { MODEL, STREAM, LIMIT, MESSAGES, HITS };

static const char *const wants[HITS] = {
    [MODEL] = "model", [STREAM] = "stream", [LIMIT] = "max_tokens", [MESSAGES] = "messages"};

static enum err read_model(const struct ai_incoming *in, struct ai_request *r)
{
    const struct json_hit *h = &r->hits[MODEL];
    char *out = h->type == JSON_SCAN_STRING ? arena_alloc(in->arena, h->raw.len) : NULL;
    if (h->type != JSON_SCAN_STRING)
        return ERR_INVALID;
    return out ? json_scan_text(h, out, h->raw.len, &r->model) : ERR_NOMEM;
}

enum err cohere_read(const struct ai_incoming *in, struct ai_request *ret, struct slice *detail)
{
    struct json_scan_problem problem;
    enum json_type root;
    ret->wants_usage = true;
    ret->choices = 1;
    if (json_scan(in->body, wants, HITS, ret->hits, &root, &problem)) {
        *detail = arena_copy(in->arena, slice_str(problem.text));
        return ERR_INVALID;
    }
    const struct json_hit *limit = &ret->hits[LIMIT], *stream = &ret->hits[STREAM];
    if (root != JSON_SCAN_OBJECT)
        return body_refuse(ret, NULL, "the body must be a JSON object", detail);
    enum err e = read_model(in, ret);
    if (e == ERR_NOMEM)
        return e;
    if (e || !ret->model.len)
        return body_refuse(ret, "model", "model must be a name", detail);
    if (ret->hits[MESSAGES].type != JSON_SCAN_ARRAY)
        return body_refuse(ret, "messages", "messages must be a list", detail);
    if (!body_is_absent(stream) && stream->type != JSON_SCAN_TRUE &&
        stream->type != JSON_SCAN_FALSE)
        return body_refuse(ret, "stream", "stream must be true or false", detail);
    ret->stream = stream->type == JSON_SCAN_TRUE;
    if (!body_is_absent(limit) &&
        (json_scan_u64(limit, &ret->output_ceiling) || !ret->output_ceiling))
        return body_refuse(ret, "max_tokens", "max_tokens must be a positive number", detail);
    return ERR_OK;
}

/* ---- the body for Cohere: the model's name, and a limit where there is none ---- */

static struct slice quoted(struct slice name, struct arena *a)
{
    struct buf text;
    struct slice kept = SLICE_NONE;
    buf_init(&text, 8192);
    if (!buf_json_string(&text, name))
        kept = arena_copy(a, buf_slice(&text));
    buf_fini(&text);
    return kept;
}

enum err cohere_splice(const struct ai_request *r, struct slice body, const struct ai_changes *c,
                       struct arena *a, struct slice ret[static AI_REQUEST_PIECES])
{
    const struct json_hit *model = &r->hits[MODEL], *limit = &r->hits[LIMIT];
    bool puts = c->output_limit && !r->output_ceiling;
    bool in_place = puts && limit->type == JSON_SCAN_NULL;
    size_t at = (size_t)slice_find(body, '{') + 1, m = (size_t)(model->raw.ptr - body.ptr);
    size_t after = m + model->raw.len;
    struct slice name = quoted(c->model, a), text = SLICE("");
    memset(ret, 0, AI_REQUEST_PIECES * sizeof(*ret));
    if (puts)
        text = arena_printf(a, in_place ? "%llu" : "\"max_tokens\":%llu,",
                            (unsigned long long)c->output_limit);
    if (!name.ptr || !text.ptr)
        return ERR_NOMEM;
    if (!in_place) {
        ret[0] = slice_first(body, at);
        ret[1] = text;
        ret[2] = slice_of(body.ptr + at, m - at);
        ret[3] = name;
        ret[4] = slice_from(body, after);
        return ERR_OK;
    }
    size_t l = (size_t)(limit->raw.ptr - body.ptr);
    size_t first = l < m ? l : m, first_end = l < m ? l + limit->raw.len : after;
    size_t second = l < m ? m : l, second_end = l < m ? after : l + limit->raw.len;
    ret[0] = slice_first(body, first);
    ret[1] = l < m ? text : name;
    ret[2] = slice_of(body.ptr + first_end, second - first_end);
    ret[3] = l < m ? name : text;
    ret[4] = slice_from(body, second_end);
    return ERR_OK;
}

/* ---- parsed ---- */

static json_t *get(const json_t *object, const char *name)
{
    json_t *v = json_object_get(object, name);
    return json_is_null(v) ? NULL : v;
}

static enum err nomem_unless(const void *made)
{
    return made ? ERR_OK : ERR_NOMEM;
}

static struct slice text_of(const json_t *v)
{
    return json_is_string(v) ? slice_of(json_string_value(v), json_string_length(v)) : SLICE_NONE;
}

static enum err add_text(struct ai_chat *c, struct ai_part_list *to, enum ai_part_kind kind,
                         struct slice text)
{
    struct ai_part *p = ai_chat_add_part(c, to, kind);
    if (p)
        p->text = text;
    return nomem_unless(p);
}

static enum err add_image(struct ai_chat *c, struct ai_part_list *to, const json_t *image)
{
    struct slice url = json_text(image, "url");
    struct ai_part *p = ai_chat_add_part(c, to, AI_PART_IMAGE);
    if (!p)
        return ERR_NOMEM;
    if (!url.len)
        return ai_chat_wrong(c, "messages", SLICE("image_url wants a url"));
    if (!ai_read_data_url(url, &p->media_type, &p->data))
        p->url = url;
    p->detail = json_text(image, "detail");
    return ERR_OK;
}

/* A document of a tool's result is told as its text. */
static enum err add_document(struct ai_chat *c, struct ai_part_list *to, json_t *document)
{
    const json_t *data = get(document, "data");
    struct buf text;
    if (!data || json_is_string(data))
        return add_text(c, to, AI_PART_TEXT, text_of(data));
    buf_init(&text, LIMIT_AI_BODY * 2);
    json_t *own = json_write(data, &text) ? NULL : json_from(buf_slice(&text));
    buf_fini(&text);
    if (!own || json_object_set_new(document, "=json", own))
        return ERR_NOMEM;
    return add_text(c, to, AI_PART_TEXT, text_of(own));
}

static enum err add_part(struct ai_chat *c, struct ai_part_list *to, const json_t *part)
{
    struct slice type = json_text(part, "type");
    if (slice_eq(type, SLICE("text")))
        return add_text(c, to, AI_PART_TEXT, json_text(part, "text"));
    if (slice_eq(type, SLICE("thinking")))
        return add_text(c, to, AI_PART_REASONING, json_text(part, "thinking"));
    if (slice_eq(type, SLICE("image_url")))
        return add_image(c, to, get(part, "image_url"));
    if (slice_eq(type, SLICE("document")))
        return add_document(c, to, get(part, "document"));
    return ai_chat_wrong(c, "messages",
                         SLICE("a content of another type than text, image_url, thinking and "
                               "document"));
}

static enum err add_content(struct ai_chat *c, struct ai_part_list *to, const json_t *content)
{
    enum err e = ERR_OK;
    if (json_is_string(content))
        return add_text(c, to, AI_PART_TEXT, text_of(content));
    if (content && !json_is_array(content))
        return ai_chat_wrong(c, "messages", SLICE("content must be a text or a list"));
    for (size_t i = 0; i < json_array_size(content) && !e; i++)
        e = add_part(c, to, json_array_get(content, i));
    return e;
}

static enum err add_calls(struct ai_chat *c, struct ai_part_list *to, const json_t *calls)
{
    for (size_t i = 0; i < json_array_size(calls); i++) {
        const json_t *call = json_array_get(calls, i), *function = get(call, "function");
        struct ai_part *p = ai_chat_add_part(c, to, AI_PART_TOOL_CALL);
        if (!p)
            return ERR_NOMEM;
        p->id = json_text(call, "id");
        p->name = json_text(function, "name");
        p->text = json_text(function, "arguments");
        if (!p->name.len)
            return ai_chat_wrong(c, "messages", SLICE("a tool call wants a function's name"));
        if (!p->text.ptr)
            p->text = SLICE("{}");
    }
    return ERR_OK;
}

static enum err add_result(struct ai_chat *c, struct ai_part_list *to, const json_t *message)
{
    struct ai_part *p = ai_chat_add_part(c, to, AI_PART_TOOL_RESULT);
    if (!p || !(p->inner = arena_zalloc(c->arena, sizeof(*p->inner))))
        return ERR_NOMEM;
    p->id = json_text(message, "tool_call_id");
    if (!p->id.len)
        return ai_chat_wrong(c, "messages", SLICE("a message of role tool wants tool_call_id"));
    return add_content(c, p->inner, get(message, "content"));
}

static enum err read_message(struct ai_chat *c, const json_t *m)
{
    struct slice role = json_text(m, "role"), plan = json_text(m, "tool_plan");
    bool tool = slice_eq(role, SLICE("tool")), assistant = slice_eq(role, SLICE("assistant"));
    bool system = slice_eq(role, SLICE("system")) || slice_eq(role, SLICE("developer"));
    if (!tool && !assistant && !system && !slice_eq(role, SLICE("user")))
        return ai_chat_wrong(c, "messages", SLICE("role must be system, user, assistant or tool"));
    struct ai_turn *t = ai_chat_add_turn(c, system      ? AI_SYSTEM
                                            : assistant ? AI_ASSISTANT
                                                        : AI_USER);
    enum err e = nomem_unless(t);
    if (!e && tool)
        return add_result(c, &t->parts, m);
    if (!e && plan.len)
        e = add_text(c, &t->parts, AI_PART_REASONING, plan);
    if (!e)
        e = add_content(c, &t->parts, get(m, "content"));
    return e ? e : add_calls(c, &t->parts, get(m, "tool_calls"));
}

static enum err read_messages(struct ai_chat *c, const json_t *messages)
{
    enum err e = ERR_OK;
    for (size_t i = 0; i < json_array_size(messages) && !e; i++)
        e = read_message(c, json_array_get(messages, i));
    return e;
}

static enum err read_tools(struct ai_chat *c, const json_t *tools)
{
    for (size_t i = 0; i < json_array_size(tools); i++) {
        const json_t *function = get(json_array_get(tools, i), "function");
        if (!json_text(function, "name").len)
            return ai_chat_wrong(c, "tools", SLICE("a tool that is no function with a name"));
        struct ai_function *f = ai_chat_add_function(c, json_text(function, "name"));
        if (!f)
            return ERR_NOMEM;
        f->description = json_text(function, "description");
        f->schema = get(function, "parameters");
    }
    return ERR_OK;
}

static enum err read_stops(struct ai_chat *c, const json_t *stops)
{
    enum err e = ERR_OK;
    for (size_t i = 0; i < json_array_size(stops) && !e; i++)
        if (json_is_string(json_array_get(stops, i)))
            e = ai_chat_add_stop(c, text_of(json_array_get(stops, i)));
    return e;
}

static void read_format(struct ai_chat *c, const json_t *format)
{
    const json_t *schema = get(format, "json_schema");
    if (!schema)
        schema = get(format, "schema");
    if (!slice_eq(json_text(format, "type"), SLICE("json_object")))
        return;
    c->format = schema ? AI_FORMAT_SCHEMA : AI_FORMAT_JSON;
    c->format_schema = schema;
    c->format_name = SLICE("output");
}

static void read_thinking(struct ai_chat *c, const json_t *thinking)
{
    const json_t *budget = get(thinking, "token_budget");
    if (slice_eq(json_text(thinking, "type"), SLICE("disabled")))
        c->effort = AI_EFFORT_NONE;
    else if (json_is_integer(budget) && json_integer_value(budget) > 0)
        c->reasoning_budget = (uint64_t)json_integer_value(budget);
    else
        c->effort = AI_EFFORT_MEDIUM;
}

static bool read_number(struct ai_chat *c, const char *name, const json_t *v)
{
    const struct {
        const char *name;
        struct ai_number *number;
    } rows[] = {{"temperature", &c->temperature},
                {"p", &c->top_p},
                {"k", &c->top_k},
                {"seed", &c->seed},
                {"frequency_penalty", &c->frequency_penalty},
                {"presence_penalty", &c->presence_penalty}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (strcmp(name, rows[i].name) != 0)
            continue;
        if (json_is_number(v))
            *rows[i].number = (struct ai_number){.set = true, .value = json_number_value(v)};
        return true;
    }
    return false;
}

static enum err read_member(struct ai_chat *c, const char *name, const json_t *v)
{
    if (strcmp(name, "messages") == 0)
        return read_messages(c, v);
    if (strcmp(name, "tools") == 0)
        return read_tools(c, v);
    if (strcmp(name, "stop_sequences") == 0)
        return read_stops(c, v);
    if (read_number(c, name, v))
        return ERR_OK;
    if (strcmp(name, "tool_choice") == 0)
        c->choosing = slice_eq(text_of(v), SLICE("REQUIRED")) ? AI_CHOOSE_ANY
                      : slice_eq(text_of(v), SLICE("NONE"))   ? AI_CHOOSE_NONE
                                                              : AI_CHOOSE_UNSAID;
    else if (strcmp(name, "response_format") == 0)
        read_format(c, v);
    else if (strcmp(name, "thinking") == 0)
        read_thinking(c, v);
    else if (strcmp(name, "max_tokens") == 0)
        c->output_limit = json_is_integer(v) ? (uint64_t)json_integer_value(v) : 0;
    else if (strcmp(name, "documents") == 0)
        return json_array_size(v) ? ai_chat_add_other(c, name, true, SLICE("documents"), v)
                                  : ERR_OK;
    else if (strcmp(name, "logprobs") == 0)
        return json_is_true(v) ? ai_chat_add_other(c, name, true, SLICE_NONE, v) : ERR_OK;
    else if (strcmp(name, "model") != 0 && strcmp(name, "stream") != 0)
        return ai_chat_add_other(c, name, false, SLICE_NONE, v);
    return ERR_OK;
}

enum err cohere_parse(const struct ai_incoming *in, struct ai_chat *ret)
{
    struct json_problem problem;
    enum err e = json_read(in->body, &ret->root, &problem);
    if (e)
        return e == ERR_NOMEM ? e : ai_chat_wrong(ret, NULL, SLICE("the body is no JSON"));
    const char *name;
    json_t *v;
    ret->choices = 1;
    ret->stream = json_is_true(json_object_get(ret->root, "stream"));
    json_object_foreach(ret->root, name, v)
    {
        if (!e && !json_is_null(v))
            e = read_member(ret, name, v);
    }
    return e;
}
