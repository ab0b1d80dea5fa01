/*
 * The client against upstreams that are played by a raw socket on a thread, word by word; and
 * against our own server, to count what a warm pair of them costs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/base/limits.h"
#include "common/base/mem.h"
#include "common/net/http_client.h"
#include "common/net/http_server.h"
#include "tests/kit/net/certs.h"
#include "tests/kit/raw_peer.h"

struct world {
    struct loop *loop;
    struct resolver *resolver;
    struct http_client *client;
    struct cidr loopback;
    int listener;
    uint16_t port;
    bool failed;
    char note[160];
};

#define EXPECT(w, x)                                                                               \
    do {                                                                                           \
        if (!(x)) {                                                                                \
            snprintf((w)->note, sizeof(w)->note, "line %d: %s", __LINE__, #x);                     \
            (w)->failed = true;                                                                    \
            return;                                                                                \
        }                                                                                          \
    } while (0)

enum close_at { CLOSE_AT_END, CLOSE_AT_HEAD, CLOSE_AT_BODY, CLOSE_NEVER };

/* One call: what it asks, and what came of it. */
struct ask {
    struct world *w;
    struct http_call_spec spec;
    struct http_call *call;
    enum close_at close_at;
    bool pause_at_head;
    size_t pour; /* streamed: bytes still to be written */
    enum err started, why;
    enum http_call_phase phase;
    atomic_uint status; /* read before the call is over */
    unsigned ends;
    atomic_bool done;
    atomic_size_t got, most_pending;
    struct buf body;
};

static void over(struct ask *a)
{
    a->ends++;
    if (a->close_at != CLOSE_NEVER)
        http_call_close(&a->call);
    atomic_store(&a->done, true);
}

static void on_head(void *arg, const struct http_head *head)
{
    struct ask *a = arg;
    a->status = head->status;
    if (a->pause_at_head)
        http_call_pause(a->call);
    if (a->close_at == CLOSE_AT_HEAD)
        over(a);
}

static void on_body(void *arg, struct slice data)
{
    struct ask *a = arg;
    atomic_fetch_add(&a->got, data.len);
    if (a->got < (4u << 20))
        (void)!buf_append(&a->body, data);
    if (a->close_at == CLOSE_AT_BODY)
        over(a);
}

static void on_end(void *arg)
{
    over(arg);
}

static void on_error(void *arg, enum err why, enum http_call_phase phase)
{
    struct ask *a = arg;
    a->why = why;
    a->phase = phase;
    over(a);
}

static void pour(struct ask *a)
{
    static char block[8192];
    while (a->pour && http_call_pending(a->call) <= LIMIT_STREAM_HIGH) {
        size_t n = a->pour < sizeof block ? a->pour : sizeof block;
        if (http_call_write(a->call, slice_of(block, n)) != ERR_OK)
            return;
        a->pour -= n;
        if (http_call_pending(a->call) > a->most_pending)
            a->most_pending = http_call_pending(a->call);
    }
    if (a->pour == 0)
        http_call_write_end(a->call);
}

static void on_drain(void *arg)
{
    pour(arg);
}

static const struct http_call_events events = {.on_head = on_head,
                                               .on_body = on_body,
                                               .on_end = on_end,
                                               .on_error = on_error,
                                               .on_drain = on_drain};

static void start_now(void *arg)
{
    struct ask *a = arg;
    a->started = http_call_start(a->w->client, &a->spec, &events, a, &a->call);
    if (a->started)
        atomic_store(&a->done, true);
    else if (a->pour)
        pour(a);
}

static void ask_init(struct ask *a, struct world *w, struct slice method)
{
    *a = (struct ask){.w = w};
    a->spec = (struct http_call_spec){
        .method = method,
        .url = {.host = SLICE("127.0.0.1"), .port = w->port},
        .path = SLICE("/x"),
        .rule = {&w->loopback, 1},
    };
    buf_init(&a->body, 8u << 20);
    char *room; /* now: where allocations are made to fail, this one is not meant */
    if (buf_room(&a->body, 4096, &room))
        abort();
}

static void ask_start(struct ask *a)
{
    if (loop_post(a->w->loop, start_now, a) != ERR_OK)
        abort();
}

static bool ask_wait(struct ask *a)
{
    for (int i = 0; i < 5000 && !atomic_load(&a->done); i++)
        usleep(1000);
    return atomic_load(&a->done);
}

static void ask_fini(struct ask *a)
{
    buf_fini(&a->body);
}

static bool body_is(const struct ask *a, const char *text)
{
    return slice_eq(buf_slice(&a->body), slice_str(text));
}

static void world_open(struct world *w)
{
    *w = (struct world){0};
    assert_int_equal(loop_new(&w->loop), ERR_OK);
    assert_int_equal(resolver_new(w->loop, &w->resolver), ERR_OK);
    assert_int_equal(http_client_new(w->loop, w->resolver, NULL, &w->client), ERR_OK);
    assert_int_equal(cidr_parse(SLICE("127.0.0.0/8"), &w->loopback), ERR_OK);
    w->listener = peer_listen(&w->port);
    assert_true(w->listener >= 0);
}

static void world_close(struct world *w)
{
    close(w->listener);
    http_client_free(w->client);
    resolver_free(w->resolver);
    loop_free(w->loop);
    if (w->failed)
        fail_msg("%s", w->note);
}

static void play(void (*script)(void *arg))
{
    struct world w;
    world_open(&w);
    peer_run(w.loop, script, &w);
    world_close(&w);
}

/* Reads one request's head (and what came with it) from the upstream's side. */
static bool hear(int fd, struct buf *in)
{
    buf_clear(in);
    return peer_until(fd, in, "\r\n\r\n");
}

struct idle_count {
    struct world *w;
    atomic_int count;
};

static void count_idle(void *arg)
{
    struct idle_count *i = arg;
    atomic_store(&i->count, (int)http_client_idle(i->w->client));
}

static bool idle_becomes(struct world *w, int want)
{
    struct idle_count i = {w, -1};
    for (int round = 0; round < 500; round++) {
        atomic_store(&i.count, -1);
        if (loop_post(w->loop, count_idle, &i) != ERR_OK)
            return false;
        while (atomic_load(&i.count) < 0)
            usleep(100);
        if (i.count == want)
            return true;
        usleep(1000);
    }
    return false;
}

/* One call that is answered by `text`, after which the upstream closes where asked to. */
static bool served(struct ask *a, int *fd, struct buf *in, const char *text, bool then_close)
{
    ask_start(a);
    if (*fd < 0)
        *fd = peer_accept(a->w->listener);
    bool fine = hear(*fd, in) && peer_say(*fd, text);
    if (then_close) {
        close(*fd);
        *fd = -1;
    }
    return fine && ask_wait(a);
}

/* ---- plays ---- */

static void wire_play(void *arg)
{
    struct world *w = arg;
    struct buf in;
    struct ask a;
    char want[256];
    const struct http_header headers[] = {{SLICE("Accept"), SLICE("*/*")},
                                          {SLICE("X-A"), SLICE("b")}};
    int fd = -1;
    buf_init(&in, 1 << 20);

    ask_init(&a, w, SLICE("GET"));
    a.spec.headers = headers;
    a.spec.header_count = 2;
    EXPECT(w, served(&a, &fd, &in, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", false));
    EXPECT(w, a.status == 200 && body_is(&a, "ok") && a.ends == 1 && !a.why);
    snprintf(want, sizeof want,
             "GET /x HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nAccept: */*\r\nX-A: b\r\n\r\n", w->port);
    EXPECT(w, slice_eq(buf_slice(&in), slice_str(want)));
    ask_fini(&a);

    /* the same connection, a body, and an empty one */
    ask_init(&a, w, SLICE("POST"));
    a.spec.path = SLICE("/y?z=1");
    a.spec.body = SLICE("{\"a\":1}");
    EXPECT(w, served(&a, &fd, &in, "HTTP/1.1 201 Made\r\nContent-Length: 0\r\n\r\n", false));
    EXPECT(w, a.status == 201 && a.body.len == 0);
    snprintf(want, sizeof want,
             "POST /y?z=1 HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nContent-Length: 7\r\n\r\n{\"a\":1}",
             w->port);
    EXPECT(w, slice_eq(buf_slice(&in), slice_str(want)));
    ask_fini(&a);
    ask_init(&a, w, SLICE("POST"));
    EXPECT(w, served(&a, &fd, &in, "HTTP/1.1 204 No\r\n\r\n", false));
    EXPECT(w, slice_search(buf_slice(&in), SLICE("\r\nContent-Length: 0\r\n")) > 0);
    EXPECT(w, a.status == 204 && idle_becomes(w, 1));
    ask_fini(&a);
    close(fd);
    EXPECT(w, idle_becomes(w, 0));
    buf_fini(&in);
}

static void requests_go_out_in_our_framing_over_one_kept_connection(void **state)
{
    (void)state;
    play(wire_play);
}

/* What the answer's framing makes of the call and of the connection. */
static const struct {
    const char *name, *method, *answer;
    bool close_after;
    const char *body; /* NULL: an error */
    enum err why;
    enum http_call_phase phase;
    bool kept;
} framings[] = {
    {"chunked", "GET",
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\nT: "
     "u\r\n\r\n",
     false, "abcde", ERR_OK, 0, true},
    {"to the close", "GET", "HTTP/1.1 200 OK\r\n\r\nabc", true, "abc", ERR_OK, 0, false},
    {"HTTP/1.0", "GET", "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc", false, "abc", ERR_OK, 0,
     false},
    {"HTTP/1.0 kept", "GET",
     "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc", false, "abc",
     ERR_OK, 0, true},
    {"close", "GET", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc", false,
     "abc", ERR_OK, 0, false},
    {"HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n", false, "", ERR_OK, 0, true},
    {"204", "GET", "HTTP/1.1 204 No\r\nContent-Length: 3\r\n\r\n", false, "", ERR_OK, 0, true},
    {"304", "GET", "HTTP/1.1 304 No\r\nContent-Length: 3\r\n\r\n", false, "", ERR_OK, 0, true},
    {"interim answers", "GET",
     "HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 103 Hint\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n"
     "Content-Length: 1\r\n\r\na",
     false, "a", ERR_OK, 0, true},
    {"a redirect is returned", "GET",
     "HTTP/1.1 302 Found\r\nLocation: /y\r\nContent-Length: 1\r\n\r\na", false, "a", ERR_OK, 0,
     true},
    {"garbage behind", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nabc", false, "a", ERR_OK,
     0, false},
    {"a second answer behind", "GET",
     "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb",
     false, "a", ERR_OK, 0, false},
    {"length cut", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", true, NULL, ERR_CLOSED,
     HTTP_PHASE_BODY, false},
    {"chunked cut", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc", true,
     NULL, ERR_CLOSED, HTTP_PHASE_BODY, false},
    {"chunked cut at the last moment", "GET",
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n", true, NULL, ERR_CLOSED,
     HTTP_PHASE_BODY, false},
    {"head cut", "GET", "HTTP/1.1 200 OK\r\nContent-", true, NULL, ERR_CLOSED,
     HTTP_PHASE_FIRST_BYTE, false},
    {"nothing", "GET", "", true, NULL, ERR_CLOSED, HTTP_PHASE_FIRST_BYTE, false},
    {"not HTTP", "GET", "SSH-2.0-x\r\n", false, NULL, ERR_PROTOCOL, HTTP_PHASE_FIRST_BYTE, false},
    {"bare LF", "GET", "HTTP/1.1 200 OK\nContent-Length: 1\n\na", false, NULL, ERR_PROTOCOL,
     HTTP_PHASE_FIRST_BYTE, false},
    {"two lengths", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
     false, NULL, ERR_PROTOCOL, HTTP_PHASE_FIRST_BYTE, false},
    {"length and coding", "GET",
     "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", false, NULL,
     ERR_PROTOCOL, HTTP_PHASE_FIRST_BYTE, false},
    {"101", "GET", "HTTP/1.1 101 Switch\r\nUpgrade: x\r\n\r\n", false, NULL, ERR_PROTOCOL,
     HTTP_PHASE_FIRST_BYTE, false},
    {"bad chunk", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", false, NULL,
     ERR_PROTOCOL, HTTP_PHASE_BODY, false},
};

static void framings_play(void *arg)
{
    struct world *w = arg;
    struct buf in;
    buf_init(&in, 1 << 20);
    for (size_t i = 0; i < ARRAY_LEN(framings); i++) {
        struct ask a;
        int fd = -1;
        ask_init(&a, w, slice_str(framings[i].method));
        bool fine = served(&a, &fd, &in, framings[i].answer, framings[i].close_after) &&
                    a.ends == 1 && a.why == framings[i].why &&
                    (!a.why || a.phase == framings[i].phase) &&
                    (!framings[i].body || body_is(&a, framings[i].body)) &&
                    idle_becomes(w, framings[i].kept);
        if (!fine) {
            snprintf(w->note, sizeof w->note, "\"%s\": %s, phase %d, body \"%.*s\"",
                     framings[i].name, err_name(a.why), (int)a.phase,
                     SLICE_ARG(buf_slice(&a.body)));
            w->failed = true;
            return;
        }
        if (fd >= 0)
            close(fd);
        EXPECT(w, idle_becomes(w, 0));
        ask_fini(&a);
    }
    buf_fini(&in);
}

static void each_framing_ends_as_it_must(void **state)
{
    (void)state;
    play(framings_play);
}

static void interim_flood_play(void *arg)
{
    struct world *w = arg;
    struct buf in, flood;
    struct ask a;
    int fd = -1;
    buf_init(&in, 1 << 20);
    buf_init(&flood, 1 << 20);
    for (int i = 0; i <= LIMIT_HTTP_INTERIM; i++)
        EXPECT(w, !buf_append(&flood, SLICE("HTTP/1.1 100 Go\r\n\r\n")));
    EXPECT(w, !buf_append(&flood, slice_of("", 1))); /* as a string */
    ask_init(&a, w, SLICE("GET"));
    EXPECT(w, served(&a, &fd, &in, buf_slice(&flood).ptr, false) && a.why == ERR_PROTOCOL);
    close(fd);
    ask_fini(&a);
    buf_fini(&flood);
    buf_fini(&in);
}

static void a_flood_of_interim_answers_ends(void **state)
{
    (void)state;
    play(interim_flood_play);
}

static void cuts_play(void *arg)
{
    struct world *w = arg;
    struct buf in, answer;
    unsigned seed = 7;
    int fd = -1;
    buf_init(&in, 1 << 20);
    buf_init(&answer, 1 << 20);
    for (int round = 0; round < 60; round++) {
        struct ask a;
        size_t total = 0;
        buf_clear(&answer);
        EXPECT(w, !buf_append(&answer,
                              SLICE("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")));
        for (int i = 0; i < 12; i++) {
            unsigned n = (unsigned)rand_r(&seed) % 2000 + 1;
            EXPECT(w, !buf_printf(&answer, "%X\r\n%0*d\r\n", n, (int)n, 7));
            total += n;
        }
        EXPECT(w, !buf_append(&answer, SLICE("0\r\n\r\n")));
        ask_init(&a, w, SLICE("GET"));
        ask_start(&a);
        if (fd < 0)
            fd = peer_accept(w->listener);
        EXPECT(w, hear(fd, &in));
        if (round == 0)
            EXPECT(w, peer_drip(fd, slice_first(buf_slice(&answer), 200)));
        for (struct slice left = slice_from(buf_slice(&answer), round == 0 ? 200 : 0); left.len;) {
            size_t n = (unsigned)rand_r(&seed) % 3000 + 1;
            EXPECT(w, peer_send(fd, slice_first(left, n)));
            left = slice_from(left, n);
        }
        EXPECT(w, ask_wait(&a) && a.got == total && !a.why);
        ask_fini(&a);
    }
    close(fd);
    buf_fini(&answer);
    buf_fini(&in);
}

static void chunked_answers_in_random_cuts_come_whole(void **state)
{
    (void)state;
    play(cuts_play);
}

static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/* The upstream closes a kept connection just as the next request is on its way. */
static bool stale(struct world *w, struct ask *a, struct buf *in, int *fresh)
{
    struct ask first;
    int fd = -1;
    *fresh = -1;
    ask_init(&first, w, SLICE("GET"));
    bool fine = served(&first, &fd, in, ok, false);
    ask_fini(&first);
    ask_start(a);
    fine = fine && hear(fd, in);
    close(fd);
    return fine;
}

static void stale_play(void *arg)
{
    struct world *w = arg;
    struct buf in;
    struct ask a;
    int fd;
    buf_init(&in, 1 << 20);

    ask_init(&a, w, SLICE("GET"));
    EXPECT(w, stale(w, &a, &in, &fd));
    fd = peer_accept(w->listener);
    EXPECT(w, hear(fd, &in) && slice_starts(buf_slice(&in), SLICE("GET /x ")));
    EXPECT(w, peer_say(fd, ok) && ask_wait(&a) && a.status == 200 && !a.why);
    ask_fini(&a);
    close(fd);
    EXPECT(w, idle_becomes(w, 0));

    /* with a body; and only once */
    ask_init(&a, w, SLICE("PUT"));
    a.spec.body = SLICE("abc");
    EXPECT(w, stale(w, &a, &in, &fd));
    fd = peer_accept(w->listener);
    EXPECT(w, hear(fd, &in) && slice_ends(buf_slice(&in), SLICE("\r\n\r\nabc")));
    close(fd);
    EXPECT(w, ask_wait(&a) && a.why == ERR_CLOSED && a.phase == HTTP_PHASE_FIRST_BYTE);
    ask_fini(&a);

    /* a POST may have been seen: never twice */
    ask_init(&a, w, SLICE("POST"));
    a.spec.body = SLICE("abc");
    EXPECT(w, stale(w, &a, &in, &fd) && ask_wait(&a));
    EXPECT(w, a.why == ERR_CLOSED && a.phase == HTTP_PHASE_FIRST_BYTE);
    ask_fini(&a);

    /* a part of an answer was there: not stale but broken */
    struct ask first;
    fd = -1;
    ask_init(&first, w, SLICE("GET"));
    EXPECT(w, served(&first, &fd, &in, ok, false));
    ask_fini(&first);
    ask_init(&a, w, SLICE("GET"));
    EXPECT(w, served(&a, &fd, &in, "HTTP/1.1 2", true) && a.why == ERR_CLOSED);
    ask_fini(&a);
    struct pollfd nobody = {.fd = w->listener, .events = POLLIN};
    EXPECT(w, poll(&nobody, 1, 50) == 0);
    buf_fini(&in);
}

static void a_stale_connection_is_replaced_once_where_no_harm_is_done(void **state)
{
    (void)state;
    play(stale_play);
}

static void idle_play(void *arg)
{
    struct world *w = arg;
    struct buf in;
    struct ask a;
    int fd = -1;
    buf_init(&in, 1 << 20);
    ask_init(&a, w, SLICE("GET"));
    EXPECT(w, served(&a, &fd, &in, ok, false) && idle_becomes(w, 1));
    ask_fini(&a);
    EXPECT(w, peer_say(fd, "HTTP/1.1 408 Late\r\n\r\n") && idle_becomes(w, 0));
    buf_clear(&in);
    EXPECT(w, peer_rest(fd, &in)); /* closed by the pool */
    close(fd);

    /* another host, the same address: not the same pool; last in, first out */
    int one = -1, two = -1;
    struct ask b;
    ask_init(&a, w, SLICE("GET"));
    ask_init(&b, w, SLICE("GET"));
    b.spec.url.host = SLICE("localhost");
    EXPECT(w, served(&a, &one, &in, ok, false) && served(&b, &two, &in, ok, false));
    EXPECT(w, idle_becomes(w, 2));
    EXPECT(w, slice_search(buf_slice(&in), SLICE("Host: localhost:")) > 0);
    ask_fini(&a);
    ask_fini(&b);
    ask_init(&b, w, SLICE("GET"));
    b.spec.url.host = SLICE("LOCALHOST");
    EXPECT(w, served(&b, &two, &in, ok, false) && b.status == 200);
    ask_fini(&b);

    /* the rule is withdrawn: the kept connection may not be used, nor a new one made */
    ask_init(&a, w, SLICE("GET"));
    a.spec.rule.allowed_count = 0;
    ask_start(&a);
    EXPECT(w, ask_wait(&a) && a.why == ERR_DENIED && a.phase == HTTP_PHASE_CONNECT);
    EXPECT(w, idle_becomes(w, 2));
    ask_fini(&a);
    close(one);
    close(two);
    buf_fini(&in);
}

static void an_idle_connection_that_speaks_is_dropped_and_rules_hold_at_reuse(void **state)
{
    (void)state;
    play(idle_play);
}

static void invalid_play(void *arg)
{
    static const struct http_header bad[] = {
        {SLICE("Host"), SLICE("x")},           {SLICE("connection"), SLICE("close")},
        {SLICE("CONTENT-LENGTH"), SLICE("1")}, {SLICE("Transfer-Encoding"), SLICE("chunked")},
        {SLICE("X"), SLICE("a\r\nY: b")},      {SLICE("X Y"), SLICE("a")},
    };
    struct world *w = arg;
    for (size_t i = 0; i < ARRAY_LEN(bad) + 6; i++) {
        struct ask a;
        ask_init(&a, w, SLICE("GET"));
        if (i < ARRAY_LEN(bad)) {
            a.spec.headers = &bad[i];
            a.spec.header_count = 1;
        }
        switch (i - ARRAY_LEN(bad)) {
        case 0:
            a.spec.path = SLICE("x");
            break;
        case 1:
            a.spec.path = SLICE("/a b");
            break;
        case 2:
            a.spec.method = SLICE("G T");
            break;
        case 3:
            a.spec.url.host = SLICE("");
            break;
        case 4:
            a.spec.url.host = SLICE("a\r\nb");
            break;
        case 5:
            a.spec.url.tls = true; /* and nothing to verify by */
            break;
        default:
            break;
        }
        ask_start(&a);
        EXPECT(w, ask_wait(&a) && a.started == ERR_INVALID && a.ends == 0);
        ask_fini(&a);
    }
}

static void what_may_not_be_sent_is_not_started(void **state)
{
    (void)state;
    play(invalid_play);
}

static void deadlines_play(void *arg)
{
    struct world *w = arg;
    struct buf in;
    static struct ask a; /* the last one ends with the client, after this thread */
    int fd;
    buf_init(&in, 1 << 20);

    ask_init(&a, w, SLICE("GET"));
    a.spec.first_byte_ms = 100;
    ask_start(&a);
    fd = peer_accept(w->listener);
    EXPECT(w, ask_wait(&a) && a.why == ERR_TIMEOUT && a.phase == HTTP_PHASE_FIRST_BYTE);
    ask_fini(&a);
    close(fd);

    ask_init(&a, w, SLICE("GET"));
    a.spec.gap_ms = 100;
    fd = -1;
    EXPECT(w, served(&a, &fd, &in, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", false));
    EXPECT(w, a.why == ERR_TIMEOUT && a.phase == HTTP_PHASE_BODY && body_is(&a, "abc"));
    ask_fini(&a);
    close(fd);

    /* never silent, but too long altogether */
    ask_init(&a, w, SLICE("GET"));
    a.spec.gap_ms = 5000;
    a.spec.total_ms = 200;
    ask_start(&a);
    fd = peer_accept(w->listener);
    EXPECT(w, hear(fd, &in) && peer_say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n"));
    for (int i = 0; i < 40 && !a.done && peer_say(fd, "a"); i++)
        usleep(20000);
    EXPECT(w, ask_wait(&a) && a.why == ERR_TIMEOUT && a.phase == HTTP_PHASE_BODY);
    ask_fini(&a);
    close(fd);

    /* nobody listens */
    ask_init(&a, w, SLICE("GET"));
    uint16_t unused = 0;
    int gone = peer_listen(&unused);
    close(gone);
    a.spec.url.port = unused;
    ask_start(&a);
    EXPECT(w, ask_wait(&a) && a.why == ERR_CONNECT && a.phase == HTTP_PHASE_CONNECT);
    ask_fini(&a);

    /* a pause of our own is not the upstream's silence */
    ask_init(&a, w, SLICE("GET"));
    a.spec.gap_ms = 50;
    a.pause_at_head = true;
    a.close_at = CLOSE_AT_END;
    ask_start(&a);
    fd = peer_accept(w->listener);
    EXPECT(w, hear(fd, &in) && peer_say(fd, ok));
    usleep(300000);
    EXPECT(w, !a.done);
    close(fd);
    buf_fini(&in);
    usleep(50000); /* the call ends with the client */
    ask_fini(&a);
}

static void each_phase_has_its_deadline(void **state)
{
    (void)state;
    play(deadlines_play);
}

static void resume_now(void *arg)
{
    struct ask *a = arg;
    http_call_resume(a->call);
}

static void backpressure_play(void *arg)
{
    static char block[65536];
    struct world *w = arg;
    struct buf in;
    struct ask a;
    const size_t total = 20000000;
    size_t sent = 0;
    buf_init(&in, 1 << 20);
    ask_init(&a, w, SLICE("GET"));
    a.pause_at_head = true;
    ask_start(&a);
    int fd = peer_accept(w->listener);
    EXPECT(w, hear(fd, &in) && peer_say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 20000000\r\n\r\n"));
    for (int idle = 0; idle < 200 && sent < total;) {
        size_t want = total - sent < sizeof block ? total - sent : sizeof block;
        ssize_t n = send(fd, block, want, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0)
            sent += (size_t)n;
        else
            usleep(1000), idle++;
    }
    EXPECT(w, sent < total && a.got == 0); /* the upstream is held: nobody reads */
    EXPECT(w, loop_post(w->loop, resume_now, &a) == ERR_OK);
    while (sent < total) {
        size_t want = total - sent < sizeof block ? total - sent : sizeof block;
        EXPECT(w, peer_send(fd, slice_of(block, want)));
        sent += want;
    }
    EXPECT(w, ask_wait(&a) && a.got == total && !a.why);
    ask_fini(&a);
    close(fd);
    buf_fini(&in);
}

static void a_paused_answer_holds_the_upstream(void **state)
{
    (void)state;
    play(backpressure_play);
}

static void paused_end_play(void *arg)
{
    struct world *w = arg;
    struct buf in;
    struct ask a;
    buf_init(&in, 1 << 20);
    for (int to_close = 0; to_close < 2; to_close++) {
        ask_init(&a, w, SLICE("GET"));
        a.pause_at_head = true;
        ask_start(&a);
        int fd = peer_accept(w->listener);
        EXPECT(w, hear(fd, &in));
        EXPECT(w, peer_say(fd, to_close ? "HTTP/1.1 200 OK\r\n\r\nabc" : ok));
        close(fd); /* all is sent, and the end of it waits behind our pause */
        usleep(50000);
        EXPECT(w, !a.done && a.status == 200);
        EXPECT(w, loop_post(w->loop, resume_now, &a) == ERR_OK);
        EXPECT(w, ask_wait(&a) && !a.why && body_is(&a, to_close ? "abc" : "ok"));
        ask_fini(&a);
    }
    buf_fini(&in);
}

static void an_end_that_came_during_a_pause_is_told_after_it(void **state)
{
    (void)state;
    play(paused_end_play);
}

static void streamed_play(void *arg)
{
    static char block[65536];
    struct world *w = arg;
    struct buf in;
    buf_init(&in, 64u << 20);
    const size_t total = 20000000;
    for (int chunked = 0; chunked < 2; chunked++) {
        struct ask a;
        ask_init(&a, w, SLICE("POST"));
        a.spec.streamed = true;
        a.spec.body_length = chunked ? UINT64_MAX : total;
        a.pour = total;
        ask_start(&a);
        int fd = peer_accept(w->listener);
        usleep(200000); /* a slow reader: the caller must be made to wait */
        EXPECT(w, a.most_pending <= LIMIT_STREAM_HIGH + 2 * 8192);
        EXPECT(w, hear(fd, &in));
        struct http_head h = {.chunked = chunked, .has_length = !chunked, .length = total};
        struct http1_body walk;
        size_t got = 0;
        http1_body_init(&walk, HTTP1_REQUEST, &h, SLICE("POST"));
        struct slice rest =
            slice_from(buf_slice(&in), (size_t)slice_search(buf_slice(&in), SLICE("\r\n\r\n")) + 4);
        for (bool ended = false; !ended;) {
            struct http1_problem problem;
            struct slice piece;
            enum err e = http1_body_next(&walk, &rest, &piece, &ended, &problem);
            EXPECT(w, e != ERR_INVALID);
            got += piece.len;
            if (e == ERR_AGAIN) {
                ssize_t n = recv(fd, block, sizeof block, 0);
                EXPECT(w, n > 0);
                rest = slice_of(block, (size_t)n);
            }
        }
        EXPECT(w, got == total);
        EXPECT(w, peer_say(fd, ok) && ask_wait(&a) && a.status == 200 && !a.why);
        EXPECT(w, a.most_pending > 0 && idle_becomes(w, 1));
        close(fd);
        EXPECT(w, idle_becomes(w, 0));
        ask_fini(&a);
    }
    buf_fini(&in);
}

static void a_streamed_body_waits_for_a_slow_upstream(void **state)
{
    (void)state;
    play(streamed_play);
}

static void early_play(void *arg)
{
    struct world *w = arg;
    struct buf in;
    struct ask a;
    buf_init(&in, 64u << 20);
    ask_init(&a, w, SLICE("POST"));
    a.spec.streamed = true;
    a.spec.body_length = UINT64_MAX;
    a.pour = 50000000;
    ask_start(&a);
    int fd = peer_accept(w->listener);
    EXPECT(w, hear(fd, &in));
    EXPECT(w, peer_say(fd, "HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno"));
    EXPECT(w, ask_wait(&a) && a.status == 413 && body_is(&a, "no") && !a.why && a.ends == 1);
    EXPECT(w, idle_becomes(w, 0));
    close(fd);
    ask_fini(&a);
    buf_fini(&in);
}

static void an_answer_before_the_request_is_out_ends_the_call(void **state)
{
    (void)state;
    play(early_play);
}

static void write_short(void *arg)
{
    struct ask *a = arg;
    start_now(a);
    if (http_call_write(a->call, SLICE("abcdefghijk")) != ERR_INVALID ||
        http_call_write(a->call, SLICE("abc")) != ERR_OK)
        a->status = 999;
    http_call_write_end(a->call);
    if (http_call_write(a->call, SLICE("abc")) == ERR_OK)
        a->status = 998;
}

static void short_play(void *arg)
{
    struct world *w = arg;
    struct ask a;
    ask_init(&a, w, SLICE("POST"));
    a.spec.streamed = true;
    a.spec.body_length = 10;
    EXPECT(w, loop_post(w->loop, write_short, &a) == ERR_OK);
    EXPECT(w, ask_wait(&a) && a.status == 0 && a.why == ERR_INVALID);
    ask_fini(&a);
}

static void a_body_is_neither_longer_nor_shorter_than_announced(void **state)
{
    (void)state;
    play(short_play);
}

static void close_play(void *arg)
{
    struct world *w = arg;
    struct buf in;
    buf_init(&in, 1 << 20);
    for (int at = CLOSE_AT_HEAD; at <= CLOSE_AT_BODY; at++) {
        struct ask a;
        int fd = -1;
        ask_init(&a, w, SLICE("GET"));
        a.close_at = (enum close_at)at;
        EXPECT(w, served(&a, &fd, &in,
                         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\n",
                         false));
        EXPECT(w, a.ends == 1 && a.status == 200 && idle_becomes(w, 0));
        buf_clear(&in);
        EXPECT(w, peer_rest(fd, &in)); /* the upstream is told at once */
        close(fd);
        ask_fini(&a);
    }
    buf_fini(&in);
}

static void a_call_may_be_closed_inside_its_own_events(void **state)
{
    (void)state;
    play(close_play);
}

static struct ask left_over; /* outlives the loop's run: ended by http_client_free */

static void left_over_play(void *arg)
{
    struct world *w = arg;
    ask_init(&left_over, w, SLICE("GET"));
    ask_start(&left_over);
    int fd = peer_accept(w->listener);
    EXPECT(w, fd >= 0);
    usleep(20000);
    close(dup(fd)); /* the descriptor itself stays open until the process ends */
}

static void freeing_the_client_ends_what_runs(void **state)
{
    (void)state;
    play(left_over_play);
    assert_int_equal(left_over.ends, 1);
    assert_int_equal(left_over.why, ERR_CANCELLED);
    ask_fini(&left_over);
}

/* ---- our own server on the same loop ---- */

struct pair {
    struct world w;
    struct http_server *server;
    unsigned left, ok;
    unsigned warm; /* when so many are left, allocations start to fail */
    size_t descriptors;
    struct http_call *call;
    struct tls_context *tls; /* NULL: plain */
};

static void on_served_body_end(void *user)
{
    struct http_exchange *x = user;
    const struct http_header type = {SLICE("Content-Type"), SLICE("application/json")};
    static const char body[1024];
    (void)!http_answer(x, 200, &type, 1, slice_of(body, sizeof body));
}

static void on_served(void *arg, struct http_exchange *x)
{
    static const struct http_exchange_events served_events = {.on_body_end = on_served_body_end};
    (void)arg;
    http_exchange_bind(x, &served_events, x);
    http_exchange_read(x, 0);
}

static void next_call(struct pair *p);

static void on_pair_head(void *arg, const struct http_head *head)
{
    struct pair *p = arg;
    p->ok += head->status == 200;
}

static void on_pair_body(void *arg, struct slice data)
{
    (void)arg;
    (void)data;
}

static void on_pair_end(void *arg)
{
    struct pair *p = arg;
    http_call_close(&p->call);
    next_call(p);
}

static void on_pair_error(void *arg, enum err why, enum http_call_phase phase)
{
    struct pair *p = arg;
    print_error("%s in phase %d with %u left\n", err_name(why), (int)phase, p->left);
    http_call_close(&p->call);
    loop_stop(p->w.loop);
}

static void next_call(struct pair *p)
{
    static const struct http_call_events pair_events = {.on_head = on_pair_head,
                                                        .on_body = on_pair_body,
                                                        .on_end = on_pair_end,
                                                        .on_error = on_pair_error};
    static const char body[1000];
    const struct http_header type = {SLICE("Content-Type"), SLICE("application/json")};
    struct http_call_spec spec = {.method = SLICE("POST"),
                                  .url = {.host = SLICE("127.0.0.1"),
                                          .port = http_server_port(p->server),
                                          .tls = p->tls != NULL},
                                  .tls = p->tls,
                                  .path = SLICE("/v1/chat/completions"),
                                  .headers = &type,
                                  .header_count = 1,
                                  .body = slice_of(body, sizeof body),
                                  .rule = {&p->w.loopback, 1}};
    if (p->left == p->warm) {
        p->descriptors = peer_open_descriptors();
        mem_fail_after(1); /* from here on an allocation is a failure */
    }
    if (p->left-- == 0 || http_call_start(p->w.client, &spec, &pair_events, p, &p->call) != ERR_OK)
        loop_stop(p->w.loop);
}

static void start_pair(void *arg)
{
    next_call(arg);
}

/* Runs 10,000 calls one after the other; false: something was allocated once it was warm. */
static bool run_pair(struct pair *p, struct tls_context *server_tls, struct tls_context *client_tls)
{
    static const struct http_server_events served_by = {.on_request = on_served};
    const struct http_server_config config = {.tls = server_tls,
                                              .body_max = 1 << 20,
                                              .head_ms = 20000,
                                              .body_gap_ms = 20000,
                                              .keepalive_ms = 20000,
                                              .connections_max = 64};
    union sockaddr_any at = {.in = peer_loopback(0)};
    *p = (struct pair){.left = 10000, .warm = 9900, .tls = client_tls};
    world_open(&p->w);
    assert_int_equal(http_server_new(p->w.loop, &config, &served_by, p, &p->server), ERR_OK);
    assert_int_equal(http_server_listen(p->server, &at), ERR_OK);
    assert_int_equal(loop_post(p->w.loop, start_pair, p), ERR_OK);
    loop_run(p->w.loop);
    bool allocated = mem_failed();
    mem_fail_after(0);
    assert_int_equal(p->ok, 10000);
    assert_int_equal(peer_open_descriptors(), p->descriptors);
    assert_int_equal(http_client_idle(p->w.client), 1);
    assert_int_equal(http_server_connections(p->server), 1);
    http_server_free(p->server);
    world_close(&p->w);
    return !allocated;
}

static void a_warm_pair_of_server_and_client_allocates_nothing(void **state)
{
    static struct pair p;
    (void)state;
    assert_true(run_pair(&p, NULL, NULL));
}

static void the_same_pair_over_tls_keeps_its_connection_too(void **state)
{
    static struct pair p;
    struct tls_context *server = NULL, *client = NULL;
    struct certs *certs = certs_new();
    struct certs_files files = certs_server(certs);
    const struct tls_server_config s = {.cert_file = files.cert, .key_file = files.key};
    const struct tls_client_config c = {.ca_file = certs_ca(certs)};
    (void)state;
    assert_int_equal(tls_server_new(&s, &server), ERR_OK);
    assert_int_equal(tls_client_new(&c, &client), ERR_OK);
    assert_true(run_pair(&p, server, client));
    tls_drop(server);
    tls_drop(client);
    certs_free(certs);
}

static atomic_size_t fail_at;

static void fail_then_start(void *arg)
{
    mem_fail_after(atomic_load(&fail_at));
    start_now(arg);
}

static void failing_play(void *arg)
{
    struct world *w = arg;
    struct buf in;
    struct ask a;
    buf_init(&in, 1 << 20);
    ask_init(&a, w, SLICE("PUT"));
    a.spec.body = SLICE("abc");
    EXPECT(w, loop_post(w->loop, fail_then_start, &a) == ERR_OK);
    struct pollfd there = {.fd = w->listener, .events = POLLIN};
    if (poll(&there, 1, 100) > 0) {
        int fd = peer_accept(w->listener);
        if (hear(fd, &in))
            (void)!peer_say(fd, "HTTP/1.1 200 OK\r\nContent-Le"), usleep(5000),
                (void)!peer_say(fd, "ngth: 2\r\n\r\nok");
        close(fd);
    }
    EXPECT(w, ask_wait(&a));
    EXPECT(w, a.started || a.why || (a.status == 200 && body_is(&a, "ok")));
    EXPECT(w, a.started ? a.ends == 0 : a.ends == 1);
    ask_fini(&a);
    buf_fini(&in);
}

static void each_failing_allocation_has_one_end(void **state)
{
    (void)state;
    for (size_t n = 1; n <= 24; n++) {
        struct world w;
        world_open(&w);
        atomic_store(&fail_at, n);
        peer_run(w.loop, failing_play, &w);
        mem_fail_after(0);
        world_close(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_go_out_in_our_framing_over_one_kept_connection),
        cmocka_unit_test(each_framing_ends_as_it_must),
        cmocka_unit_test(a_flood_of_interim_answers_ends),
        cmocka_unit_test(chunked_answers_in_random_cuts_come_whole),
        cmocka_unit_test(a_stale_connection_is_replaced_once_where_no_harm_is_done),
        cmocka_unit_test(an_idle_connection_that_speaks_is_dropped_and_rules_hold_at_reuse),
        cmocka_unit_test(what_may_not_be_sent_is_not_started),
        cmocka_unit_test(each_phase_has_its_deadline),
        cmocka_unit_test(a_paused_answer_holds_the_upstream),
        cmocka_unit_test(an_end_that_came_during_a_pause_is_told_after_it),
        cmocka_unit_test(a_streamed_body_waits_for_a_slow_upstream),
        cmocka_unit_test(an_answer_before_the_request_is_out_ends_the_call),
        cmocka_unit_test(a_body_is_neither_longer_nor_shorter_than_announced),
        cmocka_unit_test(a_call_may_be_closed_inside_its_own_events),
        cmocka_unit_test(freeing_the_client_ends_what_runs),
        cmocka_unit_test(a_warm_pair_of_server_and_client_allocates_nothing),
        cmocka_unit_test(the_same_pair_over_tls_keeps_its_connection_too),
        cmocka_unit_test(each_failing_allocation_has_one_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
