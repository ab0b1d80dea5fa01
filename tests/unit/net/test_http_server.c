/*
 * The server against clients that are slow, wrong, early, late or gone. Each play is a thread with
 * a raw socket; what the server's caller saw is counted beside it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/base/limits.h"
#include "common/base/mem.h"
#include "common/net/http_server.h"
#include "tests/kit/raw_peer.h"

struct world {
    struct loop *loop;
    struct http_server *server;
    uint16_t port;
    /* what the caller saw; read by scripts */
    atomic_uint requests, gone, gone_ok, body_ends, drains;
    atomic_int last_why;
    atomic_size_t body_bytes, most_pending;
    struct http_exchange *held; /* of /hold */
    bool failed;                /* a script's verdict */
    char note[128];
};

struct job {
    struct world *w;
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
    struct world *w = arg;
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

/* hasty: deadlines short enough to wait for, too short for a busy machine elsewhere */
static void world_open(struct world *w, bool hasty)
{
    static const struct http_server_events events = {.on_request = on_request};
    const struct http_server_config config = {.body_max = 1 << 20,
                                              .head_ms = hasty ? 400 : 20000,
                                              .body_gap_ms = hasty ? 1000 : 20000,
                                              .keepalive_ms = hasty ? 600 : 20000,
                                              .connections_max = 64,
                                              .name = SLICE("test")};
    *w = (struct world){0};
    union sockaddr_any at = {.in = peer_loopback(0)};
    assert_int_equal(loop_new(&w->loop), ERR_OK);
    assert_int_equal(http_server_new(w->loop, &config, &events, w, &w->server), ERR_OK);
    assert_int_equal(http_server_listen(w->server, &at), ERR_OK);
    w->port = http_server_port(w->server);
}

static void world_close(struct world *w)
{
    http_server_free(w->server);
    loop_free(w->loop);
    assert_int_equal(w->gone, w->requests);
    if (w->failed)
        fail_msg("%s", w->note);
}

static void play(void (*script)(void *arg))
{
    struct world w;
    world_open(&w, false);
    peer_run(w.loop, script, &w);
    world_close(&w);
}

static void play_hasty(void (*script)(void *arg))
{
    struct world w;
    world_open(&w, true);
    peer_run(w.loop, script, &w);
    world_close(&w);
}

struct client {
    int fd;
    struct buf in;
    struct peer_answer a;
};

static void client_open(struct client *c, const struct world *w)
{
    *c = (struct client){.fd = peer_dial(w->port)};
    buf_init(&c->in, 64u << 20);
    buf_init(&c->a.head, LIMIT_HTTP_HEAD);
    buf_init(&c->a.body, 64u << 20);
}

static void client_close(struct client *c)
{
    close(c->fd);
    buf_fini(&c->in);
    buf_fini(&c->a.head);
    buf_fini(&c->a.body);
}

static bool ask(struct client *c, const char *request)
{
    return peer_say(c->fd, request);
}

static bool hear(struct client *c)
{
    return peer_answer(c->fd, &c->in, SLICE("GET"), &c->a);
}

static bool body_is(const struct client *c, const char *text)
{
    return slice_eq(buf_slice(&c->a.body), slice_str(text));
}

static bool head_has(const struct client *c, const char *text)
{
    return slice_search(buf_slice(&c->a.head), slice_str(text)) >= 0;
}

static bool closed(struct client *c)
{
    return c->in.len == 0 && peer_rest(c->fd, &c->in) && c->in.len == 0;
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\n\r\n"

/* ---- plays ---- */

static void wait_for(const atomic_uint *what, unsigned n)
{
    for (int i = 0; i < 2000 && atomic_load(what) < n; i++)
        usleep(1000);
}

static void hello_play(void *arg)
{
    struct world *w = arg;
    struct client c;
    client_open(&c, w);
    for (int i = 0; i < 3; i++) {
        EXPECT(w, ask(&c, GET("/hello")) && hear(&c));
        EXPECT(w, c.a.status == 200 && c.a.keep_alive && body_is(&c, "hello"));
        EXPECT(w,
               head_has(&c, "\r\nServer: test\r\nDate: ") && head_has(&c, "\r\nX-Test: yes\r\n"));
        EXPECT(w, head_has(&c, " GMT\r\nContent-Length: 5\r\n"));
    }
    client_close(&c);
    wait_for(&w->gone, 3);
    EXPECT(w, w->gone_ok == 3);
}

static void a_kept_connection_serves_request_after_request(void **state)
{
    (void)state;
    play(hello_play);
}

static void head_play(void *arg)
{
    struct world *w = arg;
    struct client c;
    client_open(&c, w);
    EXPECT(w, ask(&c, "HEAD /hello HTTP/1.1\r\nHost: x\r\n\r\n"));
    EXPECT(w, peer_answer(c.fd, &c.in, SLICE("HEAD"), &c.a));
    EXPECT(w, head_has(&c, "Content-Length: 5\r\n") && c.a.body.len == 0);
    EXPECT(w, ask(&c, "HEAD /big/100 HTTP/1.1\r\nHost: x\r\n\r\n"));
    EXPECT(w, peer_answer(c.fd, &c.in, SLICE("HEAD"), &c.a));
    EXPECT(w, head_has(&c, "Content-Length: 100\r\n"));
    EXPECT(w, ask(&c, GET("/empty")) && hear(&c));
    EXPECT(w, c.a.status == 204 && !head_has(&c, "Content-Length"));
    EXPECT(w, ask(&c, GET("/hello")) && hear(&c) && body_is(&c, "hello"));
    client_close(&c);
}

static void answers_without_a_body_do_not_disturb_the_next(void **state)
{
    (void)state;
    play(head_play);
}

static void http10_play(void *arg)
{
    struct world *w = arg;
    struct client c;
    client_open(&c, w);
    EXPECT(w, ask(&c, "GET /hello HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n"));
    EXPECT(w, hear(&c) && head_has(&c, "Connection: keep-alive\r\n") && body_is(&c, "hello"));
    EXPECT(w, ask(&c, "POST /stream HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n"
                      "Content-Length: 3\r\n\r\nabc"));
    EXPECT(w, hear(&c) && !head_has(&c, "Transfer-Encoding") && body_is(&c, "abc"));
    EXPECT(w, head_has(&c, "Connection: close\r\n") && closed(&c));
    client_close(&c);
    client_open(&c, w);
    EXPECT(w, ask(&c, "GET /hello HTTP/1.0\r\nHost: x\r\n\r\n") && hear(&c));
    EXPECT(w, head_has(&c, "Connection: close\r\n") && closed(&c));
    client_close(&c);
    client_open(&c, w);
    EXPECT(w, ask(&c, "GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") && hear(&c));
    EXPECT(w, head_has(&c, "Connection: close\r\n") && closed(&c));
    client_close(&c);
}

static void old_clients_and_those_who_want_to_close_are_obeyed(void **state)
{
    (void)state;
    play(http10_play);
}

static void drip_play(void *arg)
{
    struct world *w = arg;
    struct client c;
    client_open(&c, w);
    const struct slice request =
        SLICE("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
              "3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nX-T: 1\r\n\r\n");
    EXPECT(w, peer_drip(c.fd, request) && hear(&c) && body_is(&c, "abcdefg"));
    EXPECT(w, peer_drip(c.fd, SLICE(GET("/hello"))) && hear(&c) && body_is(&c, "hello"));
    client_close(&c);
}

static void a_request_that_drips_byte_by_byte_is_served(void **state)
{
    (void)state;
    play(drip_play);
}

static void cuts_play(void *arg)
{
    struct world *w = arg;
    unsigned seed = 1;
    struct client c;
    client_open(&c, w);
    for (int round = 0; round < 100; round++) {
        struct buf request;
        size_t total = 0;
        buf_init(&request, 1 << 20);
        EXPECT(w, !buf_append(&request, SLICE("POST /stream HTTP/1.1\r\nHost: x\r\n"
                                              "Transfer-Encoding: chunked\r\n\r\n")));
        for (int i = 0; i < 10; i++) {
            unsigned n = (unsigned)rand_r(&seed) % 3000 + 1;
            EXPECT(w, !buf_printf(&request, "%x\r\n%0*d\r\n", n, (int)n, 7));
            total += n;
        }
        EXPECT(w, !buf_append(&request, SLICE("0\r\n\r\n")));
        for (struct slice left = buf_slice(&request); left.len;) {
            size_t n = (unsigned)rand_r(&seed) % 4000 + 1;
            EXPECT(w, peer_send(c.fd, slice_first(left, n)));
            left = slice_from(left, n);
        }
        EXPECT(w, hear(&c) && c.a.body.len == total && c.a.keep_alive);
        buf_fini(&request);
    }
    client_close(&c);
}

static void chunked_bodies_in_random_cuts_come_back_whole(void **state)
{
    (void)state;
    play(cuts_play);
}

static void pipeline_play(void *arg)
{
    struct world *w = arg;
    struct client c;
    struct buf all;
    char text[32];
    client_open(&c, w);
    buf_init(&all, 1 << 20);
    for (int i = 0; i < 50; i++)
        EXPECT(w, !buf_printf(&all, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n%04d",
                              i % 2 ? "/echo" : "/stream", i));
    EXPECT(w, peer_send(c.fd, buf_slice(&all)));
    for (int i = 0; i < 50; i++) {
        snprintf(text, sizeof text, "%04d", i);
        EXPECT(w, hear(&c) && body_is(&c, text));
    }
    buf_clear(&all);
    for (int i = 0; i < 50; i++)
        EXPECT(w, !buf_printf(&all, "GET /%d HTTP/1.1\r\nHost: x\r\n\r\n", i));
    EXPECT(w, peer_drip(c.fd, buf_slice(&all)));
    for (int i = 0; i < 50; i++) {
        snprintf(text, sizeof text, "/%d", i);
        EXPECT(w, hear(&c) && c.a.status == 404 && body_is(&c, text));
    }
    buf_fini(&all);
    client_close(&c);
    EXPECT(w, w->requests == 100);
}

static void fifty_pipelined_requests_are_answered_in_order(void **state)
{
    (void)state;
    play(pipeline_play);
}

static void pipelined_big_play(void *arg)
{
    struct world *w = arg;
    struct client c;
    client_open(&c, w);
    for (int i = 0; i < 20; i++)
        EXPECT(w, ask(&c, GET("/big/1000000")));
    usleep(100000);
    EXPECT(w, w->requests < 20); /* the rest waits until the client has read */
    for (int i = 0; i < 20; i++)
        EXPECT(w, hear(&c) && c.a.body.len == 1000000);
    client_close(&c);
}

static void a_client_that_asks_much_and_reads_nothing_gets_no_more(void **state)
{
    (void)state;
    play(pipelined_big_play);
}

static void slow_head_play(void *arg)
{
    struct world *w = arg;
    struct client c;
    client_open(&c, w);
    EXPECT(w, ask(&c, "GET /hello HTTP/1.1\r\nHost:") && hear(&c));
    EXPECT(w, c.a.status == 408 && head_has(&c, "Connection: close") && closed(&c));
    client_close(&c);
    client_open(&c, w); /* says nothing at all */
    EXPECT(w, closed(&c));
    client_close(&c);
    client_open(&c, w); /* idle after an answer */
    EXPECT(w, ask(&c, GET("/hello")) && hear(&c) && closed(&c));
    client_close(&c);
    EXPECT(w, w->requests == 1);
}

static void slow_heads_are_408_and_idle_connections_end(void **state)
{
    (void)state;
    play_hasty(slow_head_play);
}

static void slow_body_play(void *arg)
{
    struct world *w = arg;
    struct client c;
    client_open(&c, w);
    EXPECT(w,
           ask(&c, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc") && hear(&c));
    EXPECT(w, c.a.status == 408 && closed(&c));
    client_close(&c);
    wait_for(&w->gone, 1);
    EXPECT(w, w->last_why == ERR_TIMEOUT && w->body_bytes == 3);
}

static void a_body_that_stops_coming_is_408(void **state)
{
    (void)state;
    play_hasty(slow_body_play);
}

static void refused_play(void *arg)
{
    static const struct {
        const char *request;
        unsigned status;
    } rows[] = {
        {"GET / HTTP/1.1\r\n\r\n", 400},
        {"GET / HTTP/1.1\nHost: x\n\n", 400},
        {"GET /\r\n", 400},
        {"\x16\x03\x01\x02", 400},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
        {"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        {"PUT / HTTP/1.1\r\nHost: x\r\nExpect: x\r\n\r\n", 417},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
         "Transfer-Encoding: chunked\r\n\r\nabc",
         400},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n", 413},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
         "100001\r\n",
         0},
    };
    struct world *w = arg;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct client c;
        client_open(&c, w);
        EXPECT(w, ask(&c, rows[i].request));
        if (rows[i].status == 0) { /* a chunk beyond the ceiling: known only as it comes */
            static char block[65536];
            for (int k = 0; k < 17; k++)
                if (!peer_send(c.fd, slice_of(block, sizeof block)))
                    break;
        }
        EXPECT(w, hear(&c) && c.a.status == (rows[i].status ? rows[i].status : 413));
        EXPECT(w, head_has(&c, "Connection: close\r\n") && closed(&c));
        client_close(&c);
    }
    wait_for(&w->gone, w->requests);
    EXPECT(w, w->gone_ok == 0);
}

static void what_cannot_be_served_is_refused_and_closed(void **state)
{
    (void)state;
    play(refused_play);
}

static void garbage_play(void *arg)
{
    struct world *w = arg;
    struct client c;
    client_open(&c, w);
    EXPECT(w,
           ask(&c, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc\x01\x02\x03"));
    EXPECT(w, hear(&c) && body_is(&c, "abc") && hear(&c) && c.a.status == 400 && closed(&c));
    client_close(&c);
}

static void garbage_after_a_body_is_a_bad_request_of_its_own(void **state)
{
    (void)state;
    play(garbage_play);
}

static void continue_play(void *arg)
{
    struct world *w = arg;
    struct client c;
    client_open(&c, w);
    EXPECT(w, ask(&c, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
                      "Expect: 100-continue\r\n\r\n"));
    EXPECT(w, peer_until(c.fd, &c.in, "100 Continue\r\n\r\n"));
    buf_clear(&c.in);
    EXPECT(w, ask(&c, "abc") && hear(&c) && c.a.status == 200 && body_is(&c, "abc"));
    /* the client does not wait: no word is needed */
    EXPECT(w, ask(&c, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
                      "Expect: 100-continue\r\n\r\nabc"));
    EXPECT(w, hear(&c) && c.a.status == 200 && body_is(&c, "abc"));
    /* refused before the body: no word, and the connection ends, since the body may still come */
    EXPECT(w, ask(&c, "POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
                      "Expect: 100-continue\r\n\r\n"));
    EXPECT(w, hear(&c) && c.a.status == 200 && head_has(&c, "Connection: close\r\n") && closed(&c));
    client_close(&c);
    client_open(&c, w);
    EXPECT(w, ask(&c, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n"
                      "Expect: 100-continue\r\n\r\n"));
    EXPECT(w, hear(&c) && c.a.status == 413 && closed(&c));
    client_close(&c);
}

static void a_client_that_waits_for_a_word_gets_it_when_the_body_is_wanted(void **state)
{
    (void)state;
    play(continue_play);
}

static void early_play(void *arg)
{
    static char block[65536];
    struct world *w = arg;
    struct client c;
    client_open(&c, w);
    /* a small rest is read away, and the connection lives */
    EXPECT(w,
           ask(&c, "POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n") && hear(&c));
    EXPECT(w, body_is(&c, "hello") && c.a.keep_alive);
    EXPECT(w, peer_send(c.fd, slice_of(block, 1000)));
    EXPECT(w, ask(&c, "POST /hello HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"));
    EXPECT(w, hear(&c) && ask(&c, "3\r\nabc\r\n0\r\n\r\n" GET("/empty")));
    EXPECT(w, hear(&c) && c.a.status == 204);
    /* a large one is not: the answer comes whole although the client still sends */
    EXPECT(w, ask(&c, "POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n\r\n"));
    EXPECT(w, peer_send(c.fd, slice_of(block, 65000)));
    usleep(50000);
    EXPECT(w, peer_send(c.fd, slice_of(block, 65000)));
    EXPECT(w, hear(&c) && body_is(&c, "hello") && head_has(&c, "Connection: close\r\n"));
    EXPECT(w, closed(&c));
    client_close(&c);
    EXPECT(w, w->body_bytes == 0);
}

static void an_answer_before_the_body_keeps_the_connection_only_where_little_is_left(void **state)
{
    (void)state;
    play(early_play);
}

static void gone_play(void *arg)
{
    struct world *w = arg;
    struct client c;
    client_open(&c, w);
    EXPECT(w, ask(&c, GET("/hold")));
    wait_for(&w->requests, 1);
    client_close(&c);
    wait_for(&w->gone, 1);
    EXPECT(w, w->gone == 1 && w->last_why == ERR_CLOSED);
    /* in mid-body */
    client_open(&c, w);
    EXPECT(w, ask(&c, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc"));
    usleep(50000);
    client_close(&c);
    wait_for(&w->gone, 2);
    EXPECT(w, w->gone == 2 && w->last_why == ERR_CLOSED && w->body_ends == 0);
    /* by a reset, in mid-answer */
    client_open(&c, w);
    EXPECT(w, ask(&c, GET("/big/100000000")));
    EXPECT(w, peer_until(c.fd, &c.in, "\r\n\r\n"));
    struct linger hard = {.l_onoff = 1};
    setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    client_close(&c);
    wait_for(&w->gone, 3);
    EXPECT(w, w->gone == 3 && w->gone_ok == 0);
}

static void a_client_that_hangs_up_is_told_of(void **state)
{
    (void)state;
    play(gone_play);
}

static void cut_play(void *arg)
{
    struct world *w = arg;
    struct client c;
    client_open(&c, w);
    EXPECT(w, ask(&c, GET("/cut")) && !hear(&c) && c.in.len == 0);
    client_close(&c);
    client_open(&c, w);
    EXPECT(w, ask(&c, GET("/short")) && !hear(&c)); /* less than promised must not look whole */
    client_close(&c);
    wait_for(&w->gone, 2);
    EXPECT(w, w->gone == 2 && w->gone_ok == 0);
}

static void an_answer_that_cannot_be_finished_is_cut(void **state)
{
    (void)state;
    play(cut_play);
}

static void slow_reader_play(void *arg)
{
    static char block[65536];
    struct world *w = arg;
    struct client c;
    size_t got = 0;
    client_open(&c, w);
    EXPECT(w, ask(&c, GET("/big/30000000")));
    for (int i = 0; i < 80; i++) { /* ten times as slow as it could */
        if (i % 10 == 0)
            usleep(100000);
        ssize_t n = recv(c.fd, block, sizeof block, 0);
        EXPECT(w, n > 0);
        got += (size_t)n;
    }
    for (ssize_t n = 1; n > 0 && got < 30000000; got += (size_t)n)
        n = recv(c.fd, block, sizeof block, 0);
    EXPECT(w, got >= 30000000);
    EXPECT(w, w->most_pending <= LIMIT_STREAM_HIGH + 16384 && w->drains > 0);
    client_close(&c);
    wait_for(&w->gone, 1);
    EXPECT(w, w->gone_ok == 1);
}

static void a_huge_answer_to_a_slow_reader_needs_little_memory(void **state)
{
    (void)state;
    play(slow_reader_play);
}

static void stuck_reader_play(void *arg)
{
    struct world *w = arg;
    struct client c;
    client_open(&c, w);
    EXPECT(w, ask(&c, GET("/big/30000000")));
    wait_for(&w->gone, 1);
    EXPECT(w, w->gone == 1 && w->last_why == ERR_TIMEOUT);
    client_close(&c);
}

static void a_client_that_reads_nothing_is_let_go(void **state)
{
    (void)state;
    play_hasty(stuck_reader_play);
}

static void drain_now(void *arg)
{
    struct world *w = arg;
    http_server_drain(w->server);
}

static void answer_held(void *arg)
{
    struct world *w = arg;
    if (w->held)
        (void)!http_answer(w->held, 200, NULL, 0, SLICE("at last"));
}

static void drain_play(void *arg)
{
    struct world *w = arg;
    struct client idle, busy;
    client_open(&idle, w);
    client_open(&busy, w);
    EXPECT(w, ask(&idle, GET("/hello")) && hear(&idle));
    EXPECT(w, ask(&busy, GET("/hold")));
    wait_for(&w->requests, 2);
    EXPECT(w, loop_post(w->loop, drain_now, w) == ERR_OK);
    EXPECT(w, closed(&idle));
    EXPECT(w, peer_dial(w->port) < 0);
    EXPECT(w, loop_post(w->loop, answer_held, w) == ERR_OK);
    EXPECT(w, hear(&busy) && body_is(&busy, "at last"));
    EXPECT(w, head_has(&busy, "Connection: close\r\n") && closed(&busy));
    client_close(&idle);
    client_close(&busy);
    wait_for(&w->gone, 2);
    EXPECT(w, w->gone_ok == 2);
}

static void draining_closes_the_idle_and_lets_the_others_finish(void **state)
{
    (void)state;
    play(drain_play);
}

static void leave_open_play(void *arg)
{
    struct world *w = arg;
    struct client c, d;
    client_open(&c, w);
    client_open(&d, w);
    EXPECT(w, ask(&c, GET("/hold")) && ask(&d, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-"));
    wait_for(&w->requests, 1);
    client_close(&d);
    buf_fini(&c.in); /* its descriptor stays open: the server is freed under it */
}

static void freeing_the_server_ends_what_runs(void **state)
{
    (void)state;
    play(leave_open_play);
}

static void many_play(void *arg)
{
    struct world *w = arg;
    struct client c[70];
    for (int i = 0; i < 70; i++)
        client_open(&c[i], w);
    for (int i = 0; i < 64; i++)
        EXPECT(w, ask(&c[i], GET("/hello")) && hear(&c[i]));
    for (int i = 64; i < 70; i++)
        EXPECT(w, closed(&c[i]));
    for (int i = 0; i < 70; i++)
        client_close(&c[i]);
}

static void connections_beyond_the_ceiling_are_closed(void **state)
{
    (void)state;
    play(many_play);
}

static void ten_thousand_play(void *arg)
{
    struct world *w = arg;
    struct client c;
    size_t descriptors = 0;
    client_open(&c, w);
    for (int i = 0; i < 10000; i++) {
        if (i == 100)
            descriptors = peer_open_descriptors();
        EXPECT(w,
               ask(&c, i % 3 ? GET("/hello")
                             : "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"));
        EXPECT(w, hear(&c));
    }
    EXPECT(w, peer_open_descriptors() == descriptors);
    client_close(&c);
}

static void ten_thousand_requests_leave_nothing_behind(void **state)
{
    (void)state;
    play(ten_thousand_play);
}

/* Each allocation on the loop's thread fails once: the client may see an error or a closed
 * connection, never a wrong answer, and nothing leaks (ASan watches). */
static atomic_size_t fail_at;

static void fail_now(void *arg)
{
    (void)arg;
    mem_fail_after(atomic_load(&fail_at));
}

static void failing_play(void *arg)
{
    struct world *w = arg;
    EXPECT(w, loop_post(w->loop, fail_now, w) == ERR_OK);
    int whole = 0;
    for (int round = 0; round < 3; round++) {
        struct client c;
        client_open(&c, w);
        EXPECT(w, c.fd >= 0);
        if (ask(&c,
                "POST /stream HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc" GET("/hello"))) {
            bool first = hear(&c);
            EXPECT(w, !first || c.a.status == 503 || body_is(&c, "abc"));
            bool second = first && c.a.status == 200 && hear(&c);
            EXPECT(w, !second || c.a.status == 503 || body_is(&c, "hello"));
            whole += second && c.a.status == 200;
        }
        client_close(&c);
    }
    EXPECT(w, whole >= 2); /* one failure harms one connection */
}

static void each_failing_allocation_is_survived(void **state)
{
    (void)state;
    for (size_t n = 1; n <= 24; n++) {
        struct world w;
        world_open(&w, false);
        atomic_store(&fail_at, n);
        peer_run(w.loop, failing_play, &w);
        mem_fail_after(0);
        w.requests = w.gone; /* a request without a job hears of no end */
        world_close(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kept_connection_serves_request_after_request),
        cmocka_unit_test(answers_without_a_body_do_not_disturb_the_next),
        cmocka_unit_test(old_clients_and_those_who_want_to_close_are_obeyed),
        cmocka_unit_test(a_request_that_drips_byte_by_byte_is_served),
        cmocka_unit_test(chunked_bodies_in_random_cuts_come_back_whole),
        cmocka_unit_test(fifty_pipelined_requests_are_answered_in_order),
        cmocka_unit_test(a_client_that_asks_much_and_reads_nothing_gets_no_more),
        cmocka_unit_test(slow_heads_are_408_and_idle_connections_end),
        cmocka_unit_test(a_body_that_stops_coming_is_408),
        cmocka_unit_test(what_cannot_be_served_is_refused_and_closed),
        cmocka_unit_test(garbage_after_a_body_is_a_bad_request_of_its_own),
        cmocka_unit_test(a_client_that_waits_for_a_word_gets_it_when_the_body_is_wanted),
        cmocka_unit_test(an_answer_before_the_body_keeps_the_connection_only_where_little_is_left),
        cmocka_unit_test(a_client_that_hangs_up_is_told_of),
        cmocka_unit_test(an_answer_that_cannot_be_finished_is_cut),
        cmocka_unit_test(a_huge_answer_to_a_slow_reader_needs_little_memory),
        cmocka_unit_test(a_client_that_reads_nothing_is_let_go),
        cmocka_unit_test(draining_closes_the_idle_and_lets_the_others_finish),
        cmocka_unit_test(freeing_the_server_ends_what_runs),
        cmocka_unit_test(connections_beyond_the_ceiling_are_closed),
        cmocka_unit_test(ten_thousand_requests_leave_nothing_behind),
        cmocka_unit_test(each_failing_allocation_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
