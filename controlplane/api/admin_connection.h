/*
 * admin_connection — one connection of an admin client, and the socket pair that leads to
 * libmicrohttpd.
 *
 * The connection is read by common/net/http1. What passed is written anew for the library: the
 * head from its parsed fields, the body in framing of our own. Two readers never see the same
 * bytes, so they cannot read them differently (RFC 9112 section 11.2).
 *
 * One request at a time. Its head goes to the library alone, with an Expect of its own where a body
 * follows. Only when the library says "100 Continue", which means that the caller is known and
 * the head is in order, is the body read; where the library responds at once, the body is never
 * read and the connection ends.
 *
 * Each phase has a deadline: the head and the response as a whole, the body for each gap and by
 * its pace (common/net/pace), the reader by its pace, an idle connection by keepalive_ms.
 *
 * Owns     both streams. Ends by itself when either side ends; then calls on_gone and is freed.
 * Threads  the listener's loop.
 */
#pragma once

#include "common/base/buf.h"
#include "common/base/limits.h"
#include "common/net/address.h"
#include "common/net/http1.h"
#include "common/net/pace.h"
#include "common/net/stream.h"

struct admin_connection;

struct admin_connection_context {
    struct loop *loop;
    struct tls_context *tls; /* NULL: plain */
    unsigned head_ms, body_gap_ms, response_ms, keepalive_ms;
    void (*serve)(void *arg, int fd, const union sockaddr_any *peer);
    void *arg;
    void (*on_gone)(void *gone_arg, struct admin_connection *l);
    void (*on_idle)(void *gone_arg, struct admin_connection *l); /* a request is over */
    void *gone_arg;
};

enum admin_connection_phase {
    ADMIN_HEAD,     /* between requests, or inside a head */
    ADMIN_WAIT,     /* the library has the head and has not decided on the body */
    ADMIN_BODY,     /* the library wants the body */
    ADMIN_RESPONSE, /* the library has all of the request */
};

struct admin_connection {
    struct list node; /* the context's */
    const struct admin_connection_context *context;
    union sockaddr_any peer;
    struct stream *client;
    struct stream *inner; /* our end of the pair; NULL before the client is open */
    struct timer slow;    /* the deadline of the phase */
    enum admin_connection_phase phase;
    struct buf in;   /* from the client, not passed on yet */
    struct buf head; /* scratch: a head on its way to the library */
    struct http1_body body;
    uint64_t body_got; /* content alone */
    struct pace body_pace;
    char method[LIMIT_HTTP_METHOD + 1];
    bool expects;     /* the client itself asked for "100 Continue" */
    bool begun;       /* a head or a part of one has come */
    bool eof;         /* the client sends no more */
    bool stalled;     /* its stream is paused */
    struct buf out;   /* from the library, not passed on yet */
    bool in_response; /* its head went out */
    struct http1_body response;
    uint64_t given;          /* bytes the client's stream took */
    struct pace reader_pace; /* while it has not read them */
    bool last;       /* the response came before the whole body was read: no more requests */
    bool refused;    /* no more is read */
    bool inner_done; /* the library has closed its end */
    size_t dropped;  /* bytes since */
    unsigned status; /* of the refusal */
    const char *why;
};

/* Takes fd, also on failure. rejected: the client gets a 503 and is not served. */
MUST_USE enum err admin_connection_new(const struct admin_connection_context *context, int fd,
                                       const union sockaddr_any *peer, bool rejected,
                                       struct admin_connection **ret);
/* Whether the library has the whole request and its response is due. */
bool admin_connection_is_served(const struct admin_connection *l);
bool admin_connection_is_leaving(const struct admin_connection *l);
/* Ends it with a 503 to free its place; may free it before it returns (on_gone tells). */
void admin_connection_evict(struct admin_connection *l);
/* Ends both sides at once; on_gone tells, and it is freed. */
void admin_connection_cut(struct admin_connection *l);
void admin_connection_free(struct admin_connection *l); /* silent */
