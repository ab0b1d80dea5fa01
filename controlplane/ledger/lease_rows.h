/*
 * lease_rows — what the lease server's three files share: granting (lease_server.c), ending
 * and expiring (lease_end.c), charging (lease_charge.c).
 *
 * Threads  one at a time.
 */
#pragma once

#include "controlplane/ledger/lease_server.h"
#include "controlplane/store/store_lease.h"

#define LEASE_BATCH 500 /* expired at once: locks are held for milliseconds */

/* Accounts as the store wants them: names, period starts, orgs and limits side by side. */
struct lease_rows {
    struct array names, starts, orgs, limits;
};

void lease_rows_init(struct lease_rows *p);
void lease_rows_fini(struct lease_rows *p);
void lease_rows_add(struct lease_rows *p, struct slice name, int64_t start,
                    const struct ledger_budget *budget);

#define ROWS_AUTO __attribute__((cleanup(lease_rows_fini)))
#define SHEET_AUTO __attribute__((cleanup(ledger_sheet_fini)))

/* "" for a text that was left out */
static inline struct slice lease_text(const char *text)
{
    return text ? slice_str(text) : SLICE("");
}

/* Epoch and number become bigint columns; names fit their buffers. */
bool lease_asker_is_fit(const struct ledger_asker *asker);
