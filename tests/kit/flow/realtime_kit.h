/*
 * realtime_kit — either end of a realtime session in a test: a client of the gateway, and an
 * upstream that takes the place of the flow's first one. Both speak WebSocket over real sockets.
 *
 * Owns     its server, its connections and what they heard; close before the flow's end.
 * Threads  the flow's.
 */
#pragma once

#include "common/net/http_server.h"
#include "common/net/websocket.h"
#include "tests/kit/flow/flow.h"

#define REALTIME_HEARD 64
#define REALTIME_ENDS 4

/* One end of a session. */
struct realtime_end {
    struct realtime_kit *kit;
    struct websocket *websocket; /* NULL: it is over */
    struct stream *stream;       /* a client's */
    struct http_exchange *x;     /* an upstream's */
    struct buf bytes;            /* a client's, until the head of the response is whole */
    unsigned status;             /* of that head; 0: none came */
    struct buf head;             /* of the request, or of the response */
    struct buf body;             /* of a response that is no upgrade */
    char *heard[REALTIME_HEARD];
    size_t heard_count;
    bool closed, gone;
    unsigned code;
    char reason[128];
    const char *request; /* a client's: lines of its head, behind the first */
    const char *target;
};

struct realtime_kit {
    struct flow *flow;
    struct websockets *websockets;
    struct http_server *server;
    struct realtime_end clients[REALTIME_ENDS], upstreams[REALTIME_ENDS];
    size_t client_count, upstream_count;
    unsigned refuses; /* status in place of the upgrade; 0: none */
    const char *refusal;
};

/* Before the policy is made: its first provider is this upstream. */
void realtime_kit_open(struct flow *k, struct realtime_kit *t);
void realtime_kit_close(struct realtime_kit *t);
/* headers: further lines, each with CRLF, or NULL */
struct realtime_end *realtime_client(struct realtime_kit *t, const char *target, const char *key,
                                     const char *headers);
void realtime_says(struct realtime_end *e, const char *event);
void realtime_closes(struct realtime_end *e, unsigned code, const char *reason);
void realtime_cuts(struct realtime_end *e); /* without a word */
/* Some message that was heard holds the text; its index + 1, or 0. */
size_t realtime_heard(const struct realtime_end *e, const char *text);
struct slice realtime_header(const struct realtime_end *e, const char *name);
