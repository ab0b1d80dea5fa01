/*
 * meter — how often and how many at once one key may ask: GCRA for requests per minute, a
 * count for parallel calls.
 *
 * GCRA (the "leaky bucket as a meter" of ATM): one atomic holds the theoretical arrival time; a
 * burst of up to the whole minute's allowance is taken, then one per interval.
 * Every limit of 32 bits is one; an interval is whole nanoseconds, so 4e9 a minute is off by 7 %.
 *
 * Owns     itself, counted; policy objects of several versions may point to one.
 * Fails    ERR_EXHAUSTED and when to come back.
 * Threads  any; atomics.
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
void meter_look(const struct meter *m, uint32_t rpm, uint64_t now_us, struct meter_state *ret);
/* parallel 0: no limit, still counted. Each enter that passed has exactly one leave. */
MUST_USE enum err meter_enter(struct meter *m, uint32_t parallel);
void meter_leave(struct meter *m);
