/*
 * buf — bytes that are appended at the end and consumed at the front, up to a ceiling.
 *
 * Owns     its memory; the caller owns the struct. A slice of its content is void after the next
 *          call that may grow it, so it cannot be appended to itself.
 * Fails    ERR_TOO_BIG at the ceiling, ERR_NOMEM; the content is as it was.
 * Threads  one at a time.
 */
#pragma once

#include "common/base/slice.h"

struct buf {
    char *data;
    size_t off; /* first byte not yet consumed */
    size_t len; /* bytes from off */
    size_t cap;
    size_t max;
};

void buf_init(struct buf *b, size_t max); /* allocates nothing */
void buf_fini(struct buf *b); /* frees; the struct may be used again with the same max */

static inline struct slice buf_slice(const struct buf *b)
{
    return slice_of(b->data ? b->data + b->off : "", b->len);
}

MUST_USE enum err buf_append(struct buf *b, struct slice s);
MUST_USE enum err buf_printf(struct buf *b, const char *fmt, ...) PRINTF(2, 3);
/* Reserves space for at least n bytes behind the content; write there, then buf_commit. */
MUST_USE enum err buf_room(struct buf *b, size_t n, char **ret);
void buf_commit(struct buf *b, size_t n);
void buf_eat(struct buf *b, size_t n);
void buf_clear(struct buf *b); /* keeps the memory */
/* Appends s as a JSON string with its quotes (RFC 8259 section 7). */
MUST_USE enum err buf_json_string(struct buf *b, struct slice s);
/* Appends s to the JSON string that the content ends with. */
MUST_USE enum err buf_json_string_more(struct buf *b, struct slice s);
