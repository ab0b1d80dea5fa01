/*
 * epoch — the number of this start: what tells two lives of one plane apart.
 *
 * Threads  main, at start.
 */
#pragma once

#include <stdint.h>

#include "common/base/err.h"

/* One more than the last start's, kept in state_dir/epoch; on disk before it is returned. */
MUST_USE enum err epoch_next(const char *state_dir, uint64_t *ret);
