/*
 * demo-api — a small company API, for the demo and tests: a few customers behind one secret.
 *
 *   GET    /customers          the list
 *   GET    /customers/{id}     one of them
 *   POST   /customers          echoes the new one with an id (nothing is kept)
 *   DELETE /customers/{id}     204
 *   POST   /upload             reads any body, says how many bytes and their SHA-256
 *   GET    /download?bytes=N   N bytes
 *   ANY    /echo               the request as it arrived: method, path, headers
 *   GET    /healthz
 *
 * All but /healthz want `authorization: Bearer demo-api-secret`: the credential a gateway injects,
 * never the caller's.
 */
#include <stdio.h>

#include "common/base/digest.h"
#include "common/base/limits.h"
#include "common/base/mem.h"
#include "deploy/demo/serve.h"

#define SECRET "Bearer demo-api-secret"
#define DOWNLOAD_MAX (256u * 1024 * 1024)
#define UPLOAD_MAX (64u * 1024 * 1024)
#define PIECE (16 * 1024)

struct settings {
    const char *listen;
};

static const struct option options[] = {
    {.name = "listen",
     .env = "GATEHOUSE_DEMO_LISTEN",
     .default_text = "127.0.0.1:8087",
     .help = "address to serve on",
     .offset = offsetof(struct settings, listen)},
};

static const struct {
    const char *id, *name, *city;
} customers[] = {
    {"1", "Ada Lovelace", "London"},
    {"2", "Grace Hopper", "New York"},
    {"3", "Edsger Dijkstra", "Rotterdam"},
};

static json_t *customer_json(size_t i)
{
    return json_pack("{s:s,s:s,s:s}", "id", customers[i].id, "name", customers[i].name, "city",
                     customers[i].city);
}

static void say_problem(struct visit *v, int status, const char *title)
{
    visit_json(v, (unsigned)status, json_pack("{s:i,s:s}", "status", status, "title", title));
}

static void list_customers(struct visit *v)
{
    json_t *list = json_array();
    for (size_t i = 0; i < ARRAY_LEN(customers); i++)
        json_array_append_new(list, customer_json(i));
    visit_json(v, 200, json_pack("{s:o}", "customers", list));
}

static void create_customer(struct visit *v)
{
    json_t *sent = NULL;
    struct json_problem problem;
    if (json_read(buf_slice(&v->body), &sent, &problem) != ERR_OK || !json_is_object(sent)) {
        json_decref(sent);
        say_problem(v, 400, "The body is not a JSON object.");
        return;
    }
    json_object_set_new(sent, "id", json_string("4"));
    visit_json(v, 201, sent);
}

static void one_customer(struct visit *v)
{
    struct slice id = slice_from(v->path, SLICE("/customers/").len);
    for (size_t i = 0; i < ARRAY_LEN(customers); i++) {
        if (!slice_eq(id, slice_str(customers[i].id)))
            continue;
        if (slice_eq(v->head->method, SLICE("DELETE")))
            visit_answer(v, 204, NULL, SLICE_NONE);
        else
            visit_json(v, 200, customer_json(i));
        return;
    }
    say_problem(v, 404, "There is no such customer.");
}

static void take_upload(struct visit *v)
{
    struct digest d;
    char hex[DIGEST_HEX_MAX];
    digest_sha256(buf_slice(&v->body), &d);
    digest_hex(slice_of(d.bytes, sizeof(d.bytes)), hex);
    visit_json(v, 200, json_pack("{s:I,s:s}", "bytes", (json_int_t)v->body.len, "sha256", hex));
}

/* ---- a download: as fast as the client takes it ---- */

static void free_left(struct visit *v)
{
    mem_free(v->state);
}

static void send_on(struct visit *v)
{
    static const char piece[PIECE];
    uint64_t *left = v->state;
    while (*left > 0 && !http_response_is_full(v->x)) {
        size_t n = *left < PIECE ? (size_t)*left : PIECE;
        if (http_response_write(v->x, slice_of(piece, n)) != ERR_OK) {
            http_response_abort(v->x);
            return;
        }
        *left -= n;
    }
    if (*left == 0) {
        v->on_drain = NULL;
        http_response_end(v->x);
    }
}

static void give_download(struct visit *v)
{
    struct http_header type = {SLICE("content-type"), SLICE("application/octet-stream")};
    uint64_t *left = mem_alloc(sizeof(*left));
    uint64_t bytes = query_u64(v->query, SLICE("bytes"), 1024);
    if (!left || bytes > DOWNLOAD_MAX) {
        mem_free(left);
        say_problem(v, 400, "bytes is too large.");
        return;
    }
    *left = bytes;
    v->state = left;
    v->on_gone = free_left;
    v->on_drain = send_on;
    if (http_response_begin(v->x, 200, &type, 1, bytes) != ERR_OK)
        http_response_abort(v->x);
    else
        send_on(v);
}

static void give_echo(struct visit *v)
{
    json_t *headers = json_object();
    for (size_t i = 0; i < v->head->header_count; i++) {
        char name[128];
        snprintf(name, sizeof(name), "%.*s", SLICE_ARG(v->head->headers[i].name));
        json_object_set_new(headers, name, json_from(v->head->headers[i].value));
    }
    visit_json(v, 200,
               json_pack("{s:o,s:o,s:o,s:o,s:I}", "method", json_from(v->head->method), "path",
                         json_from(v->path), "query", json_from(v->query), "headers", headers,
                         "bytes", (json_int_t)v->body.len));
}

static void handle(struct visit *v)
{
    static const struct {
        const char *method, *path;
        void (*handle)(struct visit *v);
    } routes[] = {
        {"GET", "/customers", list_customers},
        {"POST", "/customers", create_customer},
        {"POST", "/upload", take_upload},
        {"GET", "/download", give_download},
    };
    struct slice sent = http_head_find(v->head, SLICE("authorization"));
    if (visit_is(v, "GET", "/healthz")) {
        visit_answer(v, 200, "text/plain", SLICE("ok\n"));
        return;
    }
    if (!digest_equal(sent, SLICE(SECRET))) {
        say_problem(v, 401, "The company's credential is missing.");
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
        if (visit_is(v, routes[i].method, routes[i].path)) {
            routes[i].handle(v);
            return;
        }
    }
    if (slice_eq(v->path, SLICE("/echo")))
        give_echo(v);
    else if (slice_starts(v->path, SLICE("/customers/")))
        one_customer(v);
    else
        say_problem(v, 404, "There is nothing at this path.");
}

int main(int argc, char **argv)
{
    struct settings s;
    bool want_help;
    if (option_read("demo-api", "A small company API.", options, ARRAY_LEN(options), argc, argv, &s,
                    &want_help) != ERR_OK)
        return 2;
    if (want_help)
        return 0;
    struct serve_config c = {.listen = s.listen, .body_max = UPLOAD_MAX, .handle = handle};
    return serve_run("demo-api", &c);
}
