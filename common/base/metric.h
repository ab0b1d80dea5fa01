/*
 * metric — counters, gauges and histograms from one table, rendered as Prometheus text.
 *
 * Every metric is a row of the program's table; each worker has its own set of cells and
 * writes them without locks; reading adds the sets up. Labels are few and bounded: at most
 * one label per metric, whose values are a fixed list in the row; or, of a histogram by pairs, two
 * labels whose values are found while the program runs (metric_pairs).
 *
 * Threads  cells: relaxed atomics, any thread; rendering: any thread.
 */
#pragma once

#include <stdatomic.h>

#include "common/base/buf.h"

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM, METRIC_PAIRS };

#define METRIC_BUCKETS 27 /* upper bounds 1 us, 2, 5, 10 … 500 s, then +Inf */
#define METRIC_SETS_MAX 1025

struct metric_row {
    const char *name; /* gatehouse_requests_total */
    const char *help;
    enum metric_kind kind;
    const char *label; /* NULL: none */
    const char *const
        *values; /* NULL-terminated; NULL: none. Of pairs, the names of their labels */
};

struct metric_set;

MUST_USE struct metric_set *metric_set_new(const struct metric_row *rows, size_t count);
void metric_set_free(struct metric_set *s);
void metric_add(struct metric_set *s, size_t row, size_t value_index, int64_t delta);
void metric_put(struct metric_set *s, size_t row, size_t value_index, int64_t value);
void metric_observe_us(struct metric_set *s, size_t row, uint64_t us);
/* Of METRIC_PAIRS; by the one thread that writes this set's. */
void metric_observe_pair_us(struct metric_set *s, size_t row, struct slice first,
                            struct slice second, uint64_t us);
/* Histograms have no other label. They are shown in seconds, as Prometheus counts: name them so. */
/* Adds the n sets of one table up and appends the exposition text (format 0.0.4). */
MUST_USE enum err metric_render(struct metric_set *const *sets, size_t n, struct buf *out);
