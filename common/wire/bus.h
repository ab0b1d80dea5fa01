/*
 * bus — the channel between the planes: push (PUB/SUB) and request/reply, over NNG through the
 * tunnel.
 *
 * The plane's end delivers pushes and replies on a loop's thread by its mailbox. The hub's end
 * calls a handler on its own threads with the plane's id, which comes from the certificate.
 * Requests are repeated after a lost connection with the same number; the hub answers a number
 * it has answered before with the same bytes, so a handler runs at most once per (plane, epoch,
 * number) while the hub lives; handlers are idempotent beyond that.
 *
 * Owns     sockets, threads, tunnels.
 * Fails    ERR_TOO_BIG above LIMIT_BUS_MESSAGE; a request ends with ERR_TIMEOUT or ERR_CLOSED.
 */
#pragma once

#include "common/base/buf.h"
#include "common/base/slice.h"
#include "common/net/loop.h"
#include "common/wire/tunnel.h"

/* ---- the plane's end ---- */
struct bus_plane;

struct bus_plane_events {
    void (*on_push)(void *arg, struct slice message); /* every push in order, duplicates none */
    void (*on_state)(void *arg, bool up);             /* the push leg came or went */
    void (*on_removed)(void *arg); /* once: it was removed, and comes in no more; may be NULL */
};

struct bus_plane_config {
    struct slice host;
    uint16_t push_port, request_port;
    struct tls_context *tls;
    struct slice instance; /* distinguishes local sockets of planes on one host */
};

MUST_USE enum err bus_plane_open(const struct bus_plane_config *c, struct loop *l,
                                 const struct bus_plane_events *events, void *arg,
                                 struct bus_plane **ret);
/* done comes once on the loop's thread; reply lent. Many requests may be under way
 * (LIMIT_BUS_PENDING, then ERR_EXHAUSTED), and the hub may run those in any order. */
MUST_USE enum err bus_plane_request(struct bus_plane *b, struct slice message, unsigned timeout_ms,
                                    void (*done)(void *arg, enum err e, struct slice reply),
                                    void *arg);
void bus_plane_close(
    struct bus_plane **b); /* pending requests end with ERR_CLOSED before it returns */

/* ---- the control plane's end ---- */
struct bus_hub;

struct bus_hub_config {
    union sockaddr_any push_at, request_at;
    struct tls_context *tls;
    unsigned threads; /* that run the handler */
    /* Is this plane known and not removed? Its pool's name decides which push socket it hears. */
    bool (*admit)(void *arg, struct slice plane_id, char pool[static 64]);
    /* Was a plane that is not admitted removed for good? It is told so. NULL: no plane is. */
    bool (*removed)(void *arg, struct slice plane_id);
    /* Fills reply (growing buf). Runs on one of the hub's threads. */
    void (*handle)(void *arg, struct slice plane_id, struct slice request, struct buf *reply);
    void *arg;
};

MUST_USE enum err bus_hub_open(const struct bus_hub_config *c, struct bus_hub **ret);
MUST_USE enum err bus_hub_publish(struct bus_hub *h, struct slice pool, struct slice message);
/* For a removed plane: requests that wait for a thread are not run any more, and the kept replies
 * are forgotten. Returns when its connections are gone, some 20 ms; not from inside admit. */
void bus_hub_cut(struct bus_hub *h, struct slice plane_id);
/* Does its request leg stand now? Does not block. */
bool bus_hub_is_connected(struct bus_hub *h, struct slice plane_id);
uint16_t bus_hub_push_port(const struct bus_hub *h);
uint16_t bus_hub_request_port(const struct bus_hub *h);
void bus_hub_close(struct bus_hub **h);
