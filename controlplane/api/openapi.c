/*
 * openapi — paths and parameters from the route table.
 */
#include "controlplane/api/openapi.h"

#include <ctype.h>
#include <stdio.h>

#include "controlplane/api/admin_routes.h"
#include "controlplane/api/response_shape.h"
#include "controlplane/domain/nouns.h"

static json_t *ref_to(const char *schema)
{
    return json_pack("{s:o}", "$ref", json_sprintf("#/components/schemas/%s", schema));
}

static json_t *json_content(json_t *schema)
{
    return json_pack("{s:{s:o}}", "application/json", "schema", schema);
}

static json_t *parameter(const char *in, const char *name, int name_len, const char *type)
{
    return json_pack("{s:s#,s:s,s:b,s:{s:s}}", "name", name, name_len, "in", in, "required",
                     strcmp(in, "path") == 0, "schema", "type", type);
}

static void add_names(json_t *list, const char *names)
{
    struct slice rest = slice_str(names), name, words;
    while (names != NULL && route_query_next(&rest, &name, &words)) {
        json_t *one = parameter("query", name.ptr, (int)name.len, "string");
        if (words.len > 0)
            json_object_set_new(json_object_get(one, "schema"), "enum",
                                response_shape_words(words));
        json_array_append_new(list, one);
    }
}

static void add_filters(json_t *list, const struct noun *n)
{
    add_names(list, "name");
    for (const struct field *f = n->fields; f->name != NULL; f++)
        if (field_filters(f))
            add_names(list, f->name);
}

static json_t *parameters_of(const struct route *r)
{
    json_t *list = json_array();
    for (const char *p = strchr(r->path, '{'); p != NULL; p = strchr(p + 1, '{'))
        json_array_append_new(list, parameter("path", p + 1, (int)strcspn(p + 1, "}"), "string"));
    if ((r->flags & ROUTE_LIST) != 0) {
        json_array_append_new(list, parameter("query", "limit", 5, "integer"));
        add_names(list, "cursor");
        if (r->noun != NULL)
            add_filters(list, r->noun);
    }
    if ((r->flags & ROUTE_WRITE) != 0) {
        add_names(list, "wait");
        if (strcmp(r->method, "POST") == 0)
            json_array_append_new(list, parameter("header", "Idempotency-Key", 15, "string"));
        else
            json_array_append_new(list, parameter("header", "If-Match", 8, "string"));
    }
    add_names(list, r->query);
    return list;
}

static bool creates(const struct route *r)
{
    return strcmp(r->method, "POST") == 0 && (r->flags & ROUTE_BODY) != 0 && r->noun != NULL;
}

static json_t *good_answer(const struct route *r)
{
    json_t *answer = json_pack("{s:s}", "description", r->help);
    if (strcmp(r->method, "DELETE") == 0)
        return answer;
    if ((r->flags & ROUTE_TEXT) != 0) {
        json_object_set_new(answer, "content",
                            json_pack("{s:{s:{s:s}}}", "text/plain", "schema", "type", "string"));
        return answer;
    }
    json_t *schema = r->schema != NULL ? ref_to(r->schema) : json_pack("{s:s}", "type", "object");
    if ((r->flags & ROUTE_LIST) != 0)
        schema =
            json_pack("{s:s,s:{s:{s:s,s:o},s:{s:[ss]}}}", "type", "object", "properties", "items",
                      "type", "array", "items", schema, "next", "type", "string", "null");
    json_object_set_new(answer, "content", json_content(schema));
    return answer;
}

static json_t *problem_answer(void)
{
    return json_pack("{s:s,s:{s:{s:{s:s}}}}", "description", "refused or failed (RFC 9457)",
                     "content", "application/problem+json", "schema", "$ref",
                     "#/components/schemas/problem");
}

static json_t *answers_of(const struct route *r)
{
    const char *good = strcmp(r->method, "DELETE") == 0 ? "204" : creates(r) ? "201" : "200";
    json_t *answers = json_object();
    json_object_set_new(answers, good, good_answer(r));
    if ((r->flags & ROUTE_LATER) != 0)
        json_object_set_new(answers, "202", good_answer(r));
    json_object_set_new(answers, "default", problem_answer());
    return answers;
}

/* "post_keys_id_revoke": unique, as method and path are */
static json_t *operation_id(const struct route *r)
{
    char text[128];
    size_t n = 0;
    for (const char *p = r->method; *p != '\0'; p++)
        text[n++] = (char)tolower((unsigned char)*p);
    bool gap = true;
    for (const char *p = r->path; *p != '\0' && n + 2 < sizeof(text); p++) {
        if (!isalnum((unsigned char)*p)) {
            gap = true;
            continue;
        }
        if (gap)
            text[n++] = '_';
        gap = false;
        text[n++] = *p;
    }
    return json_stringn(text, n);
}

/* "an agent", "an mcp-server": by its sound */
static const char *article(const char *noun)
{
    return strchr("aeio", noun[0]) != NULL || strncmp(noun, "mcp", 3) == 0 ? "an" : "a";
}

static json_t *operation(const struct route *r)
{
    json_t *summary = (r->flags & ROUTE_PUBLIC) == 0 && r->noun != NULL && creates(r)
                          ? json_sprintf("%s %s %s", r->help, article(r->noun->name), r->noun->name)
                          : json_string(r->help);
    json_t *op = json_pack("{s:o,s:o,s:o,s:o}", "operationId", operation_id(r), "summary", summary,
                           "parameters", parameters_of(r), "responses", answers_of(r));
    if ((r->flags & ROUTE_BODY) != 0) {
        json_t *schema = r->noun != NULL && strcmp(r->method, "PATCH") != 0
                             ? ref_to(r->noun->name)
                             : json_pack("{s:s}", "type", "object");
        json_object_set_new(op, "requestBody",
                            json_pack("{s:b,s:o}", "required", 1, "content", json_content(schema)));
    }
    json_object_set_new(op, "security",
                        (r->flags & ROUTE_PUBLIC) != 0 ? json_array()
                                                       : json_pack("[{s:[]}]", "token"));
    return op;
}

static json_t *paths_of_table(void)
{
    size_t count = 0;
    const struct route *rows = routes_all(&count);
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
    for (size_t i = 0; i < count; i++)
        json_object_set_new(all, nouns[i]->name, openapi_fields(nouns[i]));
    const struct response_shape *shapes = response_shapes(&count);
    for (size_t i = 0; i < count; i++)
        json_object_set_new(all, shapes[i].name, response_shape_schema(&shapes[i]));
    return all;
}

json_t *openapi_document(void)
{
    return json_pack("{s:s,s:{s:s,s:s},s:o,s:{s:o,s:{s:{s:s,s:s}}}}", "openapi", "3.1.0", "info",
                     "title", "Gatehouse administration", "version", "1", "paths", paths_of_table(),
                     "components", "schemas", schemas(), "securitySchemes", "token", "type", "http",
                     "scheme", "bearer");
}

enum err openapi_get(struct call *c)
{
    json_t *document = openapi_document();
    return call_answer(c, 200, &document);
}
