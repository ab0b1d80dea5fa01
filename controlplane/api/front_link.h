/*
 * front_link — one client's connection and its twin towards the library.
 *
 * Owns     both streams. Ends by itself when either side ends; then calls on_gone and is freed.
 * Threads  the front's loop.
 */
#pragma once

#include "common/base/buf.h"
#include "common/net/http1.h"
#include "common/net/stream.h"

struct front_link;

struct front_link_house {
    struct loop *loop;
    struct tls_context *tls; /* NULL: plain */
    void (*serve)(void *arg, int fd, const union sockaddr_any *peer);
    void *arg;
    void (*on_gone)(void *house_arg, struct front_link *l);
    void *house_arg;
};

struct front_link {
    struct list node; /* the house's */
    const struct front_link_house *house;
    struct stream *client;
    struct stream *inner; /* our end of the pair; NULL before the client is open */
    struct timer slow;    /* a head, a body or a goodbye that takes too long */
    struct buf in;        /* a head that is not whole yet */
    struct http1_body body;
    bool in_body;
    bool refused;    /* no more is read */
    bool inner_done; /* the library has closed its end */
    unsigned status; /* of the refusal */
    const char *why;
};

/* Takes fd, also on failure. */
MUST_USE enum err front_link_new(const struct front_link_house *house, int fd,
                                 struct front_link **ret);
void front_link_free(struct front_link *l); /* silent */
