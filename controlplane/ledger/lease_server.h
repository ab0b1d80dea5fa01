/*
 * lease_server — hands slices of budgets to data planes, and takes back what is proven unspent.
 *
 * Each call is one transaction: the accounts concerned are locked in one order, changed by
 * ledger's moves, written back. A request that is repeated gets the same answer: a new lease's id
 * is derived from (plane, epoch, number, position, account, period), and a renewed one remembers
 * the number.
 *
 * Time decides only when a lease is looked upon as lost, never that money is free again; so
 * clocks that differ cost a detour through suspense and nothing else.
 *
 * Owns     nothing.
 * Fails    as tx.h; ERR_INVALID for a request that no honest plane sends. Nothing happened then.
 * Threads  any.
 */
#pragma once

#include "common/base/money.h"
#include "controlplane/store/tx.h"
#include "proto/channel.pb-c.h"

/* Who asks: named by its certificate; epoch and number as in the Request. */
struct lease_asker {
    struct slice dataplane;
    struct slice org;
    uint64_t epoch;
    uint64_t number;
};

/* Grants in the order of the asks. ret lives until lease_server_reply_free. */
struct lease_reply {
    Gatehouse__LeaseReply reply;
    struct lease_grant *rows;
};

MUST_USE enum err lease_server_ask(struct db *db, const struct lease_asker *who,
                                   const Gatehouse__LeaseRequest *request, int64_t now,
                                   struct lease_reply *ret);
void lease_server_reply_free(struct lease_reply *r);

MUST_USE enum err lease_server_end(struct db *db, const struct lease_asker *who,
                                   const Gatehouse__LeaseEndRequest *request);

/* Charges of one batch, added up by the caller, inside its transaction. */
struct lease_charge {
    struct slice account;
    struct slice lease_id; /* empty: none */
    int64_t at;            /* when the call began: the period of a charge without a lease */
    money amount;
};
MUST_USE enum err lease_server_charge(struct tx *tx, const struct lease_asker *who,
                                      const struct lease_charge *charges, size_t count);

/* Open leases past their time go into suspense; *ret: how many (at most a few hundred a call). */
MUST_USE enum err lease_server_expire(struct db *db, int64_t now, size_t *ret);
/* A plane that will never come back: its suspense becomes spent, of the leases that the
 * transaction may see. *ret: how much. */
MUST_USE enum err lease_server_write_off(struct tx *tx, struct slice dataplane, money *ret);
