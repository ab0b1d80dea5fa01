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
#include "common/policy/account.h"
#include "common/policy/registry.h"

struct lease_client;
struct account_wait_ticket;

/* How the lease_client speaks to the control plane and to the workers. */
struct control_link {
    /* request: const Gatehouse__Request *; done gets const Gatehouse__Reply *, NULL on an error */
    enum err (*request)(void *arg, void *request,
                        void (*done)(void *done_arg, enum err e, const void *reply),
                        void *done_arg);
    bool (*is_connected)(void *arg);
    void (*after_turns)(void *arg, void (*fn)(void *fn_arg), void *fn_arg);
    void *arg;
};

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
