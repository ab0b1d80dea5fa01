/*
 * pacer — where the calls of one worker wait for something that comes back with time: a ceiling.
 *
 * Each line has calls that wait for the same thing, in the order of a fair queue (fair_queue.h).
 * Its first is asked whether it may go, and where it may not, again when it said that it may; those
 * behind it wait, however little they want, so that none of them waits for ever. A call that has waited to its
 * deadline, or had to make room for another flow's, is told so.
 *
 * Owns     its lines; waits lie inside of their owners, who leave before they go.
 * Fails    pacer_wait: ERR_NOMEM, ERR_EXHAUSTED (too many wait; the caller's flow has the most).
 * Threads  its worker's loop.
 */
#pragma once

#include "common/net/loop.h"
#include "common/scope/fair_queue.h"

struct pace_line;

struct pace_wait {
    struct fair_waiter waiter; /* priority, deadline and cost are its owner's */
    /* May it go now? ERR_OK: it has taken what it waited for. ERR_EXHAUSTED: *wait_us says when to
     * ask again. Starts or ends no wait. */
    enum err (*try)(struct pace_wait *w, uint64_t now_us, uint64_t *wait_us);
    /* Once, never before pacer_wait has returned, and not after pacer_leave. ERR_OK: it goes;
     * ERR_TIMEOUT: its deadline; ERR_EXHAUSTED: another flow's call took its place. */
    void (*done)(struct pace_wait *w, enum err e);
    struct pace_line *line; /* NULL: it does not wait */
};

struct pacer {
    struct list lines;
};

void pacer_init(struct pacer *p);
void pacer_fini(struct pacer *p); /* nothing waits */

/* name: of the line; flow and weight: as fair_queue_add. */
MUST_USE enum err pacer_wait(struct pacer *p, struct loop *l, struct slice name, struct slice flow,
                             uint32_t weight, struct pace_wait *w);
/* Harmless where it does not wait. */
void pacer_leave(struct pace_wait *w);
/* How many wait in it. */
size_t pacer_waiting(const struct pacer *p, struct slice name);
