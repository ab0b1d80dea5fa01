/*
 * period — the window a budget counts in, and when it starts again. Calendar windows in UTC.
 *
 * Threads  any.
 */
#pragma once

#include "common/base/slice.h"

#define PERIOD_TABLE(X)                                                                            \
    X(TOTAL, "total")                                                                              \
    X(HOUR, "hour")                                                                                \
    X(DAY, "day")                                                                                  \
    X(WEEK, "week")                                                                                \
    X(MONTH, "month")                                                                              \
    X(YEAR, "year")

enum period {
#define PERIOD_ENUM(name, text) PERIOD_##name,
    PERIOD_TABLE(PERIOD_ENUM)
#undef PERIOD_ENUM
};

MUST_USE enum err period_parse(struct slice text, enum period *ret);
int64_t period_start(enum period p, int64_t wall_us); /* 0 for TOTAL */
int64_t period_end(enum period p, int64_t wall_us);   /* INT64_MAX for TOTAL */
