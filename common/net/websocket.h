/*
 * websocket — the WebSocket protocol (RFC 6455) over bytes that its owner carries, by
 * libwebsockets.
 *
 * The owner has read a head of HTTP by the strict reader and carries the bytes on either side of
 * it (a client's connection, an upstream's exchange): TLS, the egress rule, proxies and deadlines
 * are there. libwebsockets sees one end of a local pair of sockets, and no name, address or
 * certificate; it frames, masks, checks UTF-8 and control frames, closes, and pings a peer that is
 * silent.
 *
 *   accept(key, protocol)                 on_head: the 101 for the client
 *   dial()                                on_head: the request for the upstream; websocket_opened()
 *   feed(bytes of the peer)    ─▶         on_message(one whole text)
 *   send(one whole text)       ─▶         on_bytes(bytes for the peer)
 *
 * What breaks a rule of the protocol ends it. A client's frame that is not masked is taken all the
 * same: libwebsockets does not look (RFC 6455, section 5.1, is about caches between the two).
 *
 * One context of libwebsockets per loop, made when it is first needed, on the loop itself.
 *
 * Owns     its pair of sockets, messages not yet sent, a message not yet whole.
 * Fails    ERR_NOMEM, ERR_IO. Afterwards on_close, exactly once, unless the owner freed it first.
 * Threads  its loop's.
 */
#pragma once

#include "common/net/http1.h"
#include "common/net/loop.h"

struct websockets; /* what the WebSockets of one loop share */
struct websocket;

/* The owner may free the WebSocket inside any of these. */
struct websocket_events {
    /* What libwebsockets wrote: its request, or its response of status 101. Lent for the call. */
    void (*on_head)(void *arg, const struct http_head *head);
    void (*on_bytes)(void *arg, struct slice bytes); /* for the peer; lent for the call */
    void (*on_message)(void *arg, struct slice text);
    void (*on_drain)(void *arg); /* websocket_pending fell below LIMIT_STREAM_LOW; may be NULL */
    void (*on_fed)(void *arg);   /* all that was fed is taken; may be NULL */
    /* It is over; all bytes for the peer came before. code: what the peer closed with (1005: it
     * named none, 1006: it said nothing), or 0: this side closed, or the peer broke the protocol.
     */
    void (*on_close)(void *arg, unsigned code, struct slice reason);
};

MUST_USE enum err websockets_new(struct loop *l, struct websockets **ret);
/* No WebSocket is open; the rest is done by turns of the loop, those of loop_free included. NULL is
 * fine. */
void websockets_free(struct websockets *s);

/* A client's side that was upgraded: key is its Sec-WebSocket-Key. realtime: it offered the
 * subprotocol of that name. Never calls back before it returns. */
MUST_USE enum err websocket_accept(struct websockets *s, struct slice key, bool realtime,
                                   const struct websocket_events *events, void *arg,
                                   struct websocket **ret);
/* The side that asks for an upgrade. The head that follows has the key. */
MUST_USE enum err websocket_dial(struct websockets *s, const struct websocket_events *events,
                                 void *arg, struct websocket **ret);
/* The upstream's 101 came: its Sec-WebSocket-Accept. */
MUST_USE enum err websocket_opened(struct websocket *w, struct slice accept);
/* No callback afterwards; what is unsent is lost; leaves NULL. NULL is fine. */
void websocket_free(struct websocket **w);

/* Bytes of the peer. ERR_TOO_BIG above LIMIT_HTTP_REST that is not taken: the owner did not wait
 * for on_fed. */
MUST_USE enum err websocket_feed(struct websocket *w, struct slice bytes);
/* No more bytes of the peer will come: what was fed is still told, then on_close. */
void websocket_finish(struct websocket *w);
bool websocket_is_fed(const struct websocket *w); /* all is taken: more may come */
/* Stops and resumes on_message; one that is under way may still come. */
void websocket_hold(struct websocket *w);
void websocket_release(struct websocket *w);
/* Stops and resumes on_bytes, where the peer does not keep up. */
void websocket_stall(struct websocket *w);
void websocket_flow(struct websocket *w);

MUST_USE enum err websocket_send(struct websocket *w, struct slice text);
bool websocket_is_full(const struct websocket *w);   /* the writer stops until on_drain */
size_t websocket_pending(const struct websocket *w); /* memory of messages not yet framed */
/* Behind what was sent: a close frame, then on_close once the peer has closed too, or after five
 * seconds. Nothing may be sent afterwards, and no message is told. */
void websocket_close(struct websocket *w, unsigned code, const char *reason);
