/* ceiling_share — sums of holds, and a fair part of what they leave. */
#include "common/ledger/ceiling_share.h"

#define MINUTE_US INT64_C(62000000) /* a ceiling's minute, whose slots are half a second */
#define SHARE_US (CEILING_SHARE_MS * INT64_C(1000))
#define GRACE_US INT64_C(2000000) /* a reply under way, and clocks that do not run alike */
#define HEADROOM 5                /* requests: a plane that did nothing may begin */

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static bool is_known(const struct ceiling_holder *h, int64_t now_us)
{
    return h->asked_us && now_us - h->asked_us < (int64_t)CEILING_FORGET_US;
}

uint32_t ceiling_hold_of(const struct ceiling_holder *h, int64_t now_us)
{
    int64_t since = now_us - h->asked_us;
    if (!is_known(h, now_us))
        return 0;
    uint32_t held = since < SHARE_US + GRACE_US ? h->share : smaller(h->share, h->floor);
    if (since < SHARE_US + GRACE_US + MINUTE_US) /* taken while it had the share */
        held = larger(held, h->share);
    return since < MINUTE_US ? larger(held, h->had) : held;
}

/* What it would use: twice what it did, and what waits, so that it can grow. */
static uint32_t wanted(uint32_t limit, const struct ceiling_demand *d)
{
    uint64_t want = 2 * (uint64_t)d->taken + d->waiting + HEADROOM;
    return want < limit ? (uint32_t)want : limit;
}

void ceiling_share_grant(uint32_t limit, const struct ceiling_demand *demand,
                         const struct ceiling_holder *others, size_t count, int64_t now_us,
                         struct ceiling_holder *own)
{
    uint64_t planes = 1, held = 0, more = 0;
    for (size_t i = 0; i < count; i++) {
        planes += is_known(&others[i], now_us);
        held += ceiling_hold_of(&others[i], now_us);
    }
    uint32_t even = (uint32_t)(limit / planes), least = even / 2;
    uint32_t want = larger(wanted(limit, demand), least);
    for (size_t i = 0; i < count; i++) /* above its least; of those that are heard */
        if (is_known(&others[i], now_us) && now_us - others[i].asked_us < SHARE_US)
            more += larger(others[i].want, least) - least;
    uint64_t spare = limit - least * planes, asked = more + want - least;
    uint64_t fair =
        asked <= spare ? want + (spare - asked) / planes : least + spare * (want - least) / asked;
    uint64_t free = held < limit ? limit - held : 0;
    *own = (struct ceiling_holder){.share = (uint32_t)(fair < free ? fair : free),
                                   .floor = even,
                                   .had = larger(demand->taken, demand->in_force),
                                   .want = want,
                                   .asked_us = now_us};
}
