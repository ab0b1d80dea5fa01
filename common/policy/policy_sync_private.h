/*
 * policy_sync_private — what the files of sync share: sync.c judges pushes and takes versions,
 * policy_sync_fetch.c gets a snapshot where one was missed.
 *
 * Threads  the main thread's loop.
 */
#pragma once

#include "common/base/list.h"
#include "common/policy/policy_sync.h"
#include "common/policy/snapshot_build.h"

struct policy_sync {
    struct loop *loop;
    struct registry *registry;
    struct policy_file *file;
    struct control_link links;
    struct policy_sync_events events;
    struct timer tick; /* silence, and what has to be tried again */
    struct timer retry;

    struct snapshot *current; /* NULL: none yet */
    uint64_t newest;
    uint64_t heard_us;       /* last push of any kind */
    int64_t confirmed_at_us; /* wall: a push said that `current` is the newest; 0: never */
    int64_t marked_at_us;    /* wall: the mark on disk says so */
    bool connected, stale, database_away;

    /* An acknowledgement is under way from the wait for quiescence until the control plane has
     * taken it; `awaited` is the version every worker then has, and no newer one. */
    bool acking, ack_again;
    struct snapshot *awaited; /* held while acking */
    uint64_t acknowledged;

    /* a snapshot being fetched */
    bool fetching;
    bool must_fetch; /* something was missed */
    uint64_t fetch_version;
    uint32_t fetch_chunk;
    struct snapshot_build *build;
    struct list waiting; /* kept_push */
    size_t waiting_count;
};

/* sync.c */
/* Is the policy we apply, if any, of that lineage? */
bool policy_sync_is_of(const struct policy_sync *s, const char *lineage);
/* The fresh version becomes the current one, is published and acknowledged. Consumes it. */
void policy_sync_take(struct policy_sync *s, struct snapshot *fresh);
void policy_sync_take_push(struct policy_sync *s, struct slice raw);
/* The control plane has no newer version than this one, which is on disk; it may not be applied
 * yet. */
void sync_confirm(struct policy_sync *s, const struct snapshot *newest);
void sync_rewrite_disk(struct policy_sync *s, const struct snapshot *whole);

/* policy_sync_fetch.c */
void policy_sync_fetch_init(struct policy_sync *s);
void policy_sync_fetch_fini(struct policy_sync *s);
/* Asks for the next chunk, of a new snapshot where none is under way; later where it cannot now. */
void policy_sync_fetch(struct policy_sync *s);
/* Gives up the one under way, and the pushes that waited for it. */
void policy_sync_fetch_stop(struct policy_sync *s);
/* A push that came while a snapshot is fetched; where it finds no room the next push shows the
 * gap. */
void policy_sync_fetch_keep(struct policy_sync *s, struct slice raw);
