/*
 * resolver_private — the names that a loop remembers, without the queries themselves; and the name
 * servers that a test sets.
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
    struct list waits;             /* queries, while a look-up is under way */
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
void resolver_cache_fini(struct resolver_cache *c); /* no look-up may be under way */
/* Finds or makes the name; in a full table a name without a look-up under way is removed. */
MUST_USE enum err resolver_cache_get(struct resolver_cache *c, struct slice host,
                                     struct resolver_name **ret);

/* resolver.c; for tests: queries these instead of the system's, "127.0.0.1:5353,[::1]:53" */
MUST_USE enum err resolver_use_servers(struct resolver *r, const char *servers);
