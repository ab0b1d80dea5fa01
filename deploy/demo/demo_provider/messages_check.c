/*
 * messages_check — member by member, then message by message (dialects.md 1.4).
 */
#include "deploy/demo/demo_provider/messages_check.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

PRINTF(2, 3) static bool wrong(char why[static MESSAGES_WHY], const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(why, MESSAGES_WHY, fmt, args);
    va_end(args);
    return false;
}

static bool is(const json_t *v, const char *word)
{
    return json_is_string(v) && strcmp(json_string_value(v), word) == 0;
}

static bool is_one_of(const char *name, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(name, *words) == 0)
            return true;
    return false;
}

static bool check_members(const json_t *request, char why[static MESSAGES_WHY])
{
    static const char *const known[] = {
        "model",       "max_tokens",   "messages",    "system",        "stop_sequences",
        "stream",      "tools",        "tool_choice", "thinking",      "output_config",
        "metadata",    "service_tier", "speed",       "cache_control", "container",
        "temperature", "top_p",        "top_k",       "diagnostics",   "inference_geo",
        NULL};
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)request, name, value)
    {
        if (!is_one_of(name, known))
            return wrong(why, "%.80s: Extra inputs are not permitted", name);
    }
    return true;
}

static bool check_numbers(const json_t *request, char why[static MESSAGES_WHY])
{
    const json_t *max = json_object_get(request, "max_tokens");
    const json_t *temperature = json_object_get(request, "temperature");
    const json_t *thinking = json_object_get(request, "thinking");
    const json_t *budget = json_object_get(thinking, "budget_tokens");
    if (!max)
        return wrong(why, "max_tokens: Field required");
    if (!json_is_integer(max) || json_integer_value(max) < 1)
        return wrong(why, "max_tokens: Input should be greater than or equal to 1");
    if (temperature && (!json_is_number(temperature) || json_number_value(temperature) < 0 ||
                        json_number_value(temperature) > 1))
        return wrong(why, "temperature: range: 0..1");
    if (temperature && json_object_get(request, "top_p"))
        return wrong(why, "`temperature` and `top_p` cannot both be specified for this model.");
    if (is(json_object_get(thinking, "type"), "enabled")) {
        if (!json_is_integer(budget) || json_integer_value(budget) < 1024)
            return wrong(why, "thinking.enabled.budget_tokens: Input should be greater than or "
                              "equal to 1024");
        if (json_integer_value(budget) >= json_integer_value(max))
            return wrong(why, "`max_tokens` must be greater than `thinking.budget_tokens`.");
        if (temperature && json_number_value(temperature) != 1)
            return wrong(why, "`temperature` may only be set to 1 when thinking is enabled.");
    }
    return true;
}

static bool check_stops(const json_t *request, char why[static MESSAGES_WHY])
{
    const json_t *stops = json_object_get(request, "stop_sequences"), *one;
    size_t i;
    if (stops && !json_is_array(stops))
        return wrong(why, "stop_sequences: Input should be a valid list");
    json_array_foreach(stops, i, one)
    {
        const char *text = json_string_value(one);
        if (!text || text[strspn(text, " \t\r\n")] == '\0')
            return wrong(why, "stop_sequences: each stop sequence must contain non-whitespace");
    }
    return true;
}

static bool check_tools(const json_t *request, char why[static MESSAGES_WHY])
{
    static const char *const choices[] = {"auto", "any", "tool", "none", NULL};
    const json_t *tool, *choice = json_object_get(request, "tool_choice");
    const char *type = json_string_value(json_object_get(choice, "type"));
    size_t i;
    json_array_foreach(json_object_get(request, "tools"), i, tool)
    {
        const json_t *schema = json_object_get(tool, "input_schema");
        if (!json_is_string(json_object_get(tool, "name")))
            return wrong(why, "tools.%zu.custom.name: Field required", i);
        if (!is(json_object_get(schema, "type"), "object"))
            return wrong(why, "tools.%zu.custom.input_schema.type: Field required", i);
        if (json_object_get(tool, "function") || json_object_get(tool, "parameters"))
            return wrong(why, "tools.%zu.custom: Extra inputs are not permitted", i);
    }
    if (choice && (!type || !is_one_of(type, choices)))
        return wrong(why, "tool_choice: Input tag is none of auto, any, tool, none");
    if (choice && !json_array_size(json_object_get(request, "tools")))
        return wrong(why, "tool_choice may only be specified while providing tools.");
    return true;
}

/* ---- messages ---- */

static bool check_source(const json_t *block, char why[static MESSAGES_WHY])
{
    static const char *const types[] = {"image/jpeg", "image/png",       "image/gif",
                                        "image/webp", "application/pdf", NULL};
    const json_t *source = json_object_get(block, "source");
    const char *type = json_string_value(json_object_get(source, "media_type"));
    const char *url = json_string_value(json_object_get(source, "url"));
    if (is(json_object_get(source, "type"), "base64")) {
        if (!type || !is_one_of(type, types) || !json_is_string(json_object_get(source, "data")))
            return wrong(why, "messages: image.source.base64.media_type: Input should be "
                              "'image/jpeg', 'image/png', 'image/gif' or 'image/webp'");
        return true;
    }
    if (is(json_object_get(source, "type"), "url") && url && strncmp(url, "https://", 8) == 0)
        return true;
    return wrong(why, "messages: Only HTTPS URLs are supported.");
}

static bool check_block(const json_t *block, bool assistant, size_t at,
                        char why[static MESSAGES_WHY])
{
    const char *type = json_string_value(json_object_get(block, "type"));
    static const char *const users[] = {"text", "image", "document", "tool_result", NULL};
    static const char *const assistants[] = {"text", "tool_use", "thinking", "redacted_thinking",
                                             NULL};
    if (!type || !is_one_of(type, assistant ? assistants : users))
        return wrong(why, "messages.%zu.content: Input tag '%.40s' is not allowed here", at,
                     type ? type : "");
    if (strcmp(type, "text") == 0) {
        const char *text = json_string_value(json_object_get(block, "text"));
        if (!text || !text[0])
            return wrong(why, "messages: text content blocks must be non-empty");
    }
    if (strcmp(type, "image") == 0 || strcmp(type, "document") == 0)
        return check_source(block, why);
    if (strcmp(type, "thinking") == 0 && !json_is_string(json_object_get(block, "signature")))
        return wrong(why, "messages.%zu.content: thinking.signature: Field required", at);
    return true;
}

static bool is_id(const char *id)
{
    return id && id[0] &&
           strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") ==
               strlen(id);
}

static bool has_block(const json_t *message, const char *type, const char *member, const char *id)
{
    const json_t *block;
    size_t i;
    json_array_foreach(json_object_get(message, "content"), i, block)
    {
        if (is(json_object_get(block, "type"), type) && is(json_object_get(block, member), id))
            return true;
    }
    return false;
}

/* Each tool call of a turn has its result in the next one, before any text; each result has its
 * call. */
static bool check_pairs(const json_t *message, const json_t *before, const json_t *after, size_t at,
                        char why[static MESSAGES_WHY])
{
    const json_t *block;
    size_t i;
    bool text_seen = false;
    json_array_foreach(json_object_get(message, "content"), i, block)
    {
        const json_t *type = json_object_get(block, "type");
        const char *call = json_string_value(json_object_get(block, "id"));
        const char *answered = json_string_value(json_object_get(block, "tool_use_id"));
        if (is(type, "tool_use") && !is_id(call))
            return wrong(why,
                         "messages.%zu.content.%zu.tool_use.id: String should match pattern "
                         "'^[a-zA-Z0-9_-]+$'",
                         at, i);
        if (is(type, "tool_use") && after && !has_block(after, "tool_result", "tool_use_id", call))
            return wrong(why,
                         "messages.%zu: `tool_use` ids were found without `tool_result` "
                         "blocks immediately after: %.60s",
                         at, call);
        if (is(type, "tool_result") &&
            (!answered || !before || !has_block(before, "tool_use", "id", answered)))
            return wrong(why,
                         "messages.%zu.content.%zu: unexpected `tool_use_id` found in "
                         "`tool_result` blocks: %.60s",
                         at, i, answered ? answered : "");
        if (is(type, "tool_result") && text_seen)
            return wrong(why, "messages.%zu: tool_result blocks must come first", at);
        text_seen = text_seen || is(type, "text");
    }
    return true;
}

static bool check_message(const json_t *message, size_t at, char why[static MESSAGES_WHY])
{
    const json_t *content = json_object_get(message, "content"), *block;
    bool assistant = is(json_object_get(message, "role"), "assistant");
    size_t i;
    if (!assistant && !is(json_object_get(message, "role"), "user"))
        return wrong(why, "messages.%zu.role: Input should be 'user' or 'assistant'", at);
    if (json_is_string(content) && json_string_length(content))
        return true;
    if (!json_is_array(content) || !json_array_size(content))
        return wrong(why, "messages.%zu: all messages must have non-empty content", at);
    json_array_foreach(content, i, block)
    {
        if (!check_block(block, assistant, at, why))
            return false;
    }
    return true;
}

static bool check_messages(const json_t *messages, bool has_tools, char why[static MESSAGES_WHY])
{
    size_t n = json_array_size(messages);
    if (!n)
        return wrong(why, "messages: at least one message is required");
    for (size_t i = 0; i < n; i++) {
        const json_t *m = json_array_get(messages, i);
        const json_t *before = i ? json_array_get(messages, i - 1) : NULL;
        if (!check_message(m, i, why))
            return false;
        if (before && json_equal(json_object_get(before, "role"), json_object_get(m, "role")))
            return wrong(why, "messages: roles must alternate between \"user\" and \"assistant\"");
        if (!check_pairs(m, before, i + 1 < n ? json_array_get(messages, i + 1) : NULL, i, why))
            return false;
        if (!has_tools && has_block(m, "tool_use", "type", "tool_use"))
            return wrong(why, "Requests which include `tool_use` or `tool_result` blocks must "
                              "define tools.");
    }
    if (!is(json_object_get(json_array_get(messages, 0), "role"), "user"))
        return wrong(why, "messages: first message must use the \"user\" role");
    return true;
}

bool messages_check(const json_t *request, char why[static MESSAGES_WHY])
{
    const json_t *model = json_object_get(request, "model");
    const json_t *system = json_object_get(request, "system"), *block;
    size_t i;
    if (!json_is_object(request))
        return wrong(why, "Input should be a valid dictionary");
    if (!json_is_string(model) || !json_string_length(model))
        return wrong(why, "model: Field required");
    if (!check_members(request, why) || !check_numbers(request, why) ||
        !check_stops(request, why) || !check_tools(request, why))
        return false;
    json_array_foreach(system, i, block)
    {
        const char *text = json_string_value(json_object_get(block, "text"));
        if (!text || !text[0])
            return wrong(why, "system: text content blocks must be non-empty");
    }
    return check_messages(json_object_get(request, "messages"),
                          json_array_size(json_object_get(request, "tools")) > 0, why);
}
