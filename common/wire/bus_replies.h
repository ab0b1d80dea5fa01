/*
 * bus_replies — the hub's replies to one plane, kept so that a number is never run twice.
 *
 * A plane may be seen in several lives (epochs): the last LIMIT_BUS_EPOCHS are kept.
 * A reply is freed when the plane acknowledges it; above LIMIT_BUS_KEPT bytes the oldest replies
 * lose their content and keep their number.
 *
 * Owns     the bytes of the replies.
 * Fails    ERR_NOMEM; the request was not noted, the plane sends it again.
 * Threads  one at a time.
 */
#pragma once

#include "common/base/buf.h"
#include "common/base/list.h"
#include "common/wire/bus_private.h"

struct bus_life {
    uint64_t epoch; /* 0: free */
    uint64_t floor; /* numbers below are answered and forgotten */
    uint64_t seen;  /* its last request, in asks */
    struct list replies;
    size_t running; /* requests without a reply yet */
};

struct bus_replies {
    struct bus_life lives[LIMIT_BUS_EPOCHS];
    uint64_t asks;
    size_t kept; /* bytes */
};

enum bus_verdict {
    BUS_RUN,    /* new: run it, then give the reply */
    BUS_REPEAT, /* answered before: the same bytes again */
    BUS_WAIT,   /* being run: the reply goes to this context now */
    BUS_LOST,   /* answered before, no longer kept */
    BUS_STALE,  /* its reply is not awaited any more, or its number is out of bounds: no reply */
};

void bus_replies_init(struct bus_replies *a);
void bus_replies_fini(struct bus_replies *a);
/* BUS_REPEAT: content is lent. BUS_WAIT: *displaced is the context that waited before (NULL: the
 * first one, which still runs it); it sends nothing. */
MUST_USE enum err bus_replies_ask(struct bus_replies *a, const struct bus_request_head *h,
                                  void *waiter, enum bus_verdict *ret, struct slice *content,
                                  void **displaced);
/* Takes the reply's bytes and leaves it empty. Returns the context that must send them; NULL:
 * the one that ran the request. *ret lends the bytes until the next call. */
void *bus_replies_give(struct bus_replies *a, uint64_t epoch, uint64_t number, struct buf *reply,
                       struct slice *ret);
