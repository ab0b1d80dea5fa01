/*
 * lease_server_private — what the desk's three windows share: asking (lease_server.c), ending and
 * lapsing (lease_end.c), charging (lease_charge.c).
 *
 * Threads  one at a time.
 */
#pragma once

#include "controlplane/ledger/lease_server.h"
#include "controlplane/store/store_lease.h"

#define LEASE_BATCH 500 /* lapsed at once: locks are held for milliseconds */

/* Accounts as the store wants them: names, period starts, orgs and limits side by side. */
struct lease_pairs {
    struct array names, starts, orgs, limits;
};

void lease_pairs_init(struct lease_pairs *p);
void lease_pairs_fini(struct lease_pairs *p);
void lease_pairs_add(struct lease_pairs *p, struct slice name, int64_t start,
                     const struct budget_row *budget);

#define PAIRS_AUTO __attribute__((cleanup(lease_pairs_fini)))
#define DESK_AUTO __attribute__((cleanup(lease_client_fini)))

/* "" for a text that was left out */
static inline struct slice lease_text(const char *text)
{
    return text ? slice_str(text) : SLICE("");
}

/* Epoch and number become bigint columns; names have their room. */
bool lease_asker_is_fit(const struct lease_asker *who);
