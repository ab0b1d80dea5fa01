/*
 * clean — makes any value that a plane reported fit its column.
 *
 * A batch that PostgreSQL refuses would be sent again for ever and hold up everything behind
 * it. So nothing in it may be refused: bytes that are not UTF-8 become U+FFFD, texts are cut,
 * numbers and times are held to the column's range.
 *
 * Owns     nothing.
 * Threads  any.
 */
#pragma once

#include "common/base/buf.h"

int64_t clean_time(int64_t wall_us);    /* the years 1970 to 2999 */
int64_t clean_count(uint64_t value);    /* of tokens, microseconds: at most 2^40, so sums fit */
int64_t clean_cost(int64_t nano);       /* 0 to a million dollars a call, for the same reason */
bool clean_is_plain(struct slice text); /* visible ASCII only: what our own ids are made of */
/* Appends text to out as valid UTF-8 without NUL, at most max bytes of it. */
MUST_USE enum err clean_utf8(struct buf *out, struct slice text, size_t max);
