/*
 * front — the admin API's own listener: TLS, and a strict look at every request's head, before
 * libmicrohttpd sees a byte.
 *
 * The library reads HTTP loosely (Content-Length beside chunked, two Hosts …). Here each head
 * and each body's framing passes common/net/http1 first; only then the very bytes go on,
 * through a socket pair, to the library. Answers come back untouched.
 *
 * Connections are bounded, and of one source a quarter of that may stand around unserved: in a
 * head, a body, an unread answer, or between requests. Who is one too many is let in where an
 * unserved one can go, the one that has been so for longest; else it is told 503.
 *
 * Owns     its thread, loop, listener and connections.
 * Fails    ERR_EXISTS when the port is taken; ERR_TLS for files that cannot be read; ERR_IO.
 * Threads  own; start, reload and stop from any other.
 */
#pragma once

#include "common/net/address.h"

struct admin_listener;

struct admin_listener_config {
    union sockaddr_any at;
    const char *cert_file; /* NULL: plain */
    const char *key_file;
    size_t connections_max;
    unsigned head_ms, body_gap_ms; /* 0: those of limits.h */
    /* A new connection from `peer` is to be served on fd, which is taken in any case. Called on
     * the front's thread. */
    void (*serve)(void *arg, int fd, const union sockaddr_any *peer);
    void (*on_count)(void *arg, size_t connections); /* it changed; on the front's thread */
    void *arg;
};

MUST_USE enum err admin_listener_start(const struct admin_listener_config *c,
                                       struct admin_listener **ret);
MUST_USE enum err
admin_listener_reload(struct admin_listener *g); /* certificate and key, read again */
/* No new connections; those that stand go on. */
void admin_listener_quiesce(struct admin_listener *g);
size_t admin_listener_connections(const struct admin_listener *g);
void admin_listener_stop(struct admin_listener **g); /* cuts what stands; NULL inside is fine */
