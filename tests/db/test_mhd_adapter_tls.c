/*
 * mhd_adapter over TLS — the admin API as an administrator on another host reaches it: listener,
 * library and database are real.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "controlplane/api/mhd_adapter.h"
#include "tests/kit/db/admin.h"
#include "tests/kit/db/base.h"
#include "tests/kit/net/certs.h"
#include "tests/kit/net/tls_peer.h"
#include "tests/kit/raw_peer.h"
#include "tests/kit/tsan.h"

#define CROWD 512 /* as many as the listener has places */
#define PORT_FIRST 27400
#define AUTHORIZED "Host: a\r\nAuthorization: Bearer owner\r\n"
#define RESPONSE_MAX (4u * 1024 * 1024)

static struct app app;
static struct mhd_adapter *listener;
static struct certs *certs;
static uint16_t port;

/* All that comes for `text`, which asks for the connection's end. */
static void ask(struct buf *in, const char *text)
{
    buf_init(in, RESPONSE_MAX);
    struct tls_peer *p = tls_peer_dial(port, certs_ca(certs));
    assert_non_null(p);
    assert_true(tls_peer_say(p, text));
    assert_true(tls_peer_rest(p, in)); /* not cut short */
    tls_peer_close(&p);
}

static size_t responses_of(struct slice s, const char *status_line)
{
    size_t n = 0;
    struct slice mark = slice_str(status_line);
    for (ptrdiff_t at; (at = slice_search(s, mark)) >= 0; n++)
        s = slice_from(s, (size_t)at + mark.len);
    return n;
}

static void what_is_written_on_one_connection_is_read_on_it(void **state)
{
    (void)state;
    struct buf in;
    ask(&in,
        "POST /admin/v1/tasks HTTP/1.1\r\n" AUTHORIZED "Content-Length: 12\r\n\r\n{\"name\":\"p\"}"
        "POST /admin/v1/tasks HTTP/1.1\r\n" AUTHORIZED
        "Transfer-Encoding: chunked\r\n\r\n5\r\n{\"nam\r\n7\r\ne\":\"q\"}\r\n0\r\n\r\n"
        "GET /admin/v1/tasks/p HTTP/1.1\r\n" AUTHORIZED "\r\n"
        "GET /admin/v1/tasks/q HTTP/1.1\r\n" AUTHORIZED "Connection: close\r\n\r\n");
    assert_int_equal(responses_of(buf_slice(&in), "HTTP/1.1 201 "), 2);
    assert_int_equal(responses_of(buf_slice(&in), "HTTP/1.1 200 "), 2);
    buf_fini(&in);
}

static void a_long_response_arrives_whole(void **state)
{
    (void)state;
    struct buf in;
    uint64_t length;
    struct slice mark = SLICE("Content-Length: "), digits;
    ask(&in, "GET /admin/v1/openapi.json HTTP/1.1\r\n" AUTHORIZED "Connection: close\r\n\r\n");
    struct slice all = buf_slice(&in);
    ptrdiff_t head = slice_search(all, SLICE("\r\n\r\n")), at = slice_search(all, mark);
    assert_true(slice_starts(all, SLICE("HTTP/1.1 200 ")) && at > 0 && at < head);
    digits = slice_from(all, (size_t)at + mark.len);
    digits = slice_first(digits, (size_t)slice_search(digits, SLICE("\r\n")));
    assert_int_equal(slice_u64(digits, &length), ERR_OK);
    assert_true(length > 64 * 1024); /* more than one TLS record, or one read */
    assert_int_equal(all.len - (size_t)head - 4, length);
    buf_fini(&in);
}

static void a_refused_head_gets_its_response_before_its_body_arrives(void **state)
{
    (void)state;
    struct buf in;
    ask(&in, "POST /admin/v1/tasks HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer nobody\r\n"
             "Content-Length: 900000\r\n\r\n{");
    assert_true(slice_starts(buf_slice(&in), SLICE("HTTP/1.1 401 ")));
    buf_fini(&in);
}

static void unfinished_handshakes_do_not_lock_out_other_clients(void **state)
{
    (void)state;
    int crowd[CROWD];
    struct buf in;
    for (size_t i = 0; i < CROWD; i++)
        crowd[i] = peer_dial(port);
    ask(&in, "GET /admin/v1/teams HTTP/1.1\r\n" AUTHORIZED "Connection: close\r\n\r\n");
    assert_true(slice_starts(buf_slice(&in), SLICE("HTTP/1.1 200 ")));
    for (size_t i = 0; i < CROWD; i++)
        if (crowd[i] >= 0)
            close(crowd[i]);
    buf_fini(&in);
}

static int open_listener(void **state)
{
    char listen_at[32];
    base_open(state);
    admin_open(&app);
    admin_token("owner", ROLE_OWNER);
    certs = certs_new();
    struct certs_files files = certs_server(certs);
    for (port = PORT_FIRST; listener == NULL && port < PORT_FIRST + 40; port++) {
        snprintf(listen_at, sizeof(listen_at), "127.0.0.1:%u", port);
        const struct mhd_adapter_config config = {
            .listen = listen_at, .cert_file = files.cert, .key_file = files.key};
        if (mhd_adapter_start(&app, &config, &listener) == ERR_OK)
            break;
    }
    assert_non_null(listener);
    return 0;
}

static int close_listener(void **state)
{
    mhd_adapter_stop(&listener, 1000);
    certs_free(certs);
    admin_close(&app);
    return base_close(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_on_one_connection_is_read_on_it),
        cmocka_unit_test(a_long_response_arrives_whole),
        cmocka_unit_test(a_refused_head_gets_its_response_before_its_body_arrives),
        cmocka_unit_test(unfinished_handshakes_do_not_lock_out_other_clients),
    };
    return cmocka_run_group_tests(tests, open_listener, close_listener);
}
