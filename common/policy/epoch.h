/*
 * epoch — the number of this start: it distinguishes two starts of one plane.
 *
 * The control plane records by epoch what it has taken and leased, so no epoch may be used twice,
 * also not by a plane that was enrolled again with an empty state directory. The epoch is above
 * that of the last start and not below the clock, with random lower bits.
 *
 * Threads  main, at start.
 */
#pragma once

#include <stdint.h>

#include "common/base/err.h"

/* Above the last start's and below 2^63, kept in state_dir/epoch; on disk before it is returned. */
MUST_USE enum err epoch_next(const char *state_dir, uint64_t *ret);
