/*
 * desk_private — what the files of the desk share: desk.c keeps time, lease.c ends leases,
 * lease_ask.c asks for them.
 *
 * Threads  the main thread's loop.
 */
#pragma once

#include "common/policy/account_private.h"
#include "common/policy/desk.h"

#define DESK_TICK_MS 250
#define DESK_TICKS_PER_S (1000 / DESK_TICK_MS)

struct desk {
    struct loop *loop;
    struct registry *registry;
    struct desk_links links;
    struct timer tick;
    struct list leases;
    bool ask_scheduled;
    unsigned tick_count;
};

/* desk.c: asks at the end of this turn, once for all who want it */
void desk_ask_soon(struct desk *d);

/* lease.c */
/* Takes it away from its account; lease_look_after reports it when nobody can still use it. */
void lease_close(struct desk *d, struct lease *l);
/* Once a tick: an idle one is closed, a closed one reported. */
void lease_look_after(struct desk *d, struct lease *l);
void lease_free(struct lease *l);

/* lease_ask.c: one request for all accounts that need the control plane now */
void lease_ask(struct desk *d);

static inline struct lease *lease_of(struct account *a)
{
    return atomic_load_explicit(&a->current, memory_order_acquire);
}
