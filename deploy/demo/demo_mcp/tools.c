/* tools — a table of tools and what they do. */
#include "deploy/demo/demo_mcp/tools.h"

#include <stdio.h>
#include <string.h>

json_t *tools_text(const char *text, bool is_error)
{
    return json_pack("{s:[{s:s,s:s}],s:b}", "content", "type", "text", "text", text, "isError",
                     is_error);
}

static json_t *do_echo(const struct visit *v UNUSED, const json_t *arguments)
{
    const char *message = json_string_value(json_object_get(arguments, "message"));
    char text[4096];
    if (!message)
        return tools_text("message is required and is a string", true);
    snprintf(text, sizeof(text), "Echo: %s", message);
    return tools_text(text, false);
}

static json_t *do_sum(const struct visit *v UNUSED, const json_t *arguments)
{
    const json_t *a = json_object_get(arguments, "a"), *b = json_object_get(arguments, "b");
    char text[64];
    if (!json_is_number(a) || !json_is_number(b))
        return tools_text("a and b are required and are numbers", true);
    snprintf(text, sizeof(text), "%.15g", json_number_value(a) + json_number_value(b));
    return tools_text(text, false);
}

static json_t *do_headers(const struct visit *v, const json_t *arguments UNUSED)
{
    char text[8192];
    size_t used = 0;
    for (size_t i = 0; i < v->head->header_count && used < sizeof(text) - 130; i++)
        used += (size_t)snprintf(text + used, 130, "%.*s\n",
                                 SLICE_ARG(slice_first(v->head->headers[i].name, 128)));
    text[used] = '\0';
    return tools_text(text, false);
}

static json_t *do_fail(const struct visit *v UNUSED, const json_t *arguments UNUSED)
{
    return tools_text("this tool always fails", true);
}

static const struct {
    const char *name, *description, *schema;
    json_t *(*call)(const struct visit *v, const json_t *arguments); /* NULL: takes time */
} tools[] = {
    {"echo", "Says the message back.",
     "{\"type\":\"object\",\"properties\":{\"message\":{\"type\":\"string\"}},"
     "\"required\":[\"message\"]}",
     do_echo},
    {"get-sum", "Adds two numbers.",
     "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"number\"},"
     "\"b\":{\"type\":\"number\"}},\"required\":[\"a\",\"b\"]}",
     do_sum},
    {"slow", "Takes steps times ms milliseconds and reports progress.",
     "{\"type\":\"object\",\"properties\":{\"steps\":{\"type\":\"integer\"},"
     "\"ms\":{\"type\":\"integer\"}}}",
     NULL},
    {"headers", "The names of the headers this request came with.", "{\"type\":\"object\"}",
     do_headers},
    {"fail", "Always fails.", "{\"type\":\"object\"}", do_fail},
};

json_t *tools_list(void)
{
    json_t *list = json_array();
    for (size_t i = 0; i < ARRAY_LEN(tools); i++)
        json_array_append_new(list, json_pack("{s:s,s:s,s:o}", "name", tools[i].name, "description",
                                              tools[i].description, "inputSchema",
                                              json_loads(tools[i].schema, 0, NULL)));
    return json_pack("{s:o}", "tools", list);
}

json_t *tools_call(const struct visit *v, const char *name, const json_t *arguments)
{
    for (size_t i = 0; i < ARRAY_LEN(tools); i++) {
        if (strcmp(tools[i].name, name) == 0)
            return tools[i].call ? tools[i].call(v, arguments) : NULL;
    }
    return NULL;
}

bool tools_takes_time(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(tools); i++) {
        if (strcmp(tools[i].name, name) == 0)
            return tools[i].call == NULL;
    }
    return false;
}
