/*
 * mhd_adapter — the admin API and clients without a token that hold connections: slow bytes, half
 * heads, large bodies. The library, the listener and the database are real.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "controlplane/api/mhd_adapter.h"
#include "tests/kit/db/admin.h"
#include "tests/kit/db/base.h"
#include "tests/kit/raw_peer.h"
#include "tests/kit/tsan.h"

#define CROWD 512 /* as many as the listener has places */
#define PORT_FIRST 27360
#define AUTHORIZED "Host: a\r\nAuthorization: Bearer owner\r\n"

static struct app app;
static struct mhd_adapter *listener;
static uint16_t port;
static int crowd[CROWD];

/* The status of the response to `text`; 0: none came. */
static unsigned ask(int fd, const char *text)
{
    struct buf in;
    struct peer_answer a = {0};
    buf_init(&in, 1024 * 1024);
    buf_init(&a.head, 65536);
    buf_init(&a.body, 1024 * 1024);
    ptrdiff_t space = slice_find(slice_str(text), ' ');
    bool came = fd >= 0 && peer_say(fd, text) &&
                peer_answer(fd, &in, slice_first(slice_str(text), (size_t)space), &a);
    buf_fini(&in);
    buf_fini(&a.head);
    buf_fini(&a.body);
    return came ? a.status : 0;
}

static unsigned ask_anew(const char *text)
{
    int fd = peer_dial(port);
    unsigned status = ask(fd, text);
    if (fd >= 0)
        close(fd);
    return status;
}

static void come_all(const char *text)
{
    for (size_t i = 0; i < CROWD; i++) {
        crowd[i] = peer_dial(port);
        if (crowd[i] >= 0)
            peer_say(crowd[i], text); /* an evicted connection does not receive it */
    }
}

static void go_all(void)
{
    for (size_t i = 0; i < CROWD; i++)
        if (crowd[i] >= 0)
            close(crowd[i]);
}

static void assert_open_for_others(void)
{
    assert_int_equal(ask_anew("GET /admin/v1/teams HTTP/1.1\r\n" AUTHORIZED "\r\n"), 200);
    assert_int_equal(ask_anew("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"), 200);
    assert_int_equal(ask_anew("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"), 200);
}

static void slow_bodies_without_a_token_do_not_lock_out_other_clients(void **state)
{
    (void)state;
    come_all("POST /admin/v1/teams HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n{");
    assert_open_for_others();
    go_all();
}

static void heads_that_never_end_do_not_lock_out_other_clients(void **state)
{
    (void)state;
    come_all("GET /admin/v1/teams HTTP/1.1\r\nHost:");
    assert_open_for_others();
    go_all();
}

static void idle_connections_do_not_lock_out_other_clients(void **state)
{
    (void)state;
    come_all("");
    assert_open_for_others();
    go_all();
    come_all("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_open_for_others();
    go_all();
}

/* Whatever takes the database's connections: 8 requests are at work then, and others wait. */
static void busy_requests_do_not_keep_health_waiting(void **state)
{
    (void)state;
    struct db_conn *taken[200] = {NULL};
    struct db_counts counts;
    int waiting[24];
    size_t n = 0;
    db_counts(app.db, &counts);
    assert_in_range(counts.max, 1, ARRAY_LEN(taken));
    while (n < counts.max)
        assert_int_equal(db_take(app.db, 5000, &taken[n++]), ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(waiting); i++) {
        waiting[i] = peer_dial(port);
        assert_true(
            peer_say(waiting[i], "GET /admin/v1/teams?limit=1 HTTP/1.1\r\n" AUTHORIZED "\r\n"));
    }
    usleep(200000);
    uint64_t began = clock_mono_us();
    assert_int_equal(ask_anew("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"), 200);
    assert_int_equal(ask_anew("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"), 200);
    assert_int_equal(ask_anew("GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n"), 503);
    assert_in_range(clock_mono_us() - began, 0,
                    4000000); /* before those that wait give up, after 5 s */
    struct buf in;
    struct peer_answer a = {0};
    buf_init(&in, 65536);
    buf_init(&a.head, 65536);
    buf_init(&a.body, 65536);
    assert_true(peer_answer(waiting[0], &in, SLICE("GET"), &a));
    assert_int_equal(a.status, 503);
    assert_true(slice_search(buf_slice(&a.body), SLICE("busy")) >= 0);
    buf_fini(&in);
    buf_fini(&a.head);
    buf_fini(&a.body);
    while (n > 0)
        db_give(app.db, &taken[--n]);
    for (size_t i = 0; i < ARRAY_LEN(waiting); i++)
        close(waiting[i]);
    assert_open_for_others();
}

static void a_refused_head_gets_its_response_before_its_body_arrives(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned status;
    } heads[] = {
        {"POST /admin/v1/teams HTTP/1.1\r\nHost: a\r\nContent-Length: 900\r\n\r\n", 401},
        {"POST /admin/v1/teams HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer x\r\n"
         "Content-Length: 900\r\n\r\n{",
         401},
        {"POST /admin/v1/teams HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{",
         401},
        {"POST /admin/v1/teams HTTP/1.1\r\n" AUTHORIZED "Content-Length: 1048577\r\n\r\n{", 413},
        {"POST /admin/v1/nothing HTTP/1.1\r\n" AUTHORIZED "Content-Length: 9\r\n\r\n{", 404},
        {"PUT /admin/v1/teams HTTP/1.1\r\n" AUTHORIZED "Content-Length: 9\r\n\r\n{", 405},
        {"POST /admin/v1/teams HTTP/1.1\r\n" AUTHORIZED "Content-Type: text/plain\r\n"
         "Content-Length: 9\r\n\r\n{",
         415},
        {"GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{", 413},
    };
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        struct buf rest;
        buf_init(&rest, 65536);
        int fd = peer_dial(port);
        unsigned status = ask(fd, heads[i].text);
        if (status != heads[i].status)
            print_error("%s\n", heads[i].text);
        assert_int_equal(status, heads[i].status);
        assert_true(peer_rest(fd, &rest)); /* and it is closed */
        close(fd);
        buf_fini(&rest);
    }
}

static void a_body_is_read_after_its_head_was_accepted(void **state)
{
    (void)state;
    int fd = peer_dial(port);
    assert_int_equal(ask(fd, "POST /admin/v1/tasks HTTP/1.1\r\n" AUTHORIZED
                             "Content-Length: 12\r\n\r\n{\"name\":\"d\"}"),
                     201);
    assert_int_equal(ask(fd, "POST /admin/v1/tasks HTTP/1.1\r\n" AUTHORIZED
                             "Transfer-Encoding: chunked\r\n\r\n5\r\n{\"nam\r\n7\r\ne\":\"e\"}\r\n"
                             "0\r\n\r\n"),
                     201);
    /* a client that sent Expect gets "100 Continue" first, and then the response */
    struct buf in;
    buf_init(&in, 65536);
    assert_true(peer_say(fd, "POST /admin/v1/tasks HTTP/1.1\r\n" AUTHORIZED
                             "Expect: 100-continue\r\nContent-Length: 12\r\n\r\n"));
    assert_true(peer_until(fd, &in, "100 Continue\r\n\r\n"));
    assert_true(peer_say(fd, "{\"name\":\"f\"}"));
    assert_true(peer_until(fd, &in, "HTTP/1.1 201"));
    close(fd);
    buf_fini(&in);
    assert_int_equal(ask_anew("POST /admin/v1/tasks HTTP/1.0\r\n" AUTHORIZED
                              "Content-Length: 12\r\n\r\n{\"name\":\"g\"}"),
                     201);
}

/* Framings that two readers could read as different bodies: each gets a response at once. */
static void every_spelling_of_framing_gets_a_response(void **state)
{
    (void)state;
#define ENROL "POST /enrol HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    static const char *const framings[] = {
        "Transfer-Encoding: chunked \r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        "Transfer-Encoding:chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        "transfer-encoding:   chunked  \r\n\r\n02;a=b\r\n{}\r\n00\r\nX: y\r\n\r\n",
        "Content-Length:2\r\n\r\n{}",
        "Content-Length: 2 \r\n\r\n{}",
        "Content-Length: 0002\r\n\r\n{}",
        "Content-Length: 2\r\nConnection: upgrade, keep-alive\r\nUpgrade: h2c\r\n\r\n{}",
        "Content-Length: 0\r\n\r\n",
        "\r\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(framings); i++) {
        char text[1024];
        snprintf(text, sizeof(text), ENROL "%s", framings[i]);
        unsigned status = ask_anew(text);
        if (status != 422 && status != 400)
            fail_msg("%s: %u", text, status);
    }
#undef ENROL
}

/* Each leaves a connection that lingers for its last response to be read. */
static void lingering_connections_do_not_lock_out_other_clients(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4 * CROWD; i++) {
        int fd = peer_dial_from(7, port);
        assert_true(fd >= 0);
        peer_say(fd, "BAD\r\n\r\n");
        if (i >= CROWD)
            close(crowd[i % CROWD]);
        crowd[i % CROWD] = fd;
    }
    assert_open_for_others();
    go_all();
}

static void pipelined_requests_get_their_responses_in_order(void **state)
{
    (void)state;
    struct buf in;
    buf_init(&in, 1024 * 1024);
    int fd = peer_dial(port);
    assert_true(peer_say(fd, "POST /admin/v1/tasks HTTP/1.1\r\n" AUTHORIZED
                             "Content-Length: 12\r\n\r\n{\"name\":\"p\"}"
                             "GET /admin/v1/tasks/p HTTP/1.1\r\n" AUTHORIZED "\r\n"
                             "HEAD /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
                             "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
    assert_true(peer_rest(fd, &in));
    size_t responses = 0, good = 0;
    for (struct slice s = buf_slice(&in); slice_search(s, SLICE("HTTP/1.1 ")) >= 0;) {
        s = slice_from(s, (size_t)slice_search(s, SLICE("HTTP/1.1 ")) + 9);
        responses++;
        good += s.ptr[0] == '2';
    }
    assert_int_equal(responses, 4);
    assert_int_equal(good, 4);
    close(fd);
    buf_fini(&in);
}

static void a_chunked_body_gets_413_as_soon_as_it_passes_the_ceiling(void **state)
{
    (void)state;
    struct buf in;
    char *piece = malloc(1024 * 1024 + 1);
    memset(piece, ' ', 1024 * 1024 + 1);
    buf_init(&in, 65536);
    int fd = peer_dial(port);
    assert_true(peer_say(fd, "POST /admin/v1/teams HTTP/1.1\r\n" AUTHORIZED
                             "Transfer-Encoding: chunked\r\n\r\n900000\r\n"));
    assert_true(peer_send(fd, slice_of(piece, 1024 * 1024 + 1)));
    assert_true(peer_until(fd, &in, "\"too_large\""));
    assert_true(slice_search(buf_slice(&in), SLICE("HTTP/1.1 413")) == 0);
    bool open = true; /* it is read on for a while, not forever */
    for (int i = 0; i < 64 && open; i++)
        open = peer_send(fd, slice_of(piece, 1024 * 1024));
    assert_false(open);
    close(fd);
    free(piece);
    buf_fini(&in);
}

static int open_listener(void **state)
{
    char listen_at[32];
    base_open(state);
    admin_open(&app);
    admin_token("owner", ROLE_OWNER);
    for (port = PORT_FIRST; listener == NULL && port < PORT_FIRST + 40; port++) {
        snprintf(listen_at, sizeof(listen_at), "127.0.0.1:%u", port);
        const struct mhd_adapter_config config = {.listen = listen_at};
        if (mhd_adapter_start(&app, &config, &listener) == ERR_OK)
            break;
    }
    assert_non_null(listener);
    return 0;
}

static int close_listener(void **state)
{
    mhd_adapter_stop(&listener, 1000);
    admin_close(&app);
    return base_close(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_is_read_after_its_head_was_accepted),
        cmocka_unit_test(pipelined_requests_get_their_responses_in_order),
        cmocka_unit_test(every_spelling_of_framing_gets_a_response),
        cmocka_unit_test(busy_requests_do_not_keep_health_waiting),
        cmocka_unit_test(a_refused_head_gets_its_response_before_its_body_arrives),
        cmocka_unit_test(a_chunked_body_gets_413_as_soon_as_it_passes_the_ceiling),
        cmocka_unit_test(slow_bodies_without_a_token_do_not_lock_out_other_clients),
        cmocka_unit_test(heads_that_never_end_do_not_lock_out_other_clients),
        cmocka_unit_test(lingering_connections_do_not_lock_out_other_clients),
        cmocka_unit_test(idle_connections_do_not_lock_out_other_clients),
    };
    return cmocka_run_group_tests(tests, open_listener, close_listener);
}
