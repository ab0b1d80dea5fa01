/*
 * ledger — the arithmetic of leased money, on rows that are already in hand.
 *
 * An account is a budget in one period. What is in it is always one of four: spent, leased (a
 * plane may spend it), suspense (a plane may have spent it and has not said), free. At most the
 * free part is handed out, and a leased part becomes free again only when every charge to its
 * lease is known to have come in. Hence two planes never hold the same cent, whoever dies when.
 *
 *   grant        free     -> leased
 *   charge       leased or suspense -> spent; what exceeds the lease is spent all the same
 *   expire       leased   -> suspense       (its plane has not renewed)
 *   revive       suspense -> leased         (it has, late)
 *   end, finish  the rest -> free           (no more charges will come)
 *   write off    suspense -> spent          (the plane will never come back)
 *
 * A charge that comes in after its lease was written off is taken from what was written off.
 *
 * Owns     nothing; marks the rows it changes as dirty.
 * Threads  one at a time.
 */
#pragma once

#include "controlplane/store/store_lease.h"

#define LEDGER_VALID_US INT64_C(10000000) /* a lease lasts 10 s unless renewed */

money ledger_remaining(const struct lease *l); /* granted and not yet settled; 0 when closed */
money ledger_free(const struct account *a);    /* never negative */

/* Moves at most `want` from free to the lease, or nothing where less than `least` is free; returns
 * how much. The lease must be open. */
money ledger_grant(struct lease *l, money want, money least);
void ledger_charge(struct lease *l, money amount);
/* a charge that names no lease of this account: spent, from nobody's share */
void ledger_charge_bare(struct account *a, money amount);
void ledger_expire(struct lease *l);
/* Prolongs; false when the lease is closed or ending, and then nothing changed. */
bool ledger_renew(struct lease *l, int64_t now);
/* `final` is the sum of all charges; frees the rest once they are in. */
void ledger_end(struct lease *l, money final);
/* Every record of the lease's epoch is in the database. */
void ledger_finish(struct lease *l);
void ledger_write_off(struct lease *l);
