/*
 * resolver_private — names a loop remembers, apart from how they are asked for; and whom a test
 * asks.
 *
 * Owns     names; each its waiting queries' links, not the queries.
 * Threads  the loop's.
 */
#pragma once

#include "common/base/list.h"
#include "common/base/map.h"
#include "common/net/resolver.h"

struct resolver_name {
    struct list link;              /* oldest use first */
    struct list waits;             /* queries, while a flight is out */
    struct resolver_answer answer; /* count 0: never answered */
    uint64_t fresh_until_us;
    bool in_flight;
    struct resolver *resolver;
    struct slice name; /* lower case; its bytes follow, with a NUL */
};

struct resolver_cache {
    struct map *map;
    struct list names;
};

MUST_USE enum err resolver_cache_init(struct resolver_cache *c);
void resolver_cache_fini(struct resolver_cache *c); /* nothing may be in flight */
/* Finds or makes; a name that waits for nothing makes room where the table is full. */
MUST_USE enum err resolver_cache_get(struct resolver_cache *c, struct slice host,
                                     struct resolver_name **ret);

/* resolver.c; for tests: asks these instead of the system's, "127.0.0.1:5353,[::1]:53" */
MUST_USE enum err resolver_use_servers(struct resolver *r, const char *servers);
