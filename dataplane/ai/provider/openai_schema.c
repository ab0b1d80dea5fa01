/*
 * openai_schema — the same question asked of a schema and of all that stands in it.
 */
#include "dataplane/ai/provider/openai_schema.h"

static bool is_word(const json_t *v, const char *word)
{
    return json_is_string(v) && strcmp(json_string_value(v), word) == 0;
}

static bool is_required(const json_t *required, const char *name)
{
    const json_t *one;
    size_t i;
    json_array_foreach(required, i, one)
    {
        if (is_word(one, name))
            return true;
    }
    return false;
}

static bool is_object_schema(const json_t *s)
{
    return json_is_object(s) && (is_word(json_object_get(s, "type"), "object") ||
                                 json_is_object(json_object_get(s, "properties")));
}

/* What strict wants of each object: no other members, and every member required (dialects.md 2.3).
 */
bool openai_schema_is_strict(const json_t *s)
{
    const json_t *properties = json_object_get(s, "properties");
    const char *name;
    json_t *inner;
    size_t i;
    if (is_object_schema(s)) {
        if (!json_is_false(json_object_get(s, "additionalProperties")))
            return false;
        json_object_foreach((json_t *)(uintptr_t)properties, name, inner)
        {
            if (!is_required(json_object_get(s, "required"), name))
                return false;
        }
    }
    json_object_foreach((json_t *)(uintptr_t)s, name, inner)
    {
        if (!openai_schema_is_strict(inner))
            return false;
    }
    json_array_foreach(s, i, inner)
    {
        if (!openai_schema_is_strict(inner))
            return false;
    }
    return true;
}

bool openai_schema_is_open(const json_t *s)
{
    const json_t *more = json_object_get(s, "additionalProperties");
    const char *name;
    json_t *inner;
    size_t i;
    if (is_object_schema(s) && (json_is_object(more) || json_is_true(more)))
        return true;
    json_object_foreach((json_t *)(uintptr_t)s, name, inner)
    {
        if (openai_schema_is_open(inner))
            return true;
    }
    json_array_foreach(s, i, inner)
    {
        if (openai_schema_is_open(inner))
            return true;
    }
    return false;
}

void openai_schema_make_strict(json_t *s)
{
    const char *name;
    json_t *inner;
    size_t i;
    if (is_object_schema(s)) {
        json_t *all = json_array();
        json_object_foreach(json_object_get(s, "properties"), name, inner)
            json_array_append_new(all, json_string(name));
        json_object_set_new(s, "required", all);
        json_object_set_new(s, "additionalProperties", json_false());
    }
    json_object_foreach(s, name, inner) openai_schema_make_strict(inner);
    json_array_foreach(s, i, inner) openai_schema_make_strict(inner);
}
