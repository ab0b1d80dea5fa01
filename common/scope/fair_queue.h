/*
 * fair_queue — who is next among callers that wait for the same thing, in shares by weight.
 *
 * Each flow (a team) has a share by its weight: start-time fair queueing (Goyal, Vin and Cheng,
 * SIGCOMM 1996). A flow that asks for little is not held up by one that asks for much. Within a
 * flow the higher priority is first, then the earlier deadline, then who came first: so a priority
 * that a client claims comes before others of its own flow alone.
 *
 * The queue is bounded. Where it is full, the last of the flow that has the most for its weight
 * goes: so no flow can keep the others out.
 *
 * Owns     its flows; waiters lie inside of their owners, who keep them where they are while they
 *          are queued.
 * Fails    add: ERR_NOMEM, ERR_EXHAUSTED (full, and the caller's flow has the most).
 * Threads  one at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/list.h"
#include "common/base/slice.h"

struct fair_flow;

struct fair_waiter {
    /* its owner's, set before fair_queue_add */
    int priority;         /* higher is sooner */
    uint64_t deadline_us; /* monotonic */
    uint64_t cost;        /* what it takes of the flow's share; 0 counts as 1 */
    /* the queue's */
    struct list link;
    struct fair_flow *flow; /* NULL: it is not queued */
};

struct fair_queue {
    struct list flows; /* those with waiters */
    struct list spare;
    size_t count, max;
    uint64_t virtual_time;
};

void fair_queue_init(struct fair_queue *q, size_t max);
void fair_queue_fini(struct fair_queue *q); /* nothing is queued */

/* weight 0 counts as 1. *evicted: one that had to go, NULL: none; its owner is to be told. */
MUST_USE enum err fair_queue_add(struct fair_queue *q, struct fair_waiter *w, struct slice flow,
                                 uint32_t weight, struct fair_waiter **evicted);
/* Who is next; NULL: none waits. */
struct fair_waiter *fair_queue_first(const struct fair_queue *q);
/* It got what it waited for: its flow pays. */
void fair_queue_serve(struct fair_queue *q, struct fair_waiter *w);
/* It does not wait any more. Harmless where it is not queued. */
void fair_queue_remove(struct fair_queue *q, struct fair_waiter *w);
/* One whose deadline has passed; NULL: none. */
struct fair_waiter *fair_queue_expired(const struct fair_queue *q, uint64_t now_us);
