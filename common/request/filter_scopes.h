/*
 * filter_scopes — what the scopes of a request allow: its rates, and the money it may cost.
 *
 * limit    Requests per minute and parallel calls of every scope, counted on this plane. A gate
 *          that counts only some of its requests has a filter of its own with a limit_state in its
 *          state, and calls the functions for it.
 * budget   Reserves the gate's worst case in the account of every scope before anything is sent; in
 *          all or in none. While the work goes on the gate may have more reserved. What the call
 *          cost in the end (call_record: cost) is what the record says of each account, and what is
 *          settled once the record is in the journal. Its functions may be called where the gate
 *          has no budget filter: nothing is reserved then.
 *
 * Owns     one parallel slot in each scope between limit_enter and limit_leave; the reservations,
 *          each of which ends in exactly one settlement.
 * Threads  the request's loop.
 */
#pragma once

#include "common/request/filter.h"
#include "common/scope/scope.h"

/* ---- limit ---- */

struct limit_state {
    struct rates rates;
};

/* FILTER_PASS or FILTER_REFUSE */
enum filter_result limit_enter(struct request *rq, struct limit_state *s);
/* Takes a request of the minute in each scope, and none of their parallel slots. */
enum filter_result limit_count(struct request *rq);
/* Fine where nothing was entered. A request that a budget refused does not count for its minute. */
void limit_leave(struct request *rq, struct limit_state *s);

/* ---- budget ---- */

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
/* What the record says of the accounts, and how much of each; NULL: nothing is reserved. */
const struct charges *budget_charges(const struct request *rq, money *amount);

/* The state, for the filter itself and for tests of the record. */
struct budget_state {
    struct request *rq;
    struct account_wait wait; /* for a larger lease of one account */
    money goal;               /* what `wait` is for, once the work has begun */
    money reserved;
    unsigned waits;
    bool worst_known; /* `worst` is the most this call may cost */
    bool ended;       /* the record says what it cost, no more what was reserved */
    money worst;
    const struct scope *short_of; /* the scope that `wait`, or the refusal, is about */
    struct charges charges;
};
