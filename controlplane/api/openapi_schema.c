/*
 * openapi_schema — field rows as JSON Schema.
 */
#include "controlplane/api/object_hook.h"
#include "controlplane/api/openapi.h"
#include "controlplane/domain/noun.h"

/* How a document is read: as a whole, or as a patch that names some of it. */
enum reading_as { AS_WHOLE, AS_PATCH };

static json_t *object_schema(const struct field *fields, enum reading_as as);

static void add_pattern(json_t *s, const char *pattern)
{
    if (pattern != NULL)
        json_object_set_new(s, "pattern", json_string(pattern));
}

static json_t *text_schema(const struct field *f)
{
    json_t *s = json_pack("{s:s}", "type", "string");
    if (f->min > 0)
        json_object_set_new(s, "minLength", json_integer(f->min));
    json_object_set_new(s, "maxLength", json_integer(f->max > 0 ? f->max : FIELD_TEXT_MOST));
    add_pattern(s, f->pattern != NULL ? f->pattern : noun_rule_pattern(f->rule));
    return s;
}

/* Numbers and strings alike; a keyword applies to its type only. */
static json_t *dollars_schema(const char *pattern, const char *help)
{
    return json_pack("{s:[ss],s:i,s:i,s:s,s:s}", "type", "number", "string", "minimum", 0,
                     "maximum", FIELD_DOLLARS_MOST, "pattern", pattern, "description", help);
}

#define NO_CONTROLS "^[^\\u0000-\\u001f\\u007f]+$"
/* Names and IPv4 addresses; an IPv6 address in brackets. */
#define URL_PATTERN                                                                                \
    "^[hH][tT][tT][pP][sS]?://([A-Za-z0-9._\\x2d]+|\\[[0-9A-Fa-f:.]+\\])(:[0-9]{1,5})?(/"          \
    "[^?#\\u0000-\\u0020\\u007f]*)?$"
/* "{region}" may be a part of the host's name. */
#define REGIONAL_URL_PATTERN                                                                       \
    "^[hH][tT][tT][pP][sS]?://(([A-Za-z0-9._\\x2d]|\\{region\\})+|\\[[0-9A-Fa-f:.]+\\])"           \
    "(:[0-9]{1,5})?(/[^?#\\u0000-\\u0020\\u007f]*)?$"
#define CIDR_PATTERN "^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$"

static json_t *word_schema(const struct field *f)
{
    json_t *words = json_array();
    for (const char *const *w = f->words; *w != NULL; w++)
        json_array_append_new(words, json_string(*w));
    return json_pack("{s:s,s:o}", "type", "string", "enum", words);
}

static json_t *pairs_schema(const struct field *f)
{
    json_t *names = json_pack("{s:s}", "type", "string");
    add_pattern(names, f->pattern);
    json_t *s = json_pack("{s:s,s:o,s:{s:s,s:I,s:I},s:I}", "type", "object", "propertyNames", names,
                          "additionalProperties", "type", "string", "minLength", (json_int_t)f->min,
                          "maxLength", (json_int_t)f->max, "maxProperties", (json_int_t)f->most);
    if (f->least > 0)
        json_object_set_new(s, "minProperties", json_integer(f->least));
    return s;
}

static json_t *one_schema(const struct field *f, enum reading_as as)
{
    switch (f->type) {
    case FIELD_TEXT:
        return text_schema(f);
    case FIELD_INT:
        return json_pack("{s:s,s:I,s:I}", "type", "integer", "minimum", (json_int_t)f->min,
                         "maximum", (json_int_t)f->max);
    case FIELD_NUMBER:
        return json_pack("{s:s,s:I,s:I}", "type", "number", "minimum", (json_int_t)f->min,
                         "maximum", (json_int_t)f->max);
    case FIELD_BOOL:
        return json_pack("{s:s}", "type", "boolean");
    case FIELD_MONEY:
        return dollars_schema("^(0|[1-9][0-9]{0,8})(\\.[0-9]{1,9})?$",
                              "US dollars; a string with nine decimals in responses");
    case FIELD_PRICE:
        return dollars_schema("^(0|[1-9][0-9]{0,8})(\\.[0-9]{1,6})?$",
                              "US dollars per million tokens; a decimal string in responses");
    case FIELD_TIME:
        return json_pack("{s:s,s:s}", "type", "string", "format", "date-time");
    case FIELD_WORD:
        return word_schema(f);
    case FIELD_URL:
        if ((f->flags & FIELD_WITH_REGION) != 0)
            return json_pack("{s:s,s:i,s:s}", "type", "string", "maxLength", FIELD_TEXT_MOST,
                             "pattern", REGIONAL_URL_PATTERN);
        return json_pack("{s:s,s:s,s:i,s:s}", "type", "string", "format", "uri", "maxLength",
                         FIELD_TEXT_MOST, "pattern", URL_PATTERN);
    case FIELD_CIDR:
        return json_pack("{s:s,s:s,s:s}", "type", "string", "pattern", CIDR_PATTERN, "description",
                         "a network: 10.0.0.0/8");
    case FIELD_SECRET:
        return json_pack("{s:s,s:b,s:i,s:i,s:i,s:s}", "type", "string", "writeOnly", 1, "minLength",
                         1, "maxLength", FIELD_SECRET_MOST, "x-gatehouse-max-bytes",
                         FIELD_SECRET_MOST, "pattern", NO_CONTROLS);
    case FIELD_REF:
        return json_pack("{s:s,s:i,s:s,s:s}", "type", "string", "minLength", 1, "pattern",
                         NO_CONTROLS, "x-gatehouse-ref", f->ref);
    case FIELD_OBJECT:
        return object_schema(f->fields, as);
    case FIELD_PAIRS:
        return pairs_schema(f);
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

/* null takes a member away (RFC 7396); a word list must then name it too. */
static void allow_null(json_t *s)
{
    json_t *type = json_object_get(s, "type"), *words = json_object_get(s, "enum");
    if (json_is_string(type))
        json_object_set_new(s, "type", json_pack("[O,s]", type, "null"));
    else if (json_is_array(type))
        json_array_append_new(type, json_string("null"));
    if (words != NULL)
        json_array_append_new(words, json_null());
}

/* The entries of a list are whole even in a patch: it replaces the list. */
static json_t *field_schema(const struct field *f, enum reading_as as)
{
    bool is_list = (f->flags & FIELD_LIST) != 0;
    json_t *s = one_schema(f, is_list ? AS_WHOLE : as);
    if (is_list)
        s = list_schema(f, s);
    if (f->help != NULL)
        json_object_set_new(s, "description", json_string(f->help));
    if ((f->flags & FIELD_READ_ONLY) != 0)
        json_object_set_new(s, "readOnly", json_true());
    if ((f->flags & FIELD_HIDDEN) != 0)
        json_object_set_new(s, "writeOnly", json_true());
    if ((f->flags & FIELD_NOT_ENFORCED) != 0)
        json_object_set_new(s, "x-gatehouse-not-enforced", json_true());
    if (f->default_json != NULL && as == AS_WHOLE)
        json_object_set_new(s, "default", json_loads(f->default_json, JSON_DECODE_ANY, NULL));
    if (as == AS_PATCH && (f->flags & (FIELD_READ_ONLY | FIELD_REQUIRED)) == 0)
        allow_null(s);
    return s;
}

/* Of two rows of one name the first has the wider schema; the other says what it is then. */
static void add_other_row(json_t *schema, const struct field *f)
{
    const char *first = json_string_value(json_object_get(schema, "description"));
    json_object_set_new(schema, "description",
                        json_sprintf("%s; %s", first ? first : "", f->help ? f->help : ""));
}

static json_t *object_schema(const struct field *fields, enum reading_as as)
{
    json_t *properties = json_object(), *required = json_array();
    for (const struct field *f = fields; f->name != NULL; f++) {
        if (json_object_get(properties, f->name) != NULL) {
            add_other_row(json_object_get(properties, f->name), f);
            continue;
        }
        json_object_set_new(properties, f->name, field_schema(f, as));
        char set[FIELD_SET_NAME_MAX];
        if (f->type == FIELD_SECRET)
            json_object_set_new(properties, field_set_name(f, set),
                                json_pack("{s:s,s:b}", "type", "boolean", "readOnly", 1));
        if ((f->flags & FIELD_REQUIRED) != 0 && as == AS_WHOLE)
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

#define NAME_BYTES 128 /* of noun_label_rule */

static json_t *name_schema(const struct noun *n)
{
    json_t *s = json_pack("{s:s,s:i,s:i,s:i}", "type", "string", "minLength", 1, "maxLength",
                          NAME_BYTES, "x-gatehouse-max-bytes", NAME_BYTES);
    if ((n->flags & (NOUN_UNNAMED | NOUN_NAME_STAYS)) != 0)
        json_object_set_new(s, "readOnly", json_true());
    else
        add_pattern(s, noun_rule_pattern(n->name_rule != NULL ? n->name_rule : noun_label_rule));
    return s;
}

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
    json_object_set_new(properties, "name", name_schema(n));
    for (const struct field *f = n->fields; f->name != NULL; f++) {
        if (f->type != FIELD_REF || (f->flags & FIELD_LIST) != 0)
            continue;
        json_t *name = json_sprintf("%s_id", f->name);
        json_object_set_new(properties, json_string_value(name),
                            json_pack("{s:s,s:b}", "type", "string", "readOnly", 1));
        json_decref(name);
    }
}

/* Members that only the response to a creation shows. */
static void add_once(const struct noun *n, json_t *properties)
{
    const struct object_hook *hook = object_hook_find(n);
    for (size_t i = 0; hook != NULL && i < ARRAY_LEN(hook->once) && hook->once[i] != NULL; i++)
        json_object_set_new(properties, hook->once[i],
                            json_pack("{s:s,s:b,s:s}", "type", "string", "readOnly", 1,
                                      "description", "shown once, when it is made"));
}

json_t *openapi_noun(const struct noun *n)
{
    json_t *schema = object_schema(n->fields, AS_WHOLE);
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

json_t *openapi_noun_patch(const struct noun *n)
{
    json_t *schema = object_schema(n->fields, AS_PATCH);
    add_common(n, schema);
    json_object_set_new(schema, "description",
                        json_sprintf("what may be merged into a %s (RFC 7396)", n->name));
    return schema;
}
