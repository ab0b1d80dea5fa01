/*
 * clock — two clocks that are never mixed: a monotonic one for durations, and the wall clock for
 * records.
 *
 * Tests pass times in; code that must be tested against the clock takes `now` as
 * a parameter instead of calling these.
 *
 * Threads  any.
 */
#pragma once

#include "common/base/slice.h"

#define CLOCK_TEXT_MAX 32

uint64_t clock_mono_us(void); /* microseconds since boot; for durations and deadlines */
int64_t clock_wall_us(void);  /* microseconds since 1970 UTC; for records */
/* RFC 3339 in UTC with microseconds: "2026-11-22T17:29:15.000000Z" */
struct slice clock_format(int64_t wall_us, char out[static CLOCK_TEXT_MAX]);
MUST_USE enum err clock_parse(struct slice text, int64_t *ret_wall_us); /* any RFC 3339 offset */
