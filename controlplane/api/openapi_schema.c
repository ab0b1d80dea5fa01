/*
 * openapi_schema — field rows as JSON Schema.
 */
#include "controlplane/api/object_hook.h"
#include "controlplane/api/openapi.h"
#include "controlplane/domain/noun.h"

static json_t *object_schema(const struct field *fields);

static json_t *text_schema(const struct field *f)
{
    json_t *s = json_pack("{s:s}", "type", "string");
    if (f->min > 0)
        json_object_set_new(s, "minLength", json_integer(f->min));
    json_object_set_new(s, "maxLength", json_integer(f->max > 0 ? f->max : FIELD_TEXT_MOST));
    return s;
}

static json_t *word_schema(const struct field *f)
{
    json_t *words = json_array();
    for (const char *const *w = f->words; *w != NULL; w++)
        json_array_append_new(words, json_string(*w));
    return json_pack("{s:s,s:o}", "type", "string", "enum", words);
}

static json_t *one_schema(const struct field *f)
{
    switch (f->type) {
    case FIELD_TEXT:
        return text_schema(f);
    case FIELD_INT:
        return json_pack("{s:s,s:I,s:I}", "type", "integer", "minimum", (json_int_t)f->min,
                         "maximum", (json_int_t)f->max);
    case FIELD_BOOL:
        return json_pack("{s:s}", "type", "boolean");
    case FIELD_MONEY:
        return json_pack("{s:[ss],s:s}", "type", "number", "string", "description",
                         "US dollars; a string with nine decimals in answers");
    case FIELD_PRICE:
        return json_pack("{s:[ss],s:s}", "type", "number", "string", "description",
                         "US dollars per million tokens; a decimal string in answers");
    case FIELD_TIME:
        return json_pack("{s:s,s:s}", "type", "string", "format", "date-time");
    case FIELD_WORD:
        return word_schema(f);
    case FIELD_URL:
        return json_pack("{s:s,s:s}", "type", "string", "format", "uri");
    case FIELD_CIDR:
        return json_pack("{s:s,s:s}", "type", "string", "description", "a network: 10.0.0.0/8");
    case FIELD_SECRET:
        return json_pack("{s:s,s:b,s:i}", "type", "string", "writeOnly", 1, "maxLength",
                         FIELD_SECRET_MOST);
    case FIELD_REF:
        return json_pack("{s:s,s:s}", "type", "string", "x-gatehouse-ref", f->ref);
    case FIELD_OBJECT:
        return object_schema(f->fields);
    case FIELD_JSON:
        break;
    }
    return json_object();
}

static json_t *list_schema(const struct field *f, json_t *items)
{
    json_t *s = json_pack("{s:s,s:o,s:b}", "type", "array", "items", items, "uniqueItems", 1);
    if (f->least > 0)
        json_object_set_new(s, "minItems", json_integer(f->least));
    json_object_set_new(s, "maxItems", json_integer(f->most > 0 ? f->most : FIELD_LIST_MOST));
    return s;
}

static json_t *field_schema(const struct field *f)
{
    json_t *s = one_schema(f);
    if ((f->flags & FIELD_LIST) != 0)
        s = list_schema(f, s);
    if (f->help != NULL)
        json_object_set_new(s, "description", json_string(f->help));
    if ((f->flags & FIELD_READ_ONLY) != 0)
        json_object_set_new(s, "readOnly", json_true());
    if ((f->flags & FIELD_HIDDEN) != 0)
        json_object_set_new(s, "writeOnly", json_true());
    if ((f->flags & FIELD_NOT_ENFORCED) != 0)
        json_object_set_new(s, "x-gatehouse-not-enforced", json_true());
    if (f->default_json != NULL)
        json_object_set_new(s, "default", json_loads(f->default_json, JSON_DECODE_ANY, NULL));
    return s;
}

static json_t *object_schema(const struct field *fields)
{
    json_t *properties = json_object(), *required = json_array();
    for (const struct field *f = fields; f->name != NULL; f++) {
        json_object_set_new(properties, f->name, field_schema(f));
        if (f->type == FIELD_SECRET)
            json_object_set_new(properties, "secret_set",
                                json_pack("{s:s,s:b}", "type", "boolean", "readOnly", 1));
        if ((f->flags & FIELD_REQUIRED) != 0)
            json_array_append_new(required, json_string(f->name));
    }
    json_t *s = json_pack("{s:s,s:o,s:b}", "type", "object", "properties", properties,
                          "additionalProperties", 0);
    if (json_array_size(required) > 0)
        json_object_set(s, "required", required);
    json_decref(required);
    return s;
}

static const struct {
    const char *name, *type, *format;
} common[] = {
    {"id", "string", NULL},
    {"created_at", "string", "date-time"},
    {"updated_at", "string", "date-time"},
    {"revision", "integer", NULL},
};

static void add_common(const struct noun *n, json_t *schema)
{
    json_t *properties = json_object_get(schema, "properties");
    for (size_t i = 0; i < ARRAY_LEN(common); i++) {
        json_t *s = json_pack("{s:s,s:b}", "type", common[i].type, "readOnly", 1);
        if (common[i].format != NULL)
            json_object_set_new(s, "format", json_string(common[i].format));
        json_object_set_new(properties, common[i].name, s);
    }
    json_object_set_new(properties, "not_enforced",
                        json_pack("{s:s,s:{s:s},s:b,s:s}", "type", "array", "items", "type",
                                  "string", "readOnly", 1, "description",
                                  "fields that are stored and have no effect yet"));
    bool unnamed = (n->flags & NOUN_UNNAMED) != 0;
    json_object_set_new(
        properties, "name",
        json_pack("{s:s,s:i,s:b}", "type", "string", "maxLength", 128, "readOnly", unnamed));
    for (const struct field *f = n->fields; f->name != NULL; f++) {
        if (f->type != FIELD_REF || (f->flags & FIELD_LIST) != 0)
            continue;
        json_t *name = json_sprintf("%s_id", f->name);
        json_object_set_new(properties, json_string_value(name),
                            json_pack("{s:s,s:b}", "type", "string", "readOnly", 1));
        json_decref(name);
    }
}

/* What only the answer to its making shows. */
static void add_once(const struct noun *n, json_t *properties)
{
    const struct object_hook *hook = object_hook_find(n);
    for (size_t i = 0; hook != NULL && i < ARRAY_LEN(hook->once) && hook->once[i] != NULL; i++)
        json_object_set_new(properties, hook->once[i],
                            json_pack("{s:s,s:b,s:s}", "type", "string", "readOnly", 1,
                                      "description", "shown once, when it is made"));
}

json_t *openapi_fields(const struct noun *n)
{
    json_t *schema = object_schema(n->fields);
    add_common(n, schema);
    add_once(n, json_object_get(schema, "properties"));
    if ((n->flags & (NOUN_UNNAMED | NOUN_NAME_REPEATS)) == 0) {
        json_t *required = json_object_get(schema, "required");
        if (required == NULL) {
            json_object_set_new(schema, "required", json_array());
            required = json_object_get(schema, "required");
        }
        json_array_append_new(required, json_string("name"));
    }
    if (n->help != NULL)
        json_object_set_new(schema, "description", json_string(n->help));
    return schema;
}
