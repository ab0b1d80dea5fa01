/*
 * account — money of one budget on this plane: slices leased from the control plane, set aside
 * before it is spent.
 *
 * Reserve the worst case, do the work, settle for what it really cost. What is reserved counts
 * as spent until then. A reservation outlives its lease's validity; the lease is ended only
 * when the last of its reservations is settled (security.md, Money).
 *
 * When the slice does not hold the amount, account_reserve says ERR_AGAIN: ask by
 * account_want and wait; the answer comes to the asker's loop. ERR_EXHAUSTED: the control plane
 * says there is no more in this period.
 *
 * Owns     accounts and leases, counted; a reservation holds its lease.
 * Threads  reserve and settle: any worker, atomics only. The lease lease_client is the main
 * thread's.
 */
#pragma once

#include "common/base/money.h"
#include "common/base/slice.h"
#include "common/net/loop.h"

struct account;
struct lease;

struct reservation {
    struct lease *lease; /* NULL: none held */
    money amount;
};

/* What a refusal tells the caller. */
struct account_state {
    money limit;
    money spent;     /* as the control plane last said */
    money set_aside; /* and leased to data planes or in suspense */
    int64_t period_end_us;
};

struct account *account_hold(struct account *a);
void account_drop(struct account *a);
struct slice account_id(const struct account *a); /* "key:<id>", "team:<id>" */

MUST_USE enum err account_reserve(struct account *a, money amount, uint64_t now_us,
                                  struct reservation *ret);
/* Sets `more` aside on top of a reservation, in the lease it holds, and nowhere else. ERR_AGAIN: a
 * larger slice may be asked for; ERR_EXHAUSTED: that would not help, as the lease is no more this
 * account's current one, or as the control plane just said that there is no more. */
MUST_USE enum err account_extend(struct account *a, struct reservation *r, money more,
                                 uint64_t now_us);
/* Consumes: the reservation is empty afterwards. */
void account_settle(struct reservation *r, money real_cost);
struct slice reservation_lease_id(const struct reservation *r);
void account_look(const struct account *a, struct account_state *ret);

/* One wait for a larger slice. Lives in the asker; exactly one end: `done` on `loop` with ERR_OK
 * (try again), ERR_EXHAUSTED, or ERR_TIMEOUT where the control plane does not answer; or cancel. */
struct account_wait {
    struct account *account;
    money amount;
    struct loop *loop;
    void (*done)(struct account_wait *w, enum err e);
    struct account_wait_ticket *ticket;
};
MUST_USE enum err account_want(struct account_wait *w);
void account_want_cancel(struct account_wait *w); /* asker's thread; silence afterwards */
