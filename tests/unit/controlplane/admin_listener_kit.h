/*
 * admin_listener_kit — a listener whose library is the test: the test reads what was passed on and
 * writes what it wants. PORT_FIRST is defined before the include.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "controlplane/api/admin_listener.h"
#include "tests/kit/raw_peer.h"
#include "tests/kit/tsan.h"

#define HEAD_MS 400
#define GAP_MS 400
#define RESPONSE_MS 3000
#define PLACES 8
#define PORTS 20 /* from PORT_FIRST on, each program its own */
#define LET_IN "HTTP/1.1 100 Continue\r\n\r\n"

static int inside[64]; /* the library's ends */
static _Atomic size_t inside_count;
static struct admin_listener *admin;
static uint16_t port;

static void serve(void *arg, int fd, const union sockaddr_any *peer)
{
    (void)arg;
    (void)peer;
    inside[inside_count] = fd;
    inside_count++; /* only now is it there for the test */
}

static void on_count(void *arg, size_t connections)
{
    (void)arg;
    (void)connections;
}

/* files NULL: plain */
static inline void admin_listener_open(const char *cert_file, const char *key_file)
{
    inside_count = 0;
    for (port = PORT_FIRST; admin == NULL && port < PORT_FIRST + PORTS; port++) {
        struct admin_listener_config c = {.cert_file = cert_file,
                                          .key_file = key_file,
                                          .connections_max = PLACES,
                                          .head_ms = HEAD_MS,
                                          .body_gap_ms = GAP_MS,
                                          .response_ms = RESPONSE_MS,
                                          .serve = serve,
                                          .on_count = on_count};
        c.at.in = peer_loopback(port);
        if (admin_listener_start(&c, &admin) == ERR_OK)
            break;
    }
    assert_non_null(admin);
}

static inline int close_listener(void **state)
{
    (void)state;
    admin_listener_stop(&admin);
    for (size_t i = 0; i < inside_count; i++)
        close(inside[i]);
    return 0;
}

/* What the library has of its i-th connection; waits for the first of it. */
static inline struct slice library_hears(size_t i, char *out, size_t cap)
{
    for (int k = 0; k < 500 && inside_count <= i; k++)
        usleep(10000);
    assert_true(inside_count > i);
    struct pollfd p = {.fd = inside[i], .events = POLLIN};
    assert_int_equal(poll(&p, 1, 5000), 1);
    ssize_t n = recv(inside[i], out, cap, 0);
    assert_true(n > 0);
    return slice_of(out, (size_t)n);
}

/* Responds as the library does: once a head has come, and not before. */
static inline void library_lets_in(size_t i)
{
    char head[512];
    struct slice heard = library_hears(i, head, sizeof(head));
    assert_true(slice_search(heard, SLICE("\r\nExpect: 100-continue\r\n")) > 0);
    assert_true(slice_ends(heard, SLICE("\r\n\r\n")));
    assert_true(peer_say(inside[i], LET_IN));
}
