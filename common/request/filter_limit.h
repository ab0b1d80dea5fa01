/*
 * filter_limit — the key's requests per minute and parallel calls, counted on this plane.
 *
 * A gate that counts only some of its requests has a filter of its own with a limit_state in its
 * state, and calls these.
 *
 * Owns     one of the key's parallel slots between limit_enter and limit_leave.
 * Threads  the request's loop.
 */
#pragma once

#include <stdbool.h>

#include "common/request/filter.h"

struct limit_state {
    bool counted; /* the request holds a slot */
};

/* FILTER_PASS or FILTER_REFUSE */
enum filter_result limit_enter(struct request *rq, struct limit_state *s);
void limit_leave(struct request *rq, struct limit_state *s); /* fine where nothing was entered */
