/*
 * http_client_private — the client and one call of it from the inside.
 *
 * Private to http_client.c, which starts calls and keeps ended ones warm, and http_call.c, which is
 * one call's state machine.
 *
 *   RESOLVING ─▶ CONNECTING ─▶ SENT ─▶ HEAD ─▶ BODY ─▶ ENDED
 *
 * A kept connection starts at SENT; where it died unread, the call goes from SENT back to
 * RESOLVING. http_call_move is the one function that changes the state.
 *
 * Owns     its connection until the response is complete; copies of what the request's head says.
 * Threads  the loop's.
 */
#pragma once

#include "common/net/http_client.h"
#include "common/net/pool.h"

struct http_client {
    struct loop *loop;
    struct resolver *resolver;
    struct tls_context *tls; /* held; NULL: no https without one in the call */
    struct pool *pool;
    struct list running;
    struct list spare;
    size_t spare_count;
    size_t call_count;     /* started and not yet closed */
    bool freed;            /* goes with its last call */
    struct http_head head; /* of the response that has just come; lent for on_head */
};

struct http_call {
    struct http_client *client;
    struct list link; /* running, or spare */
    struct pool_conn *conn;
    struct http_call_events events;
    void *arg;
    enum http_call_state state;
    enum err failing; /* to be reported at the end of the turn */
    struct loop_task soon;
    struct timer timer;
    uint64_t ends_us;
    unsigned connect_ms, first_byte_ms, gap_ms;

    /* the request */
    struct url url;          /* only tls and port; the host is the connection's */
    struct tls_context *tls; /* held */
    struct egress_rule rule;
    const struct stream_proxy *proxy; /* lent */
    struct buf out; /* the head; streamed: and what is gathered for the turn's end */
    struct slice body[HTTP_CALL_PIECES]; /* lent */
    uint64_t left;                       /* streamed: of a known length */
    size_t pending_seen;
    bool streamed, chunked, request_ended, is_head;
    bool wants_drain;
    bool touched; /* bytes of this request were given to a connection */
    bool reused, retried;

    /* the response */
    bool released; /* http_call_close was called: no callback any more */
    bool paused, stalled, eof;
    enum err lost; /* how the connection ended while reading the response was paused */
    unsigned interims;
    unsigned depth;
    size_t scanned;
    struct buf rest; /* read ahead while paused; or a part of the head */
    struct http1_body walk;
    bool keep_alive; /* the response's head lets the connection live on */
};

/* no connection stands yet */
static inline bool http_call_is_dialling(const struct http_call *k)
{
    return k->state == HTTP_CALL_RESOLVING || k->state == HTTP_CALL_CONNECTING;
}

/* for the head of the response */
static inline bool http_call_is_waiting(const struct http_call *k)
{
    return k->state == HTTP_CALL_SENT || k->state == HTTP_CALL_HEAD;
}

/* http_call.c */
extern const struct stream_events http_call_stream_events;
MUST_USE enum err http_call_dial(struct http_call *k);
void http_call_fail_soon(struct http_call *k, enum err why);
void http_call_fail(struct http_call *k, enum err why);
void http_call_leave(struct http_call *k); /* ENDED: nothing runs any more */
void http_call_on_timer(struct timer *t);
void http_call_on_soon(struct loop_task *t);

MUST_USE enum err http_call_compose(struct http_call *k, const struct http_call_spec *spec);
MUST_USE enum err http_call_send(struct http_call *k); /* a whole request, or a streamed head */
