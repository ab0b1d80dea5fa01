/*
 * routes — the dispatch table: which wing a path belongs to.
 *
 * Threads  any; constant.
 */
#pragma once

#include "common/journey/journey.h"

/* Never NULL: what belongs to nobody goes to a wing that says so. An empty path is one that has
 * no canonical spelling: only the target as it was sent then says whose it is. */
const struct wing *route_find(struct slice path, struct slice target);
