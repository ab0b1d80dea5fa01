/*
 * admin_call — reads a request's query, builds its response, and writes problems (RFC 9457).
 */
#include "controlplane/api/admin_call.h"

#include <stdarg.h>
#include <stdio.h>

#include "common/base/secret.h"
#include "common/base/utf8.h"
#include "common/net/http1.h"

void call_init(struct call *c, const struct app *app)
{
    *c = (struct call){.app = app, .content_type = "application/json"};
    buf_init(&c->response, CALL_RESPONSE_MAX);
}

void call_fini(struct call *c)
{
    json_decref(c->body);
    buf_fini(&c->text);
    if (c->response.data != NULL)
        secret_wipe(c->response.data, c->response.cap); /* it may hold a new key or token */
    buf_fini(&c->response);
}

struct slice call_query(const struct call *c, const char *name)
{
    for (size_t i = 0; i < c->query_count; i++)
        if (slice_eq(c->query[i].name, slice_str(name)))
            return c->query[i].value;
    return SLICE_NONE;
}

enum err call_query_number(struct call *c, const char *name, uint64_t least, uint64_t most,
                           uint64_t otherwise, uint64_t *ret)
{
    struct slice text = call_query(c, name);
    uint64_t n = otherwise;
    if (text.ptr != NULL && (slice_u64(text, &n) != ERR_OK || n < least || n > most)) {
        (void)call_problem(c, PROBLEM_BAD_PARAMETER, "?%s= must be a number within %llu to %llu",
                           name, (unsigned long long)least, (unsigned long long)most);
        return ERR_INVALID;
    }
    *ret = n;
    return ERR_OK;
}

enum err call_respond(struct call *c, unsigned status, json_t **tree)
{
    buf_clear(&c->response);
    enum err e = *tree != NULL ? json_write(*tree, &c->response) : ERR_NOMEM;
    json_decref(*tree);
    *tree = NULL;
    if (e == ERR_OK)
        c->status = status;
    return e;
}

void call_header(struct call *c, const char *name, const char *fmt, ...)
{
    MUST(c->header_count < CALL_HEADERS_MAX);
    struct call_header *h = &c->headers[c->header_count++];
    va_list args;
    h->name = name;
    va_start(args, fmt);
    vsnprintf(h->value, sizeof(h->value), fmt, args);
    va_end(args);
}

static enum err problem(struct call *c, enum problem_id id, const char *detail, json_t *extra)
{
    const struct problem_row *row = problem_row(id);
    json_t *tree = json_pack("{s:s,s:s,s:i,s:s,s:s}", "type", "about:blank", "title",
                             http1_reason(row->status), "status", (int)row->status, "code",
                             row->code, "detail", detail);
    if (tree != NULL && c->request_id[0] != '\0')
        json_object_set_new(tree, "request_id", json_string(c->request_id));
    if (tree != NULL && extra != NULL)
        json_object_update(tree, extra);
    json_decref(extra);
    enum err e = call_respond(c, row->status, &tree);
    c->content_type = "application/problem+json";
    c->version = 0;
    return e;
}

enum err call_problem(struct call *c, enum problem_id id, const char *fmt, ...)
{
    char detail[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(detail, sizeof(detail), fmt, args);
    va_end(args);
    detail[utf8_whole(detail, strlen(detail))] = '\0'; /* where it was cut */
    return problem(c, id, detail, NULL);
}

enum err call_problem_with(struct call *c, enum problem_id id, json_t **extra, const char *fmt, ...)
{
    char detail[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(detail, sizeof(detail), fmt, args);
    va_end(args);
    detail[utf8_whole(detail, strlen(detail))] = '\0'; /* where it was cut */
    json_t *members = *extra;
    *extra = NULL;
    return problem(c, id, detail, members);
}
