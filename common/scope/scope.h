/*
 * scope — the rows that a request falls under: its key, its team, and whatever else has a budget or
 * limits. Money is reserved, and rates are counted, in all of them or in none.
 *
 * A request collects its scopes in a list. Nothing below knows what kinds of scopes there are.
 *
 * Owns     charges own their reservations, rates their slots; each ends in one settlement, or one
 *          leave.
 * Threads  the request's loop; accounts and meters are atomic.
 */
#pragma once

#include "common/scope/account.h"
#include "common/scope/meter.h"

#define SCOPES_MAX 16

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

/* ---- money ---- */

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
