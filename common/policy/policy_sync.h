/*
 * policy_sync — keeps this plane's policy equal to that of the control plane: by pushed deltas, and
 * by a snapshot where a delta was missed.
 *
 * Each push names the versions it leads from and to; heartbeats carry the newest version and a
 * digest of the whole policy. After a gap or a different digest the plane requests a
 * snapshot; pushes that arrive meanwhile wait and are applied above it. A policy of the same
 * lineage is never replaced by an older one. What is applied is acknowledged after every worker has
 * it.
 *
 * Owns     the current snapshot, and what is being fetched.
 * Threads  the main thread's.
 */
#pragma once

#include "common/net/loop.h"
#include "common/policy/policy_file.h"
#include "common/policy/snapshot.h"
#include "common/wire/control_link.h"
#include "proto/channel.pb-c.h"

struct policy_sync;

struct policy_sync_events {
    /* Another plane is short of money of this account (Push.recalls); may be NULL. */
    void (*recall)(void *arg, struct slice account, int64_t short_nano);
    void (*publish)(void *arg, const struct snapshot *s);
    /* Which targets would a call be sent to? It is for this plane; may be NULL. */
    void (*explain)(void *arg, const Gatehouse__ExplainQuestion *question);
    /* Another plane found an endpoint unready (Push.hints); may be NULL. */
    void (*hint)(void *arg, const Gatehouse__HealthHint *hint);
    void *arg;
};

/* file: lent; NULL: nothing is kept on disk. links: the lease_client's. */
MUST_USE enum err policy_sync_new(struct loop *l, struct registry *r, struct policy_file *file,
                                  const struct control_link *links,
                                  const struct policy_sync_events *events,
                                  struct policy_sync **ret);
void policy_sync_free(struct policy_sync *s);
void policy_sync_load(struct policy_sync *s);                       /* from the disk, at start */
void policy_sync_on_push(struct policy_sync *s, struct slice push); /* as it came */
void policy_sync_on_state(struct policy_sync *s, bool up);

struct policy_sync_status {
    bool has_policy, stale;
    bool database_away; /* of the control plane, which says so */
    uint64_t version, newest, acknowledged;
    uint64_t age_us;  /* since the control plane was last known to have no newer policy */
    uint64_t refused; /* objects that this plane does not understand */
};
void policy_sync_status(const struct policy_sync *s, struct policy_sync_status *ret);
