/*
 * filter_limit — requests per minute and parallel calls of every scope of the request, counted on
 * this plane.
 *
 * A gate that counts only some of its requests has a filter of its own with a limit_state in its
 * state, and calls these.
 *
 * Owns     one parallel slot in each scope between limit_enter and limit_leave.
 * Threads  the request's loop.
 */
#pragma once

#include "common/request/filter.h"
#include "common/scope/scope.h"

struct limit_state {
    struct rates rates;
};

/* FILTER_PASS or FILTER_REFUSE */
enum filter_result limit_enter(struct request *rq, struct limit_state *s);
/* Takes a request of the minute in each scope, and none of their parallel slots. */
enum filter_result limit_count(struct request *rq);
/* Fine where nothing was entered. A request that a budget refused does not count for its minute. */
void limit_leave(struct request *rq, struct limit_state *s);
