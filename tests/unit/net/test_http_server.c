/*
 * The server against clients that send malformed, early, many or unusual requests: what each
 * request gets.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/base/limits.h"
#include "common/base/mem.h"
#include "tests/kit/net/server_scenario.h"

static void hello_scenario(void *arg)
{
    struct serving *w = arg;
    struct client c;
    client_open(&c, w);
    for (int i = 0; i < 3; i++) {
        EXPECT(w, client_ask(&c, GET("/hello")) && client_hear(&c));
        EXPECT(w, c.a.status == 200 && c.a.keep_alive && client_body_is(&c, "hello"));
        EXPECT(w, client_head_has(&c, "\r\nServer: test\r\nDate: ") &&
                      client_head_has(&c, "\r\nX-Test: yes\r\n"));
        EXPECT(w, client_head_has(&c, " GMT\r\nContent-Length: 5\r\n"));
    }
    client_close(&c);
    await_count(&w->gone, 3);
    EXPECT(w, w->gone_ok == 3);
}

static void a_kept_connection_serves_request_after_request(void **state)
{
    (void)state;
    scenario_clients(hello_scenario);
}

static void head_scenario(void *arg)
{
    struct serving *w = arg;
    struct client c;
    client_open(&c, w);
    EXPECT(w, client_ask(&c, "HEAD /hello HTTP/1.1\r\nHost: x\r\n\r\n"));
    EXPECT(w, peer_answer(c.fd, &c.in, SLICE("HEAD"), &c.a));
    EXPECT(w, client_head_has(&c, "Content-Length: 5\r\n") && c.a.body.len == 0);
    EXPECT(w, client_ask(&c, "HEAD /big/100 HTTP/1.1\r\nHost: x\r\n\r\n"));
    EXPECT(w, peer_answer(c.fd, &c.in, SLICE("HEAD"), &c.a));
    EXPECT(w, client_head_has(&c, "Content-Length: 100\r\n"));
    EXPECT(w, client_ask(&c, GET("/empty")) && client_hear(&c));
    EXPECT(w, c.a.status == 204 && !client_head_has(&c, "Content-Length"));
    EXPECT(w, client_ask(&c, GET("/hello")) && client_hear(&c) && client_body_is(&c, "hello"));
    client_close(&c);
}

static void responses_without_a_body_do_not_disturb_the_next(void **state)
{
    (void)state;
    scenario_clients(head_scenario);
}

static void http10_scenario(void *arg)
{
    struct serving *w = arg;
    struct client c;
    client_open(&c, w);
    EXPECT(w, client_ask(&c, "GET /hello HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n"));
    EXPECT(w, client_hear(&c) && client_head_has(&c, "Connection: keep-alive\r\n") &&
                  client_body_is(&c, "hello"));
    EXPECT(w, client_ask(&c, "POST /stream HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n"
                             "Content-Length: 3\r\n\r\nabc"));
    EXPECT(w, client_hear(&c) && !client_head_has(&c, "Transfer-Encoding") &&
                  client_body_is(&c, "abc"));
    EXPECT(w, client_head_has(&c, "Connection: close\r\n") && client_closed(&c));
    client_close(&c);
    client_open(&c, w);
    EXPECT(w, client_ask(&c, "GET /hello HTTP/1.0\r\nHost: x\r\n\r\n") && client_hear(&c));
    EXPECT(w, client_head_has(&c, "Connection: close\r\n") && client_closed(&c));
    client_close(&c);
    client_open(&c, w);
    EXPECT(w, client_ask(&c, "GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") &&
                  client_hear(&c));
    EXPECT(w, client_head_has(&c, "Connection: close\r\n") && client_closed(&c));
    client_close(&c);
}

static void old_clients_and_requests_to_close_are_obeyed(void **state)
{
    (void)state;
    scenario_clients(http10_scenario);
}

static void drip_scenario(void *arg)
{
    struct serving *w = arg;
    struct client c;
    client_open(&c, w);
    const struct slice request =
        SLICE("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
              "3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nX-T: 1\r\n\r\n");
    EXPECT(w, peer_drip(c.fd, request) && client_hear(&c) && client_body_is(&c, "abcdefg"));
    EXPECT(w,
           peer_drip(c.fd, SLICE(GET("/hello"))) && client_hear(&c) && client_body_is(&c, "hello"));
    client_close(&c);
}

static void a_request_that_drips_byte_by_byte_is_served(void **state)
{
    (void)state;
    scenario_clients(drip_scenario);
}

static void cuts_scenario(void *arg)
{
    struct serving *w = arg;
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
        EXPECT(w, client_hear(&c) && c.a.body.len == total && c.a.keep_alive);
        buf_fini(&request);
    }
    client_close(&c);
}

static void chunked_bodies_in_random_cuts_come_back_whole(void **state)
{
    (void)state;
    scenario_clients(cuts_scenario);
}

static void pipeline_scenario(void *arg)
{
    struct serving *w = arg;
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
        EXPECT(w, client_hear(&c) && client_body_is(&c, text));
    }
    buf_clear(&all);
    for (int i = 0; i < 50; i++)
        EXPECT(w, !buf_printf(&all, "GET /%d HTTP/1.1\r\nHost: x\r\n\r\n", i));
    EXPECT(w, peer_drip(c.fd, buf_slice(&all)));
    for (int i = 0; i < 50; i++) {
        snprintf(text, sizeof text, "/%d", i);
        EXPECT(w, client_hear(&c) && c.a.status == 404 && client_body_is(&c, text));
    }
    buf_fini(&all);
    client_close(&c);
    EXPECT(w, w->requests == 100);
}

static void fifty_pipelined_requests_get_their_responses_in_order(void **state)
{
    (void)state;
    scenario_clients(pipeline_scenario);
}

static void pipelined_big_scenario(void *arg)
{
    struct serving *w = arg;
    struct client c;
    client_open(&c, w);
    for (int i = 0; i < 20; i++)
        EXPECT(w, client_ask(&c, GET("/big/1000000")));
    usleep(100000);
    EXPECT(w, w->requests < 20); /* the rest waits until the client has read */
    for (int i = 0; i < 20; i++)
        EXPECT(w, client_hear(&c) && c.a.body.len == 1000000);
    client_close(&c);
}

static void a_client_that_asks_much_and_reads_nothing_gets_no_more(void **state)
{
    (void)state;
    scenario_clients(pipelined_big_scenario);
}

static void refused_scenario(void *arg)
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
    struct serving *w = arg;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct client c;
        client_open(&c, w);
        EXPECT(w, client_ask(&c, rows[i].request));
        if (rows[i].status == 0) { /* a chunk beyond the ceiling: known only as it comes */
            static char block[65536];
            for (int k = 0; k < 17; k++)
                if (!peer_send(c.fd, slice_of(block, sizeof block)))
                    break;
        }
        EXPECT(w, client_hear(&c) && c.a.status == (rows[i].status ? rows[i].status : 413));
        EXPECT(w, client_head_has(&c, "Connection: close\r\n") && client_closed(&c));
        client_close(&c);
    }
    await_count(&w->gone, w->requests);
    EXPECT(w, w->gone_ok == 0);
}

static void what_cannot_be_served_is_refused_and_closed(void **state)
{
    (void)state;
    scenario_clients(refused_scenario);
}

static void garbage_scenario(void *arg)
{
    struct serving *w = arg;
    struct client c;
    client_open(&c, w);
    EXPECT(w,
           client_ask(
               &c, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc\x01\x02\x03"));
    EXPECT(w, client_hear(&c) && client_body_is(&c, "abc") && client_hear(&c) &&
                  c.a.status == 400 && client_closed(&c));
    client_close(&c);
}

static void garbage_after_a_body_is_a_bad_request_of_its_own(void **state)
{
    (void)state;
    scenario_clients(garbage_scenario);
}

static void continue_scenario(void *arg)
{
    struct serving *w = arg;
    struct client c;
    client_open(&c, w);
    EXPECT(w, client_ask(&c, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
                             "Expect: 100-continue\r\n\r\n"));
    EXPECT(w, peer_until(c.fd, &c.in, "100 Continue\r\n\r\n"));
    buf_clear(&c.in);
    EXPECT(w, client_ask(&c, "abc") && client_hear(&c) && c.a.status == 200 &&
                  client_body_is(&c, "abc"));
    /* the client does not wait: no word is needed */
    EXPECT(w, client_ask(&c, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
                             "Expect: 100-continue\r\n\r\nabc"));
    EXPECT(w, client_hear(&c) && c.a.status == 200 && client_body_is(&c, "abc"));
    /* refused before the body: no word, and the connection ends, since the body may still come */
    EXPECT(w, client_ask(&c, "POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
                             "Expect: 100-continue\r\n\r\n"));
    EXPECT(w, client_hear(&c) && c.a.status == 200 &&
                  client_head_has(&c, "Connection: close\r\n") && client_closed(&c));
    client_close(&c);
    client_open(&c, w);
    EXPECT(w, client_ask(&c, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n"
                             "Expect: 100-continue\r\n\r\n"));
    EXPECT(w, client_hear(&c) && c.a.status == 413 && client_closed(&c));
    client_close(&c);
}

static void a_client_that_expects_100_gets_it_when_the_body_is_read(void **state)
{
    (void)state;
    scenario_clients(continue_scenario);
}

static void early_scenario(void *arg)
{
    static char block[65536];
    struct serving *w = arg;
    struct client c;
    client_open(&c, w);
    /* a small rest is read away, and the connection lives */
    EXPECT(w, client_ask(&c, "POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n") &&
                  client_hear(&c));
    EXPECT(w, client_body_is(&c, "hello") && c.a.keep_alive);
    EXPECT(w, peer_send(c.fd, slice_of(block, 1000)));
    EXPECT(w,
           client_ask(&c, "POST /hello HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"));
    EXPECT(w, client_hear(&c) && client_ask(&c, "3\r\nabc\r\n0\r\n\r\n" GET("/empty")));
    EXPECT(w, client_hear(&c) && c.a.status == 204);
    /* a large one is not: the response comes whole although the client still sends */
    EXPECT(w, client_ask(&c, "POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n\r\n"));
    EXPECT(w, peer_send(c.fd, slice_of(block, 65000)));
    usleep(50000);
    EXPECT(w, peer_send(c.fd, slice_of(block, 65000)));
    EXPECT(w, client_hear(&c) && client_body_is(&c, "hello") &&
                  client_head_has(&c, "Connection: close\r\n"));
    EXPECT(w, client_closed(&c));
    client_close(&c);
    EXPECT(w, w->body_bytes == 0);
}

static void a_response_before_the_body_keeps_the_connection_only_where_little_is_left(void **state)
{
    (void)state;
    scenario_clients(early_scenario);
}

static void ten_thousand_scenario(void *arg)
{
    struct serving *w = arg;
    struct client c;
    size_t descriptors = 0;
    client_open(&c, w);
    for (int i = 0; i < 10000; i++) {
        if (i == 100)
            descriptors = peer_open_descriptors();
        EXPECT(w,
               client_ask(
                   &c, i % 3 ? GET("/hello")
                             : "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"));
        EXPECT(w, client_hear(&c));
    }
    EXPECT(w, peer_open_descriptors() == descriptors);
    client_close(&c);
}

static void ten_thousand_requests_leave_nothing_behind(void **state)
{
    (void)state;
    scenario_clients(ten_thousand_scenario);
}

/* Each allocation on the loop's thread fails once: the client may see an error or a closed
 * connection, never a wrong response, and nothing leaks (ASan watches). */
static atomic_size_t fail_at;

static void fail_now(void *arg)
{
    (void)arg;
    mem_fail_after(atomic_load(&fail_at));
}

static void failing_scenario(void *arg)
{
    struct serving *w = arg;
    EXPECT(w, loop_post(w->loop, fail_now, w) == ERR_OK);
    int whole = 0;
    for (int round = 0; round < 3; round++) {
        struct client c;
        client_open(&c, w);
        EXPECT(w, c.fd >= 0);
        if (client_ask(&c, "POST /stream HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc" GET(
                               "/hello"))) {
            bool first = client_hear(&c);
            EXPECT(w, !first || c.a.status == 503 || client_body_is(&c, "abc"));
            bool second = first && c.a.status == 200 && client_hear(&c);
            EXPECT(w, !second || c.a.status == 503 || client_body_is(&c, "hello"));
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
        struct serving w;
        serving_open(&w, false);
        atomic_store(&fail_at, n);
        peer_run(w.loop, failing_scenario, &w);
        mem_fail_after(0);
        w.requests = w.gone; /* a request that was not taken gets no on_gone */
        serving_close(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kept_connection_serves_request_after_request),
        cmocka_unit_test(responses_without_a_body_do_not_disturb_the_next),
        cmocka_unit_test(old_clients_and_requests_to_close_are_obeyed),
        cmocka_unit_test(a_request_that_drips_byte_by_byte_is_served),
        cmocka_unit_test(chunked_bodies_in_random_cuts_come_back_whole),
        cmocka_unit_test(fifty_pipelined_requests_get_their_responses_in_order),
        cmocka_unit_test(a_client_that_asks_much_and_reads_nothing_gets_no_more),
        cmocka_unit_test(what_cannot_be_served_is_refused_and_closed),
        cmocka_unit_test(garbage_after_a_body_is_a_bad_request_of_its_own),
        cmocka_unit_test(a_client_that_expects_100_gets_it_when_the_body_is_read),
        cmocka_unit_test(a_response_before_the_body_keeps_the_connection_only_where_little_is_left),
        cmocka_unit_test(ten_thousand_requests_leave_nothing_behind),
        cmocka_unit_test(each_failing_allocation_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
