/*
 * store_trace — sessions and spans as the admin API shows them: names instead of ids,
 * money as text with nine decimals, what does not apply left out.
 *
 * Every query runs in its caller's transaction, so row-level security limits it to the org.
 *
 * Owns     nothing; trees are the caller's.
 * Fails    as tx.h; ERR_NOT_FOUND.
 * Threads  any, with a transaction of their own.
 */
#pragma once

#include "common/base/id.h"
#include "common/base/json.h"
#include "common/trace/span_attributes.h"
#include "controlplane/store/tx.h"

/* A page; where the one before ended. Bounds are 0 where there are none. */
struct trace_page {
    struct slice org; /* the transaction's */
    int64_t after_us; /* with after_id; 0: from the start */
    struct slice after_id;
    size_t limit;
    int64_t since, until; /* wall microseconds: started at or after, and before */
};

/* Where the page ended, when there are more. */
struct trace_next {
    bool more;
    int64_t at_us;
    char id[ID_MAX];
};

/* Owners of the sessions, by name or id; SLICE_NONE: any. */
struct session_filter {
    struct slice agent, key, team, task;
};
/* Newest first. *ret: new array. */
MUST_USE enum err store_sessions_page(struct tx *tx, const struct trace_page *page,
                                      const struct session_filter *filter, json_t **ret,
                                      struct trace_next *next);
/* By id, else by what clients called it. *ret: new array of all that fit, at most 20. */
MUST_USE enum err store_sessions_find(struct tx *tx, struct slice id_or_external, json_t **ret);

/* One attribute and its value: `shown` and a text, or a number in decimal digits. What refers to
 * another object is found by its id as well as by its name. */
struct span_match {
    const struct span_attribute *attribute;
    struct slice value;
};

struct span_filter {
    struct span_match matches[SPAN_ATTRIBUTE_COUNT];
    size_t count; /* all of them must be true */
    bool newest_first;
};
MUST_USE enum err store_spans_page(struct tx *tx, const struct trace_page *page,
                                   const struct span_filter *filter, json_t **ret,
                                   struct trace_next *next);
