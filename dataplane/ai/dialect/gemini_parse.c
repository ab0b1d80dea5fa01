/*
 * gemini_parse — bodies of Gemini's dialect in the normal form, for any other upstream.
 */
#include "common/base/json_scan.h"
#include "common/base/limits.h"
#include "dataplane/ai/dialect/body_member.h"
#include "dataplane/ai/dialect/gemini_body.h"

#define CALLS_MAX 512 /* of one turn, whose results are awaited */

struct reading {
    struct ai_chat *chat;
    struct ai_part *awaited[CALLS_MAX]; /* calls of the last turn of the model without a result */
    size_t awaited_count;
    unsigned calls; /* in all turns: they number the ids of calls that have none */
};

/* A member by its two spellings; null is absent. */
static json_t *get(const json_t *object, const char *camel)
{
    char snake[64];
    size_t n = 0;
    json_t *v = json_object_get(object, camel);
    if (v && !json_is_null(v))
        return v;
    for (const char *p = camel; *p && n + 2 < sizeof(snake); p++) {
        if (*p >= 'A' && *p <= 'Z')
            snake[n++] = '_';
        snake[n++] = (char)(*p >= 'A' && *p <= 'Z' ? *p + 32 : *p);
    }
    snake[n] = 0;
    v = json_object_get(object, snake);
    return json_is_null(v) ? NULL : v;
}

static struct slice text_in(const json_t *object, const char *camel)
{
    const json_t *v = get(object, camel);
    return json_is_string(v) ? slice_of(json_string_value(v), json_string_length(v)) : SLICE_NONE;
}

static bool is_named(const char *name, const char *camel)
{
    for (; *camel; camel++) {
        if (*camel >= 'A' && *camel <= 'Z' && *name == '_') {
            if (name[1] != *camel + 32)
                return false;
            name += 2;
        } else if (*name++ != *camel) {
            return false;
        }
    }
    return !*name;
}

/* A text that the tree owns from now on, beside the member that it was made of. */
static struct slice keep(json_t *owner, const char *name, struct slice text)
{
    json_t *own = json_from(text);
    if (!own || json_object_set_new(owner, name, own))
        return SLICE_NONE;
    return slice_of(json_string_value(own), json_string_length(own));
}

static struct slice keep_json(json_t *owner, const json_t *value)
{
    struct buf text;
    struct slice kept = SLICE_NONE;
    buf_init(&text, LIMIT_AI_BODY * 2);
    if (!json_write(value, &text))
        kept = keep(owner, "=json", buf_slice(&text));
    buf_fini(&text);
    return kept;
}

/* Bytes may be written in either alphabet of base64; other services take the first alone. */
static struct slice standard_base64(json_t *owner, const char *camel)
{
    struct slice s = text_in(owner, camel);
    struct buf own;
    if (slice_find(s, '-') < 0 && slice_find(s, '_') < 0)
        return s;
    buf_init(&own, LIMIT_AI_BODY);
    if (buf_append(&own, s)) {
        buf_fini(&own);
        return SLICE_NONE;
    }
    for (char *p = own.data; p < own.data + own.len; p++)
        *p = (char)(*p == '-' ? '+' : *p == '_' ? '/' : *p);
    s = keep(owner, "=base64", buf_slice(&own));
    buf_fini(&own);
    return s;
}

/* ---- schemas of OpenAPI as JSON Schema, in place ---- */

static void lower_type(json_t *schema)
{
    char word[32];
    struct slice type = json_text(schema, "type");
    bool nullable = json_is_true(json_object_get(schema, "nullable"));
    if (!type.len || type.len >= sizeof(word))
        return;
    for (size_t i = 0; i < type.len; i++)
        word[i] = (char)(type.ptr[i] >= 'A' && type.ptr[i] <= 'Z' ? type.ptr[i] + 32 : type.ptr[i]);
    word[type.len] = 0;
    json_object_set_new(schema, "type",
                        nullable ? json_pack("[s,s]", word, "null") : json_string(word));
}

static void read_number_text(json_t *schema, const char *name)
{
    uint64_t n;
    struct slice text = json_text(schema, name);
    if (text.len && !slice_u64(text, &n))
        json_object_set_new(schema, name, json_integer((json_int_t)n));
}

static void rename_member(json_t *schema, const char *from, const char *to)
{
    json_t *v = json_object_get(schema, from);
    if (!v || json_object_get(schema, to))
        return;
    json_object_set(schema, to, v);
    json_object_del(schema, from);
}

static void from_openapi(json_t *schema)
{
    static const char *const renamed[][2] = {{"any_of", "anyOf"},
                                             {"min_items", "minItems"},
                                             {"max_items", "maxItems"},
                                             {"min_length", "minLength"},
                                             {"max_length", "maxLength"},
                                             {"additional_properties", "additionalProperties"},
                                             {"min_properties", "minProperties"},
                                             {"max_properties", "maxProperties"}};
    static const char *const counts[] = {"minItems",  "maxItems",      "minLength",
                                         "maxLength", "minProperties", "maxProperties"};
    json_t *inner;
    const char *name;
    size_t i;
    if (!json_is_object(schema))
        return;
    lower_type(schema);
    json_object_del(schema, "nullable");
    json_object_del(schema, "propertyOrdering");
    json_object_del(schema, "property_ordering");
    json_object_del(schema, "example");
    for (i = 0; i < ARRAY_LEN(renamed); i++)
        rename_member(schema, renamed[i][0], renamed[i][1]);
    for (i = 0; i < ARRAY_LEN(counts); i++)
        read_number_text(schema, counts[i]);
    from_openapi(json_object_get(schema, "items"));
    from_openapi(json_object_get(schema, "additionalProperties"));
    json_object_foreach(json_object_get(schema, "properties"), name, inner) from_openapi(inner);
    json_array_foreach(json_object_get(schema, "anyOf"), i, inner) from_openapi(inner);
}

/* ---- parts ---- */

static enum err nomem_unless(const void *made)
{
    return made ? ERR_OK : ERR_NOMEM;
}

static enum ai_part_kind kind_of_media(struct slice type)
{
    if (slice_starts(type, SLICE("image/")))
        return AI_PART_IMAGE;
    if (slice_starts(type, SLICE("audio/")))
        return AI_PART_AUDIO;
    return slice_starts(type, SLICE("video/")) ? AI_PART_VIDEO : AI_PART_FILE;
}

static enum err add_inline(struct reading *r, struct ai_part_list *to, json_t *media)
{
    struct slice type = text_in(media, "mimeType");
    struct slice data = standard_base64(media, "data");
    if (!type.len || !data.ptr)
        return ai_chat_wrong(r->chat, "contents", SLICE("inlineData wants mimeType and data"));
    struct ai_part *p = ai_chat_add_part(r->chat, to, kind_of_media(type));
    if (!p)
        return ERR_NOMEM;
    p->media_type = type;
    p->data = data;
    return ERR_OK;
}

static enum err add_file(struct reading *r, struct ai_part_list *to, const json_t *file)
{
    struct slice type = text_in(file, "mimeType"), uri = text_in(file, "fileUri");
    if (!uri.len)
        return ai_chat_wrong(r->chat, "contents", SLICE("fileData wants fileUri"));
    struct ai_part *p = ai_chat_add_part(r->chat, to, kind_of_media(type));
    if (!p)
        return ERR_NOMEM;
    p->media_type = type.len ? type : SLICE_NONE;
    p->url = uri;
    return ERR_OK;
}

static enum err add_call(struct reading *r, struct ai_turn *t, const json_t *part, json_t *call)
{
    json_t *args = get(call, "args");
    struct ai_part *p = ai_chat_add_part(r->chat, &t->parts, AI_PART_TOOL_CALL);
    if (!p)
        return ERR_NOMEM;
    p->name = text_in(call, "name");
    p->id = text_in(call, "id");
    p->signature = text_in(part, "thoughtSignature");
    if (!p->name.len)
        return ai_chat_wrong(r->chat, "contents", SLICE("functionCall wants a name"));
    if (!p->id.len)
        p->id = arena_printf(r->chat->arena, "call_%u", r->calls);
    r->calls++;
    p->text = json_is_object(args) ? keep_json(call, args) : SLICE("{}");
    if (r->awaited_count == CALLS_MAX)
        return ai_chat_wrong(r->chat, "contents", SLICE("too many function calls in one turn"));
    r->awaited[r->awaited_count++] = p;
    return nomem_unless(p->id.ptr && p->text.ptr ? p : NULL);
}

/* The call that a response is to: by its id, or else the first of its name that has none yet. */
static struct ai_part *take_call(struct reading *r, struct slice id, struct slice name)
{
    struct ai_part *found = NULL;
    for (size_t i = 0; i < r->awaited_count; i++) {
        struct ai_part *p = r->awaited[i];
        if (!p || !(id.len ? slice_eq(p->id, id) : slice_eq(p->name, name)))
            continue;
        r->awaited[i] = NULL;
        found = p;
        break;
    }
    return found;
}

/* {"output": "text"} and {"error": "text"} are texts, as a provider that wants an object has them.
 */
static struct slice text_of_response(json_t *owner, const json_t *response, bool *is_error)
{
    static const char *const names[] = {"output", "result", "error"};
    *is_error = false;
    for (size_t i = 0; json_object_size(response) == 1 && i < ARRAY_LEN(names); i++) {
        const json_t *only = json_object_get(response, names[i]);
        if (!only)
            continue;
        *is_error = i == 2;
        if (json_is_string(only))
            return slice_of(json_string_value(only), json_string_length(only));
    }
    return keep_json(owner, response);
}

static enum err add_media_part(struct reading *r, struct ai_part_list *to, const json_t *part)
{
    json_t *media = get(part, "inlineData"), *file = get(part, "fileData");
    if (media)
        return add_inline(r, to, media);
    return file ? add_file(r, to, file) : ERR_OK;
}

static enum err add_response(struct reading *r, struct ai_turn *t, json_t *response)
{
    json_t *value = get(response, "response"), *inner;
    struct slice name = text_in(response, "name"), id = text_in(response, "id");
    struct ai_part *call = take_call(r, id, name);
    size_t i;
    enum err e = ERR_OK;
    if (!call)
        return ai_chat_wrong(r->chat, "contents",
                             arena_printf(r->chat->arena,
                                          "the functionResponse of %.*s, which the turn before it "
                                          "did not call",
                                          SLICE_ARG(slice_first(name, 64))));
    struct ai_part *p = ai_chat_add_part(r->chat, &t->parts, AI_PART_TOOL_RESULT);
    if (!p)
        return ERR_NOMEM;
    p->id = call->id;
    p->name = call->name;
    struct ai_part *text = ai_chat_add_part(r->chat, p->inner, AI_PART_TEXT);
    if (!text)
        return ERR_NOMEM;
    text->text =
        json_is_object(value) ? text_of_response(response, value, &p->is_error) : SLICE("");
    json_array_foreach(get(response, "parts"), i, inner)
    {
        if (!e)
            e = add_media_part(r, p->inner, inner);
    }
    return e ? e : nomem_unless(text->text.ptr);
}

static enum err add_text(struct reading *r, struct ai_turn *t, const json_t *part)
{
    bool thought = json_is_true(get(part, "thought"));
    struct ai_part *p =
        ai_chat_add_part(r->chat, &t->parts, thought ? AI_PART_REASONING : AI_PART_TEXT);
    if (!p)
        return ERR_NOMEM;
    p->text = text_in(part, "text");
    if (thought)
        p->signature = text_in(part, "thoughtSignature");
    return ERR_OK;
}

static enum err add_part(struct reading *r, struct ai_turn *t, const json_t *part)
{
    json_t *call = get(part, "functionCall"), *response = get(part, "functionResponse");
    if (!json_is_object(part))
        return ai_chat_wrong(r->chat, "contents", SLICE("a part must be an object"));
    if (call)
        return add_call(r, t, part, call);
    if (response)
        return add_response(r, t, response);
    if (get(part, "inlineData") || get(part, "fileData"))
        return add_media_part(r, &t->parts, part);
    if (json_is_string(get(part, "text")))
        return add_text(r, t, part);
    if (json_object_size(part) == 0 || get(part, "thoughtSignature"))
        return ERR_OK; /* a signature alone */
    return ai_chat_wrong(r->chat, "contents",
                         SLICE("a part that is no text, inlineData, fileData, functionCall or "
                               "functionResponse"));
}

static enum err add_parts(struct reading *r, struct ai_turn *t, const json_t *parts)
{
    const json_t *one;
    size_t i;
    enum err e = ERR_OK;
    if (json_is_object(parts))
        return add_part(r, t, parts); /* the API takes one part without its list */
    json_array_foreach(parts, i, one)
    {
        if (!e)
            e = add_part(r, t, one);
    }
    return e;
}

static enum err add_turn(struct reading *r, const json_t *content)
{
    struct slice role = text_in(content, "role");
    bool model = slice_eq(role, SLICE("model"));
    if (!json_is_object(content))
        return ai_chat_wrong(r->chat, "contents", SLICE("each of contents must be an object"));
    if (role.len && !model && !slice_eq(role, SLICE("user")) && !slice_eq(role, SLICE("function")))
        return ai_chat_wrong(r->chat, "contents", SLICE("a role other than user and model"));
    if (model && r->chat->last && r->chat->last->role != AI_ASSISTANT)
        r->awaited_count = 0;
    struct ai_turn *t = ai_chat_add_turn(r->chat, model ? AI_ASSISTANT : AI_USER);
    return t ? add_parts(r, t, get(content, "parts")) : ERR_NOMEM;
}

static enum err read_turns(struct reading *r, const json_t *body)
{
    const json_t *one, *system = get(body, "systemInstruction");
    size_t i;
    enum err e = ERR_OK;
    if (system) {
        struct ai_turn *t = ai_chat_add_turn(r->chat, AI_SYSTEM);
        e = t ? add_parts(r, t, get(system, "parts")) : ERR_NOMEM;
    }
    json_array_foreach(get(body, "contents"), i, one)
    {
        if (!e)
            e = add_turn(r, one);
    }
    return e;
}

/* ---- functions ---- */

static enum err add_function(struct reading *r, const json_t *declared)
{
    json_t *openapi = get(declared, "parameters");
    struct ai_function *f = ai_chat_add_function(r->chat, text_in(declared, "name"));
    if (!f)
        return ERR_NOMEM;
    if (!f->name.len)
        return ai_chat_wrong(r->chat, "tools", SLICE("a function without a name"));
    f->description = text_in(declared, "description");
    f->schema = get(declared, "parametersJsonSchema");
    if (!f->schema && openapi) {
        from_openapi(openapi);
        f->schema = openapi;
    }
    return ERR_OK;
}

static enum err add_tool(struct reading *r, const json_t *tool)
{
    const json_t *one, *functions = get(tool, "functionDeclarations");
    const char *name;
    json_t *value;
    size_t i;
    enum err e = ERR_OK;
    json_array_foreach(functions, i, one)
    {
        if (!e)
            e = add_function(r, one);
    }
    json_object_foreach((json_t *)(uintptr_t)tool, name, value)
    {
        if (!e && !is_named(name, "functionDeclarations") && !json_is_null(value))
            e = ai_chat_add_other(r->chat, "tools", true,
                                  arena_printf(r->chat->arena, "the tool %.64s", name), value);
    }
    return e;
}

static enum err read_choice(struct reading *r, const json_t *config)
{
    struct slice mode = text_in(config, "mode");
    const json_t *one, *names = get(config, "allowedFunctionNames");
    size_t i;
    enum err e = ERR_OK;
    if (slice_eq(mode, SLICE("NONE")))
        r->chat->choosing = AI_CHOOSE_NONE;
    else if (slice_eq(mode, SLICE("ANY")))
        r->chat->choosing = AI_CHOOSE_ANY;
    else if (mode.len && !slice_eq(mode, SLICE("MODE_UNSPECIFIED")))
        r->chat->choosing = AI_CHOOSE_AUTO;
    if (r->chat->choosing == AI_CHOOSE_ANY && json_array_size(names) == 1) {
        one = json_array_get(names, 0);
        r->chat->choosing = AI_CHOOSE_ONE;
        r->chat->chosen = slice_of(json_string_value(one), json_string_length(one));
        return r->chat->chosen.len ? ERR_OK
                                   : ai_chat_wrong(r->chat, "toolConfig",
                                                   SLICE("allowedFunctionNames wants names"));
    }
    json_array_foreach(names, i, one)
    {
        if (!e)
            e = ai_chat_allow(r->chat, slice_of(json_string_value(one), json_string_length(one)));
    }
    return e;
}

static enum err read_tools(struct reading *r, const json_t *body)
{
    const json_t *one, *tools = get(body, "tools");
    size_t i;
    enum err e = ERR_OK;
    json_array_foreach(tools, i, one)
    {
        if (!e)
            e = add_tool(r, one);
    }
    return e ? e : read_choice(r, get(get(body, "toolConfig"), "functionCallingConfig"));
}

/* ---- how to generate ---- */

static void read_number(const json_t *config, const char *camel, struct ai_number *ret)
{
    const json_t *v = get(config, camel);
    if (json_is_number(v))
        *ret = (struct ai_number){true, json_number_value(v)};
}

static enum ai_effort effort_of_level(struct slice level)
{
    static const struct {
        struct slice level;
        enum ai_effort effort;
    } rows[] = {{{"MINIMAL", 7}, AI_EFFORT_MINIMAL},
                {{"LOW", 3}, AI_EFFORT_LOW},
                {{"MEDIUM", 6}, AI_EFFORT_MEDIUM},
                {{"HIGH", 4}, AI_EFFORT_HIGH}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (slice_ieq(level, rows[i].level))
            return rows[i].effort;
    return AI_EFFORT_UNSAID;
}

static void read_thinking(struct ai_chat *c, const json_t *thinking)
{
    const json_t *budget = get(thinking, "thinkingBudget");
    json_int_t n =
        json_is_integer(budget) ? json_integer_value(budget) : -1; /* as much as it likes */
    c->reasoning_shown = json_is_true(get(thinking, "includeThoughts"));
    c->effort = effort_of_level(text_in(thinking, "thinkingLevel"));
    if (n == 0)
        c->effort = AI_EFFORT_NONE;
    else if (n > 0)
        c->reasoning_budget = (uint64_t)n;
}

static void read_format(struct ai_chat *c, const json_t *config)
{
    json_t *schema = get(config, "responseJsonSchema"), *openapi = get(config, "responseSchema");
    if (!schema)
        schema = get(config, "_responseJsonSchema");
    if (!schema && openapi) {
        from_openapi(openapi);
        schema = openapi;
    }
    if (schema) {
        c->format = AI_FORMAT_SCHEMA;
        c->format_schema = schema;
        c->format_name = SLICE("response");
    } else if (slice_eq(text_in(config, "responseMimeType"), SLICE("application/json"))) {
        c->format = AI_FORMAT_JSON;
    }
}

static uint64_t count_of(const json_t *v)
{
    uint64_t n;
    if (json_is_integer(v) && json_integer_value(v) > 0)
        return (uint64_t)json_integer_value(v);
    return json_is_string(v) && !slice_u64(slice_str(json_string_value(v)), &n) ? n : 0;
}

static bool is_text_alone(const json_t *modalities)
{
    const json_t *one;
    size_t i;
    json_array_foreach(modalities, i, one)
    {
        if (!json_is_string(one) || !slice_ieq(slice_str(json_string_value(one)), SLICE("TEXT")))
            return false;
    }
    return true;
}

static bool is_nothing(const json_t *v)
{
    return json_is_null(v) || json_is_false(v) || (json_is_object(v) && json_object_size(v) == 0) ||
           (json_is_array(v) && json_array_size(v) == 0);
}

struct member {
    const char *name; /* in camel case */
    bool binds;       /* has no place in the normal form, and leaving it out changes the meaning */
    bool is_read;
};

static const struct member config_members[] = {
    {"temperature", false, true},
    {"topP", false, true},
    {"topK", false, true},
    {"candidateCount", false, true},
    {"maxOutputTokens", false, true},
    {"stopSequences", false, true},
    {"responseMimeType", false, true},
    {"responseSchema", false, true},
    {"responseJsonSchema", false, true},
    {"presencePenalty", false, true},
    {"frequencyPenalty", false, true},
    {"seed", false, true},
    {"thinkingConfig", false, true},
    {"_responseJsonSchema", false, true},
    {"responseLogprobs", true, false},
    {"logprobs", true, false},
    {"speechConfig", true, false},
    {"imageConfig", true, false},
};

static const struct member body_members[] = {
    {"contents", false, true},         {"systemInstruction", false, true},
    {"generationConfig", false, true}, {"tools", false, true},
    {"toolConfig", false, true},       {"serviceTier", false, true},
    {"cachedContent", true, false},    {"model", false, true},
};

/* What has no place in the normal form. */
static enum err note_others(struct ai_chat *c, const json_t *object, const struct member *members,
                            size_t n)
{
    const char *name;
    json_t *value;
    enum err e = ERR_OK;
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        const struct member *m = NULL;
        for (size_t i = 0; i < n && !m; i++)
            m = is_named(name, members[i].name) ? &members[i] : NULL;
        if (e || (m && m->is_read) || is_nothing(value))
            continue;
        if (is_named(name, "responseModalities") && is_text_alone(value))
            continue;
        bool binds = (m && m->binds) || is_named(name, "responseModalities");
        e = ai_chat_add_other(c, name, binds, SLICE_NONE, value);
    }
    return e;
}

static enum err read_config(struct ai_chat *c, const json_t *config)
{
    const json_t *stop, *stops = get(config, "stopSequences");
    size_t i;
    enum err e = ERR_OK;
    c->output_limit = count_of(get(config, "maxOutputTokens"));
    uint64_t choices = count_of(get(config, "candidateCount"));
    c->choices = choices ? choices : 1;
    read_number(config, "temperature", &c->temperature);
    read_number(config, "topP", &c->top_p);
    read_number(config, "topK", &c->top_k);
    read_number(config, "presencePenalty", &c->presence_penalty);
    read_number(config, "frequencyPenalty", &c->frequency_penalty);
    read_number(config, "seed", &c->seed);
    read_format(c, config);
    read_thinking(c, get(config, "thinkingConfig"));
    json_array_foreach(stops, i, stop)
    {
        if (!e && json_is_string(stop))
            e = ai_chat_add_stop(c, slice_of(json_string_value(stop), json_string_length(stop)));
    }
    return e ? e : note_others(c, config, config_members, ARRAY_LEN(config_members));
}

static enum ai_tier tier_of(struct slice word)
{
    if (slice_ieq(word, SLICE("flex")))
        return AI_TIER_FLEX;
    if (slice_ieq(word, SLICE("priority")))
        return AI_TIER_PRIORITY;
    return slice_ieq(word, SLICE("standard")) ? AI_TIER_STANDARD : AI_TIER_UNSAID;
}

static enum err read_tree(const struct ai_incoming *in, struct ai_chat *ret)
{
    struct json_problem problem;
    enum err e = json_read(in->body, &ret->root, &problem);
    return e == ERR_INVALID
               ? ai_chat_wrong(ret, NULL, arena_copy(in->arena, slice_str(problem.text)))
               : e;
}

static enum err parse(const struct ai_incoming *in, const json_t *body, struct ai_chat *ret)
{
    struct reading r = {.chat = ret};
    if (!json_is_array(get(body, "contents")))
        return ai_chat_wrong(ret, "contents", SLICE("contents must be a list"));
    ret->stream = slice_starts(in->endpoint->suffix, SLICE(":stream"));
    ret->choices = 1;
    ret->tier = tier_of(text_in(body, "serviceTier"));
    enum err e = read_turns(&r, body);
    if (!e)
        e = read_tools(&r, body);
    if (!e)
        e = read_config(ret, get(body, "generationConfig"));
    return e ? e : note_others(ret, body, body_members, ARRAY_LEN(body_members));
}

enum err gemini_parse_generate(const struct ai_incoming *in, struct ai_chat *ret)
{
    enum err e = read_tree(in, ret);
    return e ? e : parse(in, ret->root, ret);
}

enum err gemini_parse_count(const struct ai_incoming *in, struct ai_chat *ret)
{
    enum err e = read_tree(in, ret);
    const json_t *whole = get(ret->root, "generateContentRequest");
    return e ? e : parse(in, whole ? whole : ret->root, ret);
}
