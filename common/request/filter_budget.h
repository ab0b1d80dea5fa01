/*
 * filter_budget — the money one call may cost, reserved before anything is sent.
 *
 * The filter reserves the gate's worst case in the accounts of the key and of its team; both or
 * none. While the work goes on the gate may have more reserved. What the call cost in the end
 * (call_record: cost) is what the record says of each account, and what is settled once the record
 * is in the journal.
 *
 * All of these may be called where the gate has no budget filter: nothing is reserved then.
 *
 * Owns     the reservations; each ends in exactly one settlement.
 * Threads  the request's loop.
 */
#pragma once

#include "common/request/filter.h"
#include "common/scope/account.h"

#define BUDGET_CHARGES 2 /* key, team */

/* What the record says was reserved in, and later taken from, one lease. */
struct budget_charge {
    struct slice account, lease_id;
    money amount;
};

/* The most this call may cost; false: no price is known. */
bool budget_worst_case(const struct request *rq, money *ret);
/* A further attempt makes the call dearer: the amount was reserved before (budget_reserve_up_to).
 */
void budget_raise_worst_case(struct request *rq, money to);
/* What is reserved; 0: no budget applies to this call, or it is free. */
money budget_reserved(const struct request *rq);
/* A larger slice of an account was requested and has not come: the gate's on_reserved follows. */
bool budget_is_waiting(const struct request *rq);
/* Raises what is reserved for this call to `total` in each of its accounts, at once or not at all
 * yet: ERR_AGAIN where a larger slice was requested; the gate's on_reserved says when it has come,
 * and the amount is reserved by then. ERR_EXHAUSTED: there is no more. */
MUST_USE enum err budget_reserve_up_to(struct request *rq, money total);
/* What the record says of the accounts; *count of them. */
const struct budget_charge *budget_charges(const struct request *rq, size_t *count);

/* The state, for the filter itself and for tests of the record. */
struct budget_state {
    struct request *rq;
    struct account_wait wait; /* for a larger slice of one account */
    money goal;               /* what `wait` is for, once the work has begun */
    money reserved;
    unsigned waits;
    bool worst_known; /* `worst` is the most this call may cost */
    money worst;
    struct reservation reservations[BUDGET_CHARGES];
    struct budget_charge charges[BUDGET_CHARGES];
    size_t charge_count;
};
