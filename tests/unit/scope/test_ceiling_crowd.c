/* ceiling — a hundred thousand calls over three credentials of 600 a minute each, from four
 * workers, to a provider that counts strictly: it says 429 to none, and no credential is driven
 * over its own. */
#include "tests/unit/policy/policy_kit.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/limits.h"
#include "common/scope/ceiling.h"
#include "common/scope/fair_queue.h"

#define MS UINT64_C(1000)
#define S (1000 * MS)
#define CALLS 100000
#define CREDENTIALS 3
#define WORKERS 4
#define RPM 600
#define TICK (5 * MS)
#define JITTER_MS 200 /* on the way to the provider */

static uint32_t seed = 7;
static uint32_t dice(uint32_t n)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

struct sent {
    uint64_t at[CALLS];
    size_t count;
};

struct call {
    struct fair_waiter waiter;
    uint64_t came_us;
};

struct worker {
    struct fair_queue queue;
    uint64_t ask_at;
};

static struct ceiling *ceilings[CREDENTIALS];
static struct sent sent[CREDENTIALS]; /* when each reached the provider */
static struct call calls[CALLS];
static uint64_t waits[CALLS];
static size_t served, refused;
static struct worker workers[WORKERS];

static bool take(bool waits_already, uint64_t now, uint64_t *wait_us)
{
    size_t first = dice(CREDENTIALS);
    *wait_us = UINT64_MAX;
    for (size_t n = 0; n < CREDENTIALS; n++) {
        size_t i = (first + n) % CREDENTIALS;
        struct ceiling_permit p;
        uint64_t wait;
        if (!ceiling_take(ceilings[i], SLICE("m"), 0, waits_already, now, &p, &wait)) {
            sent[i].at[sent[i].count++] = now + dice(JITTER_MS) * MS;
            return true;
        }
        *wait_us = wait < *wait_us ? wait : *wait_us;
    }
    return false;
}

static void count_waiting(int by)
{
    for (size_t i = 0; i < CREDENTIALS; i++)
        ceiling_add_waiting(ceilings[i], by);
}

static void come(struct call *c, uint64_t now)
{
    struct worker *w = &workers[dice(WORKERS)];
    struct fair_waiter *evicted;
    uint64_t wait;
    char team = (char)('a' + dice(5));
    c->came_us = now;
    c->waiter.deadline_us = now + LIMIT_PACE_WAIT_MS * MS;
    if (take(false, now, &wait)) {
        waits[served++] = 0;
        return;
    }
    if (fair_queue_add(&w->queue, &c->waiter, slice_of(&team, 1), 1, &evicted) || evicted) {
        refused++;
        return;
    }
    count_waiting(1);
    w->ask_at = now;
}

static void go(struct worker *w, uint64_t now)
{
    struct fair_waiter *first, *late;
    uint64_t wait = 0;
    while ((late = fair_queue_expired(&w->queue, now))) {
        fair_queue_remove(&w->queue, late);
        count_waiting(-1);
        refused++;
    }
    while ((first = fair_queue_first(&w->queue)) && take(true, now, &wait)) {
        fair_queue_serve(&w->queue, first);
        count_waiting(-1);
        waits[served++] = now - CONTAINER_OF(first, struct call, waiter)->came_us;
    }
    w->ask_at = now + wait;
}

static int by_size(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* How many the provider, which counts those of the last 60 seconds, would have refused. */
static size_t count_429(struct sent *s)
{
    size_t over = 0;
    qsort(s->at, s->count, sizeof(s->at[0]), by_size);
    for (size_t i = 0, first = 0; i < s->count; i++) {
        while (s->at[i] - s->at[first] >= 60 * S)
            first++;
        over += i - first + 1 > RPM;
    }
    return over;
}

static void none_is_refused_and_none_is_driven_over(void **state)
{
    (void)state;
    size_t came = 0, over = 0, waited = 0;
    uint64_t now = 1000 * S, ends;
    for (size_t i = 0; i < CREDENTIALS; i++) {
        ceilings[i] = ceiling_new();
        assert_int_equal(ceiling_configure(ceilings[i], (struct ceiling_limits){RPM, 0}), ERR_OK);
    }
    for (size_t i = 0; i < WORKERS; i++)
        fair_queue_init(&workers[i].queue, LIMIT_PACE_WAITING);
    /* 25 a second on average, and three hundred more at once every five minutes: some 85 % of the sum */
    for (; served + refused < CALLS; now += TICK) {
        size_t n = !dice(8);
        n += now % (300 * S) == 0 ? 300 : 0;
        for (; n > 0 && came < CALLS; n--)
            come(&calls[came++], now);
        for (size_t i = 0; i < WORKERS; i++)
            if (workers[i].queue.count && now >= workers[i].ask_at)
                go(&workers[i], now);
        assert_true(now < 10000 * S);
    }
    ends = now;
    for (size_t i = 0; i < CREDENTIALS; i++)
        over += count_429(&sent[i]);
    qsort(waits, served, sizeof(waits[0]), by_size);
    for (size_t i = 0; i < served; i++)
        waited += waits[i] > 0;
    printf("%d calls in %llu simulated seconds (%.1f %% of 3 × %d a minute): %zu times 429, %zu "
           "refused; %.1f %% waited, p50 %llu ms, p99 %llu ms, longest %llu ms\n",
           CALLS, (unsigned long long)((ends - 1000 * S) / S),
           CALLS * 60.0 / ((double)(ends - 1000 * S) / S) / (CREDENTIALS * RPM) * 100, RPM, over,
           refused, 100.0 * (double)waited / CALLS, (unsigned long long)(waits[served / 2] / MS),
           (unsigned long long)(waits[served * 99 / 100] / MS),
           (unsigned long long)(waits[served - 1] / MS));
    assert_int_equal(over, 0);
    assert_int_equal(refused, 0);
    assert_int_equal(served, CALLS);
    for (size_t i = 0; i < CREDENTIALS; i++)
        ceiling_drop(ceilings[i]);
    for (size_t i = 0; i < WORKERS; i++)
        fair_queue_fini(&workers[i].queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(none_is_refused_and_none_is_driven_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
