/*
 * ceiling_share — how much of a credential's requests or tokens a minute each data plane may send.
 *
 * Each plane asks once a second and says what it has taken in the last minute and how many of its
 * calls wait. It gets a share that is good for CEILING_SHARE_MS. At least half of an even share is
 * every plane's; what is left goes to those that ask for more. A plane that is not heard any more
 * goes on with its share, but with no more than an even one: its floor. So all planes together
 * never take more in a minute than the limit:
 *
 *   a plane's hold is the larger of its share and of what it may have taken in the last minute;
 *   nothing is granted but what is left of the limit beside the holds of all others.
 *
 * A plane that was not heard for CEILING_FORGET_US holds nothing.
 *
 * Pure.  Threads  any.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CEILING_SHARE_MS 10000
#define CEILING_FORGET_US (UINT64_C(3600) * 1000000)

/* One plane's row, of one limit of one credential. */
struct ceiling_holder {
    uint32_t share, floor; /* as last granted */
    uint32_t had; /* when it asked: what it had taken in the last minute, or might still take */
    uint32_t want;         /* a minute, as it last asked */
    int64_t asked_us;      /* wall clock; 0: never */
};

struct ceiling_demand {
    uint32_t taken;    /* in the last minute */
    uint32_t waiting;  /* beside them */
    uint32_t in_force; /* the share that it goes by: a later one may not have reached it */
};

/* What it holds of the limit at this moment. */
uint32_t ceiling_hold_of(const struct ceiling_holder *h, int64_t now_us);
/* Grants anew: `own` is the plane that asks, among `others` it is not. Changes *own. */
void ceiling_share_grant(uint32_t limit, const struct ceiling_demand *demand,
                         const struct ceiling_holder *others, size_t count, int64_t now_us,
                         struct ceiling_holder *own);
