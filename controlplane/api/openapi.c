/*
 * openapi — paths and parameters from the route table.
 */
#include "controlplane/api/openapi.h"

#include <ctype.h>
#include <stdio.h>

#include "common/trace/span_attributes.h"
#include "controlplane/api/cursor.h"
#include "controlplane/api/response_shape.h"
#include "controlplane/domain/nouns.h"
#include "controlplane/store/store_idempotency.h"

static json_t *ref_to(const char *schema)
{
    return json_pack("{s:o}", "$ref", json_sprintf("#/components/schemas/%s", schema));
}

static json_t *json_content(json_t *schema)
{
    return json_pack("{s:{s:o}}", "application/json", "schema", schema);
}

static json_t *parameter(const char *in, struct slice name, json_t *schema)
{
    return json_pack("{s:s#,s:s,s:b,s:o}", "name", name.ptr, (int)name.len, "in", in, "required",
                     strcmp(in, "path") == 0, "schema", schema);
}

/* Of a path, a query or a header: without control characters. */
static json_t *some_text(void)
{
    return json_pack("{s:s,s:i,s:s}", "type", "string", "minLength", 1, "pattern",
                     "^[^\\u0000-\\u001f\\u007f]+$");
}

/* An attribute of spans that is searched by number. */
static bool is_number_of_spans(struct slice name)
{
    size_t count;
    const struct span_attribute *rows = span_attributes_all(&count);
    for (size_t i = 0; i < count; i++)
        if (rows[i].type == SPAN_TYPE_SMALL && span_attribute_is_searched(&rows[i]) &&
            slice_eq(slice_str(rows[i].shown), name))
            return true;
    return false;
}

/* Names whose values are more than text. */
static json_t *query_schema(struct slice name, struct slice words)
{
    static const char *const times[] = {"since", "until", "from", "to"};
    for (size_t i = 0; i < ARRAY_LEN(times); i++)
        if (slice_eq(name, slice_str(times[i])))
            return json_pack("{s:s,s:s}", "type", "string", "format", "date-time");
    if (is_number_of_spans(name))
        return json_pack("{s:s,s:i,s:i}", "type", "integer", "minimum", 0, "maximum", INT32_MAX);
    json_t *schema = some_text();
    if (words.len > 0)
        json_object_set_new(schema, "enum", response_shape_words(words));
    return schema;
}

static void add_names(json_t *list, const char *names)
{
    struct slice rest = slice_str(names), name, words;
    while (names != NULL && route_query_next(&rest, &name, &words))
        json_array_append_new(list, parameter("query", name, query_schema(name, words)));
}

static json_t *filter_schema(const struct field *f)
{
    json_t *schema = some_text();
    if (f->type != FIELD_WORD)
        return schema;
    json_t *words = json_array();
    for (const char *const *w = f->words; *w != NULL; w++)
        json_array_append_new(words, json_string(*w));
    json_object_set_new(schema, "enum", words);
    return schema;
}

static void add_filters(json_t *list, const struct noun *n)
{
    add_names(list, "name");
    for (const struct field *f = n->fields; f->name != NULL; f++)
        if (field_filters(f))
            json_array_append_new(list, parameter("query", slice_str(f->name), filter_schema(f)));
}

static void add_list_parameters(json_t *list, const struct route *r)
{
    json_array_append_new(
        list, parameter("query", SLICE("limit"),
                        json_pack("{s:s,s:i,s:i,s:i}", "type", "integer", "minimum", 1, "maximum",
                                  CURSOR_LIMIT_MOST, "default", CURSOR_LIMIT_USUAL)));
    add_names(list, "cursor");
    if (r->noun != NULL)
        add_filters(list, r->noun);
}

static void add_write_parameters(json_t *list, const struct route *r)
{
    add_names(list, "wait=applied");
    if (strcmp(r->method, "POST") == 0)
        json_array_append_new(list,
                              parameter("header", SLICE("Idempotency-Key"),
                                        json_pack("{s:s,s:i,s:i}", "type", "string", "minLength", 1,
                                                  "maxLength", IDEMPOTENCY_KEY_MAX)));
    else
        json_array_append_new(list, parameter("header", SLICE("If-Match"), some_text()));
}

static json_t *parameters_of(const struct route *r)
{
    json_t *list = json_array();
    for (const char *p = strchr(r->path, '{'); p != NULL; p = strchr(p + 1, '{'))
        json_array_append_new(list,
                              parameter("path", slice_of(p + 1, strcspn(p + 1, "}")), some_text()));
    if ((r->flags & ROUTE_LIST) != 0)
        add_list_parameters(list, r);
    if ((r->flags & ROUTE_WRITE) != 0)
        add_write_parameters(list, r);
    add_names(list, r->query);
    return list;
}

static bool creates(const struct route *r)
{
    return strcmp(r->method, "POST") == 0 && (r->flags & ROUTE_BODY) != 0 && r->noun != NULL;
}

static json_t *good_response(const struct route *r)
{
    json_t *response = json_pack("{s:s}", "description", r->help);
    if (strcmp(r->method, "DELETE") == 0)
        return response;
    if ((r->flags & ROUTE_TEXT) != 0) {
        json_object_set_new(response, "content",
                            json_pack("{s:{s:{s:s}}}", "text/plain", "schema", "type", "string"));
        return response;
    }
    json_t *schema = r->schema != NULL ? ref_to(r->schema) : json_pack("{s:s}", "type", "object");
    if ((r->flags & ROUTE_LIST) != 0)
        schema =
            json_pack("{s:s,s:{s:{s:s,s:o},s:{s:[ss]}},s:[ss],s:b}", "type", "object", "properties",
                      "items", "type", "array", "items", schema, "next", "type", "string", "null",
                      "required", "items", "next", "additionalProperties", 0);
    json_object_set_new(response, "content", json_content(schema));
    return response;
}

static json_t *problem_response(void)
{
    return json_pack("{s:s,s:{s:{s:{s:s}}}}", "description", "refused or failed (RFC 9457)",
                     "content", "application/problem+json", "schema", "$ref",
                     "#/components/schemas/problem");
}

static json_t *responses_of(const struct route *r)
{
    const char *good = strcmp(r->method, "DELETE") == 0 ? "204" : creates(r) ? "201" : "200";
    json_t *responses = json_object();
    json_object_set_new(responses, good, good_response(r));
    if ((r->flags & ROUTE_LATER) != 0)
        json_object_set_new(responses, "202", good_response(r));
    json_object_set_new(responses, "default", problem_response());
    return responses;
}

/* "list_keys", "create_key", "get_mcp_server": unique, as the verb and the noun are. */
static json_t *operation_id(const struct route *r)
{
    static const struct {
        const char *method, *verb;
    } verbs[] = {{"GET", "get"},
                 {"POST", "create"},
                 {"PUT", "replace"},
                 {"PATCH", "change"},
                 {"DELETE", "delete"}};
    const char *verb = "";
    if (r->id != NULL)
        return json_string(r->id);
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        if (strcmp(r->method, verbs[i].method) == 0)
            verb = verbs[i].verb;
    bool is_list = (r->flags & ROUTE_LIST) != 0;
    char text[128];
    snprintf(text, sizeof(text), "%s_%s", is_list ? "list" : verb,
             is_list ? r->noun->plural : r->noun->name);
    for (char *p = text; *p != '\0'; p++)
        if (*p == '-')
            *p = '_';
    return json_string(text);
}

/* The segment behind "/admin/v1/", or what is not of the API proper. */
static struct slice tag_of(const struct route *r)
{
    static const char base[] = "/admin/v1/";
    if (strncmp(r->path, base, sizeof(base) - 1) != 0 || strchr(r->path, '.') != NULL)
        return SLICE("installation");
    const char *segment = r->path + sizeof(base) - 1;
    return slice_of(segment, strcspn(segment, "/"));
}

/* "an agent", "an mcp-server": by its sound */
static const char *article(const char *noun)
{
    return strchr("aeio", noun[0]) != NULL || strncmp(noun, "mcp", 3) == 0 ? "an" : "a";
}

/* NULL: it has none. An action takes an empty object. */
static json_t *body_schema(const struct route *r)
{
    if ((r->flags & ROUTE_ANY_BODY) != 0)
        return json_pack("{s:s,s:{},s:b}", "type", "object", "properties", "additionalProperties",
                         0);
    if ((r->flags & ROUTE_BODY) == 0)
        return NULL;
    if ((r->flags & ROUTE_FOREIGN_BODY) != 0)
        return json_pack("{s:s,s:s}", "type", "object", "description",
                         "a request as a client would send it");
    if (r->noun == NULL)
        return ref_to("enrolment-request");
    if (strcmp(r->method, "PATCH") != 0)
        return ref_to(r->noun->name);
    return json_pack("{s:o}", "$ref", json_sprintf("#/components/schemas/%s-patch", r->noun->name));
}

static json_t *operation(const struct route *r)
{
    json_t *summary = (r->flags & ROUTE_PUBLIC) == 0 && r->noun != NULL && creates(r)
                          ? json_sprintf("%s %s %s", r->help, article(r->noun->name), r->noun->name)
                          : json_string(r->help);
    struct slice tag = tag_of(r);
    json_t *op = json_pack("{s:o,s:[s#],s:o,s:o,s:o}", "operationId", operation_id(r), "tags",
                           tag.ptr, (int)tag.len, "summary", summary, "parameters",
                           parameters_of(r), "responses", responses_of(r));
    json_t *body = body_schema(r);
    if (body != NULL)
        json_object_set_new(op, "requestBody",
                            json_pack("{s:b,s:o}", "required", (r->flags & ROUTE_BODY) != 0,
                                      "content", json_content(body)));
    json_object_set_new(op, "security",
                        (r->flags & ROUTE_PUBLIC) != 0 ? json_array()
                                                       : json_pack("[{s:[]}]", "token"));
    return op;
}

static json_t *paths_of(const struct route *rows, size_t count)
{
    json_t *paths = json_object();
    for (size_t i = 0; i < count; i++) {
        char method[8];
        json_t *path = json_object_get(paths, rows[i].path);
        if (path == NULL) {
            json_object_set_new(paths, rows[i].path, json_object());
            path = json_object_get(paths, rows[i].path);
        }
        size_t n = strlen(rows[i].method);
        for (size_t k = 0; k <= n && k < sizeof(method); k++)
            method[k] = (char)tolower((unsigned char)rows[i].method[k]);
        json_object_set_new(path, method, operation(&rows[i]));
    }
    return paths;
}

static json_t *schemas(void)
{
    size_t count = 0;
    const struct noun *const *nouns = noun_all(&count);
    json_t *all = json_object();
    for (size_t i = 0; i < count; i++) {
        char patch[64];
        snprintf(patch, sizeof(patch), "%s-patch", nouns[i]->name);
        json_object_set_new(all, nouns[i]->name, openapi_noun(nouns[i]));
        json_object_set_new(all, patch, openapi_noun_patch(nouns[i]));
    }
    json_object_set_new(all, "enrolment-request",
                        json_pack("{s:s,s:{s:o,s:o},s:[ss]}", "type", "object", "properties",
                                  "token", some_text(), "csr", some_text(), "required", "token",
                                  "csr"));
    const struct response_shape *shapes = response_shapes(&count);
    for (size_t i = 0; i < count; i++)
        json_object_set_new(all, shapes[i].name, response_shape_schema(&shapes[i]));
    return all;
}

/* Each once, in the order of the table. */
static json_t *tags_of(const struct route *rows, size_t count)
{
    json_t *list = json_array(), *seen = json_object();
    for (size_t i = 0; i < count; i++) {
        struct slice tag = tag_of(&rows[i]);
        json_t *name = json_from(tag);
        if (json_object_get(seen, json_string_value(name)) == NULL) {
            json_t *row = json_pack("{s:O}", "name", name);
            if (rows[i].noun != NULL && rows[i].noun->help != NULL)
                json_object_set_new(row, "description", json_string(rows[i].noun->help));
            json_array_append_new(list, row);
            json_object_set_new(seen, json_string_value(name), json_true());
        }
        json_decref(name);
    }
    json_decref(seen);
    return list;
}

json_t *openapi_document(const struct route *rows, size_t count)
{
    return json_pack("{s:s,s:{s:s,s:s},s:o,s:o,s:{s:o,s:{s:{s:s,s:s}}}}", "openapi", "3.1.0",
                     "info", "title", "Gatehouse administration", "version", "1", "tags",
                     tags_of(rows, count), "paths", paths_of(rows, count), "components", "schemas",
                     schemas(), "securitySchemes", "token", "type", "http", "scheme", "bearer");
}
