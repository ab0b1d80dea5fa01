/*
 * openai_parse — each object member by member: those that have a place go there, the others are
 * counted and kept by name.
 */
#include "dataplane/ai/dialect/openai_parse.h"

typedef enum err member_fn(struct ai_chat *c, const char *name, const json_t *v, void *arg);

struct member {
    const char *name;
    member_fn *take; /* NULL: it says nothing that has a place */
};

static struct slice text_of(const json_t *v)
{
    return json_is_string(v) ? slice_of(json_string_value(v), json_string_length(v)) : SLICE_NONE;
}

static bool is_word(const json_t *v, const char *word)
{
    return json_is_string(v) && strcmp(json_string_value(v), word) == 0;
}

/* Null, false, nought and what is empty ask for nothing. */
static bool is_nothing(const json_t *v)
{
    return json_is_null(v) || json_is_false(v) ||
           (json_is_number(v) && json_number_value(v) == 0) ||
           (json_is_string(v) && json_string_length(v) == 0) ||
           (json_is_object(v) && json_object_size(v) == 0) ||
           (json_is_array(v) && json_array_size(v) == 0);
}

/* What has no place; of a member inside a message or a tool only its size is kept, since whole
 * responses are sent back as messages, with members that request nothing. */
static void count_other(struct ai_chat *c, const char *name, const json_t *v)
{
    c->other_bytes += strlen(name) + 3 + ai_chat_json_bytes(v);
}

static const struct member *find(const struct member *table, const char *name)
{
    while (table->name && strcmp(table->name, name) != 0)
        table++;
    return table->name ? table : NULL;
}

static enum err take_members(struct ai_chat *c, const json_t *object, const struct member *table,
                             void *arg)
{
    const char *name;
    json_t *v;
    enum err e = ERR_OK;
    json_object_foreach((json_t *)(uintptr_t)object, name, v)
    {
        const struct member *m = find(table, name);
        if (json_is_null(v)) /* means absent */
            continue;
        if (!m)
            count_other(c, name, v);
        else if (!e && m->take)
            e = m->take(c, name, v, arg);
    }
    return e;
}

static enum err wrong(struct ai_chat *c, const char *param, const char *why)
{
    return ai_chat_wrong(c, param, slice_str(why));
}

/* A member that is a text where it has a place at all. */
static enum err take_text(struct ai_chat *c, const char *name, const json_t *v, void *arg)
{
    (void)arg;
    if (!json_is_string(v))
        count_other(c, name, v);
    return ERR_OK;
}

static struct slice counted_text(struct ai_chat *c, const json_t *object, const char *name)
{
    const json_t *v = json_object_get(object, name);
    if (v && !json_is_string(v) && !json_is_null(v))
        count_other(c, name, v);
    return text_of(v);
}

/* ---- parts ---- */

static enum ai_cache_mark mark_of(const json_t *object)
{
    const json_t *own = json_object_get(object, "cache_control");
    const json_t *mark = json_object_get(object, "prompt_cache_breakpoint");
    if (json_is_object(own))
        return is_word(json_object_get(own, "ttl"), "1h") ? AI_CACHE_LONG : AI_CACHE_SHORT;
    if (json_is_object(mark))
        return json_object_get(mark, "ttl") ? AI_CACHE_LONG : AI_CACHE_SHORT;
    return AI_CACHE_NONE;
}

static enum err put_text(struct ai_chat *c, struct ai_part_list *to, enum ai_part_kind kind,
                         struct slice text, enum ai_cache_mark cache)
{
    struct ai_part *p = ai_chat_add_part(c, to, kind);
    if (!p)
        return ERR_NOMEM;
    p->text = text.ptr ? text : SLICE("");
    p->cache = cache;
    return ERR_OK;
}

static void put_media(struct ai_part *p, struct slice url)
{
    if (!ai_read_data_url(url, &p->media_type, &p->data))
        p->url = url;
}

static enum err put_image(struct ai_chat *c, struct ai_part *p, const json_t *part)
{
    const json_t *image = json_object_get(part, "image_url");
    struct slice url = json_is_string(image) ? text_of(image) : json_text(image, "url");
    if (!url.len)
        return wrong(c, "messages", "an image must have its url");
    put_media(p, url);
    p->detail = json_text(image, "detail");
    return ERR_OK;
}

static enum err put_audio(struct ai_chat *c, struct ai_part *p, const json_t *part)
{
    const json_t *audio = json_object_get(part, "input_audio");
    struct slice format = json_text(audio, "format");
    p->data = json_text(audio, "data");
    if (!p->data.ptr || !format.len)
        return wrong(c, "messages", "input_audio must have data and format");
    p->media_type = arena_printf(c->arena, "audio/%.*s", SLICE_ARG(format));
    return p->media_type.ptr ? ERR_OK : ERR_NOMEM;
}

static enum err put_file(struct ai_chat *c, struct ai_part *p, const json_t *part)
{
    const json_t *file = json_object_get(part, "file");
    struct slice data = json_text(file, "file_data"), id = json_text(file, "file_id");
    p->name = json_text(file, "filename");
    if (data.ptr && !ai_read_data_url(data, &p->media_type, &p->data))
        return wrong(c, "messages", "file_data must be a data: URL in base64");
    p->file_id = id;
    return data.ptr || id.len ? ERR_OK
                              : wrong(c, "messages", "a file must have file_data or file_id");
}

static enum err put_video(struct ai_chat *c, struct ai_part *p, const json_t *part)
{
    struct slice url = json_text(json_object_get(part, "video_url"), "url");
    put_media(p, url);
    return url.len ? ERR_OK : wrong(c, "messages", "a video must have its url");
}

/* A part of a kind with media. */
static const struct {
    const char *type;
    enum ai_part_kind kind;
    enum err (*put)(struct ai_chat *c, struct ai_part *p, const json_t *part);
} media[] = {{"image_url", AI_PART_IMAGE, put_image},
             {"input_audio", AI_PART_AUDIO, put_audio},
             {"file", AI_PART_FILE, put_file},
             {"video_url", AI_PART_VIDEO, put_video}};

static enum err put_media_part(struct ai_chat *c, struct ai_part_list *to, size_t row,
                               const json_t *part)
{
    struct ai_part *p = ai_chat_add_part(c, to, media[row].kind);
    if (!p)
        return ERR_NOMEM;
    p->cache = mark_of(part);
    return media[row].put(c, p, part);
}

static enum err put_unknown(struct ai_chat *c, const json_t *type, const json_t *part)
{
    c->unbounded = "a part of its messages is of a kind that is not known";
    c->other_bytes += ai_chat_json_bytes(part);
    return ai_chat_add_other(
        c, "messages", true,
        arena_printf(c->arena, "content of type %.40s",
                     json_is_string(type) ? json_string_value(type) : "unknown"),
        NULL);
}

/* Members of a part that have a place, whichever kind it is of. */
static const struct member part_members[] = {
    {"type", NULL},      {"text", NULL},          {"refusal", NULL},
    {"image_url", NULL}, {"input_audio", NULL},   {"file", NULL},
    {"video_url", NULL}, {"cache_control", NULL}, {"prompt_cache_breakpoint", NULL},
    {NULL, NULL}};

/* Of another type it would reach another provider as no text at all. */
static enum err put_part_text(struct ai_chat *c, struct ai_part_list *to, enum ai_part_kind kind,
                              const json_t *text, enum ai_cache_mark cache)
{
    if (text && !json_is_string(text) && !json_is_null(text))
        return wrong(c, "messages", "the text of a part must be a string");
    return put_text(c, to, kind, text_of(text), cache);
}

static enum err put_part(struct ai_chat *c, struct ai_part_list *to, const json_t *part)
{
    const json_t *type = json_object_get(part, "type");
    const struct ai_part *last = to->last;
    enum err e = ERR_OK;
    if (!json_is_object(part))
        return wrong(c, "messages", "a part of a content must be an object");
    if (is_word(type, "text"))
        e = put_part_text(c, to, AI_PART_TEXT, json_object_get(part, "text"), mark_of(part));
    else if (is_word(type, "refusal"))
        e = put_part_text(c, to, AI_PART_REFUSAL, json_object_get(part, "refusal"), AI_CACHE_NONE);
    for (size_t i = 0; !e && i < ARRAY_LEN(media); i++)
        if (is_word(type, media[i].type))
            e = put_media_part(c, to, i, part);
    if (e)
        return e;
    if (to->last == last)
        return put_unknown(c, type, part);
    return take_members(c, part, part_members, NULL);
}

static enum err put_content(struct ai_chat *c, struct ai_part_list *to, const json_t *content)
{
    const json_t *part;
    size_t i;
    enum err e = ERR_OK;
    if (json_is_string(content))
        return put_text(c, to, AI_PART_TEXT, text_of(content), AI_CACHE_NONE);
    if (!json_is_array(content))
        return wrong(c, "messages", "content must be a string or an array");
    json_array_foreach(content, i, part)
    {
        if (!e)
            e = put_part(c, to, part);
    }
    return e;
}

/* ---- messages ---- */

/* A message's members stand in any order, and its parts in one. */
struct message {
    const json_t *content, *calls, *blocks;
    struct slice refusal, reasoning, other_reasoning, name, call_id;
};

static enum err keep(struct ai_chat *c, const char *name, const json_t *v, void *arg)
{
    struct message *m = arg;
    if (strcmp(name, "content") == 0)
        m->content = v;
    else if (!json_is_array(v))
        count_other(c, name, v);
    else if (strcmp(name, "tool_calls") == 0)
        m->calls = v;
    else
        m->blocks = v;
    return ERR_OK;
}

static enum err keep_text(struct ai_chat *c, const char *name, const json_t *v, void *arg)
{
    struct message *m = arg;
    const struct {
        const char *name;
        struct slice *to;
    } rows[] = {{"refusal", &m->refusal},
                {"reasoning_content", &m->reasoning},
                {"reasoning", &m->other_reasoning},
                {"name", &m->name},
                {"tool_call_id", &m->call_id}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (strcmp(rows[i].name, name) == 0)
            *rows[i].to = text_of(v);
    return take_text(c, name, v, NULL);
}

static enum err bind_member(struct ai_chat *c, const char *name, const json_t *v, void *arg)
{
    (void)arg;
    count_other(c, name, v);
    if (is_nothing(v))
        return ERR_OK;
    c->unbounded = "it uses tools the provider bills by itself";
    return ai_chat_add_other(c, "messages", true,
                             strcmp(name, "audio") == 0
                                 ? SLICE("audio of an earlier response")
                                 : SLICE("function_call, which tool_calls took the place of"),
                             NULL);
}

static const struct member message_members[] = {
    {"role", NULL},
    {"content", keep},
    {"tool_calls", keep},
    {"thinking_blocks", keep},
    {"refusal", keep_text},
    {"reasoning_content", keep_text},
    {"reasoning", keep_text},
    {"name", keep_text},
    {"tool_call_id", keep_text},
    {"audio", bind_member},
    {"function_call", bind_member},
    {NULL, NULL},
};

/* Where Google's own endpoint of this dialect has the signature of a call. It is measured as what
 * has no place in the normal form is. */
static void take_signature(struct ai_chat *c, struct ai_part *p, const json_t *extra)
{
    if (!extra || json_is_null(extra))
        return;
    p->signature = json_text(json_object_get(extra, "google"), "thought_signature");
    c->other_bytes += strlen("extra_content") + 3 + ai_chat_json_bytes(extra);
}

static enum err put_call(struct ai_chat *c, struct ai_part_list *to, const json_t *call)
{
    static const struct member call_members[] = {{"id", take_text},       {"type", NULL},
                                                 {"function", NULL},      {"index", NULL},
                                                 {"extra_content", NULL}, {NULL, NULL}};
    static const struct member called_members[] = {
        {"name", take_text}, {"arguments", take_text}, {NULL, NULL}};
    const json_t *function = json_object_get(call, "function");
    if (!json_text(function, "name").len) {
        c->other_bytes += ai_chat_json_bytes(call);
        return ai_chat_add_other(c, "messages", true, SLICE("a tool call that is no function's"),
                                 NULL);
    }
    struct ai_part *p = ai_chat_add_part(c, to, AI_PART_TOOL_CALL);
    if (!p)
        return ERR_NOMEM;
    p->id = json_text(call, "id");
    p->name = json_text(function, "name");
    p->text = json_text(function, "arguments");
    take_signature(c, p, json_object_get(call, "extra_content"));
    enum err e = take_members(c, call, call_members, NULL);
    return e ? e : take_members(c, function, called_members, NULL);
}

static enum err put_calls(struct ai_chat *c, struct ai_part_list *to, const json_t *calls)
{
    const json_t *call;
    size_t i;
    enum err e = ERR_OK;
    json_array_foreach(calls, i, call)
    {
        if (!e)
            e = put_call(c, to, call);
    }
    return e;
}

/* The form in which LiteLLM and this gate tell signed reasoning (dialects.md 2.10, 13). */
static enum err put_thinking(struct ai_chat *c, struct ai_part_list *to, const json_t *blocks)
{
    const json_t *block;
    size_t i;
    json_array_foreach(blocks, i, block)
    {
        struct ai_part *p = ai_chat_add_part(c, to, AI_PART_REASONING);
        if (!p)
            return ERR_NOMEM;
        p->text = counted_text(c, block, "thinking");
        p->signature = counted_text(c, block, "signature");
        p->redacted = counted_text(c, block, "data");
    }
    return ERR_OK;
}

static enum err put_piece(struct ai_chat *c, struct ai_part_list *to, enum ai_part_kind kind,
                          struct slice text)
{
    return text.len ? put_text(c, to, kind, text, AI_CACHE_NONE) : ERR_OK;
}

/* Reasoning in the one form of several that says most; the others are ignored. */
static enum err put_reasoning(struct ai_chat *c, struct ai_part_list *to, const struct message *m)
{
    bool blocks = json_array_size(m->blocks) > 0, first = !blocks && m->reasoning.len;
    struct ai_part_list *no = &c->ignored;
    enum err e = put_thinking(c, to, m->blocks);
    if (!e)
        e = put_piece(c, first ? to : no, AI_PART_REASONING, m->reasoning);
    return e ? e : put_piece(c, blocks || first ? no : to, AI_PART_REASONING, m->other_reasoning);
}

/* What only the assistant's message has a place for. */
static enum err ignore(struct ai_chat *c, const struct message *m)
{
    struct ai_part_list *no = &c->ignored;
    enum err e = put_reasoning(c, no, m);
    if (!e)
        e = put_piece(c, no, AI_PART_REFUSAL, m->refusal);
    return e ? e : put_calls(c, no, m->calls);
}

static enum err put_assistant(struct ai_chat *c, const struct message *m)
{
    struct ai_turn *t = ai_chat_add_turn(c, AI_ASSISTANT);
    if (!t)
        return ERR_NOMEM;
    t->name = m->name;
    c->other_bytes += m->call_id.len;
    enum err e = put_reasoning(c, &t->parts, m);
    if (!e && m->content)
        e = put_content(c, &t->parts, m->content);
    if (!e)
        e = put_piece(c, &t->parts, AI_PART_REFUSAL, m->refusal);
    return e ? e : put_calls(c, &t->parts, m->calls);
}

static enum err put_plain(struct ai_chat *c, enum ai_role role, const struct message *m)
{
    struct ai_turn *t = ai_chat_add_turn(c, role);
    if (!t)
        return ERR_NOMEM;
    t->name = m->name;
    c->other_bytes += m->call_id.len;
    enum err e = ignore(c, m);
    return e || !m->content ? e : put_content(c, &t->parts, m->content);
}

static enum err put_result(struct ai_chat *c, const struct message *m)
{
    struct ai_turn *t = ai_chat_add_turn(c, AI_USER);
    struct ai_part *p = t ? ai_chat_add_part(c, &t->parts, AI_PART_TOOL_RESULT) : NULL;
    if (!p)
        return ERR_NOMEM;
    p->id = m->call_id;
    p->name = m->name;
    enum err e = ignore(c, m);
    return e || !m->content ? e : put_content(c, p->inner, m->content);
}

static enum err put_message(struct ai_chat *c, const json_t *message)
{
    const json_t *role = json_object_get(message, "role");
    struct message m = {0};
    enum err e = take_members(c, message, message_members, &m);
    if (e)
        return e;
    if (is_word(role, "system") || is_word(role, "developer"))
        return put_plain(c, AI_SYSTEM, &m);
    if (is_word(role, "user"))
        return put_plain(c, AI_USER, &m);
    if (is_word(role, "assistant"))
        return put_assistant(c, &m);
    if (is_word(role, "tool"))
        return put_result(c, &m);
    return wrong(c, "messages",
                 "a message's role must be system, developer, user, assistant or tool");
}

static enum err take_messages(struct ai_chat *c, const char *name, const json_t *v, void *arg)
{
    const json_t *message;
    size_t i;
    enum err e = json_is_array(v) ? ERR_OK : wrong(c, "messages", "it must be an array");
    (void)name, (void)arg;
    json_array_foreach(v, i, message)
    {
        if (!e)
            e = put_message(c, message);
    }
    return e;
}

/* ---- tools ---- */

static enum err put_other_tool(struct ai_chat *c, const json_t *tool)
{
    if (!is_word(json_object_get(tool, "type"), "function") &&
        !is_word(json_object_get(tool, "type"), "custom"))
        c->unbounded = "it uses tools the provider bills by itself";
    c->other_bytes += ai_chat_json_bytes(tool);
    return ai_chat_add_other(c, "tools", true, SLICE("a tool that is no function"), NULL);
}

static enum err put_tool(struct ai_chat *c, const json_t *tool)
{
    static const struct member tool_members[] = {{"type", NULL},
                                                 {"function", NULL},
                                                 {"cache_control", NULL},
                                                 {"prompt_cache_breakpoint", NULL},
                                                 {NULL, NULL}};
    static const struct member function_members[] = {{"name", take_text},
                                                     {"description", take_text},
                                                     {"parameters", NULL},
                                                     {"strict", NULL},
                                                     {NULL, NULL}};
    const json_t *function = json_object_get(tool, "function");
    struct slice name = json_text(function, "name");
    if (!is_word(json_object_get(tool, "type"), "function") || !name.len)
        return put_other_tool(c, tool);
    struct ai_function *f = ai_chat_add_function(c, name);
    if (!f)
        return ERR_NOMEM;
    const json_t *schema = json_object_get(function, "parameters");
    f->description = json_text(function, "description");
    f->schema = json_is_null(schema) ? NULL : schema;
    f->strict = json_is_true(json_object_get(function, "strict"));
    f->cache = mark_of(tool);
    enum err e = take_members(c, tool, tool_members, NULL);
    return e ? e : take_members(c, function, function_members, NULL);
}

static enum err take_tools(struct ai_chat *c, const char *name, const json_t *v, void *arg)
{
    const json_t *tool;
    size_t i;
    enum err e = ERR_OK;
    (void)name, (void)arg;
    json_array_foreach(v, i, tool)
    {
        if (!e)
            e = put_tool(c, tool);
    }
    return e;
}

static enum err take_allowed(struct ai_chat *c, const json_t *allowed)
{
    const json_t *tool;
    size_t i;
    enum err e = ERR_OK;
    c->choosing =
        is_word(json_object_get(allowed, "mode"), "required") ? AI_CHOOSE_ANY : AI_CHOOSE_AUTO;
    json_array_foreach(json_object_get(allowed, "tools"), i, tool)
    {
        struct slice name = json_text(json_object_get(tool, "function"), "name");
        if (!e)
            e = ai_chat_allow(c, name.len ? name : json_text(tool, "name"));
    }
    return e;
}

static enum err take_tool_choice(struct ai_chat *c, const char *name, const json_t *v, void *arg)
{
    static const struct {
        const char *word;
        enum ai_choosing choosing;
    } words[] = {{"auto", AI_CHOOSE_AUTO},
                 {"none", AI_CHOOSE_NONE},
                 {"required", AI_CHOOSE_ANY},
                 {"any", AI_CHOOSE_ANY}};
    (void)arg;
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (is_word(v, words[i].word)) {
            c->choosing = words[i].choosing;
            return ERR_OK;
        }
    }
    if (json_is_object(json_object_get(v, "allowed_tools")))
        return take_allowed(c, json_object_get(v, "allowed_tools"));
    c->chosen = json_text(json_object_get(v, "function"), "name");
    c->choosing = c->chosen.len ? AI_CHOOSE_ONE : AI_CHOOSE_UNSAID;
    return c->chosen.len
               ? ERR_OK
               : ai_chat_add_other(c, name, true, SLICE("a choice of another tool than a function"),
                                   NULL);
}

static enum err take_parallel(struct ai_chat *c, const char *name, const json_t *v, void *arg)
{
    (void)name, (void)arg;
    c->one_call_at_a_time = json_is_false(v);
    return ERR_OK;
}

/* ---- the other members ---- */

static uint64_t count_of(const json_t *v)
{
    return json_is_integer(v) && json_integer_value(v) > 0 ? (uint64_t)json_integer_value(v) : 0;
}

static enum err take_limit(struct ai_chat *c, const char *name, const json_t *v, void *arg)
{
    (void)arg;
    if (strcmp(name, "max_completion_tokens") == 0 || !c->output_limit)
        c->output_limit = count_of(v) ? count_of(v) : c->output_limit;
    return ERR_OK;
}

static enum err take_n(struct ai_chat *c, const char *name, const json_t *v, void *arg)
{
    (void)name, (void)arg;
    c->choices = count_of(v) ? count_of(v) : 1;
    return ERR_OK;
}

static enum err take_stream(struct ai_chat *c, const char *name, const json_t *v, void *arg)
{
    (void)name, (void)arg;
    c->stream = json_is_true(v);
    return ERR_OK;
}

static enum err take_number(struct ai_chat *c, const char *name, const json_t *v, void *arg)
{
    const struct {
        const char *name;
        struct ai_number *to;
    } rows[] = {{"temperature", &c->temperature},
                {"top_p", &c->top_p},
                {"top_k", &c->top_k},
                {"seed", &c->seed},
                {"presence_penalty", &c->presence_penalty},
                {"frequency_penalty", &c->frequency_penalty}};
    (void)arg;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (strcmp(rows[i].name, name) == 0 && json_is_number(v))
            *rows[i].to = (struct ai_number){true, json_number_value(v)};
    return json_is_number(v) ? ERR_OK : wrong(c, name, "it must be a number");
}

static enum err take_stop(struct ai_chat *c, const char *name, const json_t *v, void *arg)
{
    const json_t *one;
    size_t i;
    enum err e = ERR_OK;
    (void)arg;
    if (json_is_string(v))
        return ai_chat_add_stop(c, text_of(v));
    if (!json_is_array(v))
        return wrong(c, name, "it must be a string or an array");
    json_array_foreach(v, i, one)
    {
        if (!e)
            e = json_is_string(one) ? ai_chat_add_stop(c, text_of(one))
                                    : wrong(c, name, "each must be a string");
    }
    return e;
}

static enum err take_effort(struct ai_chat *c, const char *name, const json_t *v, void *arg)
{
    static const char *const words[] = {
        [AI_EFFORT_NONE] = "none",     [AI_EFFORT_MINIMAL] = "minimal", [AI_EFFORT_LOW] = "low",
        [AI_EFFORT_MEDIUM] = "medium", [AI_EFFORT_HIGH] = "high",       [AI_EFFORT_XHIGH] = "xhigh",
        [AI_EFFORT_MAX] = "max"};
    (void)arg;
    for (size_t i = AI_EFFORT_NONE; i < ARRAY_LEN(words); i++)
        if (is_word(v, words[i]))
            c->effort = (enum ai_effort)i;
    return c->effort ? ERR_OK
                     : wrong(c, name,
                             "it must be one of none, minimal, low, medium, high, "
                             "xhigh and max");
}

/* Not OpenAI's own: as LiteLLM's clients ask Claude for it. */
static enum err take_thinking(struct ai_chat *c, const char *name, const json_t *v, void *arg)
{
    const json_t *type = json_object_get(v, "type");
    (void)name, (void)arg;
    if (is_word(type, "enabled"))
        c->reasoning_budget = count_of(json_object_get(v, "budget_tokens"));
    else if (is_word(type, "disabled") && !c->effort)
        c->effort = AI_EFFORT_NONE;
    return ERR_OK;
}

static enum err take_user(struct ai_chat *c, const char *name, const json_t *v, void *arg)
{
    (void)arg;
    if (strcmp(name, "safety_identifier") == 0 || !c->user.len)
        c->user = text_of(v);
    return ERR_OK;
}

static enum err take_verbosity(struct ai_chat *c, const char *name, const json_t *v, void *arg)
{
    (void)name, (void)arg;
    c->verbosity = text_of(v);
    return ERR_OK;
}

static enum err take_tier(struct ai_chat *c, const char *name, const json_t *v, void *arg)
{
    static const char *const words[] = {[AI_TIER_AUTO] = "auto",
                                        [AI_TIER_STANDARD] = "default",
                                        [AI_TIER_FLEX] = "flex",
                                        [AI_TIER_PRIORITY] = "priority"};
    (void)arg;
    for (size_t i = AI_TIER_AUTO; i < ARRAY_LEN(words); i++)
        if (is_word(v, words[i]))
            c->tier = (enum ai_tier)i;
    if (c->tier == AI_TIER_PRIORITY || !c->tier)
        c->unbounded = "the price of its service tier is not known";
    return c->tier ? ERR_OK : ai_chat_add_other(c, name, false, SLICE_NONE, NULL);
}

static enum err take_format(struct ai_chat *c, const char *name, const json_t *v, void *arg)
{
    const json_t *type = json_object_get(v, "type"), *own = json_object_get(v, "json_schema");
    (void)arg;
    if (is_word(type, "text"))
        return ERR_OK;
    if (is_word(type, "json_object")) {
        c->format = AI_FORMAT_JSON;
        return ERR_OK;
    }
    if (!is_word(type, "json_schema"))
        return ai_chat_add_other(c, name, true,
                                 SLICE("an output of another form than text and JSON"), NULL);
    c->format = AI_FORMAT_SCHEMA;
    c->format_name = json_text(own, "name");
    c->format_description = counted_text(c, own, "description");
    c->format_schema = json_object_get(own, "schema");
    c->format_strict = json_is_true(json_object_get(own, "strict"));
    return json_is_object(c->format_schema)
               ? ERR_OK
               : wrong(c, name, "json_schema.schema must be an object");
}

static enum err take_modalities(struct ai_chat *c, const char *name, const json_t *v, void *arg)
{
    const json_t *one;
    size_t i;
    (void)arg;
    json_array_foreach(v, i, one)
    {
        if (is_word(one, "text"))
            continue;
        c->unbounded = "its output is not only text";
        return ai_chat_add_other(c, name, true, SLICE("another modality than text"), NULL);
    }
    return ERR_OK;
}

/* What another provider has no word for and what changes what is asked for. */
static enum err bind_other(struct ai_chat *c, const char *name, const json_t *v, void *arg)
{
    static const struct {
        const char *name, *why;
    } rows[] = {{"audio", "audio output"},
                {"functions", "functions, which tools took the place of"},
                {"function_call", "function_call, which tool_choice took the place of"}};
    struct slice why = SLICE_NONE;
    (void)arg;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (strcmp(rows[i].name, name) == 0)
            why = slice_str(rows[i].why);
    if (strcmp(name, "web_search_options") == 0)
        c->unbounded = "it uses tools the provider bills by itself";
    count_other(c, name, v);
    return is_nothing(v) ? ERR_OK : ai_chat_add_other(c, name, true, why, NULL);
}

static const struct member chat_members[] = {
    {"model", NULL},
    {"messages", take_messages},
    {"tools", take_tools},
    {"tool_choice", take_tool_choice},
    {"parallel_tool_calls", take_parallel},
    {"max_tokens", take_limit},
    {"max_completion_tokens", take_limit},
    {"n", take_n},
    {"stream", take_stream},
    {"stream_options", NULL},
    {"temperature", take_number},
    {"top_p", take_number},
    {"top_k", take_number},
    {"seed", take_number},
    {"presence_penalty", take_number},
    {"frequency_penalty", take_number},
    {"stop", take_stop},
    {"reasoning_effort", take_effort},
    {"thinking", take_thinking},
    {"user", take_user},
    {"safety_identifier", take_user},
    {"verbosity", take_verbosity},
    {"service_tier", take_tier},
    {"response_format", take_format},
    {"modalities", take_modalities},
    {"logit_bias", bind_other},
    {"logprobs", bind_other},
    {"top_logprobs", bind_other},
    {"audio", bind_other},
    {"functions", bind_other},
    {"function_call", bind_other},
    {"web_search_options", bind_other},
    {"moderation", bind_other},
    {NULL, NULL},
};

/* The members of the root that have no place are named to the client where they say something. */
static enum err keep_others(struct ai_chat *c)
{
    const char *name;
    json_t *v;
    enum err e = ERR_OK;
    json_object_foreach(c->root, name, v)
    {
        if (!e && !find(chat_members, name) && !is_nothing(v))
            e = ai_chat_add_other(c, name, false, SLICE_NONE, NULL);
    }
    return e;
}

enum err openai_parse_chat(const struct ai_incoming *in, struct ai_chat *ret)
{
    struct json_problem problem;
    enum err e = json_read(in->body, &ret->root, &problem);
    if (e == ERR_INVALID)
        return ai_chat_wrong(ret, NULL, arena_copy(ret->arena, slice_str(problem.text)));
    if (e)
        return e;
    if (!json_is_object(ret->root))
        return wrong(ret, NULL, "it must be an object");
    ret->choices = 1;
    e = take_members(ret, ret->root, chat_members, NULL);
    return e ? e : keep_others(ret);
}
