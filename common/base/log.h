/*
 * log — the log lines of a program.
 *
 *   log_warn(&rq->log, "upstream_slow", "ms=%u provider=%.*s", ms, SLICE_ARG(name));
 *
 * An event name that never changes, then `key=value` fields. On a terminal one
 * readable line; elsewhere one JSON object a line on stderr, each field a member.
 * Values are escaped. Never a prompt, an argument, a key or a sealed value.
 *
 * Threads  any; one write per line.
 */
#pragma once

#include <stdatomic.h>

#include "common/base/slice.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* The component that logs, and its context; NULL: the process. Fields may be empty. */
struct log_ctx {
    const char *component;
    struct slice request_id;
    struct slice session_id;
};

void log_setup(const char *process_name, enum log_level least);
/* "debug", "info", "warn", "error" */
MUST_USE enum err log_level_parse(struct slice text, enum log_level *ret);
void log_line(enum log_level level, const struct log_ctx *ctx, const char *event, const char *fmt,
              ...) PRINTF(4, 5);

extern _Atomic int log_least; /* of enum log_level; log_setup's */

/* A request has a dozen of these, and they are nearly always off: their words are not even made. */
#define log_debug(ctx, event, ...)                                                                 \
    (atomic_load_explicit(&log_least, memory_order_relaxed) > (int)LOG_DEBUG                       \
         ? (void)0                                                                                 \
         : log_line(LOG_DEBUG, ctx, event, __VA_ARGS__))
#define log_info(ctx, event, ...) log_line(LOG_INFO, ctx, event, __VA_ARGS__)
#define log_warn(ctx, event, ...) log_line(LOG_WARN, ctx, event, __VA_ARGS__)
#define log_error(ctx, event, ...) log_line(LOG_ERROR, ctx, event, __VA_ARGS__)
