/*
 * store_lease — the rows of the ledger: accounts (one per budget and period) and leases.
 *
 * Rows are locked when read (accounts first, ordered by name and period, so that two transactions
 * never wait for each other in a circle; a lease is only ever changed under its account's lock),
 * changed in memory by common/ledger, and written back. Each function is one statement for any
 * number of rows.
 *
 * Owns     nothing; the caller has the sheet.
 * Fails    as db.h.
 * Threads  one at a time.
 */
#pragma once

#include "common/ledger/ledger.h"
#include "controlplane/store/array.h"
#include "controlplane/store/tx.h"

/* The budgets of these accounts, of one org (SLICE_NONE: of any), as the configuration has them
 * now; those without one are left out. *ret: an array of *count, for mem_free. */
MUST_USE enum err store_budgets_now(struct tx *tx, struct slice org, struct array *accounts,
                                    struct ledger_budget **ret, size_t *count);

/* known[i]: lease ids[i] is this plane's, and of accounts[i]. Without locks: that never changes. */
MUST_USE enum err store_leases_known(struct tx *tx, struct slice dataplane, struct array *ids,
                                     struct array *accounts, bool *known, size_t count);

/* Makes missing account rows; names, starts, orgs and limits run side by side. */
MUST_USE enum err store_accounts_make(struct tx *tx, struct array *names, struct array *starts,
                                      struct array *orgs, struct array *limits);
/* Locks and reads accounts by (name, period start). Once per transaction, before any lease. */
MUST_USE enum err store_accounts_lock(struct tx *tx, struct array *names, struct array *starts,
                                      struct ledger_sheet *s);
/* The accounts that these leases belong to, each once, as parameters for store_accounts_lock. */
MUST_USE enum err store_accounts_of_leases(struct tx *tx, struct array *ids, struct array *names,
                                           struct array *starts);
/* Reads leases whose accounts the sheet has locked; ids that do not exist are left out. */
MUST_USE enum err store_leases_read(struct tx *tx, struct array *ids, struct ledger_sheet *s);
/* The same, and every open lease of these accounts. */
MUST_USE enum err store_leases_open(struct tx *tx, struct array *ids, struct array *names,
                                    struct array *starts, struct ledger_sheet *s);
/* Ids of open leases past their time; at most max. */
MUST_USE enum err store_leases_expired(struct tx *tx, int64_t now, unsigned max, struct array *ids);
/* Ids of a plane's leases of one epoch that are not closed; at most max. */
MUST_USE enum err store_leases_of_epoch(struct tx *tx, struct slice dataplane, uint64_t epoch,
                                        unsigned max, struct array *ids);
/* Ids of a plane's leases in suspense; at most max. */
MUST_USE enum err store_leases_suspended(struct tx *tx, struct slice dataplane, unsigned max,
                                         struct array *ids);
/* Writes back what is dirty or fresh. */
MUST_USE enum err store_ledger_save(struct tx *tx, const struct ledger_sheet *s);
/* Closed leases older than that go: rows removed. */
MUST_USE enum err store_leases_forget(struct tx *tx, int64_t before, size_t *ret);
