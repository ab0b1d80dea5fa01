/*
 * scope — the rows that a request falls under: its key, its team, and whatever else has a budget or
 * limits. Money is reserved, and rates are counted, in all of them or in none.
 *
 * A request collects its scopes in a list. Nothing below knows what kinds of scopes there are.
 *
 * An account is the money of one budget that this plane may spend: leased from the control plane,
 * and reserved before it is spent. Reserve the worst case, make the call, settle the true cost. A
 * reserved amount counts as spent until it is settled. A reservation outlives the validity of its
 * lease; the lease is ended only when the last of its reservations is settled (security.md, Money).
 * Where the lease does not hold the amount, the reservation is ACCOUNT_SHORT: the caller waits by
 * account_want until a larger lease has come, on its own loop.
 *
 * Owns     charges own their reservations, rates their slots; each ends in one settlement, or one
 *          leave. Accounts and leases are counted; a reservation holds its lease.
 * Threads  the request's loop; accounts and meters are atomic: reserve, extend, settle are any
 *          worker's. The rest of an account is the main thread's (lease_client.h).
 */
#pragma once

#include "common/base/money.h"
#include "common/base/slice.h"
#include "common/net/loop.h"
#include "common/scope/meter.h"

#define SCOPES_MAX 16

struct account;

struct scope_limits { /* 0: no limit of that kind */
    uint32_t rpm, tpm, parallel;
};

/* Part of a policy object, which holds the account and the meter. */
struct scope {
    const char *kind;        /* "key", "team": how a refusal calls it */
    struct slice name;       /* what its owner knows it by */
    struct account *account; /* NULL: no budget */
    struct meter *meter;     /* NULL: no limits */
    struct scope_limits limits;
};

struct scope_list {
    size_t count;
    const struct scope *of[SCOPES_MAX];
};

/* A scope without budget and meter is left out; so is one beyond SCOPES_MAX (false). NULL is fine.
 */
bool scope_add(struct scope_list *list, const struct scope *s);

/* ---- the money of one account ---- */

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

/* ---- money in all scopes of a list ---- */

struct charge {
    const struct scope *scope;
    struct reservation reservation;
};

/* What one call has reserved: the same amount in each account. */
struct charges {
    size_t count;
    struct charge of[SCOPES_MAX];
};

/* Reserves in every account of the list, or in none; *short_of names the scope that has no more. */
MUST_USE enum account_result charges_reserve(struct charges *c, const struct scope_list *list,
                                             money amount, uint64_t now_us,
                                             const struct scope **short_of);
/* Raises what is reserved to `total` in each. An account that has given its part keeps it reserved
 * where another is short: calling again takes nothing twice. */
MUST_USE enum account_result charges_extend(struct charges *c, money total, uint64_t now_us,
                                            const struct charge **short_of);
/* How much a larger lease must hold for that: what is missing, or all of it where the reservation
 * has to move to another lease. */
money charge_missing(const struct charge *c, money total);
/* Settles each at this cost; nothing is reserved afterwards. */
void charges_settle(struct charges *c, money cost);

/* ---- rates ---- */

struct rates {
    size_t count;
    const struct scope *of[SCOPES_MAX]; /* in which this request is counted */
};

enum rate_result { RATE_OK, RATE_PARALLEL, RATE_REQUESTS };

/* Takes a slot and a request of the minute in every meter of the list, or in none. *refused_by, and
 * *wait_us: until a request of the minute would pass. */
MUST_USE enum rate_result rates_enter(struct rates *r, const struct scope_list *list,
                                      uint64_t now_us, const struct scope **refused_by,
                                      uint64_t *wait_us);
void rates_leave(struct rates *r); /* gives the slots back */
/* The request was refused before it cost anything: it does not count for its minute. Slots stay
 * taken. */
void rates_uncount(const struct rates *r);
