/* meter — two atomics. */
#include "common/scope/meter.h"

#include <stdatomic.h>

#include "common/base/mem.h"

/* In nanoseconds, so that the interval is never nothing: the most that a policy can say, 2^32 - 1 a
 * minute, is 13 of them. The clock in nanoseconds lasts 584 years. */
#define MINUTE_NS UINT64_C(60000000000)
#define US_NS 1000u

struct meter {
    atomic_uint refs;
    atomic_uint inside;
    atomic_uint_fast64_t arrival_ns; /* GCRA's theoretical arrival time, monotonic */
    uint32_t rpm;                    /* as last set; the main thread's */
};

struct meter *meter_new(void)
{
    struct meter *m = mem_zalloc(sizeof(*m));
    if (m)
        atomic_init(&m->refs, 1);
    return m;
}

struct meter *meter_hold(struct meter *m)
{
    atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
    return m;
}

void meter_drop(struct meter *m)
{
    if (m && atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) == 1)
        mem_free(m);
}

/* Whole microseconds, at least that long: a caller that waits so long is not early. */
static uint64_t in_us(uint64_t ns)
{
    return (ns + US_NS - 1) / US_NS;
}

enum err meter_take_request(struct meter *m, uint32_t rpm, uint64_t now_us, uint64_t *wait_us)
{
    if (rpm == 0)
        return ERR_OK;
    uint64_t now = now_us * US_NS;
    uint64_t interval = MINUTE_NS / rpm;
    uint64_t tolerance = interval * (rpm - 1); /* a burst of rpm, counting the first */
    uint64_t seen = atomic_load_explicit(&m->arrival_ns, memory_order_relaxed);
    for (;;) {
        uint64_t arrival = seen > now ? seen : now;
        if (arrival - now > tolerance) {
            *wait_us = in_us(arrival - now - tolerance);
            return ERR_EXHAUSTED;
        }
        if (atomic_compare_exchange_weak_explicit(&m->arrival_ns, &seen, arrival + interval,
                                                  memory_order_relaxed, memory_order_relaxed))
            return ERR_OK;
    }
}

void meter_return_request(struct meter *m, uint32_t rpm)
{
    if (rpm > 0)
        atomic_fetch_sub_explicit(&m->arrival_ns, MINUTE_NS / rpm, memory_order_relaxed);
}

void meter_set_rpm(struct meter *m, uint32_t rpm, uint64_t now_us)
{
    uint32_t before = m->rpm;
    m->rpm = rpm;
    if (before == rpm)
        return;
    uint64_t now = now_us * US_NS, fresh;
    uint64_t seen = atomic_load_explicit(&m->arrival_ns, memory_order_relaxed);
    do {
        uint64_t debt = seen > now ? seen - now : 0;
        uint64_t used = before > 0 ? (debt + MINUTE_NS / before - 1) / (MINUTE_NS / before) : 0;
        fresh = rpm > 0 ? now + used * (MINUTE_NS / rpm) : now;
    } while (!atomic_compare_exchange_weak_explicit(&m->arrival_ns, &seen, fresh,
                                                    memory_order_relaxed, memory_order_relaxed));
}

void meter_look(const struct meter *m, uint32_t rpm, uint64_t now_us, struct meter_state *ret)
{
    *ret = (struct meter_state){.limit = rpm, .remaining = rpm};
    if (rpm == 0)
        return;
    uint64_t now = now_us * US_NS;
    uint64_t interval = MINUTE_NS / rpm;
    uint64_t arrival = atomic_load_explicit(&m->arrival_ns, memory_order_relaxed);
    if (arrival <= now)
        return;
    uint64_t used = (arrival - now + interval - 1) / interval;
    ret->remaining = used >= rpm ? 0 : rpm - (uint32_t)used;
    ret->reset_us = in_us(arrival - now);
}

enum err meter_enter(struct meter *m, uint32_t parallel)
{
    unsigned before = atomic_fetch_add_explicit(&m->inside, 1, memory_order_acq_rel);
    if (parallel == 0 || before < parallel)
        return ERR_OK;
    atomic_fetch_sub_explicit(&m->inside, 1, memory_order_acq_rel);
    return ERR_EXHAUSTED;
}

void meter_leave(struct meter *m)
{
    unsigned before = atomic_fetch_sub_explicit(&m->inside, 1, memory_order_acq_rel);
    MUST(before > 0);
}
