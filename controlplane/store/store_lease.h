/*
 * store_lease — the rows of the lease desk: accounts (one per budget and period) and leases.
 *
 * Rows are locked when read (accounts first, ordered by name and period, so that two
 * transactions never wait for each other in a circle; a lease is only ever changed under its
 * account's lock), changed in memory by sync/ledger, and written back.
 *
 * Owns     the arrays of a desk until lease_client_fini.
 * Fails    as db.h.
 * Threads  one at a time.
 */
#pragma once

#include "common/base/id.h"
#include "common/base/map.h"
#include "common/base/money.h"
#include "controlplane/store/array.h"
#include "controlplane/store/tx.h"

#define ACCOUNT_MAX 80 /* "team:" and an id, with room */

enum lease_state { LEASE_OPEN, LEASE_SUSPENSE, LEASE_CLOSED };

struct account {
    char key[ACCOUNT_MAX + 24]; /* name and period start: how a desk finds it */
    char name[ACCOUNT_MAX];
    char org[ID_MAX];
    int64_t period_start;
    money limit;
    money spent;
    money leased;
    money suspense;
    bool dirty;
};

struct lease {
    char id[ID_MAX];
    char dataplane[ID_MAX];
    uint64_t epoch;
    struct account *account; /* of the same desk */
    enum lease_state state;
    money granted;
    money settled;
    bool ending; /* its plane has said that the last charge is made, */
    money final; /* and what they all come to */
    money written_off;
    int64_t expires_at;
    uint64_t asked_number; /* the request that enlarged it last, */
    money asked_granted;   /* and by how much: a repeated request gets the same answer */
    bool dirty, fresh;
};

/* What one transaction has in its hands. */
struct lease_client {
    struct account *accounts;
    size_t account_count;
    struct lease **leases;
    size_t lease_count, lease_cap;
    struct map *accounts_by_key, *leases_by_id;
};

/* One budget as the configuration has it now. */
struct budget_row {
    char org[ID_MAX];
    money limit;
    char period[16];
};

void lease_client_fini(struct lease_client *d);
struct account *lease_client_account(const struct lease_client *d, struct slice name,
                                     int64_t period_start);
struct lease *lease_client_lease(const struct lease_client *d, struct slice id);
/* A new lease row of that account, zeroed but for the two; NULL: out of memory. */
struct lease *lease_client_lease_new(struct lease_client *d, struct account *a, struct slice id);

/* ERR_NOT_FOUND: no such key or team, or it has no budget. account is "key:<id>", "team:<id>". */
MUST_USE enum err store_budget(struct tx *tx, struct slice account, struct budget_row *ret);
/* period_start of each lease that exists; its account's name. Without locks: it never changes. */
MUST_USE enum err store_lease_account(struct tx *tx, struct slice lease_id,
                                      char account[static ACCOUNT_MAX], int64_t *ret_period_start);

/* known[i]: lease ids[i] is this plane's, and of accounts[i]. Without locks: that never changes. */
MUST_USE enum err store_leases_known(struct tx *tx, struct slice dataplane, struct array *ids,
                                     struct array *accounts, bool *known, size_t count);

/* Makes missing account rows; names, starts, orgs and limits run side by side. */
MUST_USE enum err store_accounts_make(struct tx *tx, struct array *names, struct array *starts,
                                      struct array *orgs, struct array *limits);
/* Locks and reads accounts by (name, period start). Once per desk, before any lease. */
MUST_USE enum err store_accounts_lock(struct tx *tx, struct array *names, struct array *starts,
                                      struct lease_client *d);
/* The accounts that these leases belong to, each once, as parameters for store_accounts_lock. */
MUST_USE enum err store_accounts_of_leases(struct tx *tx, struct array *ids, struct array *names,
                                           struct array *starts);
/* Reads leases whose accounts the desk has locked; ids that do not exist are left out. */
MUST_USE enum err store_leases_read(struct tx *tx, struct array *ids, struct lease_client *d);
/* Ids of open leases past their time, of one account (or of all: name SLICE_NONE); at most max. */
MUST_USE enum err store_leases_expired(struct tx *tx, struct slice name, int64_t period_start,
                                       int64_t now, unsigned max, struct array *ids);
/* Ids of a plane's leases of one epoch that are not closed; at most max. */
MUST_USE enum err store_leases_of_epoch(struct tx *tx, struct slice dataplane, uint64_t epoch,
                                        unsigned max, struct array *ids);
/* Ids of a plane's leases in suspense; at most max. */
MUST_USE enum err store_leases_suspended(struct tx *tx, struct slice dataplane, unsigned max,
                                         struct array *ids);
/* Writes back whatever is dirty or fresh. */
MUST_USE enum err store_lease_save(struct tx *tx, struct lease_client *d);
/* Closed leases older than that go: rows removed. */
MUST_USE enum err store_leases_forget(struct tx *tx, int64_t before, size_t *ret);
