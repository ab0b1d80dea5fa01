/*
 * anthropic_parse — the body of Anthropic's Messages API as ai_chat (dialects.md 1.4 and 2).
 *
 * What only Anthropic can do for the client (tools that it runs itself, containers, connectors of
 * MCP) binds: another provider's response would be to something else. What only tunes how it does
 * it (betas, the editing of context, a speed) does not, and is named in the notice.
 */
#include "dataplane/ai/dialect/anthropic_body.h"

#include "common/base/limits.h"
#include "dataplane/ai/ai_mark.h"

struct parsing {
    struct ai_chat *c;
    const struct ai_marker *marker;
    size_t turn, block; /* where in `messages`, for a refusal */
};

static bool is_given(const json_t *v)
{
    return v && !json_is_null(v);
}

/* Named once, however often it stands there. */
static enum err leave_out(struct parsing *p, const char *name, const json_t *value)
{
    for (const struct ai_other *o = p->c->others; o; o = o->next) {
        if (o->binds || strcmp(o->name, name) != 0)
            continue;
        p->c->other_bytes += value ? ai_chat_json_bytes(value) : 0;
        return ERR_OK;
    }
    return ai_chat_add_other(p->c, name, false, SLICE_NONE, value);
}

/* A word that this gate does not know: the API may have it, and no other provider has. */
static enum err only_anthropics(const struct parsing *p, const char *param, const char *what)
{
    return ai_chat_add_other(p->c, param, true, slice_str(what), NULL);
}

/* ERR_INVALID, naming the block. */
static enum err wrong_block(const struct parsing *p, const char *what)
{
    return ai_chat_wrong(
        p->c, "messages",
        arena_printf(p->c->arena, "messages.%zu.content.%zu: %s", p->turn, p->block, what));
}

/* The block of this type can only be sent to Anthropic. */
static enum err other_block(const struct parsing *p, struct slice type, const json_t *block)
{
    return ai_chat_add_other(p->c, "messages", true,
                             arena_printf(p->c->arena,
                                          "messages.%zu.content.%zu of type \"%.*s\", which only "
                                          "Anthropic's own models take",
                                          p->turn, p->block, SLICE_ARG(slice_first(type, 64))),
                             block);
}

static enum ai_cache_mark mark_of(const json_t *block)
{
    const json_t *mark = json_object_get(block, "cache_control");
    if (!json_is_object(mark))
        return AI_CACHE_NONE;
    return slice_eq(json_text(mark, "ttl"), SLICE("1h")) ? AI_CACHE_LONG : AI_CACHE_SHORT;
}

static struct ai_part *add_part(struct parsing *p, struct ai_part_list *to, enum ai_part_kind kind,
                                const json_t *block)
{
    struct ai_part *part = ai_chat_add_part(p->c, to, kind);
    if (part)
        part->cache = mark_of(block);
    return part;
}

static enum err add_text(struct parsing *p, struct ai_part_list *to, const json_t *block)
{
    struct slice text = json_text(block, "text");
    if (!text.ptr)
        return wrong_block(p, "text must be a string");
    struct ai_part *part = add_part(p, to, AI_PART_TEXT, block);
    if (!part)
        return ERR_NOMEM;
    part->text = text;
    return ERR_OK;
}

/* Where an image or a document lies; ERR_AGAIN: in none of the places that both have. */
static enum err read_source(const struct parsing *p, const json_t *source, struct ai_part *part)
{
    struct slice type = json_text(source, "type");
    part->media_type = json_text(source, "media_type");
    if (slice_eq(type, SLICE("base64")))
        part->data = json_text(source, "data");
    else if (slice_eq(type, SLICE("url")))
        part->url = json_text(source, "url");
    else if (slice_eq(type, SLICE("file")))
        part->file_id = json_text(source, "file_id");
    else
        return ERR_AGAIN;
    bool there = part->data.ptr || part->url.ptr || part->file_id.ptr;
    return there ? ERR_OK : wrong_block(p, "source must hold what its type names");
}

static enum err add_image(struct parsing *p, struct ai_part_list *to, const json_t *block)
{
    struct ai_part *part = add_part(p, to, AI_PART_IMAGE, block);
    if (!part)
        return ERR_NOMEM;
    enum err e = read_source(p, json_object_get(block, "source"), part);
    return e == ERR_AGAIN ? only_anthropics(p, "messages", "an image from another source") : e;
}

/* The texts of a list of blocks, one line each. */
static enum err joined_texts(const struct parsing *p, const json_t *blocks, struct slice *ret)
{
    const json_t *block;
    size_t i;
    struct buf all;
    enum err e = ERR_OK;
    buf_init(&all, LIMIT_AI_BODY);
    json_array_foreach(blocks, i, block)
    {
        if (!e && all.len)
            e = buf_append(&all, SLICE("\n"));
        if (!e && !slice_eq(json_text(block, "type"), SLICE("text")))
            e = other_block(p, json_text(block, "type"), block);
        else if (!e)
            e = buf_append(&all, json_text(block, "text"));
    }
    if (!e) {
        *ret = arena_copy(p->c->arena, buf_slice(&all));
        e = ret->ptr ? ERR_OK : ERR_NOMEM;
    }
    buf_fini(&all);
    return e;
}

static enum err read_text_source(const struct parsing *p, const json_t *source,
                                 struct ai_part *part)
{
    const json_t *content = json_object_get(source, "content");
    struct slice type = json_text(source, "type");
    part->media_type = SLICE("text/plain");
    if (slice_eq(type, SLICE("text")))
        part->text = json_text(source, "data");
    else if (slice_eq(type, SLICE("content")) && json_is_string(content))
        part->text = json_text(source, "content");
    else if (slice_eq(type, SLICE("content")) && json_is_array(content))
        return joined_texts(p, content, &part->text);
    else
        return only_anthropics(p, "messages", "a document from another source");
    return part->text.ptr ? ERR_OK : wrong_block(p, "source must hold what its type names");
}

static enum err add_document(struct parsing *p, struct ai_part_list *to, const json_t *block)
{
    const json_t *source = json_object_get(block, "source");
    struct ai_part *part = add_part(p, to, AI_PART_FILE, block);
    if (!part)
        return ERR_NOMEM;
    part->title = part->name = json_text(block, "title");
    part->cites = json_is_true(json_object_get(json_object_get(block, "citations"), "enabled"));
    enum err e = read_source(p, source, part);
    if (e == ERR_AGAIN)
        e = read_text_source(p, source, part);
    if (!e && is_given(json_object_get(block, "context")))
        e = leave_out(p, "document.context", json_object_get(block, "context"));
    return e;
}

/* A hit of a search is told as text; only its citation is lost. */
static enum err add_search_result(struct parsing *p, struct ai_part_list *to, const json_t *block)
{
    struct slice title = json_text(block, "title"), source = json_text(block, "source");
    struct slice text = SLICE_NONE;
    enum err e = joined_texts(p, json_object_get(block, "content"), &text);
    struct ai_part *part = e ? NULL : add_part(p, to, AI_PART_TEXT, block);
    if (!part)
        return e ? e : ERR_NOMEM;
    part->text = arena_printf(p->c->arena, "%.*s (%.*s)\n%.*s", SLICE_ARG(title), SLICE_ARG(source),
                              SLICE_ARG(text));
    return part->text.ptr ? ERR_OK : ERR_NOMEM;
}

static enum err as_json_text(const struct parsing *p, const json_t *tree, struct slice *ret)
{
    struct buf out;
    buf_init(&out, LIMIT_AI_BODY);
    enum err e = json_write(tree, &out);
    if (!e) {
        *ret = arena_copy(p->c->arena, buf_slice(&out));
        e = ret->ptr ? ERR_OK : ERR_NOMEM;
    }
    buf_fini(&out);
    return e;
}

static enum err add_tool_use(struct parsing *p, struct ai_part_list *to, const json_t *block)
{
    const json_t *input = json_object_get(block, "input");
    struct slice id = json_text(block, "id"), name = json_text(block, "name");
    if (!id.len || !name.len || !json_is_object(input))
        return wrong_block(p, "a tool_use has an id, a name and an input, which is an object");
    struct ai_part *part = add_part(p, to, AI_PART_TOOL_CALL, block);
    if (!part)
        return ERR_NOMEM;
    part->id = id;
    part->name = name;
    return as_json_text(p, input, &part->text);
}

static enum err add_thinking(struct parsing *p, struct ai_part_list *to, const json_t *block)
{
    struct ai_part *part = ai_chat_add_part(p->c, to, AI_PART_REASONING);
    if (!part)
        return ERR_NOMEM;
    part->text = json_text(block, "thinking");
    part->signature = json_text(block, "signature");
    part->redacted = json_text(block, "data");
    return ai_chat_take_mark(p->c, p->marker, part);
}

static enum err add_tool_result(struct parsing *p, struct ai_part_list *to, const json_t *block);

typedef enum err add_block_fn(struct parsing *p, struct ai_part_list *to, const json_t *block);

static enum err add_block(struct parsing *p, struct ai_part_list *to, const json_t *block)
{
    static const struct {
        struct slice type;
        add_block_fn *add;
    } rows[] = {
        {{"text", 4}, add_text},         {{"image", 5}, add_image},
        {{"document", 8}, add_document}, {{"search_result", 13}, add_search_result},
        {{"tool_use", 8}, add_tool_use}, {{"tool_result", 11}, add_tool_result},
        {{"thinking", 8}, add_thinking}, {{"redacted_thinking", 17}, add_thinking},
    };
    struct slice type = json_text(block, "type");
    if (!type.len)
        return wrong_block(p, "a block has a type");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (slice_eq(type, rows[i].type))
            return rows[i].add(p, to, block);
    return other_block(p, type, block);
}

static enum err add_content(struct parsing *p, struct ai_part_list *to, const json_t *content,
                            bool counts)
{
    const json_t *block;
    size_t i;
    enum err e = ERR_OK;
    if (json_is_string(content)) {
        struct ai_part *part = ai_chat_add_part(p->c, to, AI_PART_TEXT);
        if (part)
            part->text = slice_of(json_string_value(content), json_string_length(content));
        return part ? ERR_OK : ERR_NOMEM;
    }
    if (!json_is_array(content))
        return wrong_block(p, "content must be a string or an array");
    json_array_foreach(content, i, block)
    {
        if (counts)
            p->block = i;
        if (!e)
            e = add_block(p, to, block);
    }
    return e;
}

/* Its content may be absent: a tool that says nothing. */
static enum err add_tool_result(struct parsing *p, struct ai_part_list *to, const json_t *block)
{
    const json_t *content = json_object_get(block, "content");
    struct slice id = json_text(block, "tool_use_id");
    if (!id.len)
        return wrong_block(p, "a tool_result has a tool_use_id");
    struct ai_part *part = add_part(p, to, AI_PART_TOOL_RESULT, block);
    if (!part)
        return ERR_NOMEM;
    part->id = id;
    part->is_error = json_is_true(json_object_get(block, "is_error"));
    part->inner = arena_zalloc(p->c->arena, sizeof(*part->inner));
    if (!part->inner)
        return ERR_NOMEM;
    return is_given(content) ? add_content(p, part->inner, content, false) : ERR_OK;
}

static enum err parse_message(struct parsing *p, const json_t *message)
{
    static const struct {
        struct slice name;
        enum ai_role role;
    } roles[] = {
        {{"user", 4}, AI_USER}, {{"assistant", 9}, AI_ASSISTANT}, {{"system", 6}, AI_SYSTEM}};
    struct slice name = json_text(message, "role");
    for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
        if (!slice_eq(name, roles[i].name))
            continue;
        struct ai_turn *t = ai_chat_add_turn(p->c, roles[i].role);
        return t ? add_content(p, &t->parts, json_object_get(message, "content"), true) : ERR_NOMEM;
    }
    return ai_chat_add_other(p->c, "messages", true,
                             arena_printf(p->c->arena, "the role of messages.%zu", p->turn),
                             message);
}

static enum err parse_messages(struct parsing *p, const json_t *v)
{
    const json_t *message;
    enum err e = ERR_OK;
    if (!json_is_array(v) || !json_array_size(v))
        return ai_chat_wrong(p->c, "messages", SLICE("messages must hold one message at least"));
    json_array_foreach(v, p->turn, message)
    {
        p->block = 0;
        if (!e)
            e = parse_message(p, message);
    }
    return e;
}

static enum err parse_system(struct parsing *p, const json_t *v)
{
    if (json_is_string(v) && !json_string_length(v))
        return ERR_OK;
    if (!json_is_string(v) && !json_is_array(v))
        return ai_chat_wrong(p->c, "system", SLICE("system must be a string or an array"));
    struct ai_turn *t = ai_chat_add_turn(p->c, AI_SYSTEM);
    return t ? add_content(p, &t->parts, v, true) : ERR_NOMEM;
}

/* ---- tools ---- */

/* What a function of this API has, and others have not: how it is streamed, found or shown. */
static enum err note_tool_members(struct parsing *p, const json_t *tool)
{
    static const char *const left_out[] = {"eager_input_streaming", "defer_loading",
                                           "allowed_callers", "input_examples"};
    enum err e = ERR_OK;
    for (size_t i = 0; !e && i < ARRAY_LEN(left_out); i++)
        if (is_given(json_object_get(tool, left_out[i])))
            e = leave_out(p, left_out[i], json_object_get(tool, left_out[i]));
    return e;
}

static enum err parse_tool(struct parsing *p, const json_t *tool)
{
    struct slice type = json_text(tool, "type"), name = json_text(tool, "name");
    if (type.len && !slice_eq(type, SLICE("custom")))
        return ai_chat_add_other(p->c, "tools", true,
                                 arena_printf(p->c->arena,
                                              "a tool of type \"%.*s\", which Anthropic runs or "
                                              "defines itself",
                                              SLICE_ARG(slice_first(type, 64))),
                                 tool);
    if (!name.len)
        return ai_chat_wrong(p->c, "tools", SLICE("a tool has a name"));
    struct ai_function *f = ai_chat_add_function(p->c, name);
    if (!f)
        return ERR_NOMEM;
    f->description = json_text(tool, "description");
    f->schema = json_object_get(tool, "input_schema");
    f->strict = json_is_true(json_object_get(tool, "strict"));
    f->cache = mark_of(tool);
    return note_tool_members(p, tool);
}

static enum err parse_tools(struct parsing *p, const json_t *v)
{
    const json_t *tool;
    size_t i;
    enum err e = ERR_OK;
    if (!json_is_array(v))
        return ai_chat_wrong(p->c, "tools", SLICE("tools must be an array"));
    json_array_foreach(v, i, tool)
    {
        if (!e)
            e = parse_tool(p, tool);
    }
    return e;
}

static enum err parse_tool_choice(struct parsing *p, const json_t *v)
{
    static const struct {
        struct slice type;
        enum ai_choosing choosing;
    } rows[] = {{{"auto", 4}, AI_CHOOSE_AUTO},
                {{"any", 3}, AI_CHOOSE_ANY},
                {{"none", 4}, AI_CHOOSE_NONE},
                {{"tool", 4}, AI_CHOOSE_ONE}};
    struct slice type = json_text(v, "type");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (slice_eq(type, rows[i].type))
            p->c->choosing = rows[i].choosing;
    p->c->one_call_at_a_time = json_is_true(json_object_get(v, "disable_parallel_tool_use"));
    p->c->chosen = json_text(v, "name");
    if (!p->c->choosing)
        return only_anthropics(p, "tool_choice", "a tool_choice of another type");
    bool named = p->c->choosing != AI_CHOOSE_ONE || p->c->chosen.len;
    return named ? ERR_OK
                 : ai_chat_wrong(p->c, "tool_choice", SLICE("tool_choice of type tool has a name"));
}

/* ---- how it shall be written ---- */

static enum err parse_max_tokens(struct parsing *p, const json_t *v)
{
    if (!json_is_integer(v) || json_integer_value(v) < 0)
        return ai_chat_wrong(p->c, "max_tokens", SLICE("max_tokens must be an integer in range"));
    p->c->output_limit = (uint64_t)json_integer_value(v);
    return p->c->output_limit
               ? ERR_OK
               : only_anthropics(p, "max_tokens", "max_tokens of 0, which warms its cache");
}

static enum err read_number(struct parsing *p, const char *name, const json_t *v,
                            struct ai_number *ret)
{
    if (!json_is_number(v))
        return ai_chat_wrong(p->c, name, arena_printf(p->c->arena, "%s must be a number", name));
    *ret = (struct ai_number){.set = true, .value = json_number_value(v)};
    return ERR_OK;
}

static enum err parse_temperature(struct parsing *p, const json_t *v)
{
    return read_number(p, "temperature", v, &p->c->temperature);
}

static enum err parse_top_p(struct parsing *p, const json_t *v)
{
    return read_number(p, "top_p", v, &p->c->top_p);
}

static enum err parse_top_k(struct parsing *p, const json_t *v)
{
    return read_number(p, "top_k", v, &p->c->top_k);
}

static enum err parse_stops(struct parsing *p, const json_t *v)
{
    const json_t *stop;
    size_t i;
    enum err e = json_is_array(v) ? ERR_OK : ERR_INVALID;
    json_array_foreach(v, i, stop)
    {
        if (!e)
            e = json_is_string(stop) ? ai_chat_add_stop(p->c, slice_of(json_string_value(stop),
                                                                       json_string_length(stop)))
                                     : ERR_INVALID;
    }
    return e == ERR_INVALID ? ai_chat_wrong(p->c, "stop_sequences",
                                            SLICE("stop_sequences must be an array of strings"))
                            : e;
}

static enum err parse_thinking(struct parsing *p, const json_t *v)
{
    struct slice type = json_text(v, "type");
    const json_t *budget = json_object_get(v, "budget_tokens");
    p->c->reasoning_shown = !slice_eq(json_text(v, "display"), SLICE("omitted"));
    if (slice_eq(type, SLICE("enabled")) && json_is_integer(budget) &&
        json_integer_value(budget) > 0)
        p->c->reasoning_budget = (uint64_t)json_integer_value(budget);
    else if (slice_eq(type, SLICE("disabled")))
        p->c->effort = AI_EFFORT_NONE;
    else if (slice_eq(type, SLICE("adaptive")) || slice_eq(type, SLICE("between_tools")))
        p->c->effort = p->c->effort ? p->c->effort : AI_EFFORT_MEDIUM;
    else
        return only_anthropics(p, "thinking", "thinking of another type");
    if (p->c->effort == AI_EFFORT_NONE)
        p->c->reasoning_shown = false;
    return ERR_OK;
}

static enum ai_effort effort_of(struct slice word)
{
    static const struct {
        struct slice word;
        enum ai_effort effort;
    } rows[] = {{{"low", 3}, AI_EFFORT_LOW},
                {{"medium", 6}, AI_EFFORT_MEDIUM},
                {{"high", 4}, AI_EFFORT_HIGH},
                {{"xhigh", 5}, AI_EFFORT_XHIGH},
                {{"max", 3}, AI_EFFORT_MAX}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (slice_eq(word, rows[i].word))
            return rows[i].effort;
    return AI_EFFORT_UNSAID;
}

/* May a strict provider take it as it is? OpenAI wants every property required and nothing else, at
 * every level (dialects.md 2.3); Anthropic allows optional ones. */
static bool is_closed(const json_t *schema)
{
    const json_t *properties = json_object_get(schema, "properties");
    const json_t *required = json_object_get(schema, "required");
    const json_t *additional = json_object_get(schema, "additionalProperties");
    const char *name;
    json_t *v;
    size_t i;
    bool is_object =
        json_is_object(properties) || slice_eq(json_text(schema, "type"), SLICE("object"));
    if (is_object &&
        (!json_is_false(additional) || json_array_size(required) != json_object_size(properties)))
        return false;
    if (json_is_array(schema)) {
        json_array_foreach(schema, i, v)
        {
            if (!is_closed(v))
                return false;
        }
    }
    json_object_foreach((json_t *)schema, name, v)
    {
        if (!is_closed(v))
            return false;
    }
    return true;
}

static enum err parse_format(struct parsing *p, const json_t *v)
{
    const json_t *schema = json_object_get(v, "schema");
    if (!slice_eq(json_text(v, "type"), SLICE("json_schema")) || !json_is_object(schema))
        return only_anthropics(p, "output_config", "an output_config.format of another type");
    p->c->format = AI_FORMAT_SCHEMA;
    p->c->format_name = SLICE("structured_output");
    p->c->format_schema = schema;
    p->c->format_strict = is_closed(schema);
    return ERR_OK;
}

static enum err parse_output_config(struct parsing *p, const json_t *v)
{
    const json_t *format = json_object_get(v, "format");
    enum ai_effort effort = effort_of(json_text(v, "effort"));
    if (effort)
        p->c->effort = effort;
    return is_given(format) ? parse_format(p, format) : ERR_OK;
}

static enum err parse_metadata(struct parsing *p, const json_t *v)
{
    struct slice user = json_text(v, "user_id");
    if (user.len)
        p->c->user = user;
    return ERR_OK;
}

static enum err parse_service_tier(struct parsing *p, const json_t *v)
{
    bool standard = json_is_string(v) && strcmp(json_string_value(v), "standard_only") == 0;
    p->c->tier = standard ? AI_TIER_STANDARD : AI_TIER_AUTO;
    return ERR_OK;
}

static enum err parse_stream(struct parsing *p, const json_t *v)
{
    p->c->stream = json_is_true(v);
    return ERR_OK;
}

static enum err parse_nothing(struct parsing *p, const json_t *v)
{
    (void)p;
    (void)v;
    return ERR_OK;
}

/* Marks the last block of the prompt. */
static enum err parse_cache_control(struct parsing *p, const json_t *v)
{
    struct ai_part *last = p->c->last ? p->c->last->parts.last : NULL;
    if (last && !last->cache && json_is_object(v))
        last->cache = slice_eq(json_text(v, "ttl"), SLICE("1h")) ? AI_CACHE_LONG : AI_CACHE_SHORT;
    return ERR_OK;
}

/* In the order in which they are read: the system prompt before the messages, the effort before
 * thinking, which may fill it in, and the mark of the last block behind all blocks. */
static const struct {
    const char *name;
    enum err (*parse)(struct parsing *p, const json_t *v);
} members[] = {
    {"model", parse_nothing},
    {"stream", parse_stream},
    {"max_tokens", parse_max_tokens},
    {"system", parse_system},
    {"messages", parse_messages},
    {"tools", parse_tools},
    {"tool_choice", parse_tool_choice},
    {"temperature", parse_temperature},
    {"top_p", parse_top_p},
    {"top_k", parse_top_k},
    {"stop_sequences", parse_stops},
    {"output_config", parse_output_config},
    {"output_format", parse_format}, /* its older name */
    {"thinking", parse_thinking},
    {"metadata", parse_metadata},
    {"service_tier", parse_service_tier},
    {"cache_control", parse_cache_control},
};

/* What binds, of the members that only Anthropic knows. */
static const struct {
    const char *name;
    const char *why;
} binding[] = {
    {"container", "container, which is Anthropic's"},
    {"mcp_servers", "mcp_servers, which Anthropic connects to"},
    {"thread", "thread, which Anthropic keeps"},
    {"safeguards", "safeguards, which are Anthropic's"},
    {"inference_geo", "inference_geo, which says where Anthropic computes"},
};

static bool is_member(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        if (strcmp(name, members[i].name) == 0)
            return true;
    return false;
}

/* A name that comes from outside and goes into a header. */
static const char *shown(const struct parsing *p, struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        char ch = name.ptr[i];
        bool fits = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
                    (ch >= '0' && ch <= '9') || ch == '_' || ch == '-' || ch == '.';
        if (!fits || i >= 64)
            return "an unknown member";
    }
    return arena_copy(p->c->arena, name).ptr;
}

static enum err note_other(struct parsing *p, const char *name, const json_t *v)
{
    for (size_t i = 0; i < ARRAY_LEN(binding); i++)
        if (strcmp(name, binding[i].name) == 0)
            return ai_chat_add_other(p->c, binding[i].name, true, slice_str(binding[i].why), v);
    name = shown(p, slice_str(name));
    return name ? leave_out(p, name, v) : ERR_NOMEM;
}

static enum err note_others(struct parsing *p)
{
    const char *name;
    json_t *v;
    enum err e = ERR_OK;
    json_object_foreach(p->c->root, name, v)
    {
        if (!e && is_given(v) && !is_member(name))
            e = note_other(p, name, v);
    }
    return e;
}

/* Betas are Anthropic's own: another provider gets none, and the notice says which. */
static enum err note_betas(struct parsing *p, const struct http_head *head)
{
    enum err e = ERR_OK;
    for (size_t i = 0; head && i < head->header_count; i++) {
        struct slice list = head->headers[i].value, beta;
        if (!slice_ieq(head->headers[i].name, SLICE("anthropic-beta")))
            continue;
        while (!e && slice_split(&list, ',', &beta)) {
            const char *name = shown(p, slice_trim(beta));
            if (name && name[0])
                e = leave_out(p, name, NULL);
        }
    }
    return e;
}

enum err anthropic_parse(const struct ai_incoming *in, struct ai_chat *ret)
{
    struct parsing p = {.c = ret, .marker = in->marker};
    struct json_problem problem;
    ret->arena = in->arena;
    ret->choices = 1;
    enum err e = json_read(in->body, &ret->root, &problem);
    if (e)
        return e == ERR_NOMEM
                   ? e
                   : ai_chat_wrong(ret, NULL, arena_copy(in->arena, slice_str(problem.text)));
    for (size_t i = 0; !e && i < ARRAY_LEN(members); i++) {
        const json_t *v = json_object_get(ret->root, members[i].name);
        if (is_given(v))
            e = members[i].parse(&p, v);
    }
    if (!e)
        e = note_others(&p);
    return e ? e : note_betas(&p, in->head);
}
