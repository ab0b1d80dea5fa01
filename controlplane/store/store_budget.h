/*
 * store_budget — the ledger's accounts as an administrator reads them: what of a budget is
 * spent, what data planes hold, and what is in suspense for silent planes.
 *
 * Fails    as tx.h.
 * Threads  any, with a transaction of their own.
 */
#pragma once

#include "controlplane/store/store_trace.h"

/* Of one key, team or agent, by id or name; SLICE_NONE: of any. */
struct budget_filter {
    struct slice key;
    struct slice team;
    struct slice agent;
};

/* Newest period first. page: limit, after_us and after_id; *ret is a new array of trees. */
MUST_USE enum err store_budgets(struct tx *tx, const struct trace_page *page,
                                const struct budget_filter *filter, json_t **ret,
                                struct trace_next *next);
