/*
 * The client when one side is slow: deadlines, pauses, and bodies that wait for their reader.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/base/limits.h"
#include "tests/kit/net/client_scenario.h"

static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

static void deadlines_scenario(void *arg)
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
    EXPECT(w, a.why == ERR_TIMEOUT && a.phase == HTTP_PHASE_BODY && ask_body_is(&a, "abc"));
    ask_fini(&a);
    close(fd);

    /* never silent, but too long altogether */
    ask_init(&a, w, SLICE("GET"));
    a.spec.gap_ms = 5000;
    a.spec.total_ms = 200;
    ask_start(&a);
    fd = peer_accept(w->listener);
    EXPECT(w,
           hear_request(fd, &in) && peer_say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n"));
    for (int i = 0; i < 40 && !a.done && peer_say(fd, "a"); i++)
        usleep(20000);
    EXPECT(w, ask_wait(&a) && a.why == ERR_TIMEOUT && a.phase == HTTP_PHASE_BODY);
    ask_fini(&a);
    close(fd);

    /* no program listens there */
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
    EXPECT(w, hear_request(fd, &in) && peer_say(fd, ok));
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
    scenario_upstream(deadlines_scenario);
}

static void resume_now(void *arg)
{
    struct ask *a = arg;
    http_call_resume(a->call);
}

static void backpressure_scenario(void *arg)
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
    EXPECT(w, hear_request(fd, &in) &&
                  peer_say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 20000000\r\n\r\n"));
    for (int idle = 0; idle < 200 && sent < total;) {
        size_t want = total - sent < sizeof block ? total - sent : sizeof block;
        ssize_t n = send(fd, block, want, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0)
            sent += (size_t)n;
        else
            usleep(1000), idle++;
    }
    EXPECT(w, sent < total && a.got == 0); /* the upstream is held: it reads nothing */
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

static void a_paused_response_holds_the_upstream(void **state)
{
    (void)state;
    scenario_upstream(backpressure_scenario);
}

static void paused_end_scenario(void *arg)
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
        EXPECT(w, hear_request(fd, &in));
        EXPECT(w, peer_say(fd, to_close ? "HTTP/1.1 200 OK\r\n\r\nabc" : ok));
        close(fd); /* all is sent, and the end of it waits behind our pause */
        usleep(50000);
        EXPECT(w, !a.done && a.status == 200);
        EXPECT(w, loop_post(w->loop, resume_now, &a) == ERR_OK);
        EXPECT(w, ask_wait(&a) && !a.why && ask_body_is(&a, to_close ? "abc" : "ok"));
        ask_fini(&a);
    }
    buf_fini(&in);
}

static void an_end_that_came_during_a_pause_is_reported_after_it(void **state)
{
    (void)state;
    scenario_upstream(paused_end_scenario);
}

static void streamed_scenario(void *arg)
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
        EXPECT(w, hear_request(fd, &in));
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
    scenario_upstream(streamed_scenario);
}

static void early_scenario(void *arg)
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
    EXPECT(w, hear_request(fd, &in));
    EXPECT(w, peer_say(fd, "HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno"));
    EXPECT(w, ask_wait(&a) && a.status == 413 && ask_body_is(&a, "no") && !a.why && a.ends == 1);
    EXPECT(w, idle_becomes(w, 0));
    close(fd);
    ask_fini(&a);
    buf_fini(&in);
}

static void a_response_before_the_request_is_sent_ends_the_call(void **state)
{
    (void)state;
    scenario_upstream(early_scenario);
}

static void write_short(void *arg)
{
    struct ask *a = arg;
    ask_start_now(a);
    if (http_call_write(a->call, SLICE("abcdefghijk")) != ERR_INVALID ||
        http_call_write(a->call, SLICE("abc")) != ERR_OK)
        a->status = 999;
    http_call_write_end(a->call);
    if (http_call_write(a->call, SLICE("abc")) == ERR_OK)
        a->status = 998;
}

static void short_scenario(void *arg)
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
    scenario_upstream(short_scenario);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_phase_has_its_deadline),
        cmocka_unit_test(a_paused_response_holds_the_upstream),
        cmocka_unit_test(an_end_that_came_during_a_pause_is_reported_after_it),
        cmocka_unit_test(a_streamed_body_waits_for_a_slow_upstream),
        cmocka_unit_test(a_response_before_the_request_is_sent_ends_the_call),
        cmocka_unit_test(a_body_is_neither_longer_nor_shorter_than_announced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
