/* admin_listener over TLS: requests inside TLS are checked, and a client that does not finish its
 * handshake is cut as a slow one. */
#define SHARE (PLACES / 4) /* of one source */
#define OURS "HTTP/1.1 200 OK\r\nX-Content-Type-Options: nosniff\r\n"
#define PORT_FIRST 27340

#include "common/base/clock.h"
#include "tests/kit/net/certs.h"
#include "tests/kit/net/tls_peer.h"
#include "tests/unit/controlplane/admin_listener_kit.h"

static struct certs *certs;

static int open_listener(void **state)
{
    (void)state;
    certs = certs_new();
    struct certs_files files = certs_server(certs);
    admin_listener_open(files.cert, files.key);
    return 0;
}

static int close_all(void **state)
{
    close_listener(state);
    certs_free(certs);
    return 0;
}

static struct tls_peer *dial(void)
{
    struct tls_peer *p = tls_peer_dial(port, certs_ca(certs));
    assert_non_null(p);
    return p;
}

static void a_body_is_not_read_before_its_head_was_accepted(void **state)
{
    (void)state;
    struct buf in;
    char got[512];
    buf_init(&in, 65536);
    struct tls_peer *p = dial();
    assert_true(tls_peer_say(p, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel"));
    library_lets_in(0);
    struct slice heard = library_hears(0, got, sizeof(got));
    assert_true(slice_eq(heard, SLICE("hel")));
    assert_true(tls_peer_say(p, "lo"));
    assert_true(slice_eq(library_hears(0, got, sizeof(got)), SLICE("lo")));
    assert_true(peer_say(inside[0], OURS "Content-Length: 6\r\n\r\nthanks"));
    assert_true(tls_peer_until(p, &in, "thanks"));
    assert_true(slice_search(buf_slice(&in), SLICE("HTTP/1.1 200")) == 0); /* and no 100 */
    tls_peer_close(&p);
    buf_fini(&in);
}

static void a_malformed_request_is_refused_before_the_library_reads_it(void **state)
{
    (void)state;
    struct buf in;
    buf_init(&in, 65536);
    struct tls_peer *p = dial();
    assert_true(tls_peer_say(p, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"));
    assert_true(tls_peer_rest(
        p, &in)); /* close_notify came: the response was not truncated (RFC 8446 section 6.1) */
    assert_true(slice_search(buf_slice(&in), SLICE("HTTP/1.1 400")) == 0);
    char got[16];
    assert_int_equal(inside_count, 1);
    assert_int_equal(recv(inside[0], got, sizeof(got), 0), 0);
    tls_peer_close(&p);
    buf_fini(&in);
}

static void a_handshake_has_the_heads_deadline(void **state)
{
    (void)state;
    static const char *const starts[] = {"", "\x16\x03\x01\x02\x00\x01"}; /* of a hello */
    for (size_t i = 0; i < ARRAY_LEN(starts); i++) {
        struct buf in;
        buf_init(&in, 65536);
        uint64_t began = clock_mono_us();
        int fd = peer_dial(port);
        assert_true(peer_send(fd, slice_of(starts[i], i * 6)));
        assert_true(peer_rest(fd, &in));
        assert_in_range((clock_mono_us() - began) / 1000, HEAD_MS - 100, 2500);
        close(fd);
        buf_fini(&in);
    }
    assert_int_equal(inside_count, 0);
}

static void a_plain_text_request_on_a_tls_port_gets_no_response(void **state)
{
    (void)state;
    struct buf in;
    buf_init(&in, 65536);
    int fd = peer_dial(port);
    assert_true(peer_say(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert_true(peer_rest(fd, &in));
    assert_true(slice_search(buf_slice(&in), SLICE("HTTP/")) < 0);
    assert_int_equal(inside_count, 0);
    close(fd);
    buf_fini(&in);
}

static void a_source_above_its_share_gets_503_over_tls(void **state)
{
    (void)state;
    struct tls_peer *all[SHARE];
    struct buf in;
    char got[64];
    buf_init(&in, 65536);
    for (size_t i = 0; i < SHARE; i++) {
        all[i] = dial();
        assert_true(tls_peer_say(all[i], "GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
        library_hears(i, got, sizeof(got));
    }
    struct tls_peer *p = dial();
    assert_true(tls_peer_rest(p, &in));
    assert_true(slice_search(buf_slice(&in), SLICE("HTTP/1.1 503")) == 0);
    assert_int_equal(inside_count, SHARE);
    tls_peer_close(&p);
    for (size_t i = 0; i < SHARE; i++)
        tls_peer_close(&all[i]);
    buf_fini(&in);
}

static void a_renewed_certificate_is_shown_to_the_next_and_the_others_go_on(void **state)
{
    (void)state;
    struct buf in;
    char got[64];
    buf_init(&in, 65536);
    struct tls_peer *old = dial();
    certs_server(certs); /* the same files, anew */
    assert_int_equal(admin_listener_reload(admin), ERR_OK);
    struct tls_peer *new = dial();
    assert_true(tls_peer_serial(new) > tls_peer_serial(old));
    assert_true(tls_peer_say(old, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    library_hears(0, got, sizeof(got));
    assert_true(
        peer_say(inside[0], "HTTP/1.1 204 No Content\r\nX-Content-Type-Options: nosniff\r\n\r\n"));
    assert_true(tls_peer_until(old, &in, "\r\n\r\n"));
    tls_peer_close(&new);
    tls_peer_close(&old);
    buf_fini(&in);
}

int main(void)
{
#define OVER_TLS(name) cmocka_unit_test_setup_teardown(name, open_listener, close_all)
    const struct CMUnitTest tests[] = {
        OVER_TLS(a_body_is_not_read_before_its_head_was_accepted),
        OVER_TLS(a_malformed_request_is_refused_before_the_library_reads_it),
        OVER_TLS(a_handshake_has_the_heads_deadline),
        OVER_TLS(a_plain_text_request_on_a_tls_port_gets_no_response),
        OVER_TLS(a_source_above_its_share_gets_503_over_tls),
        OVER_TLS(a_renewed_certificate_is_shown_to_the_next_and_the_others_go_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
