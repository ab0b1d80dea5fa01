/*
 * listing_client — lists the tools of MCP servers for the control plane, and reports them.
 *
 * Once a second it requests orders. The request also names the servers that announced a change and
 * the orders that this plane has already, so that no request depends on an earlier one: a lost
 * order is given again, to this plane or to another. An order waits until the plane's policy has
 * its server. events.list carries it out; the result is reported in parts below the channel's
 * ceiling until the control plane has taken the last part.
 *
 * Owns     its orders and the lists that are being reported.
 * Threads  the main thread's.
 */
#pragma once

#include "common/net/loop.h"
#include "common/policy/snapshot.h"
#include "common/policy/tool_list.h"
#include "common/wire/control_link.h"

struct listing_client;

struct listing_client_events {
    /* Ends by listing_client_listed, sooner or later. */
    void (*list)(void *arg, const struct tool_order *order);
    void *arg;
    unsigned list_ms; /* a listing that has not ended by then has failed; 0: what one may take */
};

/* links: the lease_client's */
MUST_USE enum err listing_client_new(struct loop *l, const struct control_link *links,
                                     const struct listing_client_events *events,
                                     struct listing_client **ret);
void listing_client_free(struct listing_client *d);                             /* NULL is fine */
void listing_client_policy(struct listing_client *d, const struct snapshot *s); /* holds it */
void listing_client_listed(struct listing_client *d, struct tool_list **list);  /* consumes */
/* A server said that its tools changed. */
void listing_client_changed(struct listing_client *d, struct slice server_id);
