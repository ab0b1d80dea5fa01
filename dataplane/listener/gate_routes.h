/*
 * routes — the dispatch table: which gate a path belongs to.
 *
 * Threads  any; constant.
 */
#pragma once

#include "common/request/request.h"

/* Never NULL: what belongs to nobody goes to a gate that says so. An empty path is one that has
 * no canonical spelling: only the target as it was sent then says whose it is. */
const struct gate *route_find(struct slice path, struct slice target);
