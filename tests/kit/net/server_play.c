/* server_play — see the card. */
#include "tests/kit/net/server_play.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "common/base/limits.h"
#include "common/base/mem.h"

struct job {
    struct serving *w;
    struct http_exchange *x;
    struct buf body;
    size_t left; /* of /big */
    bool echo_stream;
};

static void note_pending(struct job *j)
{
    size_t pending = http_answer_pending(j->x);
    if (pending > atomic_load(&j->w->most_pending))
        atomic_store(&j->w->most_pending, pending);
}

static void on_body(void *user, struct slice data)
{
    struct job *j = user;
    atomic_fetch_add(&j->w->body_bytes, data.len);
    if (j->echo_stream) {
        (void)!http_answer_write(j->x, data);
        note_pending(j);
    } else {
        (void)!buf_append(&j->body, data);
    }
}

static void on_body_end(void *user)
{
    struct job *j = user;
    atomic_fetch_add(&j->w->body_ends, 1);
    if (j->echo_stream)
        http_answer_end(j->x);
    else
        (void)!http_answer(j->x, 200, NULL, 0, buf_slice(&j->body));
}

static void pour(struct job *j)
{
    static char block[8192];
    while (j->left && http_answer_pending(j->x) <= LIMIT_STREAM_HIGH) {
        size_t n = j->left < sizeof block ? j->left : sizeof block;
        if (http_answer_write(j->x, slice_of(block, n)) != ERR_OK)
            return;
        j->left -= n;
        note_pending(j);
    }
    if (j->left == 0)
        http_answer_end(j->x);
}

static void on_drain(void *user)
{
    struct job *j = user;
    atomic_fetch_add(&j->w->drains, 1);
    pour(j);
}

static void on_gone(void *user, enum err why)
{
    struct job *j = user;
    atomic_fetch_add(&j->w->gone, 1);
    atomic_fetch_add(&j->w->gone_ok, why == ERR_OK);
    atomic_store(&j->w->last_why, (int)why);
    if (j->w->held == j->x)
        j->w->held = NULL;
    buf_fini(&j->body);
    mem_free(j);
}

static void route(struct job *j, struct slice target)
{
    const struct http_header header = {SLICE("X-Test"), SLICE("yes")};
    struct http_exchange *x = j->x;
    if (slice_eq(target, SLICE("/hello"))) {
        (void)!http_answer(x, 200, &header, 1, SLICE("hello"));
    } else if (slice_eq(target, SLICE("/empty"))) {
        (void)!http_answer(x, 204, NULL, 0, SLICE_NONE);
    } else if (slice_eq(target, SLICE("/echo"))) {
        http_exchange_read(x, 0);
    } else if (slice_eq(target, SLICE("/stream"))) {
        j->echo_stream = true;
        (void)!http_answer_begin(x, 200, &header, 1, UINT64_MAX);
        http_exchange_read(x, 0);
    } else if (slice_starts(target, SLICE("/big/"))) {
        uint64_t n = 0;
        (void)!slice_u64(slice_from(target, 5), &n);
        j->left = n;
        (void)!http_answer_begin(x, 200, NULL, 0, n);
        pour(j);
    } else if (slice_eq(target, SLICE("/short"))) {
        (void)!http_answer_begin(x, 200, NULL, 0, 10);
        (void)!http_answer_write(x, SLICE("abc"));
        http_answer_end(x);
    } else if (slice_eq(target, SLICE("/cut"))) {
        http_answer_abort(x);
    } else if (slice_eq(target, SLICE("/hold"))) {
        j->w->held = x;
    } else {
        (void)!http_answer(x, 404, NULL, 0, target);
    }
}

static void on_request(void *arg, struct http_exchange *x)
{
    static const struct http_exchange_events events = {
        .on_body = on_body, .on_body_end = on_body_end, .on_drain = on_drain, .on_gone = on_gone};
    struct serving *w = arg;
    struct job *j = mem_zalloc(sizeof *j);
    atomic_fetch_add(&w->requests, 1);
    if (!j) { /* only where a test makes allocations fail: without listeners, and cut */
        static const struct http_exchange_events none = {0};
        http_exchange_bind(x, &none, NULL);
        http_answer_abort(x);
        return;
    }
    j->w = w;
    j->x = x;
    buf_init(&j->body, 64u << 20);
    http_exchange_bind(x, &events, j);
    route(j, http_exchange_head(x)->target);
}

void serving_open(struct serving *w, bool hasty)
{
    static const struct http_server_events events = {.on_request = on_request};
    const struct http_server_config config = {.body_max = 1 << 20,
                                              .head_ms = hasty ? 400 : 20000,
                                              .body_gap_ms = hasty ? 1000 : 20000,
                                              .keepalive_ms = hasty ? 600 : 20000,
                                              .connections_max = 64,
                                              .name = SLICE("test")};
    *w = (struct serving){0};
    union sockaddr_any at = {.in = peer_loopback(0)};
    assert_int_equal(loop_new(&w->loop), ERR_OK);
    assert_int_equal(http_server_new(w->loop, &config, &events, w, &w->server), ERR_OK);
    assert_int_equal(http_server_listen(w->server, &at), ERR_OK);
    w->port = http_server_port(w->server);
}

void serving_close(struct serving *w)
{
    http_server_free(w->server);
    loop_free(w->loop);
    assert_int_equal(w->gone, w->requests);
    if (w->failed)
        fail_msg("%s", w->note);
}

void play_clients(void (*script)(void *arg))
{
    struct serving w;
    serving_open(&w, false);
    peer_run(w.loop, script, &w);
    serving_close(&w);
}

void play_hasty_clients(void (*script)(void *arg))
{
    struct serving w;
    serving_open(&w, true);
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
