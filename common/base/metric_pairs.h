/*
 * metric_pairs — histograms by two labels whose values are found while the program runs: a provider
 * and a model. Private to metric.
 *
 * The first METRIC_PAIRS_MAX - 1 pairs that are seen have series of their own; what comes after
 * counts as the pair "other", "other", so that no policy makes them grow. A pair that was seen
 * once allocates nothing.
 *
 * Owns     its series.
 * Fails    without memory an observation is dropped.
 * Threads  one writes; any reads, by metric_pairs_render.
 */
#pragma once

#include <stdatomic.h>

#include "common/base/buf.h"

#define METRIC_PAIRS_MAX 64
#define METRIC_PAIRS_NAME 129 /* a label's value; longer ones are cut */

struct metric_pairs;

/* rows: how many histograms each pair has */
MUST_USE struct metric_pairs *metric_pairs_new(size_t rows);
void metric_pairs_free(struct metric_pairs *p);
void metric_pairs_observe_us(struct metric_pairs *p, size_t row, struct slice first,
                             struct slice second, uint64_t us);
/* The lines of one row, the n sets added up; labels: the names of the two. */
MUST_USE enum err metric_pairs_render(struct metric_pairs *const *sets, size_t n, size_t row,
                                      const char *name, const char *const labels[2],
                                      struct buf *out);
