/*
 * scope_private — what an account and a lease are made of; for scope.c, registry.c, lease_client.c
 * and their tests.
 */
#pragma once

#include <stdatomic.h>

#include "common/base/list.h"
#include "common/scope/scope.h"

#define LEASE_ID_MAX 64

struct account_wait_ticket;

/* Between two lines about replies that cannot be read. Tests change it. */
extern uint64_t lease_client_told_us;

/* Where accounts send tickets, and where those go that nothing but the registry refers to. */
struct account_home {
    /* Takes the ticket over; any thread. NULL: there is no lease client. */
    enum err (*post)(void *arg, struct account_wait_ticket *t);
    void *arg;
    _Atomic(struct account *) orphans; /* a stack by `orphan_next`, newest first */
};

/* A part of a budget that this plane may spend. Workers touch the atomics; the rest is the main
 * thread's. It is freed once it is no account's current one, every worker has ended a turn since,
 * no request under way prolongs it, nothing is reserved in it, and the control plane knows what was
 * settled. */
struct lease {
    atomic_int_fast64_t remaining; /* may still be reserved; negative after an overdraft */
    atomic_int_fast64_t settled;
    atomic_int_fast64_t outstanding;     /* reservations not yet settled */
    atomic_uint_fast64_t valid_until_us; /* monotonic; also the end of its period */

    struct list link;        /* in the lease client's list */
    struct account *account; /* held */
    char id[LEASE_ID_MAX];
    money granted;          /* in all, without what was handed back */
    money give_back;        /* taken out of it already, to be handed back by the next request */
    uint64_t renew_at_us;   /* when it is to be prolonged */
    int64_t seen_remaining; /* at the last tick, */
    uint64_t used_us;       /* and when it was last seen to change */
    bool renewing;          /* a request under way prolongs it */
    bool closing;           /* it is its account's current one no more */
    bool quiescent;         /* and no worker can still be looking at it */
    bool reported;          /* its end was sent */
};

struct account {
    atomic_uint refs;
    _Atomic(struct lease *) current;
    atomic_int_fast64_t limit, spent, set_aside, period_end_us;
    /* What the control plane last refused, and until when (monotonic) that holds. */
    atomic_uint_fast64_t refused_until_us;
    atomic_int_fast64_t refused_amount; /* for this much or more, */
    atomic_int refused_as;              /* with this enum account_result */
    atomic_int_fast64_t used;           /* settled so far */
    atomic_bool orphaned;               /* is in the home's stack */
    struct account *orphan_next;

    struct account_home *home;
    struct slice id; /* text behind this struct */

    /* the main thread's */
    struct list active;  /* in the registry's list of those that the tick looks at */
    struct list changed; /* in the registry's list of those whose budget was changed */
    unsigned orphan_tries;
    money configured; /* the limit that the policy says; -1: not known yet */
    char period[16];
    bool narrowed; /* the policy says less than before, and its lease was not closed since */

    /* the lease client's */
    struct list waiting; /* tickets */
    bool asking;         /* a request under way names it */
    bool revoke_reply;   /* what that request is granted must not be used */
    uint64_t retry_at_us;
    unsigned tries;         /* requests in a row that left a ticket waiting */
    uint64_t reserve_us;    /* how long its lease may be spent without the control plane; 0: stop */
    uint64_t reserve_at_us; /* do not lease ahead before */
    money used_before, used_per_s;
    money used_long;    /* in the last reserve_us, fading */
    money largest;      /* that a ticket asked for, lately */
    money grown;        /* requested when it last ran short, */
    uint64_t needed_us; /* then */
    unsigned stood_in;  /* the last outage that it refused a call in */
};

/* One wait, on its way between the caller's loop and the main thread. */
struct account_wait_ticket {
    struct list link;
    struct account *account;   /* held */
    struct account_wait *wait; /* the caller's; NULL once cancelled; caller's thread only */
    struct loop *loop;
    money amount;
    bool asked; /* the request under way counts it in */
    uint64_t since_us;
    enum account_result result;
};

/* Sends a ticket back to its caller's loop; consumes it. */
void account_ticket_end(struct account_wait_ticket *t, enum account_result result);

MUST_USE struct account *account_new(struct slice id, struct account_home *home);
/* Takes `amount` from the lease where it holds that much. */
bool lease_take(struct lease *l, money amount);

static inline struct lease *lease_of(struct account *a)
{
    return atomic_load_explicit(&a->current, memory_order_acquire);
}
