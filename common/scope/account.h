/*
 * account — the money of one budget that this plane may spend: leased from the control plane, and
 * reserved before it is spent.
 *
 * Reserve the worst case, make the call, settle the true cost. A reserved amount counts as spent
 * until it is settled. A reservation outlives the validity of its lease; the lease is ended only
 * when the last of its reservations is settled (security.md, Money).
 *
 * Where the lease does not hold the amount, account_reserve says ACCOUNT_SHORT: the caller waits by
 * account_want until a larger lease has come, on its own loop.
 *
 * Owns     accounts and leases, counted; a reservation holds its lease.
 * Threads  reserve, extend, settle: any worker, atomics only. The rest of an account is the main
 *          thread's (lease_client.h).
 */
#pragma once

#include "common/base/money.h"
#include "common/base/slice.h"
#include "common/net/loop.h"

struct account;
struct lease;

enum account_result {
    ACCOUNT_OK,
    ACCOUNT_SHORT,     /* a larger lease may be requested: account_want */
    ACCOUNT_ELSEWHERE, /* what is left is reserved or leased elsewhere at this moment: try again */
    ACCOUNT_EXHAUSTED, /* the budget does not hold it before it starts again or is raised */
    ACCOUNT_AWAY,      /* the control plane gives no reply, and the lease does not hold it */
    ACCOUNT_FAILED     /* no memory, or this plane stops */
};

struct reservation {
    struct lease *lease; /* NULL: none */
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
void account_drop(struct account *a);             /* any thread; NULL is fine */
struct slice account_id(const struct account *a); /* "key:<id>", "team:<id>" */

MUST_USE enum account_result account_reserve(struct account *a, money amount, uint64_t now_us,
                                             struct reservation *ret);
/* Adds `more` to a reservation. Where its lease is no more the account's current one, the whole
 * reservation moves to the one that is. */
MUST_USE enum account_result account_extend(struct account *a, struct reservation *r, money more,
                                            uint64_t now_us);
/* Consumes: the reservation is empty afterwards. */
void account_settle(struct reservation *r, money real_cost);
struct slice reservation_lease_id(const struct reservation *r); /* lent until it is settled */
/* Its lease is the one that the account reserves from now. */
bool reservation_is_current(const struct reservation *r);
void account_look(const struct account *a, struct account_state *ret);

/* One wait for a larger lease. Lives in the caller; exactly one end: `done` on `loop`, with
 * ACCOUNT_OK (try again) or the reason why there is none; or account_want_cancel. */
struct account_wait {
    struct account *account;
    money amount;
    struct loop *loop;
    void (*done)(struct account_wait *w, enum account_result r);
    struct account_wait_ticket *ticket;
};
MUST_USE enum err account_want(struct account_wait *w);
void account_want_cancel(struct account_wait *w); /* caller's thread; no callback afterwards */
