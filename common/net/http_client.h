/*
 * http_client — calls upstreams over HTTP/1.1 from a loop, through a pool of kept connections.
 *
 * One client per worker: its pool is keyed by scheme, host, port, proxy and egress rule. A kept
 * connection that breaks before the first byte of a response is replaced by a fresh one, once, and
 * the request is sent again there, whatever its method, as curl does: a server closes a connection
 * that was idle for as long as it keeps one, and a request that crosses this close was not read. A
 * streamed body of which a part was sent cannot be repeated. Redirects are returned, never
 * followed. 1xx are skipped, but for the 101 of a call that asked for it.
 *
 * Owns     connections; the call until its one end.
 * Fails    on_error exactly once with the phase; or start's ERR_NOMEM, ERR_INVALID, ERR_EXHAUSTED.
 * Threads  its loop's.
 */
#pragma once

#include "common/net/http1.h"
#include "common/net/stream.h"

struct http_client;
struct http_call;

/* How far a call that failed had come. */
enum http_call_phase {
    HTTP_PHASE_RESOLVE,    /* its name: nothing was sent */
    HTTP_PHASE_CONNECT,    /* TCP, TLS: nothing was sent */
    HTTP_PHASE_SEND,       /* the request was not wholly sent */
    HTTP_PHASE_FIRST_BYTE, /* sent, no whole head of a response yet */
    HTTP_PHASE_BODY,       /* inside the response */
};

enum http_call_state {
    HTTP_CALL_RESOLVING,  /* the upstream's name */
    HTTP_CALL_CONNECTING, /* TCP, TLS */
    HTTP_CALL_SENT,       /* on a connection; no byte of a response yet */
    HTTP_CALL_HEAD,       /* inside the head of the response, or of an interim one */
    HTTP_CALL_BODY,
    HTTP_CALL_ENDED,
};

struct http_call_events {
    void (*on_head)(void *arg, const struct http_head *head); /* lent for the call */
    void (*on_body)(void *arg, struct slice data);            /* lent; decoded of chunks */
    void (*on_end)(void *arg);
    void (*on_error)(void *arg, enum err why, enum http_call_phase phase);
    void (*on_drain)(void *arg); /* streamed request bodies; may be NULL */
    /* It moved on to this state, but ENDED. SENT back to RESOLVING: it is sent again on a fresh
     * connection. May be NULL; the owner must not close the call inside. */
    void (*on_state)(void *arg, enum http_call_state state);
};

#define HTTP_CALL_PIECES 7 /* a body with three places in it that are ours */

struct http_call_spec {
    bool own_credential; /* of stream_target */
    struct slice method;
    struct url url;                    /* host, port, tls; copied */
    struct slice path;                 /* path and query as they go on the wire; copied */
    const struct http_header *headers; /* ours; Host, Connection, Content-Length and
                                          Transfer-Encoding are the client's; copied */
    size_t header_count;
    struct slice body[HTTP_CALL_PIECES]; /* in order; those without bytes are left out;
                       lent until on_head or the call's end; ignored when streamed */
    bool streamed;                       /* body comes by http_call_write */
    /* Not on a kept connection: where the server closes one as the request is on its way, what was
     * streamed cannot be sent again. */
    bool fresh;
    /* Asks for a WebSocket. A response of status 101 hands the connection over: what follows is
     * written by http_call_write and comes by on_body as it is. Any other is a response. */
    bool upgrade;
    uint64_t body_length;             /* streamed: UINT64_MAX = chunked */
    struct egress_rule rule;          /* its array must outlive the call */
    struct tls_context *tls;          /* for https; NULL: the client's default */
    const struct stream_proxy *proxy; /* NULL: none; must outlive the call */
    unsigned connect_ms, first_byte_ms, gap_ms, total_ms; /* 0: the defaults of limits.h */
};

MUST_USE enum err http_client_new(struct loop *l, struct resolver *r, struct tls_context *tls,
                                  struct http_client **ret);
void http_client_free(struct http_client *c); /* cancels what runs */
size_t http_client_idle(const struct http_client *c);
struct loop *http_client_loop(const struct http_client *c);

/* Never calls back before it returns. */
MUST_USE enum err http_call_start(struct http_client *c, const struct http_call_spec *spec,
                                  const struct http_call_events *events, void *arg,
                                  struct http_call **ret);
MUST_USE enum err http_call_write(struct http_call *c, struct slice data);
bool http_call_is_full(const struct http_call *c); /* the writer stops until on_drain */
size_t http_call_pending(const struct http_call *c);
bool http_call_is_sent(const struct http_call *c); /* the request, to its last byte */
/* Was any byte of the request given to a connection that may have delivered it? */
bool http_call_has_sent(const struct http_call *c);
enum http_call_state http_call_state(const struct http_call *c);
void http_call_write_end(struct http_call *c);
/* Stops reading the response; of what was read already, only the end may still be reported. */
void http_call_pause(struct http_call *c);
void http_call_resume(struct http_call *c);
/* Closes the connection unless the response was complete; no callback afterwards; leaves NULL.
 * Also the way to let go of an ended call. */
void http_call_close(struct http_call **c);
