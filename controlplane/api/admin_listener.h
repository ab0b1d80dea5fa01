/*
 * admin_listener — the admin API's own listener: TLS, and a strict reader before libmicrohttpd.
 *
 * The library reads HTTP loosely (Content-Length beside chunked, two Hosts …). Here each request
 * passes common/net/http1 first, and the library gets what that read, written anew, through a
 * socket pair (admin_connection). Responses of the API come back unchanged.
 *
 * Connections are bounded. One source (an IPv4 address, an IPv6 /64) may hold a quarter of the
 * places; past that, and when all places are taken, the connection is evicted that has waited
 * longest for its client: in a head, before its body is let in, in a body, in an unread response,
 * or between requests. Where there is no such connection, the new one gets a 503. Connections
 * that linger for their last response to be read have places of their own, with the same share
 * for a source; past it the oldest of them ends at once.
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
    unsigned head_ms, body_gap_ms, response_ms; /* 0: those of limits.h */
    /* A new connection from `peer` is to be served on fd, which is taken in any case. Called on
     * the listener's thread. */
    void (*serve)(void *arg, int fd, const union sockaddr_any *peer);
    void (*on_count)(void *arg, size_t connections); /* it changed; on the listener's thread */
    void *arg;
};

MUST_USE enum err admin_listener_start(const struct admin_listener_config *c,
                                       struct admin_listener **ret);
MUST_USE enum err
admin_listener_reload(struct admin_listener *g); /* certificate and key, read again */
/* Accepts no new connections; open ones go on. */
void admin_listener_quiesce(struct admin_listener *g);
size_t admin_listener_connections(const struct admin_listener *g);
void admin_listener_stop(
    struct admin_listener **g); /* closes open connections; NULL inside is fine */
