/*
 * http_server — serves HTTP/1.1 on a loop: connections, keep-alive, deadlines; the caller
 * sees one exchange at a time, and only the caller responds to it.
 *
 * The head comes first, alone: the body is not read until the caller says so (before
 * authentication nothing but the head is read). The response to `Expect: 100-continue` is sent when
 * reading starts. Pipelined requests wait, at most LIMIT_HTTP_PIPELINE of them. Malformed input
 * gets 400 (or the reader's status), a slow head 408, and the connection is closed. Where the
 * caller responds before it has read the body, the connection is closed after the response, unless
 * the rest of the body is small.
 *
 * Owns     connections and exchanges.
 * Threads  its loop's.
 */
#pragma once

#include "common/net/http1.h"
#include "common/net/stream.h"

struct http_server;
struct http_exchange;

struct http_server_events {
    /* A request's head. The caller keeps x until on_gone, and must in the end call
     * http_response_end or http_response_abort. */
    void (*on_request)(void *arg, struct http_exchange *x);
};

struct http_exchange_events {
    void (*on_body)(void *user, struct slice data); /* a piece; lent */
    void (*on_body_end)(void *user);
    void (*on_drain)(void *user); /* the response may be written again; may be NULL */
    /* The exchange is over: whole (ERR_OK), or the client hung up or broke the framing. Called
     * exactly once, never from inside a function of this header except http_server_free; x and its
     * head are gone after it. */
    void (*on_gone)(void *user, enum err why);
};

/* What is 0 is taken from limits.h. */
struct http_server_config {
    struct tls_context *tls; /* NULL: plain; held */
    uint64_t body_max;       /* default ceiling of a body, bytes; 413 beyond */
    unsigned head_ms, body_gap_ms, keepalive_ms;
    size_t connections_max;
    struct slice name; /* Server header; empty: none */
    /* Is this HTTP/1.0 request without a Host served all the same? NULL: none is. Meant for the
     * health checks of balancers: HAProxy's default one is `OPTIONS / HTTP/1.0`. */
    bool (*serves_without_host)(const struct http_head *head);
};

MUST_USE enum err http_server_new(struct loop *l, const struct http_server_config *c,
                                  const struct http_server_events *events, void *arg,
                                  struct http_server **ret);
MUST_USE enum err http_server_listen(struct http_server *s, const union sockaddr_any *at);
uint16_t http_server_port(const struct http_server *s);
/* No new connections; idle ones are closed at once, the others after their response (Connection:
 * close). */
void http_server_drain(struct http_server *s);
size_t http_server_connections(const struct http_server *s);
/* A connection is one descriptor; what it carries may hold others, which count among
 * connections_max until they are taken back. false: there are no more, or LIMIT_LENT_DESCRIPTORS
 * are lent. */
MUST_USE bool http_server_lend(struct http_server *s, size_t descriptors);
void http_server_take_back(struct http_server *s, size_t descriptors);
/* Aborts what is left: every on_gone comes before it returns. */
void http_server_free(struct http_server *s);

/* the request */
const struct http_head *http_exchange_head(const struct http_exchange *x);
struct slice http_exchange_peer(const struct http_exchange *x);
void http_exchange_bind(struct http_exchange *x, const struct http_exchange_events *events,
                        void *user); /* MUST be called inside on_request */
void http_exchange_read(struct http_exchange *x,
                        uint64_t max); /* starts the body; 0: the default */
void http_exchange_pause(struct http_exchange *x);
void http_exchange_resume(struct http_exchange *x);

/* The response. length: UINT64_MAX = not known (chunked, or to close for HTTP/1.0). Connection,
 * Content-Length, Transfer-Encoding and Date are the server's; do not pass them. */
MUST_USE enum err http_response_begin(struct http_exchange *x, unsigned status,
                                      const struct http_header *headers, size_t n, uint64_t length);
/* ERR_TOO_BIG: above the ceiling, wait for on_drain; ERR_CLOSED */
MUST_USE enum err http_response_write(struct http_exchange *x, struct slice data);
/* The writer stops until on_drain, which then comes. */
bool http_response_is_full(struct http_exchange *x);
size_t http_response_pending(const struct http_exchange *x); /* bytes not yet sent */
void http_response_end(struct http_exchange *x);
void http_response_abort(struct http_exchange *x); /* cuts the connection */
/* Status 101 upgrades to a WebSocket (the caller has looked at what the client asked for): the
 * headers are Sec-WebSocket-Accept and those that go with it. From then on on_body brings all that
 * the client sends and http_response_write takes all that it gets, as they are, until
 * http_response_end or on_gone. */
/* begin, write and end in one system call */
MUST_USE enum err http_response(struct http_exchange *x, unsigned status,
                                const struct http_header *headers, size_t n, struct slice body);
