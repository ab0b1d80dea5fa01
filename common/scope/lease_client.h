/*
 * lease_client — leases of budgets for this plane: requested from the control plane, prolonged
 * while they are used, handed back when they are idle or needed elsewhere.
 *
 * An account that calls wait for is requested at once, for what waits and, within bounds, for more:
 * for a burst, and for five seconds of recent use. Where the control plane says so (the budget's
 * on_disconnect is "reserve"), it is leased ahead for as long as an outage is to be borne, sized by
 * recent use; that much may be spent without the control plane, and is handed back when the control
 * plane says that another plane needs it.
 *
 * How a wait ends:
 *   ACCOUNT_OK         the lease holds the amount now
 *   ACCOUNT_EXHAUSTED  what is spent leaves less than the amount
 *   ACCOUNT_ELSEWHERE  what is reserved or leased elsewhere was not handed back within a second
 *   ACCOUNT_AWAY       the control plane or its database has been away for longer than two seconds,
 *                      or gave no reply for five; from then on such a wait ends at once
 *
 * A request whose reply is lost is sent again, the same one, until a reply comes: it may have been
 * decided, and what was granted then is this plane's.
 *
 * A lease goes OPEN (its account's current one) → closing (no new reservation) → quiescent (every
 * worker has ended a turn since) → reported (nothing is reserved in it; its sum was sent) → freed.
 * The control plane frees the rest of it once that sum has come in by the journal.
 *
 * Owns     leases; tickets while they wait.
 * Threads  the main thread's, except lease_client_status.
 */
#pragma once

#include "common/net/loop.h"
#include "common/scope/registry.h"
#include "common/wire/control_link.h"

struct lease_client;

MUST_USE enum err lease_client_new(struct loop *l, struct registry *r,
                                   const struct control_link *links, struct lease_client **ret);
void lease_client_free(struct lease_client *c);
/* A policy version was taken: the leases of narrowed budgets are closed before this returns, and
 * earlier refusals of changed budgets no longer hold. */
void lease_client_policy(struct lease_client *c);
/* The channel to the control plane was opened or lost. */
void lease_client_on_state(struct lease_client *c, bool connected);
/* Another plane needs `short_of` of this account. */
void lease_client_recall(struct lease_client *c, struct slice account, money short_of);
/* Ends every lease that nothing is reserved in; false while some are left, or a request for one is
 * under way. */
bool lease_client_end_all(struct lease_client *c);

/* How it stands, for /readyz and metrics. */
struct lease_status {
    uint64_t away_ms; /* since when no request for a lease got a reply; 0: they get one */
    size_t leases;
    money left;      /* in current leases, not reserved */
    size_t standing; /* accounts that refused a call since the control plane went away */
    size_t accounts; /* known here */
};
void lease_client_status(const struct lease_client *c, struct lease_status *ret); /* any thread */
