/*
 * pressure — measures at intervals how near this process is to its memory limit.
 *
 * At LIMIT_MEMORY_SHED percent of the limit the state is high, and new work is refused; below
 * LIMIT_MEMORY_CALM percent the state is normal again. The two thresholds differ so that the
 * buffers of one response do not change the state. Resident pages are counted without those of
 * files (the mapped journals), which the kernel can reclaim.
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
    int statm;            /* kept open: memory is measured also when no descriptor is left */
    uint64_t limit, used; /* bytes */
    atomic_bool is_high;
    uint64_t trimmed_us; /* freed heap was last given back */
    bool is_blind;       /* nothing could be measured, and that was logged */
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
