/*
 * listings — carries an order to list a server's tools from the plane on the main loop to a worker,
 * and the list back.
 *
 * One worker lists for the plane: it has the upstream pool and the egress rules, and a listing is a
 * few small requests every five minutes.
 *
 * Owns     the messages between the threads.
 * Threads  order and changed: as they say; all else happens on the main loop.
 */
#pragma once

#include "common/net/loop.h"
#include "common/policy/plane.h"

struct worker;

struct listings {
    struct loop *loop; /* the main one */
    struct plane **plane;
};

/* Main thread. worker NULL: there is none (any more), and the order fails when its time is up. */
void listings_order(struct listings *l, struct worker *w, const struct tool_order *order);
/* A worker's thread: a server said that its tools changed. arg: struct listings */
void listings_changed(void *arg, struct slice server_id);
