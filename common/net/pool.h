/*
 * pool — upstream connections between two calls, last in first out.
 *
 * Keyed by host, port, TLS context and proxy (stream_proxy.id, 0: none); the egress rule is asked
 * again at each reuse, with the address the connection stands to, so a rule that was withdrawn
 * holds at once. An idle connection that closes, ends or sends anything is dropped; so is one that
 * was idle for LIMIT_UPSTREAM_IDLE_MS, and the oldest beyond LIMIT_POOL_IDLE of one endpoint.
 *
 * Owns     idle connections; one that is taken is the taker's until it is given or dropped.
 * Fails    ERR_NOMEM.
 * Threads  its loop's.
 */
#pragma once

#include "common/net/stream.h"

struct pool;
struct pool_endpoint;

struct pool_conn {
    struct stream *stream; /* NULL until the taker has dialled */
    struct pool_endpoint *endpoint;
    struct list idle_link; /* of the endpoint, newest first */
    struct list age_link;  /* of the pool, oldest first */
    uint64_t idle_since_us;
    union sockaddr_any peer;
    bool has_peer;
};

MUST_USE enum err pool_new(struct loop *l, struct pool **ret);
void pool_free(struct pool *p); /* drops the idle ones; the taken must be back */
size_t pool_idle(const struct pool *p);

/* NULL: none there. It is open, and its stream's events are still the pool's: adopt it. */
struct pool_conn *pool_take(struct pool *p, const struct url *url, const struct tls_context *tls,
                            uint64_t proxy, const struct egress_rule *rule);
/* A place for a connection that the taker dials. */
MUST_USE enum err pool_conn_new(struct pool *p, const struct url *url, struct tls_context *tls,
                                uint64_t proxy, struct pool_conn **ret);
/* host as it is kept for this endpoint: outlives the call that took it */
struct slice pool_conn_host(const struct pool_conn *c);
void pool_give(struct pool_conn **c); /* idle from now on; leaves NULL */
void pool_drop(struct pool_conn **c); /* closes; leaves NULL */
