/*
 * anthropic_request — members first, then messages turn by turn.
 */
#include "dataplane/ai/provider/anthropic_request.h"

#include "dataplane/ai/provider/anthropic_models.h"

#define NOTICE_MAX 512
#define BREAKPOINTS_MAX 4 /* cache_control marks in one request */
#define BUDGET_LOW 1024   /* thinking tokens, doubled for each step of effort */
#define JSON_INSTRUCTION "Answer with one JSON object and nothing else."

struct translation {
    const struct anthropic_order *order;
    const struct claude_model *rules;
    json_t *body;
    json_t *system, *messages; /* lent: the body's */
    bool thinking;
    bool unsigned_tools; /* the history calls tools without the thinking that led to it */
    unsigned breakpoints;
    char notice[NOTICE_MAX];
    size_t noticed;
    const char *param;
    struct slice why;
    enum err e;
};

/* ---- what cannot be told ---- */

static void refuse(struct translation *t, const char *param, struct slice why)
{
    if (t->e)
        return;
    t->e = ERR_INVALID;
    t->param = param;
    t->why = why;
}

static void leave_out(struct translation *t, const char *name)
{
    size_t len = strlen(name);
    if (t->noticed + len + 2 >= NOTICE_MAX || strpbrk(name, "\r\n"))
        return;
    if (t->noticed) {
        memcpy(t->notice + t->noticed, ", ", 2);
        t->noticed += 2;
    }
    memcpy(t->notice + t->noticed, name, len);
    t->noticed += len;
}

static void set(struct translation *t, json_t *object, const char *name, json_t *value)
{
    if (json_object_set_new(object, name, value) && !t->e)
        t->e = ERR_NOMEM;
}

static void append(struct translation *t, json_t *array, json_t *value)
{
    if (json_array_append_new(array, value) && !t->e)
        t->e = ERR_NOMEM;
}

static const json_t *get(const struct translation *t, const char *name)
{
    const json_t *v = json_object_get(t->order->chat, name);
    return json_is_null(v) ? NULL : v;
}

static bool is_word(const json_t *v, const char *word)
{
    return json_is_string(v) && strcmp(json_string_value(v), word) == 0;
}

/* ---- blocks of content ---- */

static bool is_blank(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] > ' ')
            return false;
    return true;
}

static void mark_cache(struct translation *t, const json_t *part, json_t *block)
{
    const json_t *own = json_object_get(part, "cache_control");
    const json_t *mark = json_object_get(part, "prompt_cache_breakpoint");
    if ((!json_is_object(own) && !json_is_object(mark)) || t->breakpoints >= BREAKPOINTS_MAX)
        return;
    t->breakpoints++;
    bool lasts = json_is_object(mark) && json_object_get(mark, "ttl");
    set(t, block, "cache_control",
        json_is_object(own) ? json_deep_copy(own)
        : lasts             ? json_pack("{s:s,s:s}", "type", "ephemeral", "ttl", "1h")
                            : json_pack("{s:s}", "type", "ephemeral"));
}

static void add_text(struct translation *t, json_t *blocks, struct slice text, const json_t *part)
{
    if (!text.len)
        return; /* an empty text block is a 400 there */
    json_t *block = json_pack("{s:s,s:o}", "type", "text", "text", json_from(text));
    if (part)
        mark_cache(t, part, block);
    append(t, blocks, block);
}

/* "data:image/png;base64,…" */
static bool read_data_url(struct slice url, struct slice *type, struct slice *data)
{
    struct slice rest = url;
    if (!slice_starts(url, SLICE("data:")))
        return false;
    rest = slice_from(url, 5);
    ptrdiff_t comma = slice_find(rest, ',');
    struct slice head = slice_first(rest, comma < 0 ? 0 : (size_t)comma);
    if (!slice_ends(head, SLICE(";base64")))
        return false;
    *type = slice_first(head, (size_t)slice_find(head, ';'));
    *data = slice_from(rest, (size_t)comma + 1);
    return true;
}

static bool is_image_type(struct slice type)
{
    static const struct slice known[] = {
        {"image/jpeg", 10}, {"image/png", 9}, {"image/gif", 9}, {"image/webp", 10}};
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (slice_eq(type, known[i]))
            return true;
    return false;
}

static json_t *base64_source(struct slice type, struct slice data)
{
    return json_pack("{s:s,s:o,s:o}", "type", "base64", "media_type", json_from(type), "data",
                     json_from(data));
}

static void add_inline(struct translation *t, json_t *blocks, struct slice type, struct slice data,
                       const json_t *part)
{
    bool pdf = slice_eq(type, SLICE("application/pdf"));
    if (!pdf && !is_image_type(type)) {
        refuse(t, "messages",
               arena_printf(t->order->arena,
                            "content of type %.*s: image/jpeg, image/png, image/gif, image/webp "
                            "and application/pdf are taken",
                            SLICE_ARG(slice_first(type, 64))));
        return;
    }
    json_t *block = json_pack("{s:s,s:o}", "type", pdf ? "document" : "image", "source",
                              base64_source(type, data));
    mark_cache(t, part, block);
    append(t, blocks, block);
}

static void add_image(struct translation *t, json_t *blocks, const json_t *part)
{
    const json_t *image = json_object_get(part, "image_url");
    struct slice url =
        json_is_string(image) ? slice_str(json_string_value(image)) : json_text(image, "url");
    struct slice type, data;
    if (json_is_object(image) && json_object_get(image, "detail") &&
        !is_word(json_object_get(image, "detail"), "auto"))
        leave_out(t, "detail");
    if (read_data_url(url, &type, &data)) {
        add_inline(t, blocks, type, data, part);
        return;
    }
    if (!slice_starts(url, SLICE("https://"))) {
        refuse(t, "messages", SLICE("an image must be a data: URL in base64 or an https: URL"));
        return;
    }
    json_t *block = json_pack("{s:s,s:{s:s,s:o}}", "type", "image", "source", "type", "url", "url",
                              json_from(url));
    mark_cache(t, part, block);
    append(t, blocks, block);
}

static void add_file(struct translation *t, json_t *blocks, const json_t *part)
{
    struct slice type, data;
    struct slice file = json_text(json_object_get(part, "file"), "file_data");
    if (read_data_url(file, &type, &data))
        add_inline(t, blocks, type, data, part);
    else
        refuse(t, "messages", SLICE("a file must be inline, as a data: URL in base64"));
}

static void add_part(struct translation *t, json_t *blocks, const json_t *part)
{
    const json_t *type = json_object_get(part, "type");
    if (is_word(type, "text"))
        add_text(t, blocks, json_text(part, "text"), part);
    else if (is_word(type, "refusal"))
        add_text(t, blocks, json_text(part, "refusal"), NULL);
    else if (is_word(type, "image_url"))
        add_image(t, blocks, part);
    else if (is_word(type, "file"))
        add_file(t, blocks, part);
    else
        refuse(t, "messages",
               arena_printf(t->order->arena, "content of type %.40s",
                            json_is_string(type) ? json_string_value(type) : "unknown"));
}

static void add_content(struct translation *t, json_t *blocks, const json_t *content)
{
    const json_t *part;
    size_t i;
    if (json_is_string(content)) {
        add_text(t, blocks, slice_of(json_string_value(content), json_string_length(content)),
                 NULL);
        return;
    }
    json_array_foreach(content, i, part) add_part(t, blocks, part);
}

/* ---- tools in the history ---- */

/* Ids of other providers may hold what this one refuses; the same id becomes the same again. */
static json_t *tool_id(struct slice id)
{
    uint64_t hash = 14695981039346656037ull; /* FNV-1a */
    bool plain = id.len > 0;
    char derived[32];
    for (size_t i = 0; i < id.len; i++) {
        char ch = id.ptr[i];
        plain = plain && ((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
                          (ch >= '0' && ch <= '9') || ch == '_' || ch == '-');
        hash = (hash ^ (unsigned char)ch) * 1099511628211ull;
    }
    if (plain)
        return json_from(id);
    snprintf(derived, sizeof(derived), "toolu_%016llx", (unsigned long long)hash);
    return json_string(derived);
}

static void add_tool_use(struct translation *t, json_t *blocks, const json_t *call)
{
    const json_t *function = json_object_get(call, "function");
    struct slice name = json_text(function, "name"), text = json_text(function, "arguments");
    struct json_problem problem;
    json_t *input = NULL;
    if (!name.len) {
        refuse(t, "messages", SLICE("a tool call that is no function's"));
        return;
    }
    if (is_blank(text))
        input = json_object();
    else if (json_read(text, &input, &problem) || !json_is_object(input)) {
        json_decref(input);
        refuse(t, "messages",
               arena_printf(t->order->arena,
                            "the arguments of the tool call %.*s are no JSON object",
                            SLICE_ARG(slice_first(json_text(call, "id"), 64))));
        return;
    }
    append(t, blocks,
           json_pack("{s:s,s:o,s:o,s:o}", "type", "tool_use", "id", tool_id(json_text(call, "id")),
                     "name", json_from(name), "input", input));
}

/* Thinking must go back unchanged, with its signature; what has none is left out. */
static bool add_thinking(struct translation *t, json_t *blocks, const json_t *message)
{
    const json_t *block;
    size_t i;
    bool any = false;
    json_array_foreach(json_object_get(message, "thinking_blocks"), i, block)
    {
        bool redacted = is_word(json_object_get(block, "type"), "redacted_thinking");
        struct slice seal = json_text(block, redacted ? "data" : "signature");
        if (!seal.len)
            continue;
        any = true;
        append(t, blocks,
               redacted
                   ? json_pack("{s:s,s:o}", "type", "redacted_thinking", "data", json_from(seal))
                   : json_pack("{s:s,s:o,s:o}", "type", "thinking", "thinking",
                               json_from(json_text(block, "thinking")), "signature",
                               json_from(seal)));
    }
    return any;
}

/* ---- turns ---- */

/* Consecutive messages of one side are one turn. */
static json_t *turn_of(struct translation *t, const char *role)
{
    size_t n = json_array_size(t->messages);
    json_t *last = n ? json_array_get(t->messages, n - 1) : NULL;
    if (last && is_word(json_object_get(last, "role"), role))
        return json_object_get(last, "content");
    json_t *turn = json_pack("{s:s,s:[]}", "role", role, "content");
    append(t, t->messages, turn);
    return json_object_get(turn, "content");
}

static void drop_empty_turn(struct translation *t)
{
    size_t n = json_array_size(t->messages);
    json_t *last = n ? json_array_get(t->messages, n - 1) : NULL;
    if (last && json_array_size(json_object_get(last, "content")) == 0)
        json_array_remove(t->messages, n - 1);
}

static void add_assistant(struct translation *t, const json_t *message)
{
    const json_t *call, *calls = json_object_get(message, "tool_calls");
    size_t i;
    json_t *blocks = turn_of(t, "assistant");
    bool thought = add_thinking(t, blocks, message);
    add_content(t, blocks, json_object_get(message, "content"));
    add_text(t, blocks, json_text(message, "refusal"), NULL);
    if (json_is_object(json_object_get(message, "function_call")))
        refuse(t, "messages", SLICE("function_call, which tool_calls took the place of"));
    if (json_is_object(json_object_get(message, "audio")))
        refuse(t, "messages", SLICE("audio of an earlier response"));
    if (json_array_size(calls) && !thought)
        t->unsigned_tools = true;
    json_array_foreach(calls, i, call) add_tool_use(t, blocks, call);
    drop_empty_turn(t);
}

/* All results of one turn stand in front of its text. */
static void add_tool_result(struct translation *t, const json_t *message)
{
    json_t *blocks = turn_of(t, "user"), *content = json_array();
    size_t at = 0;
    while (is_word(json_object_get(json_array_get(blocks, at), "type"), "tool_result"))
        at++;
    add_content(t, content, json_object_get(message, "content"));
    json_t *result = json_pack("{s:s,s:o,s:o}", "type", "tool_result", "tool_use_id",
                               tool_id(json_text(message, "tool_call_id")), "content", content);
    if (json_array_insert_new(blocks, at, result) && !t->e)
        t->e = ERR_NOMEM;
}

static void add_message(struct translation *t, const json_t *message)
{
    const json_t *role = json_object_get(message, "role");
    if (json_is_string(json_object_get(message, "name")) && !is_word(role, "tool"))
        leave_out(t, "name");
    if (is_word(role, "system") || is_word(role, "developer")) {
        add_content(t, t->system, json_object_get(message, "content"));
    } else if (is_word(role, "user")) {
        add_content(t, turn_of(t, "user"), json_object_get(message, "content"));
        drop_empty_turn(t);
    } else if (is_word(role, "assistant")) {
        add_assistant(t, message);
    } else if (is_word(role, "tool")) {
        add_tool_result(t, message);
    } else {
        refuse(t, "messages",
               SLICE("a message of another role than system, developer, user, "
                     "assistant or tool"));
    }
}

static void add_messages(struct translation *t)
{
    const json_t *message;
    size_t i;
    json_array_foreach(get(t, "messages"), i, message) add_message(t, message);
    size_t n = json_array_size(t->messages);
    if (t->e)
        return;
    if (!n)
        refuse(t, "messages", SLICE("no message of the user with any content"));
    else if (!t->rules->prefill &&
             is_word(json_object_get(json_array_get(t->messages, n - 1), "role"), "assistant"))
        refuse(t, "messages",
               SLICE("a last message of the assistant, which this model does not "
                     "go on with"));
}

/* ---- tools ---- */

static json_t *schema_of(const json_t *parameters)
{
    json_t *schema = json_is_object(parameters) ? json_deep_copy(parameters) : json_object();
    if (!json_object_get(schema, "type"))
        json_object_set_new(schema, "type", json_string("object"));
    if (is_word(json_object_get(schema, "type"), "object") &&
        !json_object_get(schema, "properties"))
        json_object_set_new(schema, "properties", json_object());
    json_object_del(schema, "$schema");
    return schema;
}

static void add_tool(struct translation *t, json_t *tools, const json_t *tool)
{
    const json_t *function = json_object_get(tool, "function");
    struct slice name = json_text(function, "name"), text = json_text(function, "description");
    if (!is_word(json_object_get(tool, "type"), "function") || !name.len) {
        refuse(t, "tools", SLICE("a tool that is no function"));
        return;
    }
    json_t *own = json_pack("{s:o,s:o}", "name", json_from(name), "input_schema",
                            schema_of(json_object_get(function, "parameters")));
    if (text.len)
        json_set_text(own, "description", text);
    if (json_is_true(json_object_get(function, "strict"))) {
        if (t->rules->structured)
            set(t, own, "strict", json_true());
        else
            leave_out(t, "strict");
    }
    mark_cache(t, tool, own);
    append(t, tools, own);
}

static bool is_allowed(const json_t *allowed, const json_t *tool)
{
    const json_t *one;
    size_t i;
    struct slice name = json_text(json_object_get(tool, "function"), "name");
    if (!allowed)
        return true;
    json_array_foreach(allowed, i, one)
    {
        if (slice_eq(json_text(json_object_get(one, "function"), "name"), name))
            return true;
    }
    return false;
}

/* The API wants the tools defined that the history speaks of. */
static void add_tools_of_history(struct translation *t, json_t *tools)
{
    const json_t *turn, *block;
    size_t i, j;
    json_t *seen = json_object();
    json_array_foreach(t->messages, i, turn)
    {
        json_array_foreach(json_object_get(turn, "content"), j, block)
        {
            struct slice name = json_text(block, "name");
            if (!name.len || json_object_get(seen, name.ptr))
                continue;
            json_object_set_new(seen, name.ptr, json_true());
            append(t, tools,
                   json_pack("{s:o,s:{s:s,s:{}}}", "name", json_from(name), "input_schema", "type",
                             "object", "properties"));
        }
    }
    json_decref(seen);
}

static json_t *choice_of(struct translation *t, const json_t *choice, bool *forces)
{
    const json_t *allowed = json_object_get(choice, "allowed_tools");
    *forces = false;
    if (!choice || is_word(choice, "auto"))
        return json_pack("{s:s}", "type", "auto");
    if (is_word(choice, "none"))
        return json_pack("{s:s}", "type", "none");
    if (allowed && !is_word(json_object_get(allowed, "mode"), "required"))
        return json_pack("{s:s}", "type", "auto");
    *forces = true;
    if (is_word(choice, "required") || allowed)
        return json_pack("{s:s}", "type", "any");
    struct slice name = json_text(json_object_get(choice, "function"), "name");
    if (!name.len) {
        refuse(t, "tool_choice", SLICE("a choice of another tool than a function"));
        return json_object();
    }
    return json_pack("{s:s,s:o}", "type", "tool", "name", json_from(name));
}

static void add_tool_choice(struct translation *t)
{
    const json_t *choice = get(t, "tool_choice");
    bool one_at_a_time = json_is_false(get(t, "parallel_tool_calls")), forces;
    if (!choice && !one_at_a_time)
        return;
    json_t *own = choice_of(t, choice, &forces);
    if (forces && (!t->rules->forced_tool || t->thinking))
        refuse(t, "tool_choice",
               t->thinking ? SLICE("a forced tool call together with reasoning_effort")
                           : SLICE("a forced tool call, which this model does not make"));
    if (one_at_a_time && !is_word(json_object_get(own, "type"), "none"))
        set(t, own, "disable_parallel_tool_use", json_true());
    set(t, t->body, "tool_choice", own);
}

static void add_tools(struct translation *t)
{
    const json_t *tool, *choice = get(t, "tool_choice");
    const json_t *allowed = json_object_get(json_object_get(choice, "allowed_tools"), "tools");
    json_t *tools = json_array();
    size_t i;
    json_array_foreach(get(t, "tools"), i, tool)
    {
        if (is_allowed(allowed, tool))
            add_tool(t, tools, tool);
    }
    if (json_array_size(tools)) {
        add_tool_choice(t);
    } else {
        add_tools_of_history(t, tools);
        if (choice && !is_word(choice, "auto") && !is_word(choice, "none"))
            refuse(t, "tool_choice", SLICE("a choice among no tools"));
    }
    if (json_array_size(tools))
        set(t, t->body, "tools", tools);
    else
        json_decref(tools);
}

/* ---- the other members ---- */

static json_t *output_config(struct translation *t)
{
    json_t *own = json_object_get(t->body, "output_config");
    if (!own) {
        own = json_object();
        set(t, t->body, "output_config", own);
    }
    return own;
}

static uint64_t positive(const json_t *v)
{
    return json_is_integer(v) && json_integer_value(v) > 0 ? (uint64_t)json_integer_value(v) : 0;
}

static uint64_t max_tokens_of(const struct translation *t)
{
    uint64_t n = positive(get(t, "max_completion_tokens"));
    if (!n)
        n = positive(get(t, "max_tokens"));
    if (!n)
        n = t->order->output_limit;
    return n ? n : t->rules->max_output;
}

static unsigned effort_step(const char *effort)
{
    static const char *const steps[] = {"minimal", "low", "medium", "high", "xhigh", "max"};
    for (unsigned i = 0; i < ARRAY_LEN(steps); i++)
        if (strcmp(effort, steps[i]) == 0)
            return i;
    return 2;
}

static void add_effort(struct translation *t, const char *effort, uint64_t *max_tokens)
{
    unsigned step = effort_step(effort);
    if (t->rules->adaptive) {
        set(t, t->body, "thinking",
            json_pack("{s:s,s:s}", "type", "adaptive", "display", "summarized"));
        if (step == 0)
            effort = "low";
        if (step == 4 && !t->rules->xhigh)
            effort = "high";
        set(t, output_config(t), "effort", json_string(effort));
        t->thinking = true;
    } else if (t->rules->budget && !t->unsigned_tools) {
        uint64_t budget = (uint64_t)BUDGET_LOW << (step > 1 ? step - 1 : 0);
        set(t, t->body, "thinking",
            json_pack("{s:s,s:I}", "type", "enabled", "budget_tokens", (json_int_t)budget));
        *max_tokens += budget;
        t->thinking = true;
    } else {
        leave_out(t, "reasoning_effort");
    }
}

static void add_reasoning(struct translation *t, uint64_t *max_tokens)
{
    const json_t *effort = get(t, "reasoning_effort");
    if (!json_is_string(effort))
        return;
    if (!is_word(effort, "none")) {
        add_effort(t, json_string_value(effort), max_tokens);
    } else if (t->rules->adaptive && t->rules->can_disable) {
        set(t, t->body, "thinking", json_pack("{s:s}", "type", "disabled"));
    } else if (t->rules->adaptive) {
        set(t, output_config(t), "effort", json_string("low"));
        leave_out(t, "reasoning_effort");
    }
}

static void add_sampling(struct translation *t)
{
    static const char *const names[] = {"temperature", "top_p", "top_k"};
    bool has_temperature = json_is_number(get(t, "temperature"));
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const json_t *v = get(t, names[i]);
        if (!json_is_number(v))
            continue;
        bool beside = i == 1 && has_temperature; /* the two together are a 400 */
        if (!t->rules->sampling || t->thinking || beside) {
            leave_out(t, names[i]);
        } else if (i == 0 && json_number_value(v) > 1.0) {
            set(t, t->body, names[i], json_real(1.0));
            leave_out(t, "temperature above 1");
        } else {
            set(t, t->body, names[i], json_deep_copy(v));
        }
    }
}

static void add_stop_one(struct translation *t, json_t *list, const json_t *stop)
{
    struct slice text = json_is_string(stop)
                            ? slice_of(json_string_value(stop), json_string_length(stop))
                            : SLICE_NONE;
    if (is_blank(text))
        leave_out(t, "stop of white space");
    else
        append(t, list, json_from(text));
}

static void add_stop(struct translation *t)
{
    const json_t *one, *stop = get(t, "stop");
    json_t *list = json_array();
    size_t i;
    if (json_is_string(stop))
        add_stop_one(t, list, stop);
    json_array_foreach(stop, i, one) add_stop_one(t, list, one);
    if (json_array_size(list))
        set(t, t->body, "stop_sequences", list);
    else
        json_decref(list);
}

/* The API refuses what could name a person. */
static bool names_a_person(struct slice user)
{
    size_t digits = 0;
    for (size_t i = 0; i < user.len; i++) {
        if (user.ptr[i] == '@')
            return true;
        digits += user.ptr[i] >= '0' && user.ptr[i] <= '9';
    }
    return digits >= 7 && digits + 6 >= user.len;
}

static void add_user(struct translation *t)
{
    struct slice user = json_text(t->order->chat, "safety_identifier");
    if (!user.len)
        user = json_text(t->order->chat, "user");
    if (user.len && names_a_person(user))
        leave_out(t, "user");
    else if (user.len)
        set(t, t->body, "metadata", json_pack("{s:o}", "user_id", json_from(user)));
}

static void add_tier(struct translation *t)
{
    const json_t *tier = get(t, "service_tier");
    if (is_word(tier, "auto"))
        set(t, t->body, "service_tier", json_string("auto"));
    else if (is_word(tier, "default"))
        set(t, t->body, "service_tier", json_string("standard_only"));
    else if (tier)
        leave_out(t, "service_tier");
}

/* Every object must say that it has no other members than it names (dialects.md 2.3). */
static void close_objects(json_t *schema)
{
    const char *name;
    json_t *inner;
    size_t i;
    if (json_is_object(schema) && is_word(json_object_get(schema, "type"), "object"))
        json_object_set_new(schema, "additionalProperties", json_false());
    json_object_foreach(schema, name, inner) close_objects(inner);
    json_array_foreach(schema, i, inner) close_objects(inner);
}

static void add_format(struct translation *t)
{
    const json_t *format = get(t, "response_format");
    const json_t *schema = json_object_get(json_object_get(format, "json_schema"), "schema");
    const json_t *type = json_object_get(format, "type");
    if (!format || is_word(type, "text"))
        return;
    if (is_word(type, "json_object")) {
        add_text(t, t->system, SLICE(JSON_INSTRUCTION), NULL);
        leave_out(t, "response_format json_object");
        return;
    }
    if (!t->rules->structured || !json_is_object(schema)) {
        refuse(t, "response_format", SLICE("an output of a given schema"));
        return;
    }
    json_t *own = json_deep_copy(schema);
    close_objects(own);
    json_object_del(own, "$schema");
    set(t, output_config(t), "format",
        json_pack("{s:s,s:o}", "type", "json_schema", "schema", own));
}

/* ---- what has no counterpart ---- */

static bool is_nothing(const json_t *v)
{
    return json_is_null(v) || json_is_false(v) ||
           (json_is_number(v) && json_number_value(v) == 0) ||
           (json_is_object(v) && json_object_size(v) == 0) ||
           (json_is_array(v) && json_array_size(v) == 0);
}

static void refuse_untranslatable(struct translation *t)
{
    static const struct {
        const char *name, *why;
    } rows[] = {{"logit_bias", "logit_bias"},
                {"logprobs", "logprobs"},
                {"top_logprobs", "top_logprobs"},
                {"audio", "audio output"},
                {"functions", "functions, which tools took the place of"},
                {"function_call", "function_call, which tool_choice took the place of"},
                {"web_search_options", "web_search_options"},
                {"moderation", "moderation"}};
    const json_t *one;
    size_t i;
    for (i = 0; i < ARRAY_LEN(rows); i++)
        if (!is_nothing(json_object_get(t->order->chat, rows[i].name)) && get(t, rows[i].name))
            refuse(t, rows[i].name, slice_str(rows[i].why));
    if (positive(get(t, "n")) > 1)
        refuse(t, "n", SLICE("more than one choice"));
    json_array_foreach(get(t, "modalities"), i, one)
    {
        if (!is_word(one, "text"))
            refuse(t, "modalities", SLICE("another modality than text"));
    }
}

static bool is_known(const char *name)
{
    static const char *const known[] = {"model",
                                        "messages",
                                        "max_tokens",
                                        "max_completion_tokens",
                                        "temperature",
                                        "top_p",
                                        "top_k",
                                        "stop",
                                        "stream",
                                        "stream_options",
                                        "n",
                                        "tools",
                                        "tool_choice",
                                        "response_format",
                                        "parallel_tool_calls",
                                        "reasoning_effort",
                                        "user",
                                        "safety_identifier",
                                        "service_tier",
                                        "logit_bias",
                                        "logprobs",
                                        "top_logprobs",
                                        "audio",
                                        "functions",
                                        "moderation",
                                        "function_call",
                                        "web_search_options",
                                        "modalities"};
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (strcmp(name, known[i]) == 0)
            return true;
    return false;
}

static void leave_out_the_rest(struct translation *t)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)t->order->chat, name, value)
    {
        if (!is_known(name) && !is_nothing(value))
            leave_out(t, name);
    }
}

static void add_members(struct translation *t)
{
    uint64_t max_tokens = max_tokens_of(t);
    add_reasoning(t, &max_tokens);
    set(t, t->body, "max_tokens", json_integer((json_int_t)max_tokens));
    if (json_is_true(get(t, "stream")))
        set(t, t->body, "stream", json_true());
    add_sampling(t);
    add_stop(t);
    add_user(t);
    add_tier(t);
    add_format(t);
    add_tools(t);
}

enum err anthropic_translate(const struct anthropic_order *o, struct anthropic_result *ret)
{
    struct translation t = {.order = o, .rules = claude_model_of(o->model)};
    t.body = json_pack("{s:o,s:[],s:[]}", "model", json_from(o->model), "system", "messages");
    if (!t.body)
        return ERR_NOMEM;
    t.system = json_object_get(t.body, "system");
    t.messages = json_object_get(t.body, "messages");
    refuse_untranslatable(&t);
    add_messages(&t);
    add_members(&t);
    leave_out_the_rest(&t);
    if (json_array_size(t.system) == 0)
        json_object_del(t.body, "system");
    *ret = (struct anthropic_result){.param = t.param, .why = t.why};
    if (!t.e && t.noticed) {
        ret->notice = arena_copy(o->arena, slice_of(t.notice, t.noticed));
        t.e = ret->notice.ptr ? ERR_OK : ERR_NOMEM;
    }
    if (t.e)
        json_decref(t.body);
    else
        ret->body = t.body;
    return t.e;
}
