/*
 * sync — keeps this plane's policy the control plane's: deltas as they are pushed, a snapshot where
 * one was missed.
 *
 * Each push names the versions it leads from and to; heartbeats carry the newest version and a
 * digest of the whole policy. A gap or another digest is mended by a snapshot on the request
 * leg; pushes that arrive meanwhile wait and are applied above it. A policy of the same lineage
 * is never replaced by an older one. What is applied is acknowledged after every worker has it.
 *
 * Owns     the current snapshot, and what is being fetched.
 * Threads  the main thread's.
 */
#pragma once

#include "common/net/loop.h"
#include "common/policy/desk.h"
#include "common/policy/policy_file.h"
#include "common/policy/snapshot.h"

struct sync;

struct sync_events {
    void (*publish)(void *arg, const struct snapshot *s);
    void *arg;
};

/* file: lent; NULL: nothing is kept on disk. links: the desk's. */
MUST_USE enum err sync_new(struct loop *l, struct registry *r, struct policy_file *file,
                           const struct desk_links *links, const struct sync_events *events,
                           struct sync **ret);
void sync_free(struct sync *s);
void sync_load(struct sync *s);                       /* from the disk, at start */
void sync_on_push(struct sync *s, struct slice push); /* as it came */
void sync_on_state(struct sync *s, bool up);

struct sync_status {
    bool has_policy, stale;
    uint64_t version, newest;
};
void sync_status(const struct sync *s, struct sync_status *ret);
