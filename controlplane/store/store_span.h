/*
 * store_span — inserts spans: many rows, one statement.
 *
 * Not COPY: the server refuses COPY into a table under row-level security, and a second
 * table without it would write everything twice. One insert from arrays, a column each, takes
 * one round trip as COPY does, and row-level security holds.
 *
 * Owns     its columns until span_sheet_fini.
 * Fails    as db.h. What planes report is cleaned (store/clean.h): no row is refused for its data.
 * Threads  one at a time.
 */
#pragma once

#include "common/trace/span_attributes.h"
#include "controlplane/store/array.h"
#include "controlplane/store/tx.h"
#include "proto/usage.pb-c.h"

struct span_sheet {
    struct array columns[SPAN_ATTRIBUTE_COUNT]; /* of those that have one */
    struct buf scratch;
    size_t rows;
};

/* What a span does not say itself. */
struct span_context {
    struct slice org, dataplane; /* of the plane, as its certificate has it */
    const char *request_id;      /* NULL: it has none */
    const Gatehouse__Span *call; /* of an attempt: what it belongs to; NULL for a call */
};

void span_sheet_init(struct span_sheet *s);
void span_sheet_fini(struct span_sheet *s);
void span_sheet_add(struct span_sheet *s, const Gatehouse__Span *span,
                    const struct span_context *context);
MUST_USE enum err span_sheet_insert(struct tx *tx, struct span_sheet *s);

/* Makes partitions for `days` days from `first` (wall clock) on; *ret: how many were missing. */
MUST_USE enum err store_span_days(struct tx *tx, int64_t first, int days, int64_t *ret);
