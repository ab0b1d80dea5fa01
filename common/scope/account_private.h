/*
 * account_private — what an account and a lease are made of; for account.c, registry.c and the
 * lease_client.
 */
#pragma once

#include <stdatomic.h>

#include "common/base/list.h"
#include "common/scope/account.h"

#define LEASE_ID_MAX 64

struct registry;
struct lease_client;

/* A slice of a budget. Workers touch the atomics; the rest is the main thread's. It is freed
 * once it is no account's current one, every worker has ended a turn since, nothing is
 * outstanding, and the control plane knows what was settled. */
struct lease {
    atomic_int_fast64_t remaining; /* nano-dollars that may still be reserved */
    atomic_int_fast64_t settled;
    atomic_int_fast64_t outstanding;     /* reservations not yet settled */
    atomic_uint_fast64_t valid_until_us; /* monotonic; also the end of its period */

    struct list link;        /* in the lease_client's list */
    struct account *account; /* held */
    char id[LEASE_ID_MAX];
    uint64_t granted_us;    /* when last granted or prolonged */
    int64_t seen_remaining; /* at the last tick, to see whether it is used */
    unsigned idle_ticks;
    bool closing;   /* no account's current one any more */
    bool quiescent; /* and no worker can still be looking at it */
    bool reported;  /* LeaseEnd under way or done */
};

struct account {
    atomic_uint refs;
    _Atomic(struct lease *) current;
    atomic_int_fast64_t limit, spent, set_aside, period_end_us;
    atomic_uint_fast64_t refused_until_us; /* do not ask again before, */
    atomic_int_fast64_t refused_amount;    /* for this much or more */
    atomic_int_fast64_t used;              /* settled so far, for the size of slices */

    struct registry *registry;
    struct slice id; /* text behind this struct */

    /* the lease_client's */
    struct list waiting; /* tickets */
    bool asking;
    money used_before, used_per_s;
    money grown;        /* asked for when it last ran short, */
    uint64_t needed_us; /* then */
};

/* One asker's wait, on its way between two loops. */
struct account_wait_ticket {
    struct list link;
    struct account *account;   /* held */
    struct account_wait *wait; /* the asker's; NULL once cancelled; asker's thread only */
    struct loop *loop;
    money amount;
    bool asked; /* the request under way counts it in */
    uint64_t since_us;
    enum err answer;
};

/* Sends a ticket home to its asker's loop; consumes it. */
void account_ticket_answer(struct account_wait_ticket *t, enum err answer);

MUST_USE struct account *account_new(struct slice id, struct registry *r);
/* Where wants go; set once by the lease_client. */
void registry_set_lease_client(struct registry *r, struct lease_client *d);
struct lease_client *registry_lease_client(const struct registry *r);
