/* serve — the HTTP server of the demo upstreams. */
#include "deploy/demo/serve.h"

#include <signal.h>
#include <stdio.h>
#include <uv.h>

#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/mem.h"

struct serve {
    struct serve_config config;
    struct loop *loop;
    struct http_server *server;
    uv_signal_t signals[2];
};

void *serve_arg(const struct serve *s)
{
    return s->config.arg;
}

struct loop *serve_loop(const struct serve *s)
{
    return s->loop;
}

/* ---- responses ---- */

void visit_answer(struct visit *v, unsigned status, const char *type, struct slice body)
{
    struct http_header header = {SLICE("content-type"), slice_str(type)};
    if (http_response(v->x, status, &header, type ? 1 : 0, body) != ERR_OK)
        http_response_abort(v->x);
}

void visit_json(struct visit *v, unsigned status, json_t *tree)
{
    struct buf out;
    buf_init(&out, LIMIT_AI_ANSWER);
    if (tree && json_write(tree, &out) == ERR_OK)
        visit_answer(v, status, "application/json", buf_slice(&out));
    else
        http_response_abort(v->x);
    buf_fini(&out);
    json_decref(tree);
}

bool visit_is(const struct visit *v, const char *method, const char *path)
{
    return slice_eq(v->head->method, slice_str(method)) && slice_eq(v->path, slice_str(path));
}

static struct slice query_find(struct slice query, struct slice name)
{
    struct slice pair;
    while (slice_split(&query, '&', &pair)) {
        ptrdiff_t equals = slice_find(pair, '=');
        if (equals >= 0 && slice_eq(slice_first(pair, (size_t)equals), name))
            return slice_from(pair, (size_t)equals + 1);
    }
    return SLICE_NONE;
}

uint64_t query_u64(struct slice query, struct slice name, uint64_t otherwise)
{
    uint64_t n;
    return slice_u64(query_find(query, name), &n) == ERR_OK ? n : otherwise;
}

/* ---- a visit's life ---- */

static void visit_free(void *arg)
{
    struct visit *v = arg;
    buf_fini(&v->body);
    mem_free(v);
}

static void on_body(void *user, struct slice data)
{
    struct visit *v = user;
    if (buf_append(&v->body, data) != ERR_OK)
        http_response_abort(v->x);
}

static void on_body_end(void *user)
{
    struct visit *v = user;
    v->serve->config.handle(v);
}

static void on_drain(void *user)
{
    struct visit *v = user;
    if (v->on_drain)
        v->on_drain(v);
}

static void on_gone(void *user, enum err why UNUSED)
{
    struct visit *v = user;
    timer_cancel(&v->timer);
    if (v->on_gone)
        v->on_gone(v);
    loop_retire(v->serve->loop, visit_free, v);
}

static void split_target(struct visit *v)
{
    ptrdiff_t mark = slice_find(v->head->target, '?');
    v->path = mark < 0 ? v->head->target : slice_first(v->head->target, (size_t)mark);
    v->query = mark < 0 ? SLICE_NONE : slice_from(v->head->target, (size_t)mark + 1);
}

static void on_request(void *arg, struct http_exchange *x)
{
    static const struct http_exchange_events events = {
        .on_body = on_body, .on_body_end = on_body_end, .on_drain = on_drain, .on_gone = on_gone};
    struct serve *s = arg;
    struct visit *v = mem_zalloc(sizeof(*v));
    if (!v) {
        http_response_abort(x);
        return;
    }
    v->serve = s;
    v->x = x;
    v->head = http_exchange_head(x);
    split_target(v);
    buf_init(&v->body, s->config.body_max);
    timer_init(&v->timer, s->loop, NULL);
    http_exchange_bind(x, &events, v);
    http_exchange_read(x, s->config.body_max);
}

/* ---- the program ---- */

static void on_signal(uv_signal_t *handle, int number UNUSED)
{
    struct serve *s = handle->data;
    loop_stop(s->loop);
}

static void on_signal_closed(uv_handle_t *handle UNUSED)
{
}

static void watch_signals(struct serve *s)
{
    static const int numbers[] = {SIGTERM, SIGINT};
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        MUST(uv_signal_init(loop_uv(s->loop), &s->signals[i]) == 0);
        s->signals[i].data = s;
        MUST(uv_signal_start(&s->signals[i], on_signal, numbers[i]) == 0);
    }
}

static enum err open_server(struct serve *s)
{
    static const struct http_server_events events = {.on_request = on_request};
    struct http_server_config c = {.body_max = s->config.body_max,
                                   .head_ms = LIMIT_HEAD_MS,
                                   .body_gap_ms = LIMIT_BODY_GAP_MS,
                                   .keepalive_ms = LIMIT_KEEPALIVE_MS,
                                   .connections_max = LIMIT_CONNECTIONS};
    union sockaddr_any at;
    enum err e = address_parse(slice_str(s->config.listen), &at);
    if (e == ERR_OK)
        e = http_server_new(s->loop, &c, &events, s, &s->server);
    if (e == ERR_OK)
        e = http_server_listen(s->server, &at);
    return e;
}

int serve_run(const char *name, const struct serve_config *c)
{
    struct serve s = {.config = *c};
    log_setup(name, LOG_INFO);
    signal(SIGPIPE, SIG_IGN);
    if (loop_new(&s.loop) != ERR_OK)
        return 1;
    enum err e = open_server(&s);
    if (e != ERR_OK) {
        fprintf(stderr, "%s: cannot listen on %s: %s\n", name, c->listen, err_text(e));
    } else {
        watch_signals(&s);
        log_info(NULL, "listening", "at=%s", c->listen);
        loop_run(s.loop);
        for (size_t i = 0; i < ARRAY_LEN(s.signals); i++)
            uv_close((uv_handle_t *)&s.signals[i], on_signal_closed);
    }
    if (s.server)
        http_server_free(s.server);
    loop_free(s.loop);
    return e == ERR_OK ? 0 : 1;
}
