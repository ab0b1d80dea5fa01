/*
 * resolver — names to addresses without ever blocking the loop (c-ares on the loop's sockets).
 *
 * Answers are kept for their TTL (1 s to 1 h) and, when a later look-up fails, for as long as
 * it takes (stale-if-error). Literal addresses and "localhost" are answered without a query.
 * One query per name is under way at a time: later look-ups of the name wait for it.
 *
 * Owns     its cache and channel; one per loop.
 * Fails    ERR_DNS to the callback.
 * Threads  the loop's.
 */
#pragma once

#include "common/net/address.h"
#include "common/net/loop.h"

#define RESOLVER_ADDRESSES 8

struct resolver;
struct resolver_query;

struct resolver_answer {
    union sockaddr_any addresses[RESOLVER_ADDRESSES]; /* port filled in */
    size_t count;
};

MUST_USE enum err resolver_new(struct loop *l, struct resolver **ret);
void resolver_free(struct resolver *r); /* pending queries end with ERR_CANCELLED */
/* Never calls back before it returns. */
MUST_USE enum err resolver_start(struct resolver *r, struct slice host, uint16_t port,
                                 void (*done)(void *arg, enum err e,
                                              const struct resolver_answer *answer),
                                 void *arg, struct resolver_query **ret);
void resolver_cancel(struct resolver_query **q); /* no callback afterwards; leaves NULL */
