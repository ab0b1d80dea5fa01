/* server_scenario — the handlers of the server, and the raw clients. */
#include "tests/kit/net/server_scenario.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "common/base/limits.h"
#include "common/base/mem.h"

struct job {
    struct serving *w;
    struct http_exchange *x;
    struct buf body;
    size_t left; /* of /big and /mark */
    bool to_mark;
    bool echo_stream;
};

static void note_pending(struct job *rq)
{
    size_t pending = http_response_pending(rq->x);
    if (pending > atomic_load(&rq->w->most_pending))
        atomic_store(&rq->w->most_pending, pending);
}

static void on_body(void *user, struct slice data)
{
    struct job *rq = user;
    atomic_fetch_add(&rq->w->body_bytes, data.len);
    if (rq->echo_stream) {
        (void)!http_response_write(rq->x, data);
        note_pending(rq);
    } else {
        (void)!buf_append(&rq->body, data);
    }
}

static void on_body_end(void *user)
{
    struct job *rq = user;
    atomic_fetch_add(&rq->w->body_ends, 1);
    if (rq->echo_stream)
        http_response_end(rq->x);
    else
        (void)!http_response(rq->x, 200, NULL, 0, buf_slice(&rq->body));
}

/* With to_mark, each piece ends just below the mark, and its chunk's lines just above it. */
static size_t piece_of(const struct job *rq)
{
    enum { SHORT_OF_MARK = 4 };
    size_t most =
        rq->to_mark ? LIMIT_STREAM_HIGH - SHORT_OF_MARK - http_response_pending(rq->x) : 8192;
    return rq->left < most ? rq->left : most;
}

static void pour(struct job *rq)
{
    static char block[LIMIT_STREAM_HIGH];
    while (rq->left && !http_response_is_full(rq->x)) {
        size_t n = piece_of(rq);
        if (http_response_write(rq->x, slice_of(block, n)) != ERR_OK)
            return;
        rq->left -= n;
        note_pending(rq);
    }
    if (rq->left == 0)
        http_response_end(rq->x);
}

static void on_drain(void *user)
{
    struct job *rq = user;
    atomic_fetch_add(&rq->w->drains, 1);
    pour(rq);
}

static void on_gone(void *user, enum err why)
{
    struct job *rq = user;
    atomic_fetch_add(&rq->w->gone, 1);
    atomic_fetch_add(&rq->w->gone_ok, why == ERR_OK);
    atomic_store(&rq->w->last_why, (int)why);
    if (rq->w->held == rq->x)
        rq->w->held = NULL;
    buf_fini(&rq->body);
    mem_free(rq);
}

static void route(struct job *rq, struct slice target)
{
    const struct http_header header = {SLICE("X-Test"), SLICE("yes")};
    struct http_exchange *x = rq->x;
    if (slice_eq(target, SLICE("/hello"))) {
        (void)!http_response(x, 200, &header, 1, SLICE("hello"));
    } else if (slice_eq(target, SLICE("/empty"))) {
        (void)!http_response(x, 204, NULL, 0, SLICE_NONE);
    } else if (slice_eq(target, SLICE("/echo"))) {
        http_exchange_read(x, 0);
    } else if (slice_eq(target, SLICE("/stream"))) {
        rq->echo_stream = true;
        (void)!http_response_begin(x, 200, &header, 1, UINT64_MAX);
        http_exchange_read(x, 0);
    } else if (slice_starts(target, SLICE("/big/"))) {
        uint64_t n = 0;
        (void)!slice_u64(slice_from(target, 5), &n);
        rq->left = n;
        (void)!http_response_begin(x, 200, NULL, 0, n);
        pour(rq);
    } else if (slice_eq(target, SLICE("/mark"))) {
        rq->left = SERVING_MARK;
        rq->to_mark = true;
        (void)!http_response_begin(x, 200, NULL, 0, UINT64_MAX);
        pour(rq);
    } else if (slice_eq(target, SLICE("/short"))) {
        (void)!http_response_begin(x, 200, NULL, 0, 10);
        (void)!http_response_write(x, SLICE("abc"));
        http_response_end(x);
    } else if (slice_eq(target, SLICE("/cut"))) {
        http_response_abort(x);
    } else if (slice_eq(target, SLICE("/hold"))) {
        rq->w->held = x;
    } else {
        (void)!http_response(x, 404, NULL, 0, target);
    }
}

static void on_request(void *arg, struct http_exchange *x)
{
    static const struct http_exchange_events events = {
        .on_body = on_body, .on_body_end = on_body_end, .on_drain = on_drain, .on_gone = on_gone};
    struct serving *w = arg;
    struct job *rq = mem_zalloc(sizeof *rq);
    atomic_fetch_add(&w->requests, 1);
    if (!rq) { /* only where a test makes allocations fail: without listeners, and cut */
        static const struct http_exchange_events none = {0};
        http_exchange_bind(x, &none, NULL);
        http_response_abort(x);
        return;
    }
    rq->w = w;
    rq->x = x;
    buf_init(&rq->body, 64u << 20);
    http_exchange_bind(x, &events, rq);
    route(rq, http_exchange_head(x)->target);
}

static void serving_open_with(struct serving *w, bool hasty, struct tls_context *tls)
{
    static const struct http_server_events events = {.on_request = on_request};
    const struct http_server_config config = {.body_max = 1 << 20,
                                              .head_ms = hasty ? 400 : 20000,
                                              .body_gap_ms = hasty ? 1000 : 20000,
                                              .keepalive_ms = hasty ? 600 : 20000,
                                              .connections_max = 64,
                                              .tls = tls,
                                              .name = SLICE("test")};
    *w = (struct serving){0};
    union sockaddr_any at = {.in = peer_loopback(0)};
    assert_int_equal(loop_new(&w->loop), ERR_OK);
    assert_int_equal(http_server_new(w->loop, &config, &events, w, &w->server), ERR_OK);
    assert_int_equal(http_server_listen(w->server, &at), ERR_OK);
    w->port = http_server_port(w->server);
}

void serving_open(struct serving *w, bool hasty)
{
    serving_open_with(w, hasty, NULL);
}

void serving_close(struct serving *w)
{
    http_server_free(w->server);
    loop_free(w->loop);
    assert_int_equal(w->gone, w->requests);
    if (w->failed)
        fail_msg("%s", w->note);
}

void scenario_clients(void (*script)(void *arg))
{
    struct serving w;
    serving_open(&w, false);
    peer_run(w.loop, script, &w);
    serving_close(&w);
}

void scenario_hasty_clients(void (*script)(void *arg))
{
    struct serving w;
    serving_open(&w, true);
    peer_run(w.loop, script, &w);
    serving_close(&w);
}

void scenario_hasty_tls_clients(void (*script)(void *arg), struct tls_context *tls)
{
    struct serving w;
    serving_open_with(&w, true, tls);
    peer_run(w.loop, script, &w);
    serving_close(&w);
}

void client_open(struct client *c, const struct serving *w)
{
    *c = (struct client){.fd = peer_dial(w->port)};
    buf_init(&c->in, 64u << 20);
    buf_init(&c->a.head, LIMIT_HTTP_HEAD);
    buf_init(&c->a.body, 64u << 20);
}

void client_close(struct client *c)
{
    close(c->fd);
    buf_fini(&c->in);
    buf_fini(&c->a.head);
    buf_fini(&c->a.body);
}

bool client_ask(struct client *c, const char *request)
{
    return peer_say(c->fd, request);
}

bool client_hear(struct client *c)
{
    return peer_answer(c->fd, &c->in, SLICE("GET"), &c->a);
}

bool client_body_is(const struct client *c, const char *text)
{
    return slice_eq(buf_slice(&c->a.body), slice_str(text));
}

bool client_head_has(const struct client *c, const char *text)
{
    return slice_search(buf_slice(&c->a.head), slice_str(text)) >= 0;
}

bool client_closed(struct client *c)
{
    return c->in.len == 0 && peer_rest(c->fd, &c->in) && c->in.len == 0;
}

void await_count(const atomic_uint *what, unsigned n)
{
    for (int i = 0; i < 2000 && atomic_load(what) < n; i++)
        usleep(1000);
}
