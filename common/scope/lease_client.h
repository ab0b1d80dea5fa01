/*
 * lease_client — the plane's lease lease_client: asks the control plane for slices of budgets,
 * prolongs those in use, gives back those that lie idle, and wakes whoever waited.
 *
 * A slice is the worst cases that wait for it, or five seconds of recent use where that is
 * more (security.md, Money). It is topped up in the background before it runs dry, so a
 * busy key seldom waits. A lease that ends is reported with the sum that was settled on it; the
 * control plane frees the rest once that sum has come in by the journal.
 *
 * Owns     leases; tickets while they wait.
 * Threads  the main thread's, except lease_client_post.
 */
#pragma once

#include "common/net/loop.h"
#include "common/scope/account.h"
#include "common/scope/registry.h"
#include "common/wire/control_link.h"

struct lease_client;
struct account_wait_ticket;

MUST_USE enum err lease_client_new(struct loop *l, struct registry *r,
                                   const struct control_link *links, struct lease_client **ret);
void lease_client_free(struct lease_client *d);
MUST_USE enum err lease_client_post(struct lease_client *d,
                                    struct account_wait_ticket *t); /* any thread */
/* A budget changed: refusals remembered here may no longer hold. */
void lease_client_forget_refusals(struct lease_client *d);
/* Ends every lease that nothing is reserved on; false while some are left. */
bool lease_client_end_all(struct lease_client *d);
size_t lease_client_leases(const struct lease_client *d);
