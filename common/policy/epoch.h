/*
 * epoch — the number of this start: what tells two lives of one plane apart.
 *
 * What the control plane has taken and lent, it knows by it. So none comes twice, not even for a
 * plane that was enrolled again with an empty state directory: it counts on from the last start's
 * and from the clock, whichever is further, with chance in its lower bits.
 *
 * Threads  main, at start.
 */
#pragma once

#include <stdint.h>

#include "common/base/err.h"

/* Above the last start's and below 2^63, kept in state_dir/epoch; on disk before it is returned. */
MUST_USE enum err epoch_next(const char *state_dir, uint64_t *ret);
