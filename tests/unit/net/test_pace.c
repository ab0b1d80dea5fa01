/* pace — windows of a made-up clock, then a server with clients that are slow on purpose. */
#include "common/net/pace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>

#include <cmocka.h>

#include "common/base/limits.h"
#include "common/net/http_server.h"
#include "tests/kit/raw_peer.h"

#define WINDOW_MS 600
#define WINDOW_US (WINDOW_MS * 1000ull)
#define ENOUGH (WINDOW_MS * LIMIT_PACE / 1000) /* bytes of a window */

static void each_window_must_see_its_bytes(void **state)
{
    struct pace p = {0};
    (void)state;
    assert_true(pace_is_kept(&p, 1000, WINDOW_MS, 7)); /* begins */
    assert_true(pace_is_kept(&p, 1000 + WINDOW_US - 1, WINDOW_MS, 7));
    assert_true(pace_is_kept(&p, 1000 + WINDOW_US, WINDOW_MS, 7 + ENOUGH));
    /* what came too much in one window does not count in the next */
    assert_true(pace_is_kept(&p, 1000 + 2 * WINDOW_US, WINDOW_MS, 7 + 100 * ENOUGH));
    assert_false(pace_is_kept(&p, 1000 + 3 * WINDOW_US, WINDOW_MS, 7 + 101 * ENOUGH - 1));
}

static void a_pace_that_was_stopped_begins_anew(void **state)
{
    struct pace p = {0};
    (void)state;
    pace_begin(&p, 1000, 0);
    pace_stop(&p);
    assert_true(pace_is_kept(&p, 1000 + 9 * WINDOW_US, WINDOW_MS, 0));
    assert_true(pace_is_kept(&p, 1000 + 10 * WINDOW_US - 1, WINDOW_MS, 0));
    assert_false(pace_is_kept(&p, 1000 + 10 * WINDOW_US, WINDOW_MS, ENOUGH - 1));
}

static void a_count_that_steps_back_is_too_little(void **state)
{
    struct pace p = {0};
    (void)state;
    pace_begin(&p, 0, 1000);
    assert_false(pace_is_kept(&p, WINDOW_US, WINDOW_MS, 900));
}

/* ---- a server: /echo, /pause (reads its body late), /pour (its response never ends) ---- */

struct world {
    struct loop *loop;
    struct http_server *server;
    uint16_t port;
    struct http_exchange *x;
    struct timer timer;
    struct buf body;
    bool is_pouring;
    atomic_uint gone;
    atomic_int why;
    /* the script's */
    unsigned status;
    bool sent, cut;
};

static void on_body(void *user, struct slice data)
{
    struct world *w = user;
    assert_int_equal(buf_append(&w->body, data), ERR_OK);
}

static void on_body_end(void *user)
{
    struct world *w = user;
    (void)!http_response(w->x, 200, NULL, 0, buf_slice(&w->body));
}

static void on_gone(void *user, enum err why)
{
    struct world *w = user;
    timer_cancel(&w->timer);
    w->x = NULL;
    atomic_store(&w->why, (int)why);
    atomic_fetch_add(&w->gone, 1);
}

/* Much, until the client's buffers are full; then as little as a keep-alive, again and again. */
static void on_timer(struct timer *t)
{
    static char block[65536];
    struct world *w = CONTAINER_OF(t, struct world, timer);
    if (!w->is_pouring) {
        http_exchange_resume(w->x);
        return;
    }
    while (http_response_pending(w->x) == 0 && !http_response_write(w->x, slice_of(block, 65536)))
        ;
    (void)!http_response_write(w->x, SLICE(": keep-alive\n\n"));
    timer_start(t, WINDOW_MS / 6);
}

static void on_request(void *arg, struct http_exchange *x)
{
    static const struct http_exchange_events events = {
        .on_body = on_body, .on_body_end = on_body_end, .on_gone = on_gone};
    struct world *w = arg;
    struct slice target = http_exchange_head(x)->target;
    w->x = x;
    http_exchange_bind(x, &events, w);
    w->is_pouring = slice_eq(target, SLICE("/pour"));
    if (w->is_pouring) {
        assert_int_equal(http_response_begin(x, 200, NULL, 0, UINT64_MAX), ERR_OK);
        timer_start(&w->timer, 1);
        return;
    }
    http_exchange_read(x, 0);
    if (slice_eq(target, SLICE("/pause"))) {
        http_exchange_pause(x);
        timer_start(&w->timer, 3 * WINDOW_MS);
    }
}

static void scenario(struct world *w, void (*script)(void *arg))
{
    static const struct http_server_events events = {.on_request = on_request};
    const struct http_server_config config = {
        .body_max = 1 << 20, .head_ms = WINDOW_MS, .body_gap_ms = WINDOW_MS};
    const union sockaddr_any at = {.in = peer_loopback(0)};
    *w = (struct world){0};
    buf_init(&w->body, 1 << 20);
    assert_int_equal(loop_new(&w->loop), ERR_OK);
    timer_init(&w->timer, w->loop, on_timer);
    assert_int_equal(http_server_new(w->loop, &config, &events, w, &w->server), ERR_OK);
    assert_int_equal(http_server_listen(w->server, &at), ERR_OK);
    w->port = http_server_port(w->server);
    peer_run(w->loop, script, w);
    http_server_free(w->server);
    loop_free(w->loop);
    buf_fini(&w->body);
}

static void hear_status(struct world *w, int fd)
{
    struct buf in;
    struct peer_answer a = {0};
    buf_init(&in, 1 << 20);
    buf_init(&a.head, 1 << 20);
    buf_init(&a.body, 1 << 20);
    if (peer_answer(fd, &in, SLICE("POST"), &a))
        w->status = a.status;
    buf_fini(&in);
    buf_fini(&a.head);
    buf_fini(&a.body);
}

/* n bytes a piece, a pause behind each; ends early where a response has come */
static void send_slowly(struct world *w, int fd, size_t total, size_t piece, unsigned pause_ms)
{
    static const char text[1024];
    for (size_t left = total; left && !w->sent;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        size_t n = piece < left ? piece : left;
        if (poll(&p, 1, (int)pause_ms) > 0 || !peer_send(fd, slice_of(text, n)))
            return;
        left -= n;
        w->sent = left == 0;
    }
}

static void drip_script(void *arg)
{
    struct world *w = arg;
    int fd = peer_dial(w->port);
    (void)!peer_say(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n");
    send_slowly(w, fd, 1000, 1, 20);
    hear_status(w, fd);
    close(fd);
}

static void a_body_that_drips_for_ever_is_408(void **state)
{
    struct world w;
    (void)state;
    scenario(&w, drip_script);
    assert_false(w.sent); /* it was not the gap: pieces came all the time */
    assert_int_equal(w.status, 408);
    assert_int_equal(w.why, ERR_TIMEOUT);
}

static void steady_script(void *arg)
{
    struct world *w = arg;
    int fd = peer_dial(w->port);
    (void)!peer_say(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 6000\r\n\r\n");
    send_slowly(w, fd, 6000, 200, 3 * WINDOW_MS / 30); /* 3 windows */
    hear_status(w, fd);
    close(fd);
}

static void a_body_that_is_slow_but_steady_is_served(void **state)
{
    struct world w;
    (void)state;
    scenario(&w, steady_script);
    assert_true(w.sent);
    assert_int_equal(w.status, 200);
}

static void pause_script(void *arg)
{
    struct world *w = arg;
    int fd = peer_dial(w->port);
    (void)!peer_say(fd, "POST /pause HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\nfour");
    usleep(2 * WINDOW_MS * 1000);
    w->sent = peer_say(fd, "more");
    hear_status(w, fd);
    close(fd);
}

static void a_body_that_is_not_read_has_no_deadline(void **state)
{
    struct world w;
    (void)state;
    scenario(&w, pause_script);
    assert_true(w.sent);
    assert_int_equal(w.status, 200);
}

static void deaf_script(void *arg)
{
    struct world *w = arg;
    int fd = peer_dial(w->port);
    (void)!peer_say(fd, "GET /pour HTTP/1.1\r\nHost: x\r\n\r\n");
    for (unsigned i = 0; i < 10 * PEER_WAIT_S && !w->gone; i++)
        usleep(100000);
    w->cut = w->gone > 0;
    close(fd);
}

static void a_client_that_never_reads_is_closed_though_keep_alives_are_written(void **state)
{
    struct world w;
    (void)state;
    scenario(&w, deaf_script);
    assert_true(w.cut);
    assert_int_equal(w.why, ERR_TIMEOUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_window_must_see_its_bytes),
        cmocka_unit_test(a_pace_that_was_stopped_begins_anew),
        cmocka_unit_test(a_count_that_steps_back_is_too_little),
        cmocka_unit_test(a_body_that_drips_for_ever_is_408),
        cmocka_unit_test(a_body_that_is_slow_but_steady_is_served),
        cmocka_unit_test(a_body_that_is_not_read_has_no_deadline),
        cmocka_unit_test(a_client_that_never_reads_is_closed_though_keep_alives_are_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
