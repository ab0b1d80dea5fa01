/*
 * The server against clients that are slow, late or gone; and its own end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/limits.h"
#include "common/base/mem.h"
#include "common/net/tls.h"
#include "tests/kit/net/certs.h"
#include "tests/kit/net/server_scenario.h"

static void slow_head_scenario(void *arg)
{
    struct serving *w = arg;
    struct client c;
    client_open(&c, w);
    EXPECT(w, client_ask(&c, "GET /hello HTTP/1.1\r\nHost:") && client_hear(&c));
    EXPECT(w, c.a.status == 408 && client_head_has(&c, "Connection: close") && client_closed(&c));
    client_close(&c);
    client_open(&c, w); /* says nothing at all */
    EXPECT(w, client_closed(&c));
    client_close(&c);
    client_open(&c, w); /* idle after a response */
    EXPECT(w, client_ask(&c, GET("/hello")) && client_hear(&c) && client_closed(&c));
    client_close(&c);
    EXPECT(w, w->requests == 1);
}

static void slow_heads_are_408_and_idle_connections_end(void **state)
{
    (void)state;
    scenario_hasty_clients(slow_head_scenario);
}

/* Nothing, the begin of a ClientHello, and one that never ends: each within the head's time. */
static void handshake_scenario(void *arg)
{
    static const char hello[] = {0x16, 3, 1, 2, 0, 1, 0, 1, (char)0xfc, 3, 3};
    struct serving *w = arg;
    struct client c;
    client_open(&c, w);
    EXPECT(w, client_closed(&c));
    client_close(&c);
    client_open(&c, w);
    EXPECT(w, send(c.fd, hello, sizeof(hello), MSG_NOSIGNAL) == sizeof(hello) && client_closed(&c));
    client_close(&c);
    client_open(&c, w);
    for (size_t i = 0;
         i < 100 && send(c.fd, i < sizeof(hello) ? &hello[i] : "x", 1, MSG_NOSIGNAL) == 1; i++)
        usleep(20000);
    EXPECT(w, client_closed(&c));
    client_close(&c);
    EXPECT(w, w->requests == 0);
}

static void a_handshake_that_does_not_end_is_closed(void **state)
{
    (void)state;
    struct certs *certs = certs_new();
    struct certs_files files = certs_server(certs);
    const struct tls_server_config config = {.cert_file = files.cert, .key_file = files.key};
    struct tls_context *tls;
    assert_int_equal(tls_server_new(&config, &tls), ERR_OK);
    scenario_hasty_tls_clients(handshake_scenario, tls);
    tls_drop(tls);
    certs_free(certs);
}

static void slow_body_scenario(void *arg)
{
    struct serving *w = arg;
    struct client c;
    client_open(&c, w);
    EXPECT(w, client_ask(&c, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc") &&
                  client_hear(&c));
    EXPECT(w, c.a.status == 408 && client_closed(&c));
    client_close(&c);
    await_count(&w->gone, 1);
    EXPECT(w, w->last_why == ERR_TIMEOUT && w->body_bytes == 3);
}

static void a_body_that_stops_coming_is_408(void **state)
{
    (void)state;
    scenario_hasty_clients(slow_body_scenario);
}

static void gone_scenario(void *arg)
{
    struct serving *w = arg;
    struct client c;
    client_open(&c, w);
    EXPECT(w, client_ask(&c, GET("/hold")));
    await_count(&w->requests, 1);
    client_close(&c);
    await_count(&w->gone, 1);
    EXPECT(w, w->gone == 1 && w->last_why == ERR_CLOSED);
    /* in mid-body */
    client_open(&c, w);
    EXPECT(w, client_ask(&c, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc"));
    usleep(50000);
    client_close(&c);
    await_count(&w->gone, 2);
    EXPECT(w, w->gone == 2 && w->last_why == ERR_CLOSED && w->body_ends == 0);
    /* by a reset, in the middle of a response */
    client_open(&c, w);
    EXPECT(w, client_ask(&c, GET("/big/100000000")));
    EXPECT(w, peer_until(c.fd, &c.in, "\r\n\r\n"));
    struct linger hard = {.l_onoff = 1};
    setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    client_close(&c);
    await_count(&w->gone, 3);
    EXPECT(w, w->gone == 3 && w->gone_ok == 0);
}

static void a_client_that_hangs_up_is_reported(void **state)
{
    (void)state;
    scenario_clients(gone_scenario);
}

/* As Node's client does: it reads nothing before its whole body is written. */
static void talker_scenario(void *arg)
{
    static char block[64 * 1024];
    struct serving *w = arg;
    struct client c;
    client_open(&c, w);
    EXPECT(w, client_ask(&c, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 33554432\r\n\r\n"));
    for (int i = 0; i < 512 && !w->failed; i++)
        EXPECT(w, peer_send(c.fd, slice_of(block, sizeof block)));
    EXPECT(w, client_hear(&c) && c.a.status == 413 && client_head_has(&c, "Connection: close"));
    EXPECT(w, client_closed(&c));
    client_close(&c);
}

static void a_client_that_goes_on_sending_gets_its_refusal(void **state)
{
    (void)state;
    scenario_clients(talker_scenario);
}

static void cut_scenario(void *arg)
{
    struct serving *w = arg;
    struct client c;
    client_open(&c, w);
    EXPECT(w, client_ask(&c, GET("/cut")) && !client_hear(&c) && c.in.len == 0);
    client_close(&c);
    client_open(&c, w);
    EXPECT(w, client_ask(&c, GET("/short")) &&
                  !client_hear(&c)); /* less than promised must not look whole */
    client_close(&c);
    await_count(&w->gone, 2);
    EXPECT(w, w->gone == 2 && w->gone_ok == 0);
}

static void a_response_that_cannot_be_finished_is_cut(void **state)
{
    (void)state;
    scenario_clients(cut_scenario);
}

static void slow_reader_scenario(void *arg)
{
    static char block[65536];
    struct serving *w = arg;
    struct client c;
    size_t got = 0;
    client_open(&c, w);
    EXPECT(w, client_ask(&c, GET("/big/30000000")));
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
    await_count(&w->gone, 1);
    EXPECT(w, w->gone_ok == 1);
}

static void a_huge_response_to_a_slow_reader_needs_little_memory(void **state)
{
    (void)state;
    scenario_clients(slow_reader_scenario);
}

static void mark_scenario(void *arg)
{
    struct serving *w = arg;
    struct client c;
    client_open(&c, w);
    EXPECT(w, client_ask(&c, GET("/mark")) && client_hear(&c) && c.a.body.len == SERVING_MARK);
    EXPECT(w, w->drains > 0);
    client_close(&c);
}

/* What is full by the lines of a chunk alone is told of the drain as well. */
static void a_writer_that_stops_just_above_the_mark_is_told_to_go_on(void **state)
{
    (void)state;
    scenario_clients(mark_scenario);
}

static void stuck_reader_scenario(void *arg)
{
    struct serving *w = arg;
    struct client c;
    client_open(&c, w);
    EXPECT(w, client_ask(&c, GET("/big/30000000")));
    await_count(&w->gone, 1);
    EXPECT(w, w->gone == 1 && w->last_why == ERR_TIMEOUT);
    client_close(&c);
}

static void a_client_that_reads_nothing_is_closed(void **state)
{
    (void)state;
    scenario_hasty_clients(stuck_reader_scenario);
}

static void drain_now(void *arg)
{
    struct serving *w = arg;
    http_server_drain(w->server);
}

static void respond_to_held(void *arg)
{
    struct serving *w = arg;
    if (w->held)
        (void)!http_response(w->held, 200, NULL, 0, SLICE("at last"));
}

static void drain_scenario(void *arg)
{
    struct serving *w = arg;
    struct client idle, busy;
    client_open(&idle, w);
    client_open(&busy, w);
    EXPECT(w, client_ask(&idle, GET("/hello")) && client_hear(&idle));
    EXPECT(w, client_ask(&busy, GET("/hold")));
    await_count(&w->requests, 2);
    EXPECT(w, loop_post(w->loop, drain_now, w) == ERR_OK);
    EXPECT(w, client_closed(&idle));
    EXPECT(w, peer_dial(w->port) < 0);
    EXPECT(w, loop_post(w->loop, respond_to_held, w) == ERR_OK);
    EXPECT(w, client_hear(&busy) && client_body_is(&busy, "at last"));
    EXPECT(w, client_head_has(&busy, "Connection: close\r\n") && client_closed(&busy));
    client_close(&idle);
    client_close(&busy);
    await_count(&w->gone, 2);
    EXPECT(w, w->gone_ok == 2);
}

static void draining_closes_the_idle_and_lets_the_others_finish(void **state)
{
    (void)state;
    scenario_clients(drain_scenario);
}

static void leave_open_scenario(void *arg)
{
    struct serving *w = arg;
    struct client c, d;
    client_open(&c, w);
    client_open(&d, w);
    EXPECT(w, client_ask(&c, GET("/hold")) &&
                  client_ask(&d, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-"));
    await_count(&w->requests, 1);
    client_close(&d);
    buf_fini(&c.in); /* its descriptor stays open: the server is freed under it */
}

static void freeing_the_server_ends_what_runs(void **state)
{
    (void)state;
    scenario_clients(leave_open_scenario);
}

static void many_scenario(void *arg)
{
    struct serving *w = arg;
    struct client c[70];
    for (int i = 0; i < 70; i++)
        client_open(&c[i], w);
    for (int i = 0; i < 64; i++)
        EXPECT(w, client_ask(&c[i], GET("/hello")) && client_hear(&c[i]));
    for (int i = 64; i < 70; i++)
        EXPECT(w, client_closed(&c[i]));
    for (int i = 0; i < 70; i++)
        client_close(&c[i]);
}

static void connections_beyond_the_ceiling_are_closed(void **state)
{
    (void)state;
    scenario_clients(many_scenario);
}

static atomic_uint lent, more;

static void lend_half(void *arg)
{
    struct serving *w = arg;
    atomic_fetch_add(&more, http_server_lend(w->server, 33)); /* of 64 */
    atomic_fetch_add(&lent, http_server_lend(w->server, 32));
}

static void take_back(void *arg)
{
    struct serving *w = arg;
    http_server_take_back(w->server, 32);
    atomic_fetch_add(&lent, 1);
}

static void lending_scenario(void *arg)
{
    struct serving *w = arg;
    struct client c[33];
    atomic_store(&lent, 0);
    EXPECT(w, loop_post(w->loop, lend_half, w) == ERR_OK);
    await_count(&lent, 1);
    EXPECT(w, atomic_load(&more) == 0);
    for (int i = 0; i < 33; i++)
        client_open(&c[i], w);
    for (int i = 0; i < 32; i++)
        EXPECT(w, client_ask(&c[i], GET("/hello")) && client_hear(&c[i]));
    EXPECT(w, client_closed(&c[32]));
    client_close(&c[32]);
    EXPECT(w, loop_post(w->loop, take_back, w) == ERR_OK);
    await_count(&lent, 2);
    client_open(&c[32], w);
    EXPECT(w, client_ask(&c[32], GET("/hello")) && client_hear(&c[32]));
    for (int i = 0; i < 33; i++)
        client_close(&c[i]);
}

static void what_is_lent_is_no_connections(void **state)
{
    (void)state;
    scenario_clients(lending_scenario);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slow_heads_are_408_and_idle_connections_end),
        cmocka_unit_test(a_handshake_that_does_not_end_is_closed),
        cmocka_unit_test(a_body_that_stops_coming_is_408),
        cmocka_unit_test(a_client_that_hangs_up_is_reported),
        cmocka_unit_test(a_client_that_goes_on_sending_gets_its_refusal),
        cmocka_unit_test(a_response_that_cannot_be_finished_is_cut),
        cmocka_unit_test(a_huge_response_to_a_slow_reader_needs_little_memory),
        cmocka_unit_test(a_writer_that_stops_just_above_the_mark_is_told_to_go_on),
        cmocka_unit_test(a_client_that_reads_nothing_is_closed),
        cmocka_unit_test(draining_closes_the_idle_and_lets_the_others_finish),
        cmocka_unit_test(freeing_the_server_ends_what_runs),
        cmocka_unit_test(connections_beyond_the_ceiling_are_closed),
        cmocka_unit_test(what_is_lent_is_no_connections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
