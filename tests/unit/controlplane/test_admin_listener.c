/* The admin listener with slow clients, too many clients, and a library that the test simulates. */
#include <stdio.h>

#define PORT_FIRST 27320

#include "common/base/clock.h"
#include "tests/unit/controlplane/admin_listener_kit.h"

static int open_listener(void **state)
{
    (void)state;
    admin_listener_open(NULL, NULL);
    return 0;
}

/* Sends `text` byte by byte, with pauses, until the other side responds; returns the response. */
static unsigned drip_until_refused(int fd, unsigned gap_ms, uint64_t *ret_ms)
{
    char got[512] = "";
    uint64_t began = clock_mono_us();
    for (int i = 0; i < 60; i++) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, (int)gap_ms) > 0 && recv(fd, got, sizeof(got) - 1, 0) > 0)
            break;
        if (!peer_say(fd, "a"))
            break;
    }
    unsigned status = 0;
    *ret_ms = (clock_mono_us() - began) / 1000;
    return sscanf(got, "HTTP/1.1 %u", &status) == 1 ? status : 0;
}

static void a_head_has_one_deadline_however_many_bytes_come(void **state)
{
    (void)state;
    uint64_t ms;
    int fd = peer_dial(port);
    assert_true(peer_say(fd, "GET / HTTP/1.1\r\nX: "));
    assert_int_equal(drip_until_refused(fd, 50, &ms), 408);
    assert_in_range(ms, HEAD_MS - 100, 2500);
    close(fd);
}

static void a_body_that_drips_is_ended_though_no_gap_is_long(void **state)
{
    (void)state;
    uint64_t ms;
    int fd = peer_dial(port);
    assert_true(peer_say(fd, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n"));
    library_lets_in(0);
    assert_int_equal(drip_until_refused(fd, 50, &ms), 408);
    assert_in_range(ms, GAP_MS - 100, 2500);
    close(fd);
}

static void a_body_that_ends_early_is_ended_at_once(void **state)
{
    (void)state;
    struct buf in;
    buf_init(&in, 1024 * 1024);
    int fd = peer_dial(port);
    assert_true(peer_say(fd, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe"));
    library_lets_in(0);
    shutdown(fd, SHUT_WR);
    assert_true(peer_rest(fd, &in));
    assert_true(slice_search(buf_slice(&in), SLICE("HTTP/1.1 400")) == 0);
    close(fd);
    buf_fini(&in);
}

static void a_body_is_not_read_before_its_head_was_accepted(void **state)
{
    (void)state;
    struct buf in;
    buf_init(&in, 65536);
    int fd = peer_dial(port);
    assert_true(peer_say(fd, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"));
    char got[512];
    struct slice heard = library_hears(0, got, sizeof(got));
    usleep(100000);
    assert_true(recv(inside[0], got + heard.len, sizeof(got) - heard.len, MSG_DONTWAIT) < 0);
    assert_true(slice_search(heard, SLICE("hello")) < 0);
    assert_true(slice_search(heard, SLICE("\r\nExpect: 100-continue\r\n")) > 0);
    assert_true(peer_say(inside[0], LET_IN));
    assert_true(slice_eq(library_hears(0, got, sizeof(got)), SLICE("hello")));
    assert_true(
        peer_say(inside[0], "HTTP/1.1 204 No Content\r\nX-Content-Type-Options: nosniff\r\n\r\n"));
    assert_true(peer_until(fd, &in, "\r\n\r\n"));
    assert_true(slice_search(buf_slice(&in), SLICE("HTTP/1.1 204")) == 0); /* and no 100 */
    close(fd);
    buf_fini(&in);
}

static bool is_refused(int fd, const char *status)
{
    struct buf in;
    buf_init(&in, 1024 * 1024);
    bool refused = peer_rest(fd, &in) && slice_search(buf_slice(&in), slice_str(status)) == 0;
    buf_fini(&in);
    return refused;
}

static int dial_and_work(unsigned char host, size_t nth)
{
    char got[256];
    int fd = peer_dial_from(host, port);
    assert_true(peer_say(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    library_hears(nth, got, sizeof(got));
    return fd;
}

/* All of them are served, so that none can be evicted for the next one. */
static void a_connection_above_the_ceiling_gets_503(void **state)
{
    (void)state;
    int fds[PLACES];
    for (size_t i = 0; i < PLACES; i++)
        fds[i] = dial_and_work((unsigned char)(1 + i / 2), i);
    int fd = peer_dial_from(9, port);
    assert_true(is_refused(fd, "HTTP/1.1 503"));
    assert_int_equal(inside_count, PLACES);
    close(fd);
    for (size_t i = 0; i < PLACES; i++)
        close(fds[i]);
}

static void a_source_holds_a_quarter_of_the_places_though_all_are_served(void **state)
{
    (void)state;
    int fds[3] = {dial_and_work(1, 0), dial_and_work(1, 1), -1};
    int fd = peer_dial_from(1, port);
    assert_true(is_refused(fd, "HTTP/1.1 503"));
    fds[2] = dial_and_work(2, 2);
    close(fd);
    for (size_t i = 0; i < 3; i++)
        close(fds[i]);
}

static void a_library_that_does_not_respond_in_time_is_503(void **state)
{
    (void)state;
    static const char *const requests[] = {
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked \r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    };
    int fds[ARRAY_LEN(requests)];
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        fds[i] = peer_dial_from((unsigned char)(1 + i), port);
        assert_true(peer_say(fds[i], requests[i]));
    }
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        if (!is_refused(fds[i], "HTTP/1.1 503"))
            fail_msg("%s", requests[i]);
        close(fds[i]);
    }
}

static void a_response_that_the_library_makes_up_does_not_reach_the_client(void **state)
{
    (void)state;
    struct buf in;
    buf_init(&in, 1024 * 1024);
    int fd = dial_and_work(1, 0);
    assert_true(peer_say(inside[0], "HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\n"
                                    "Content-Length: 6\r\n\r\nsecret"));
    assert_true(peer_rest(fd, &in));
    assert_true(slice_search(buf_slice(&in), SLICE("HTTP/1.1 400")) == 0);
    assert_true(slice_search(buf_slice(&in), SLICE("secret")) < 0);
    assert_true(slice_search(buf_slice(&in), SLICE("application/problem+json")) > 0);
    close(fd);
    buf_fini(&in);
}

/* What the library gets of a head, whatever its spelling. */
static void a_head_is_written_anew_for_the_library(void **state)
{
    (void)state;
    static const struct {
        const char *text, *heard;
    } heads[] = {
        {"GET /a?b HTTP/1.1\r\nHost: h\r\nConnection: close, x\r\nx: 1\r\n\r\n",
         "GET /a?b HTTP/1.1\r\nConnection: close\r\nHost: h\r\nx: 1\r\n\r\n"},
        {"POST / HTTP/1.1\r\nHost:h\r\nTransfer-Encoding:  chunked  \r\nKeep-Alive: 5\r\n\r\n",
         "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\nHost: "
         "h\r\n\r\n"},
        {"POST / HTTP/1.1\r\nHost: h\r\nCONTENT-LENGTH: 007 \r\nTE: trailers\r\n\r\n",
         "POST / HTTP/1.1\r\nContent-Length: 7\r\nExpect: 100-continue\r\nHost: h\r\n\r\n"},
        {"POST / HTTP/1.1\r\nHost: h\r\nexpect: 100-CONTINUE\r\nContent-Length: 1\r\n\r\n",
         "POST / HTTP/1.1\r\nContent-Length: 1\r\nExpect: 100-continue\r\nHost: h\r\n\r\n"},
        {"GET / HTTP/1.0\r\nHost: h\r\nUpgrade: x\r\n\r\n",
         "GET / HTTP/1.1\r\nConnection: close\r\nHost: h\r\n\r\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        char got[512];
        int fd = peer_dial_from((unsigned char)(1 + i), port);
        assert_true(peer_say(fd, heads[i].text));
        struct slice heard = library_hears(i, got, sizeof(got));
        if (!slice_eq(heard, slice_str(heads[i].heard)))
            fail_msg("of\n%sthe library heard\n%.*s", heads[i].text, SLICE_ARG(heard));
        close(fd);
    }
}

static void a_chunked_body_is_framed_anew_without_extensions_and_trailers(void **state)
{
    (void)state;
    char got[512];
    struct buf all;
    buf_init(&all, 4096);
    int fd = peer_dial(port);
    assert_true(peer_say(fd, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"));
    library_lets_in(0);
    assert_true(peer_say(fd, "0005;x=\"y\"\r\nhello\r\n0;z\r\nTrailer: 1\r\n\r\n"));
    while (!slice_ends(buf_slice(&all), SLICE("0\r\n\r\n")))
        assert_int_equal(buf_append(&all, library_hears(0, got, sizeof(got))), ERR_OK);
    assert_true(slice_eq(buf_slice(&all), SLICE("5\r\nhello\r\n0\r\n\r\n")));
    close(fd);
    buf_fini(&all);
}

#define WITH_LISTENER(test) cmocka_unit_test_setup_teardown(test, open_listener, close_listener)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_head_has_one_deadline_however_many_bytes_come,
                                        open_listener, close_listener),
        cmocka_unit_test_setup_teardown(a_body_that_drips_is_ended_though_no_gap_is_long,
                                        open_listener, close_listener),
        cmocka_unit_test_setup_teardown(a_body_that_ends_early_is_ended_at_once, open_listener,
                                        close_listener),
        cmocka_unit_test_setup_teardown(a_body_is_not_read_before_its_head_was_accepted,
                                        open_listener, close_listener),
        WITH_LISTENER(a_connection_above_the_ceiling_gets_503),
        WITH_LISTENER(a_source_holds_a_quarter_of_the_places_though_all_are_served),
        WITH_LISTENER(a_library_that_does_not_respond_in_time_is_503),
        WITH_LISTENER(a_response_that_the_library_makes_up_does_not_reach_the_client),
        WITH_LISTENER(a_head_is_written_anew_for_the_library),
        WITH_LISTENER(a_chunked_body_is_framed_anew_without_extensions_and_trailers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
