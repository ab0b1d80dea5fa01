/*
 * lease_server — leases of budgets for data planes, on the rows of the database.
 *
 * Each call is one transaction: the accounts concerned are locked in one order, changed by the
 * rules of common/ledger, and written back; each step is one statement for all asks. A request that
 * is repeated gets the same reply: a new lease's id is derived from (plane, epoch, number,
 * position, account, period), and a renewed one remembers the number.
 *
 * Time moves an expired lease into suspense only, and never frees its money. So a difference
 * between clocks can put a lease into suspense for a while, and cannot cause overspending.
 *
 * Where an ask is short of money that other planes hold in leases, the reply names those planes:
 * they get a recall (Push.recalls), and the requesting plane tries again.
 *
 * Owns     nothing.
 * Fails    as tx.h; ERR_INVALID for a request that no correct plane sends; nothing was changed.
 * Threads  any.
 */
#pragma once

#include "common/base/money.h"
#include "common/ledger/ledger.h"
#include "controlplane/store/tx.h"
#include "proto/channel.pb-c.h"

#define LEASE_RESERVE_S 3600 /* the outage that a reserve covers by default */

/* From here on: how long the leases of budgets with on_disconnect "reserve" may be spent without
 * the control plane; 0: never. */
void lease_server_reserve_for(uint32_t seconds);

/* One plane that is to hand back money of one account. */
struct lease_recall {
    char dataplane[ID_MAX];
    char account[LEDGER_ACCOUNT_MAX];
    money short_of;
};

/* Grants in the order of the asks. ret lives until lease_server_reply_free. */
struct lease_reply {
    Gatehouse__LeaseReply reply;
    struct lease_grant *rows;
    struct lease_recall *recalls;
    size_t recall_count;
};

MUST_USE enum err lease_server_ask(struct db *db, const struct ledger_asker *asker,
                                   const Gatehouse__LeaseRequest *request, int64_t now,
                                   struct lease_reply *ret);
void lease_server_reply_free(struct lease_reply *r);

MUST_USE enum err lease_server_end(struct db *db, const struct ledger_asker *asker,
                                   const Gatehouse__LeaseEndRequest *request);

/* Charges of one batch, added up by the caller, inside its transaction. */
struct lease_charge {
    struct slice account;
    struct slice lease_id; /* empty: none */
    int64_t at;            /* when the call began: the period of a charge without a lease */
    money amount;
};
MUST_USE enum err lease_server_charge(struct tx *tx, const struct ledger_asker *asker,
                                      const struct lease_charge *charges, size_t count);

/* Open leases past their time go into suspense; *ret: how many (at most a few hundred a call). */
MUST_USE enum err lease_server_expire(struct db *db, int64_t now, size_t *ret);
/* Writes a plane off: its suspense becomes spent, of the leases that the
 * transaction may see. *ret: how much. */
MUST_USE enum err lease_server_write_off(struct tx *tx, struct slice dataplane, money *ret);
