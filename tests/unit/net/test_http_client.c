/*
 * The client against upstreams whose bytes the test gives: what the client sends, how it reads the
 * response, and that each call has one end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/base/limits.h"
#include "common/base/mem.h"
#include "tests/kit/net/client_scenario.h"

static void wire_scenario(void *arg)
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
    EXPECT(w, a.status == 200 && ask_body_is(&a, "ok") && a.ends == 1 && !a.why);
    snprintf(want, sizeof want,
             "GET /x HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nAccept: */*\r\nX-A: b\r\n\r\n", w->port);
    EXPECT(w, slice_eq(buf_slice(&in), slice_str(want)));
    ask_fini(&a);

    /* the same connection, a body, and an empty one */
    ask_init(&a, w, SLICE("POST"));
    a.spec.path = SLICE("/y?z=1");
    a.spec.body[0] = SLICE("{\"a\":1}");
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
    scenario_upstream(wire_scenario);
}

/* How the framing of a response ends the call, and whether the connection is kept. */
static const struct {
    const char *name, *method, *response;
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
    {"interim responses", "GET",
     "HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 103 Hint\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n"
     "Content-Length: 1\r\n\r\na",
     false, "a", ERR_OK, 0, true},
    {"a redirect is returned", "GET",
     "HTTP/1.1 302 Found\r\nLocation: /y\r\nContent-Length: 1\r\n\r\na", false, "a", ERR_OK, 0,
     true},
    {"garbage behind", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nabc", false, "a", ERR_OK,
     0, false},
    {"a second response behind", "GET",
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

static void framings_scenario(void *arg)
{
    struct world *w = arg;
    struct buf in;
    buf_init(&in, 1 << 20);
    for (size_t i = 0; i < ARRAY_LEN(framings); i++) {
        struct ask a;
        int fd = -1;
        ask_init(&a, w, slice_str(framings[i].method));
        bool fine = served(&a, &fd, &in, framings[i].response, framings[i].close_after) &&
                    a.ends == 1 && a.why == framings[i].why &&
                    (!a.why || a.phase == framings[i].phase) &&
                    (!framings[i].body || ask_body_is(&a, framings[i].body)) &&
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
    scenario_upstream(framings_scenario);
}

static void interim_flood_scenario(void *arg)
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

static void a_flood_of_interim_responses_ends(void **state)
{
    (void)state;
    scenario_upstream(interim_flood_scenario);
}

static void cuts_scenario(void *arg)
{
    struct world *w = arg;
    struct buf in, response;
    unsigned seed = 7;
    int fd = -1;
    buf_init(&in, 1 << 20);
    buf_init(&response, 1 << 20);
    for (int round = 0; round < 60; round++) {
        struct ask a;
        size_t total = 0;
        buf_clear(&response);
        EXPECT(w, !buf_append(&response,
                              SLICE("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")));
        for (int i = 0; i < 12; i++) {
            unsigned n = (unsigned)rand_r(&seed) % 2000 + 1;
            EXPECT(w, !buf_printf(&response, "%X\r\n%0*d\r\n", n, (int)n, 7));
            total += n;
        }
        EXPECT(w, !buf_append(&response, SLICE("0\r\n\r\n")));
        ask_init(&a, w, SLICE("GET"));
        ask_start(&a);
        if (fd < 0)
            fd = peer_accept(w->listener);
        EXPECT(w, hear_request(fd, &in));
        if (round == 0)
            EXPECT(w, peer_drip(fd, slice_first(buf_slice(&response), 200)));
        for (struct slice left = slice_from(buf_slice(&response), round == 0 ? 200 : 0);
             left.len;) {
            size_t n = (unsigned)rand_r(&seed) % 3000 + 1;
            EXPECT(w, peer_send(fd, slice_first(left, n)));
            left = slice_from(left, n);
        }
        EXPECT(w, ask_wait(&a) && a.got == total && !a.why);
        ask_fini(&a);
    }
    close(fd);
    buf_fini(&response);
    buf_fini(&in);
}

static void chunked_responses_in_random_cuts_come_whole(void **state)
{
    (void)state;
    scenario_upstream(cuts_scenario);
}

static void invalid_scenario(void *arg)
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
    scenario_upstream(invalid_scenario);
}

static void close_scenario(void *arg)
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
        EXPECT(w, peer_rest(fd, &in)); /* the upstream notices at once */
        close(fd);
        ask_fini(&a);
    }
    buf_fini(&in);
}

static void a_call_may_be_closed_inside_its_own_events(void **state)
{
    (void)state;
    scenario_upstream(close_scenario);
}

static struct ask left_over; /* outlives the loop's run: ended by http_client_free */

static void left_over_scenario(void *arg)
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
    scenario_upstream(left_over_scenario);
    assert_int_equal(left_over.ends, 1);
    assert_int_equal(left_over.why, ERR_CANCELLED);
    ask_fini(&left_over);
}

static atomic_size_t fail_at;

static void fail_then_start(void *arg)
{
    mem_fail_after(atomic_load(&fail_at));
    ask_start_now(arg);
}

static void failing_scenario(void *arg)
{
    struct world *w = arg;
    struct buf in;
    struct ask a;
    buf_init(&in, 1 << 20);
    ask_init(&a, w, SLICE("PUT"));
    a.spec.body[0] = SLICE("abc");
    EXPECT(w, loop_post(w->loop, fail_then_start, &a) == ERR_OK);
    struct pollfd there = {.fd = w->listener, .events = POLLIN};
    if (poll(&there, 1, 100) > 0) {
        int fd = peer_accept(w->listener);
        if (hear_request(fd, &in))
            (void)!peer_say(fd, "HTTP/1.1 200 OK\r\nContent-Le"), usleep(5000),
                (void)!peer_say(fd, "ngth: 2\r\n\r\nok");
        close(fd);
    }
    EXPECT(w, ask_wait(&a));
    EXPECT(w, a.started || a.why || (a.status == 200 && ask_body_is(&a, "ok")));
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
        peer_run(w.loop, failing_scenario, &w);
        mem_fail_after(0);
        world_close(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_go_out_in_our_framing_over_one_kept_connection),
        cmocka_unit_test(each_framing_ends_as_it_must),
        cmocka_unit_test(a_flood_of_interim_responses_ends),
        cmocka_unit_test(chunked_responses_in_random_cuts_come_whole),
        cmocka_unit_test(what_may_not_be_sent_is_not_started),
        cmocka_unit_test(a_call_may_be_closed_inside_its_own_events),
        cmocka_unit_test(freeing_the_client_ends_what_runs),
        cmocka_unit_test(each_failing_allocation_has_one_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
