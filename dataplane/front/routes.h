/*
 * routes — the dispatch table: which wing a path belongs to.
 *
 * Threads  any; constant.
 */
#pragma once

#include "common/journey/journey.h"

/* Never NULL: what belongs to nobody goes to a wing that says so. An empty path is one that was
 * not canonical. */
const struct wing *route_find(struct slice path);
