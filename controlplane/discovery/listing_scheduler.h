/*
 * listing_scheduler — tells a data plane which servers' tools it has to list now.
 *
 * A plane sends a request once a second. Every control plane names the same plane for a server
 * (listing_name), from the present planes: those connected here, and those from which another
 * control plane had a heartbeat lately. What is ordered is held for its plane until the report
 * comes in; a plane that reports the order as lost, or that disconnects, holds nothing.
 *
 * Owns     the orders of one reply, until listing_reply_free.
 * Fails    as tx.h; ERR_NOT_FOUND: no present plane is given the server.
 * Threads  any.
 */
#pragma once

#include "controlplane/discovery/listing_name.h"
#include "controlplane/policy/rollout.h"
#include "controlplane/store/tx.h"
#include "proto/channel.pb-c.h"

struct listing_reply {
    Gatehouse__ListingReply reply;
    struct listing_orders *orders;
};

MUST_USE enum err listing_scheduler_ask(struct db *db, struct rollout *r,
                                        const struct rollout_plane *plane,
                                        const Gatehouse__ListingAsk *ask, int64_t now_us,
                                        struct listing_reply *ret);
void listing_reply_free(struct listing_reply *reply);

/* The plane that lists this server now. r may be NULL: there is no channel. */
MUST_USE enum err listing_scheduler_name(struct tx *tx, struct rollout *r, struct slice server,
                                         int64_t now_us, struct listing_plane *ret);
