/*
 * meter — how many requests a minute and how many at once: GCRA for requests per minute, a count
 * for parallel calls.
 *
 * GCRA (the "leaky bucket as a meter" of ATM): one atomic holds the theoretical arrival time; a
 * burst of up to the whole minute's allowance is taken, then one per interval. An interval is whole
 * nanoseconds, so that a limit of 4e9 a minute is off by 7 %.
 *
 * Owns     itself, counted; policy objects of several versions may point to one.
 * Fails    ERR_EXHAUSTED, and when to come back.
 * Threads  any; atomics. meter_set_rpm: the main thread's.
 */
#pragma once

#include <stdint.h>

#include "common/base/err.h"

struct meter;

struct meter_state { /* for x-ratelimit-*-requests */
    uint32_t limit;
    uint32_t remaining;
    uint64_t reset_us; /* until the allowance is whole again */
};

MUST_USE struct meter *meter_new(void);
struct meter *meter_hold(struct meter *m);
void meter_drop(struct meter *m);

/* rpm 0: always passes. *wait_us on ERR_EXHAUSTED: until one would pass. */
MUST_USE enum err meter_take_request(struct meter *m, uint32_t rpm, uint64_t now_us,
                                     uint64_t *wait_us);
/* A request that was taken does not count after all. */
void meter_return_request(struct meter *m, uint32_t rpm);
/* The limit is another one from here on: what is used of the minute stays used, as so many
 * requests. Calls that still go by the old limit meanwhile are counted by its interval. */
void meter_set_rpm(struct meter *m, uint32_t rpm, uint64_t now_us);
void meter_look(const struct meter *m, uint32_t rpm, uint64_t now_us, struct meter_state *ret);
/* parallel 0: no limit, still counted. Each enter that passed has exactly one leave. */
MUST_USE enum err meter_enter(struct meter *m, uint32_t parallel);
void meter_leave(struct meter *m);
