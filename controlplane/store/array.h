/*
 * array — many values as one parameter: PostgreSQL's array literal, built element by element.
 *
 *   insert … select * from unnest($1::text[], $2::bigint[])
 *
 * Text is quoted and escaped, so any bytes may be an element; the literal itself still travels
 * as a parameter.
 *
 * Owns     its buffer; array_fini frees it.
 * Fails    once an element could not be added, array_param is a NULL parameter and array_failed
 *          is true: the caller checks once, at the end.
 * Threads  one at a time.
 */
#pragma once

#include "controlplane/store/db.h"

struct array {
    struct buf text;
    size_t count;
    bool failed, closed;
};

void array_init(struct array *a);
void array_fini(struct array *a);
void array_text(struct array *a, struct slice value); /* .ptr NULL: a NULL element */
void array_int(struct array *a, int64_t value);
void array_time(struct array *a, int64_t wall_us); /* timestamptz; clamped to the years 1 to 9999 */
void array_null(struct array *a);
/* Closes the literal: it may be taken again, but nothing may be added after. */
struct db_param array_param(struct array *a);
bool array_failed(const struct array *a);

#define ARRAY_AUTO __attribute__((cleanup(array_fini)))
