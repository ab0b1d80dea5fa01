/*
 * registry — what outlives policy versions: one account per budget, by its id.
 *
 * A budget that is taken away and given back finds its account again, with whatever is still
 * reserved on it.
 *
 * Owns     one count on each account.
 * Threads  the main thread's.
 */
#pragma once

#include "common/scope/account.h"

struct registry;

MUST_USE struct registry *registry_new(void);
void registry_free(struct registry *r);
/* The account of that id, made where there is none; a count for the caller. NULL: no memory. */
struct account *registry_account(struct registry *r, struct slice id);
/* Visits all. */
void registry_each(struct registry *r, void (*fn)(void *arg, struct account *a), void *arg);
