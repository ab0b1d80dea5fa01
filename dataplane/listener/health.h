/*
 * health — the health and metrics of a plane, on a private port.
 *
 *   /healthz  200 while the main loop turns
 *   /readyz   200 with a policy and not draining, else 503; how it stands, as JSON
 *   /metrics  Prometheus text
 *
 * Staleness, lag and journal are detail, and never make a plane unready (security.md, Processes).
 *
 * Threads  the main loop's.
 */
#pragma once

#include "common/net/address.h"
#include "common/net/loop.h"
#include "common/policy/plane.h"

struct health;
struct metric_set;

/* How the plane stands now. */
struct health_look {
    struct plane_status plane;
    bool draining;
    size_t untold;                      /* workers that do not have the newest policy yet */
    uint64_t memory_used, memory_limit; /* bytes */
    bool shedding;
    size_t mcp_sessions;
};

struct health_config {
    union sockaddr_any listen;
    void (*look)(void *arg, struct health_look *ret); /* ret is zeroed */
    /* space for `max` of the workers' metric sets */
    size_t (*sets)(void *arg, struct metric_set **sets, size_t max);
    void *arg;
};

MUST_USE enum err health_open(const struct health_config *c, struct loop *l, struct health **ret);
void health_close(struct health **h);
