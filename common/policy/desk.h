/*
 * desk — the plane's lease desk: asks the control plane for slices of budgets, prolongs those in
 * use, gives back those that lie idle, and wakes whoever waited.
 *
 * A slice is the worst cases that wait for it, or five seconds of recent use where that is
 * more (security.md, Money). It is topped up in the background before it runs dry, so a
 * busy key seldom waits. A lease that ends is reported with the sum that was settled on it; the
 * control plane frees the rest once that sum has come in by the journal.
 *
 * Owns     leases; tickets while they wait.
 * Threads  the main thread's, except desk_post.
 */
#pragma once

#include "common/net/loop.h"
#include "common/policy/account.h"
#include "common/policy/registry.h"

struct desk;
struct account_wait_ticket;

/* How the desk speaks to the control plane and to the workers. */
struct desk_links {
    /* request: const Gatehouse__Request *; done gets const Gatehouse__Reply *, NULL on an error */
    enum err (*request)(void *arg, void *request,
                        void (*done)(void *done_arg, enum err e, const void *reply),
                        void *done_arg);
    bool (*is_connected)(void *arg);
    void (*after_turns)(void *arg, void (*fn)(void *fn_arg), void *fn_arg);
    void *arg;
};

MUST_USE enum err desk_new(struct loop *l, struct registry *r, const struct desk_links *links,
                           struct desk **ret);
void desk_free(struct desk *d);
MUST_USE enum err desk_post(struct desk *d, struct account_wait_ticket *t); /* any thread */
/* A budget changed: refusals remembered here may no longer hold. */
void desk_forget_refusals(struct desk *d);
/* Ends every lease that nothing is reserved on; false while some are left. */
bool desk_end_all(struct desk *d);
size_t desk_leases(const struct desk *d);
