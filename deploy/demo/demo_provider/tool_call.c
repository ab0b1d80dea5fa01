/* tool_call — the tool is named in the last message, or forced. */
#include "deploy/demo/demo_provider/tool_call.h"

#include "common/base/json.h"
#include "common/base/mem.h"

static const char *name_of(const json_t *tool)
{
    return json_string_value(json_object_get(json_object_get(tool, "function"), "name"));
}

static const char *last_user_text(const json_t *request)
{
    const json_t *messages = json_object_get(request, "messages");
    size_t n = json_array_size(messages);
    const json_t *last = n > 0 ? json_array_get(messages, n - 1) : NULL;
    const char *role = json_string_value(json_object_get(last, "role"));
    const char *text = json_string_value(json_object_get(last, "content"));
    return role && strcmp(role, "user") == 0 && text ? text : "";
}

static const json_t *tool_named(const json_t *tools, const char *name)
{
    size_t i;
    const json_t *tool;
    json_array_foreach(tools, i, tool)
    {
        const char *own = name_of(tool);
        if (own && name && strcmp(own, name) == 0)
            return tool;
    }
    return NULL;
}

static const json_t *tool_in_text(const json_t *tools, const char *text)
{
    size_t i;
    const json_t *tool;
    json_array_foreach(tools, i, tool)
    {
        const char *own = name_of(tool);
        if (own && own[0] && strstr(text, own))
            return tool;
    }
    return NULL;
}

static const json_t *choose(const json_t *request)
{
    const json_t *tools = json_object_get(request, "tools");
    const json_t *choice = json_object_get(request, "tool_choice");
    const char *word = json_string_value(choice);
    if (word && strcmp(word, "none") == 0)
        return NULL;
    if (json_is_object(choice))
        return tool_named(tools, name_of(choice));
    const json_t *named = tool_in_text(tools, last_user_text(request));
    if (!named && word && strcmp(word, "required") == 0)
        named = json_array_get(tools, 0);
    return named;
}

static json_t *example_of(const json_t *schema)
{
    const char *type = json_string_value(json_object_get(schema, "type"));
    if (type && strcmp(type, "string") == 0)
        return json_string("demo");
    if (type && (strcmp(type, "number") == 0 || strcmp(type, "integer") == 0))
        return json_integer(1);
    if (type && strcmp(type, "boolean") == 0)
        return json_true();
    return type && strcmp(type, "array") == 0 ? json_array() : json_object();
}

static json_t *arguments_for(const json_t *tool)
{
    const json_t *schema = json_object_get(json_object_get(tool, "function"), "parameters");
    const json_t *required = json_object_get(schema, "required"), *name;
    json_t *arguments = json_object();
    size_t i;
    json_array_foreach(required, i, name)
    {
        const char *text = json_string_value(name);
        if (text)
            json_object_set_new(
                arguments, text,
                example_of(json_object_get(json_object_get(schema, "properties"), text)));
    }
    return arguments;
}

void tool_call_choose(struct slice body, char **name, char **arguments)
{
    JSON_AUTO json_t *request = NULL;
    struct json_problem problem;
    if (json_read(body, &request, &problem) != ERR_OK)
        return;
    const json_t *tool = choose(request);
    if (!tool || !name_of(tool))
        return;
    JSON_AUTO json_t *chosen = arguments_for(tool);
    struct buf text;
    buf_init(&text, 64 * 1024);
    if (json_write(chosen, &text) == ERR_OK) {
        *name = mem_strdup(name_of(tool));
        *arguments = mem_strndup(buf_slice(&text).ptr, text.len);
        if (!*arguments) { /* both or none */
            mem_free(*name);
            *name = NULL;
        }
    }
    buf_fini(&text);
}
