/* front: who is slow, or one too many. The library behind it is one that says what a test wants. */
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

/* Says a byte of `text` now and then until the other side has enough; what it said then. */
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

static void a_body_waits_outside_until_its_head_was_let_in(void **state)
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
    assert_true(slice_ends(heard, SLICE("\r\nExpect: 100-continue\r\n\r\n")));
    assert_true(peer_say(inside[0], LET_IN));
    assert_true(slice_eq(library_hears(0, got, sizeof(got)), SLICE("hello")));
    assert_true(peer_say(inside[0], "HTTP/1.1 204 No Content\r\n\r\n"));
    assert_true(peer_until(fd, &in, "\r\n\r\n"));
    assert_true(slice_search(buf_slice(&in), SLICE("HTTP/1.1 204")) == 0); /* and no 100 */
    close(fd);
    buf_fini(&in);
}

/* In work, all of them: nobody can go for the next one. */
static void above_the_ceiling_it_says_503(void **state)
{
    (void)state;
    int fds[PLACES];
    struct buf in;
    buf_init(&in, 1024 * 1024);
    for (size_t i = 0; i < PLACES; i++) {
        fds[i] = peer_dial(port);
        assert_true(peer_say(fds[i], "GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
        char got[64];
        library_hears(i, got, sizeof(got));
    }
    int fd = peer_dial(port);
    assert_true(peer_rest(fd, &in));
    assert_true(slice_search(buf_slice(&in), SLICE("HTTP/1.1 503")) == 0);
    assert_int_equal(inside_count, PLACES);
    close(fd);
    for (size_t i = 0; i < PLACES; i++)
        close(fds[i]);
    buf_fini(&in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_head_has_one_deadline_however_many_bytes_come,
                                        open_listener, close_listener),
        cmocka_unit_test_setup_teardown(a_body_that_drips_is_ended_though_no_gap_is_long,
                                        open_listener, close_listener),
        cmocka_unit_test_setup_teardown(a_body_that_ends_early_is_ended_at_once, open_listener,
                                        close_listener),
        cmocka_unit_test_setup_teardown(a_body_waits_outside_until_its_head_was_let_in,
                                        open_listener, close_listener),
        cmocka_unit_test_setup_teardown(above_the_ceiling_it_says_503, open_listener,
                                        close_listener),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
