/*
 * lease_client_private — what the files of the lease_client share: lease_client.c keeps time,
 * lease.c ends leases, lease_ask.c asks for them.
 *
 * Threads  the main thread's loop.
 */
#pragma once

#include "common/scope/account_private.h"
#include "common/scope/lease_client.h"

#define DESK_TICK_MS 250
#define DESK_TICKS_PER_S (1000 / DESK_TICK_MS)

struct lease_client {
    struct loop *loop;
    struct registry *registry;
    struct control_link links;
    struct timer tick;
    struct list leases;
    bool ask_scheduled;
    unsigned tick_count;
};

/* lease_client.c: asks at the end of this turn, once for all who want it */
void lease_client_ask_soon(struct lease_client *d);

/* lease.c */
/* Takes it away from its account; lease_look_after reports it when nobody can still use it. */
void lease_close(struct lease_client *d, struct lease *l);
/* Once a tick: an idle one is closed, a closed one reported. */
void lease_look_after(struct lease_client *d, struct lease *l);
void lease_free(struct lease *l);

/* lease_ask.c: one request for all accounts that need the control plane now */
void lease_ask(struct lease_client *d);

static inline struct lease *lease_of(struct account *a)
{
    return atomic_load_explicit(&a->current, memory_order_acquire);
}
