/*
 * pressure — how near this process is to the end of its memory, looked at from time to time.
 *
 * At LIMIT_MEMORY_SHED percent of the limit the state is high, and new work is turned away; below
 * LIMIT_MEMORY_CALM percent it is over. The gap is there so that one answer's buffers do not make
 * it flap. Counted is what the kernel could only take back by killing: resident pages without
 * those that a file stands behind (the mapped journals).
 *
 * The limit is the least of what was asked for, the control group's (v2 or v1, and those above it)
 * and the machine's memory.
 *
 * Owns     its timer.
 * Threads  its loop's; `is_high` may be read by any.
 */
#pragma once

#include <stdatomic.h>

#include "common/net/loop.h"

struct pressure {
    struct timer look;
    int statm;            /* kept open: without descriptors memory is still to be measured */
    uint64_t limit, used; /* bytes */
    atomic_bool is_high;
    uint64_t trimmed_us; /* freed heap was last given back */
    bool is_blind;       /* nothing could be measured, and that was said */
};

/* asked: 0: none. Without /proc nothing is measured, and the log says so. */
void pressure_open(struct pressure *p, struct loop *l, uint64_t asked);
void pressure_close(struct pressure *p);

/* The rest is its parts. root stands before /proc and /sys: "", or a test's own. */
uint64_t pressure_limit(const char *root, uint64_t machine, uint64_t asked);
/* statm: an open /proc/self/statm */
MUST_USE enum err pressure_measure(int statm, uint64_t *ret);
/* true: is_high has changed */
bool pressure_take(struct pressure *p, uint64_t used);
