/*
 * json — jansson made strict: its failures become ours, its allocations go through mem.
 */
#include "common/base/json.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/json_private.h"
#include "common/base/limits.h"
#include "common/base/mem.h"

/* jansson's lexer ignores a failed allocation and drops the character: a tree read while the
 * heap was empty may hold other values than the text. So every failure is remembered here. */
static _Thread_local bool starved;

static void *counted_alloc(size_t size)
{
    void *ptr = mem_alloc(size);
    if (!ptr)
        starved = true;
    return ptr;
}

__attribute__((constructor)) static void use_mem(void)
{
    json_set_alloc_funcs(counted_alloc, mem_free);
}

/* jansson's own ceiling is 2048 and fixed; only brackets outside strings count */
static bool is_too_deep(struct slice text)
{
    size_t depth = 0;
    bool inside = false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (inside) {
            i += c == '\\';
            inside = c != '"';
        } else if (c == '"') {
            inside = true;
        } else if (c == '{' || c == '[') {
            if (++depth > LIMIT_JSON_DEPTH)
                return true;
        } else if ((c == '}' || c == ']') && depth) {
            depth--;
        }
    }
    return false;
}

static const char *sentence(enum json_error_code code)
{
    switch (code) {
    case json_error_premature_end_of_input:
        return "the JSON text ends too early";
    case json_error_end_of_input_expected:
        return "something stands behind the JSON text";
    case json_error_invalid_utf8:
        return "the JSON text is not valid UTF-8";
    case json_error_null_character:
    case json_error_null_byte_in_key:
        return "a JSON string holds the character U+0000";
    case json_error_duplicate_key:
        return "a member stands twice in one JSON object";
    case json_error_numeric_overflow:
        return "a JSON number is out of range";
    default:
        return "the JSON text is malformed";
    }
}

/* Of jansson's own text only the name of a duplicate member is repeated: the rest quotes values. */
static struct slice duplicate_name(const json_error_t *error)
{
    const char *from = strstr(error->text, "near '\"");
    const char *to = strrchr(error->text, '"');
    if (!from || to <= from + 6)
        return SLICE_NONE;
    return slice_of(from + 7, (size_t)(to - from - 7));
}

static void explain(const json_error_t *error, struct json_problem *problem)
{
    enum json_error_code code = json_error_code(error);
    struct slice name = code == json_error_duplicate_key ? duplicate_name(error) : SLICE_NONE;
    if (name.len)
        snprintf(problem->text, sizeof(problem->text), "duplicate member \"%.*s\"",
                 SLICE_ARG(name));
    else
        snprintf(problem->text, sizeof(problem->text), "%s (line %d, column %d)", sentence(code),
                 error->line, error->column);
}

/* Of texts that json_build does not take, nearly all are wrong. */
static enum err read_slowly(struct slice text, json_t **ret, struct json_problem *problem)
{
    if (is_too_deep(text)) {
        snprintf(problem->text, sizeof(problem->text), "the JSON text nests deeper than %d",
                 LIMIT_JSON_DEPTH);
        return ERR_INVALID;
    }
    /* jansson loses a NUL behind a number: it reads "[1\0]" as [1], and others do not. */
    if (text.len && memchr(text.ptr, '\0', text.len)) {
        snprintf(problem->text, sizeof(problem->text), "the JSON text holds a NUL byte");
        return ERR_INVALID;
    }
    json_error_t error;
    starved = false;
    json_t *tree = json_loadb(text.ptr ? text.ptr : "", text.len,
                              JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (starved) {
        json_decref(tree);
        snprintf(problem->text, sizeof(problem->text), "out of memory");
        return ERR_NOMEM;
    }
    if (!tree) {
        explain(&error, problem);
        return ERR_INVALID;
    }
    *ret = tree;
    return ERR_OK;
}

enum err json_read(struct slice text, json_t **ret, struct json_problem *problem)
{
    enum err e = json_build(text, ret);
    if (e == ERR_NOMEM)
        snprintf(problem->text, sizeof(problem->text), "out of memory");
    return e == ERR_INVALID ? read_slowly(text, ret, problem) : e;
}

struct slice json_text(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    if (!json_is_string(value))
        return SLICE_NONE;
    return slice_of(json_string_value(value), json_string_length(value));
}

json_t *json_from(struct slice s)
{
    return json_stringn(s.ptr ? s.ptr : "", s.len);
}

void json_set_text(json_t *object, const char *name, struct slice s)
{
    if (s.ptr)
        json_object_set_new(object, name, json_from(s));
}

/* the shortest decimal that reads back as the same double: what the sender wrote, up to 15
 * digits */
size_t json_real_text(double value, char out[static JSON_REAL_MAX])
{
    int len = 0;
    for (int digits = 15; digits <= 17; digits++) {
        len = snprintf(out, JSON_REAL_MAX, "%.*g", digits, value);
        if (strtod(out, NULL) == value)
            break;
    }
    return (size_t)len;
}
