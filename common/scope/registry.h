/*
 * registry — what outlives policy versions: one account per budget, by its id.
 *
 * A budget that is taken away and given back finds its account again, with whatever is still
 * reserved in it. An account that no policy object, lease or call refers to any more leaves the
 * registry soon after.
 *
 * Three lists spare everything else from walking all accounts: `active` (a lease, a wait or recent
 * use: what the lease client's tick looks at), `changed` (a policy version changed the budget), and
 * the stack of orphans (the registry's count may be the last one).
 *
 * Owns     one count on each account.
 * Threads  the main thread's; accounts are dropped on any.
 */
#pragma once

#include "common/scope/scope.h"

struct registry;

MUST_USE struct registry *registry_new(void);
void registry_free(struct registry *r);
/* The account of that id, made where there is none; a count for the caller. NULL: no memory. */
struct account *registry_account(struct registry *r, struct slice id);
/* What the policy says of its budget now. A lower limit or another period than before narrows it:
 * the lease client closes its lease. */
void registry_configure(struct registry *r, struct account *a, money limit, struct slice period);
/* NULL: there is none */
struct account *registry_find(struct registry *r, struct slice id);
/* Forgets the accounts that nothing else refers to. */
void registry_sweep(struct registry *r);
size_t registry_count(const struct registry *r);

/* for the lease client */
struct account_wait_ticket;
struct list *registry_active(struct registry *r);  /* of accounts, by `active` */
struct list *registry_changed(struct registry *r); /* by `changed` */
/* Where tickets go; NULL: nowhere any more. */
void registry_post_to(struct registry *r,
                      enum err (*post)(void *arg, struct account_wait_ticket *t), void *arg);
