/*
 * openai_responses_parse — the items of a body of /v1/responses become turns.
 *
 * What the model said lies in several items: its reasoning, its text, its calls. They are parts of
 * one turn, as other protocols have it; and so are results of tools that follow each other.
 */
#include "dataplane/ai/dialect/openai_responses_body.h"
#include "dataplane/ai/dialect/openai_stored.h"

struct parsing {
    struct ai_chat *c;
    const struct ai_marker *marker;
    size_t item, part; /* where we are, for a refusal */
};

/* "input[3].content[0].type", in the arena */
static const char *place(struct parsing *p, const char *member)
{
    return arena_printf(p->c->arena, "input[%zu].%s", p->item, member).ptr;
}

static const char *part_place(struct parsing *p, const char *member)
{
    return arena_printf(p->c->arena, "input[%zu].content[%zu].%s", p->item, p->part, member).ptr;
}

static enum err wrong_item(struct parsing *p, const char *member, const char *should)
{
    return ai_chat_wrong(p->c, place(p, member), slice_str(should));
}

/* Something that only OpenAI itself can serve. */
static enum err binds(struct ai_chat *c, const char *name, const char *why, const json_t *v)
{
    return name ? ai_chat_add_other(c, name, true, slice_str(why), v) : ERR_NOMEM;
}

/* The same, and nothing here shows what it costs. */
static enum err binds_unbounded(struct ai_chat *c, const char *name, const char *why,
                                const json_t *v)
{
    c->unbounded = why;
    return binds(c, name, why, v);
}

static struct slice text_of(const json_t *v)
{
    return json_is_string(v) ? slice_of(json_string_value(v), json_string_length(v)) : SLICE_NONE;
}

static bool is_absent(const json_t *v)
{
    return !v || json_is_null(v);
}

/* ---- parts ---- */

static enum err add_text(struct parsing *p, struct ai_part_list *to, enum ai_part_kind kind,
                         struct slice text)
{
    struct ai_part *part = ai_chat_add_part(p->c, to, kind);
    if (!part)
        return ERR_NOMEM;
    part->text = text;
    return ERR_OK;
}

/* a data URL is taken apart; any other goes on as a URL */
static void set_source(struct ai_part *part, struct slice url)
{
    if (!ai_read_data_url(url, &part->media_type, &part->data))
        part->url = url;
}

static enum err add_image(struct parsing *p, struct ai_part_list *to, const json_t *v)
{
    struct slice url = json_text(v, "image_url"), id = json_text(v, "file_id");
    if (!url.len && !id.len)
        return ai_chat_wrong(p->c, part_place(p, "image_url"), SLICE("must be a URL"));
    struct ai_part *part = ai_chat_add_part(p->c, to, AI_PART_IMAGE);
    if (!part)
        return ERR_NOMEM;
    if (url.len)
        set_source(part, url);
    else
        part->file_id = id;
    part->detail = json_text(v, "detail");
    return ERR_OK;
}

static enum err add_file(struct parsing *p, struct ai_part_list *to, const json_t *v)
{
    struct slice data = json_text(v, "file_data"), url = json_text(v, "file_url"),
                 id = json_text(v, "file_id");
    if (!data.len && !url.len && !id.len)
        return ai_chat_wrong(p->c, part_place(p, "file_data"),
                             SLICE("one of file_data, file_url and file_id must be there"));
    struct ai_part *part = ai_chat_add_part(p->c, to, AI_PART_FILE);
    if (!part)
        return ERR_NOMEM;
    part->name = json_text(v, "filename");
    if (data.len && !ai_read_data_url(data, &part->media_type, &part->data))
        part->data = data;
    else if (!data.len && url.len)
        set_source(part, url);
    else if (!data.len)
        part->file_id = id;
    return ERR_OK;
}

static enum err add_audio(struct parsing *p, struct ai_part_list *to, const json_t *v)
{
    const json_t *audio = json_object_get(v, "input_audio");
    struct slice data = json_text(audio, "data"), format = json_text(audio, "format");
    if (!data.len || !format.len)
        return ai_chat_wrong(p->c, part_place(p, "input_audio"),
                             SLICE("must hold data and format"));
    struct ai_part *part = ai_chat_add_part(p->c, to, AI_PART_AUDIO);
    if (!part)
        return ERR_NOMEM;
    part->data = data;
    part->media_type = arena_printf(p->c->arena, "audio/%.*s", SLICE_ARG(format));
    return part->media_type.ptr ? ERR_OK : ERR_NOMEM;
}

static enum err add_part(struct parsing *p, struct ai_part_list *to, const json_t *v)
{
    static const struct {
        struct slice type;
        enum ai_part_kind kind;
    } texts[] = {{{"input_text", 10}, AI_PART_TEXT},
                 {{"output_text", 11}, AI_PART_TEXT},
                 {{"text", 4}, AI_PART_TEXT},
                 {{"refusal", 7}, AI_PART_REFUSAL}};
    struct slice type = json_text(v, "type");
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        const char *member = texts[i].kind == AI_PART_REFUSAL ? "refusal" : "text";
        if (!slice_eq(type, texts[i].type))
            continue;
        struct slice text = text_of(json_object_get(v, member));
        if (!text.ptr)
            return ai_chat_wrong(p->c, part_place(p, member), SLICE("must be a string"));
        return add_text(p, to, texts[i].kind, text);
    }
    if (slice_eq(type, SLICE("input_image")))
        return add_image(p, to, v);
    if (slice_eq(type, SLICE("input_file")))
        return add_file(p, to, v);
    if (slice_eq(type, SLICE("input_audio")))
        return add_audio(p, to, v);
    return ai_chat_wrong(p->c, part_place(p, "type"), SLICE("is no kind of content"));
}

static enum err add_content(struct parsing *p, struct ai_part_list *to, const json_t *v,
                            const char *member)
{
    enum err e = ERR_OK;
    const json_t *part;
    if (json_is_string(v))
        return add_text(p, to, AI_PART_TEXT, text_of(v));
    if (!json_is_array(v))
        return wrong_item(p, member, "must be a string or an array");
    json_array_foreach(v, p->part, part)
    {
        if (!e)
            e = add_part(p, to, part);
        if (e)
            break;
    }
    return e;
}

/* ---- items ---- */

static bool holds_text(const struct ai_turn *t)
{
    for (const struct ai_part *p = t->parts.first; p; p = p->next)
        if (p->kind == AI_PART_TEXT || p->kind == AI_PART_REFUSAL)
            return true;
    return false;
}

static bool is_of_results(const struct ai_turn *t)
{
    return t->role == AI_USER && t->parts.first && t->parts.first->kind == AI_PART_TOOL_RESULT;
}

/* The turn that an item of the model, or a result, belongs to. NULL: no memory. */
static struct ai_turn *turn_for(struct ai_chat *c, enum ai_role role)
{
    struct ai_turn *last = c->last;
    bool joins = last && last->role == role && (role == AI_ASSISTANT || is_of_results(last));
    return joins ? last : ai_chat_add_turn(c, role);
}

static bool role_of(struct slice name, enum ai_role *ret)
{
    static const struct {
        struct slice name;
        enum ai_role role;
    } rows[] = {{{"user", 4}, AI_USER},
                {{"assistant", 9}, AI_ASSISTANT},
                {{"system", 6}, AI_SYSTEM},
                {{"developer", 9}, AI_SYSTEM}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (slice_eq(name, rows[i].name)) {
            *ret = rows[i].role;
            return true;
        }
    return false;
}

static enum err read_message(struct parsing *p, const json_t *v)
{
    enum ai_role role;
    if (!role_of(json_text(v, "role"), &role))
        return wrong_item(p, "role", "must be user, assistant, system or developer");
    struct ai_turn *last = p->c->last;
    bool joins = role == AI_ASSISTANT && last && last->role == AI_ASSISTANT && !holds_text(last);
    struct ai_turn *turn = joins ? last : ai_chat_add_turn(p->c, role);
    if (!turn)
        return ERR_NOMEM;
    return add_content(p, &turn->parts, json_object_get(v, "content"), "content");
}

static enum err read_call(struct parsing *p, const json_t *v)
{
    struct slice id = json_text(v, "call_id"), name = json_text(v, "name");
    struct slice arguments = text_of(json_object_get(v, "arguments"));
    if (!id.len)
        return wrong_item(p, "call_id", "must be a string");
    if (!name.len)
        return wrong_item(p, "name", "must be a string");
    if (!arguments.ptr)
        return wrong_item(p, "arguments", "must be a string");
    struct ai_turn *turn = turn_for(p->c, AI_ASSISTANT);
    struct ai_part *part = turn ? ai_chat_add_part(p->c, &turn->parts, AI_PART_TOOL_CALL) : NULL;
    if (!part)
        return ERR_NOMEM;
    part->id = id;
    part->name = name;
    part->text = arguments;
    return ERR_OK;
}

static enum err read_result(struct parsing *p, const json_t *v)
{
    struct slice id = json_text(v, "call_id");
    if (!id.len)
        return wrong_item(p, "call_id", "must be a string");
    struct ai_turn *turn = turn_for(p->c, AI_USER);
    struct ai_part *part = turn ? ai_chat_add_part(p->c, &turn->parts, AI_PART_TOOL_RESULT) : NULL;
    struct ai_part_list *inner = part ? arena_zalloc(p->c->arena, sizeof(*inner)) : NULL;
    if (!inner)
        return ERR_NOMEM;
    part->id = id;
    part->inner = inner;
    part->is_error = slice_eq(json_text(v, "status"), SLICE("incomplete"));
    return add_content(p, inner, json_object_get(v, "output"), "output");
}

/* All texts of a list of {"type", "text"}, joined by blank lines. */
static enum err join_texts(struct parsing *p, const json_t *list, struct slice *joined)
{
    const json_t *v;
    size_t i;
    json_array_foreach(list, i, v)
    {
        struct slice text = json_text(v, "text");
        if (!text.len)
            continue;
        *joined = joined->len ? arena_printf(p->c->arena, "%.*s\n\n%.*s", SLICE_ARG(*joined),
                                             SLICE_ARG(text))
                              : text;
        if (!joined->ptr)
            return ERR_NOMEM;
    }
    return ERR_OK;
}

/* What its model wrote stands in `content`, or else its summary. What only its provider can read
 * carries a mark of the account (openai_stored.h), or is OpenAI's own. */
static enum err read_reasoning(struct parsing *p, const json_t *v)
{
    struct slice text = SLICE_NONE, sealed = json_text(v, "encrypted_content");
    struct openai_signature signature = {0};
    enum err e = join_texts(p, json_object_get(v, "content"), &text);
    if (!e && !text.len)
        e = join_texts(p, json_object_get(v, "summary"), &text);
    if (!e && sealed.len)
        e = openai_signature_read(p->marker, sealed, p->c->arena, &signature);
    p->c->other_bytes += sealed.len;
    if (e || (!text.len && !signature.signature.len && !signature.redacted.len))
        return e;
    struct ai_turn *turn = turn_for(p->c, AI_ASSISTANT);
    struct ai_part *part = turn ? ai_chat_add_part(p->c, &turn->parts, AI_PART_REASONING) : NULL;
    if (!part)
        return ERR_NOMEM;
    part->text = text.ptr ? text : SLICE("");
    part->made_signature = signature.signature;
    part->made_redacted = signature.redacted;
    part->maker = signature.maker;
    return ERR_OK;
}

static enum err read_item(struct parsing *p, const json_t *v)
{
    static const struct {
        struct slice type;
        enum err (*read)(struct parsing *p, const json_t *v);
    } rows[] = {{{"message", 7}, read_message},
                {{"function_call", 13}, read_call},
                {{"function_call_output", 20}, read_result},
                {{"reasoning", 9}, read_reasoning}};
    if (!json_is_object(v))
        return ai_chat_wrong(p->c, arena_printf(p->c->arena, "input[%zu]", p->item).ptr,
                             SLICE("must be an object"));
    struct slice type = json_text(v, "type");
    if (!type.len && json_object_get(v, "role"))
        return read_message(p, v);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (slice_eq(type, rows[i].type))
            return rows[i].read(p, v);
    if (!type.len)
        return wrong_item(p, "type", "must be a string");
    bool elsewhere = slice_eq(type, SLICE("item_reference"));
    return (elsewhere ? binds_unbounded : binds)(p->c, place(p, "type"),
                                                 "an item that only OpenAI can read", v);
}

static enum err read_input(struct ai_chat *c, const struct ai_marker *m, const json_t *v)
{
    struct parsing p = {.c = c, .marker = m};
    const json_t *item;
    if (is_absent(v))
        return ERR_OK;
    if (json_is_string(v)) {
        struct ai_turn *turn = ai_chat_add_turn(c, AI_USER);
        return turn ? add_text(&p, &turn->parts, AI_PART_TEXT, text_of(v)) : ERR_NOMEM;
    }
    if (!json_is_array(v))
        return ai_chat_wrong(c, "input", SLICE("must be a string or an array"));
    json_array_foreach(v, p.item, item)
    {
        enum err e = read_item(&p, item);
        if (e)
            return e;
    }
    return ERR_OK;
}

static enum err read_instructions(struct ai_chat *c, const json_t *v)
{
    struct parsing p = {.c = c};
    if (is_absent(v))
        return ERR_OK;
    if (!json_is_string(v))
        return ai_chat_wrong(c, "instructions", SLICE("must be a string"));
    struct ai_turn *turn = ai_chat_add_turn(c, AI_SYSTEM);
    return turn ? add_text(&p, &turn->parts, AI_PART_TEXT, text_of(v)) : ERR_NOMEM;
}

/* ---- tools ---- */

static enum err read_function(struct ai_chat *c, const json_t *v, size_t at)
{
    struct slice name = json_text(v, "name");
    if (!name.len)
        return ai_chat_wrong(c, arena_printf(c->arena, "tools[%zu].name", at).ptr,
                             SLICE("must be a string"));
    struct ai_function *f = ai_chat_add_function(c, name);
    if (!f)
        return ERR_NOMEM;
    const json_t *schema = json_object_get(v, "parameters");
    f->description = json_text(v, "description");
    f->schema = json_is_object(schema) ? schema : NULL;
    f->strict = json_is_true(json_object_get(v, "strict"));
    return ERR_OK;
}

/* Tools that the client runs itself, as it runs functions: what they cost shows. Those that OpenAI
 * runs may read anything. */
static bool is_the_clients(struct slice type)
{
    static const struct slice types[] = {
        {"custom", 6}, {"local_shell", 11}, {"shell", 5}, {"apply_patch", 11}};
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (slice_eq(type, types[i]))
            return true;
    return false;
}

static enum err read_tools(struct ai_chat *c, const json_t *v)
{
    const json_t *tool;
    size_t i;
    enum err e = ERR_OK;
    if (!is_absent(v) && !json_is_array(v))
        return ai_chat_wrong(c, "tools", SLICE("must be an array"));
    json_array_foreach(v, i, tool)
    {
        struct slice type = json_text(tool, "type");
        if (e)
            break;
        if (slice_eq(type, SLICE("function")))
            e = read_function(c, tool, i);
        else if (!type.len)
            e = ai_chat_wrong(c, arena_printf(c->arena, "tools[%zu].type", i).ptr,
                              SLICE("must be a string"));
        else
            e = (is_the_clients(type) ? binds : binds_unbounded)(
                c, arena_printf(c->arena, "tools[%zu].type", i).ptr, "a tool that only OpenAI has",
                tool);
    }
    return e;
}

static enum err read_allowed(struct ai_chat *c, const json_t *v)
{
    const json_t *tool;
    size_t i;
    c->choosing =
        slice_eq(json_text(v, "mode"), SLICE("required")) ? AI_CHOOSE_ANY : AI_CHOOSE_AUTO;
    json_array_foreach(json_object_get(v, "tools"), i, tool)
    {
        struct slice name = json_text(tool, "name");
        if (!name.len)
            return ai_chat_wrong(c, "tool_choice.tools", SLICE("must name functions"));
        enum err e = ai_chat_allow(c, name);
        if (e)
            return e;
    }
    return ERR_OK;
}

static enum err read_choice(struct ai_chat *c, const json_t *v)
{
    static const struct {
        struct slice name;
        enum ai_choosing choosing;
    } words[] = {{{"auto", 4}, AI_CHOOSE_AUTO},
                 {{"none", 4}, AI_CHOOSE_NONE},
                 {{"required", 8}, AI_CHOOSE_ANY}};
    struct slice word = text_of(v), type = json_text(v, "type");
    if (is_absent(v))
        return ERR_OK;
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (slice_eq(word, words[i].name)) {
            c->choosing = words[i].choosing;
            return ERR_OK;
        }
    if (slice_eq(type, SLICE("allowed_tools")))
        return read_allowed(c, v);
    if (slice_eq(type, SLICE("function")) && json_text(v, "name").len) {
        c->choosing = AI_CHOOSE_ONE;
        c->chosen = json_text(v, "name");
        return ERR_OK;
    }
    if (type.len && !slice_eq(type, SLICE("function")))
        return binds(c, "tool_choice", "a tool that only OpenAI has", v);
    return ai_chat_wrong(c, "tool_choice",
                         SLICE("must be auto, none, required, or name a function"));
}

static enum err read_parallel(struct ai_chat *c, const json_t *v)
{
    c->one_call_at_a_time = json_is_false(v);
    return is_absent(v) || json_is_boolean(v)
               ? ERR_OK
               : ai_chat_wrong(c, "parallel_tool_calls", SLICE("must be true or false"));
}

/* ---- the rest ---- */

static enum err read_number(struct ai_chat *c, const char *name, const json_t *v,
                            struct ai_number *ret)
{
    if (is_absent(v))
        return ERR_OK;
    if (!json_is_number(v))
        return ai_chat_wrong(c, name, SLICE("must be a number"));
    *ret = (struct ai_number){true, json_number_value(v)};
    return ERR_OK;
}

static enum err read_temperature(struct ai_chat *c, const json_t *v)
{
    return read_number(c, "temperature", v, &c->temperature);
}

static enum err read_top_p(struct ai_chat *c, const json_t *v)
{
    return read_number(c, "top_p", v, &c->top_p);
}

static enum err read_limit(struct ai_chat *c, const json_t *v)
{
    if (is_absent(v))
        return ERR_OK;
    if (!json_is_integer(v) || json_integer_value(v) <= 0)
        return ai_chat_wrong(c, "max_output_tokens", SLICE("must be a positive integer"));
    c->output_limit = (uint64_t)json_integer_value(v);
    return ERR_OK;
}

static enum err read_effort(struct ai_chat *c, struct slice word)
{
    static const struct {
        struct slice name;
        enum ai_effort effort;
    } rows[] = {{{"none", 4}, AI_EFFORT_NONE}, {{"minimal", 7}, AI_EFFORT_MINIMAL},
                {{"low", 3}, AI_EFFORT_LOW},   {{"medium", 6}, AI_EFFORT_MEDIUM},
                {{"high", 4}, AI_EFFORT_HIGH}, {{"xhigh", 5}, AI_EFFORT_XHIGH},
                {{"max", 3}, AI_EFFORT_MAX}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (slice_eq(word, rows[i].name)) {
            c->effort = rows[i].effort;
            return ERR_OK;
        }
    return ai_chat_wrong(c, "reasoning.effort", SLICE("is no effort that is known here"));
}

static enum err read_reasoning_options(struct ai_chat *c, const json_t *v)
{
    const json_t *effort = json_object_get(v, "effort");
    if (is_absent(v))
        return ERR_OK;
    if (!json_is_object(v))
        return ai_chat_wrong(c, "reasoning", SLICE("must be an object"));
    c->reasoning_shown = json_text(v, "summary").len || json_text(v, "generate_summary").len;
    return is_absent(effort) ? ERR_OK : read_effort(c, text_of(effort));
}

static enum err read_format(struct ai_chat *c, const json_t *v)
{
    struct slice type = json_text(v, "type");
    if (is_absent(v) || slice_eq(type, SLICE("text")))
        return ERR_OK;
    if (slice_eq(type, SLICE("json_object"))) {
        c->format = AI_FORMAT_JSON;
        return ERR_OK;
    }
    const json_t *schema = json_object_get(v, "schema");
    if (!slice_eq(type, SLICE("json_schema")))
        return slice_eq(type, SLICE("grammar"))
                   ? binds(c, "text.format", "a grammar", v)
                   : ai_chat_wrong(c, "text.format.type",
                                   SLICE("must be text, json_object or json_schema"));
    if (!json_is_object(schema))
        return ai_chat_wrong(c, "text.format.schema", SLICE("must be an object"));
    c->format = AI_FORMAT_SCHEMA;
    c->format_name = json_text(v, "name");
    c->format_description = json_text(v, "description");
    c->format_schema = schema;
    c->format_strict = json_is_true(json_object_get(v, "strict"));
    return ERR_OK;
}

static enum err read_text(struct ai_chat *c, const json_t *v)
{
    if (is_absent(v))
        return ERR_OK;
    if (!json_is_object(v))
        return ai_chat_wrong(c, "text", SLICE("must be an object"));
    c->verbosity = json_text(v, "verbosity");
    return read_format(c, json_object_get(v, "format"));
}

static enum err read_tier(struct ai_chat *c, const json_t *v)
{
    static const struct {
        struct slice name;
        enum ai_tier tier;
    } rows[] = {{{"auto", 4}, AI_TIER_AUTO},
                {{"default", 7}, AI_TIER_STANDARD},
                {{"flex", 4}, AI_TIER_FLEX},
                {{"priority", 8}, AI_TIER_PRIORITY}};
    if (is_absent(v))
        return ERR_OK;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (slice_eq(text_of(v), rows[i].name)) {
            c->tier = rows[i].tier;
            return ERR_OK;
        }
    return ai_chat_add_other(c, "service_tier", false, SLICE_NONE, v);
}

/* A response always has the sealed reasoning where there is some; so that this value asks for
 * nothing more. */
static enum err read_include(struct ai_chat *c, const json_t *v)
{
    const json_t *one;
    size_t i;
    enum err e = ERR_OK;
    json_array_foreach(v, i, one)
    {
        struct slice word = text_of(one);
        if (e || slice_eq(word, SLICE("reasoning.encrypted_content")))
            continue;
        e = slice_eq(word, SLICE("message.output_text.logprobs"))
                ? ai_chat_add_other(c, "include", true, SLICE("probabilities of tokens"), NULL)
                : ai_chat_add_other(c, "include", false, SLICE_NONE, NULL);
    }
    return e;
}

static enum err read_user(struct ai_chat *c, const json_t *v)
{
    if (text_of(v).len)
        c->user = text_of(v);
    return ERR_OK;
}

static enum err read_stream(struct ai_chat *c, const json_t *v)
{
    c->stream = json_is_true(v);
    return ERR_OK;
}

static enum err read_nothing(struct ai_chat *c, const json_t *v)
{
    (void)c;
    (void)v;
    return ERR_OK;
}

static enum err binds_if_set(struct ai_chat *c, const char *name, const json_t *v, const char *why)
{
    bool unset = is_absent(v) || json_is_false(v) || (json_is_integer(v) && !json_integer_value(v));
    return unset ? ERR_OK : binds_unbounded(c, name, why, v);
}

#define KEPT_BY_OPENAI "it is kept by OpenAI, and this target is another"

static enum err read_previous(struct ai_chat *c, const json_t *v)
{
    return binds_if_set(c, "previous_response_id", v, KEPT_BY_OPENAI);
}

static enum err read_conversation(struct ai_chat *c, const json_t *v)
{
    return binds_if_set(c, "conversation", v, KEPT_BY_OPENAI);
}

static enum err read_prompt(struct ai_chat *c, const json_t *v)
{
    return binds_if_set(c, "prompt", v, KEPT_BY_OPENAI);
}

/* To be kept costs nothing. */
static enum err read_store(struct ai_chat *c, const json_t *v)
{
    return json_is_true(v) ? ai_chat_add_other(c, "store", true, SLICE(KEPT_BY_OPENAI), NULL)
                           : ERR_OK;
}

static enum err read_background(struct ai_chat *c, const json_t *v)
{
    return binds_if_set(c, "background", v, "only OpenAI runs responses in the background");
}

static enum err read_logprobs(struct ai_chat *c, const json_t *v)
{
    bool wanted = json_is_integer(v) && json_integer_value(v) > 0;
    return wanted
               ? ai_chat_add_other(c, "top_logprobs", true, SLICE("probabilities of tokens"), NULL)
               : ERR_OK;
}

static const struct {
    const char *name;
    enum err (*read)(struct ai_chat *c, const json_t *v);
} members[] = {
    {"background", read_background},
    {"conversation", read_conversation},
    {"include", read_include},
    {"input", read_nothing}, /* read behind the instructions */
    {"instructions", read_nothing},
    {"max_output_tokens", read_limit},
    {"model", read_nothing},
    {"parallel_tool_calls", read_parallel},
    {"previous_response_id", read_previous},
    {"prompt", read_prompt},
    {"reasoning", read_reasoning_options},
    {"safety_identifier", read_user},
    {"service_tier", read_tier},
    {"store", read_store},
    {"stream", read_stream},
    {"stream_options", read_nothing}, /* noise against measuring, which is not added here */
    {"temperature", read_temperature},
    {"text", read_text},
    {"tool_choice", read_choice},
    {"tools", read_tools},
    {"top_logprobs", read_logprobs},
    {"top_p", read_top_p},
    {"user", read_user},
};

static enum err read_member(struct ai_chat *c, const char *name, const json_t *v)
{
    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        if (strcmp(name, members[i].name) == 0)
            return members[i].read(c, v);
    bool empty = is_absent(v) || (json_is_object(v) && !json_object_size(v));
    return empty ? ERR_OK : ai_chat_add_other(c, name, false, SLICE_NONE, v);
}

static enum err read_all(struct ai_chat *c, const struct ai_marker *m, json_t *tree)
{
    const char *name;
    json_t *v;
    enum err e = read_instructions(c, json_object_get(tree, "instructions"));
    if (!e)
        e = read_input(c, m, json_object_get(tree, "input"));
    json_object_foreach(tree, name, v)
    {
        if (!e)
            e = read_member(c, name, v);
    }
    return e;
}

enum err openai_responses_parse(const struct ai_incoming *in, struct ai_chat *ret)
{
    struct json_problem problem;
    json_t *tree = NULL;
    enum err e = json_read(in->body, &tree, &problem);
    if (e == ERR_NOMEM)
        return e;
    if (e)
        return ai_chat_wrong(ret, NULL, arena_copy(in->arena, slice_str(problem.text)));
    ret->root = tree;
    if (!json_is_object(tree))
        return ai_chat_wrong(ret, NULL, SLICE("it must be an object"));
    return read_all(ret, in->marker, tree);
}
