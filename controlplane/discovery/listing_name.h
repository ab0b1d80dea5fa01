/*
 * listing_name — which data plane lists a server's tools.
 *
 * Pools may lie in different networks, so it stays within one: "default" as long as a plane of it
 * is present and is given the server, else the first by name. Within the pool the plane with the
 * highest hash of (server, plane) has it: every control plane finds the same, the servers are
 * spread, and when a plane connects or disconnects only its own servers move.
 *
 * Threads  any; pure.
 */
#pragma once

#include "common/base/id.h"
#include "controlplane/policy/rollout.h"

struct listing_plane {
    char id[ID_MAX];
    char name[ROLLOUT_TEXT_MAX];
    char pool[ROLLOUT_TEXT_MAX]; /* its name */
    char pool_id[ID_MAX];
};

/* pools: ids divided by commas of the pools whose planes are given the server; SLICE_NONE: all.
 * NULL: there is no such plane. */
const struct listing_plane *listing_name(struct slice server_id, struct slice pools,
                                         const struct listing_plane *planes, size_t count);
