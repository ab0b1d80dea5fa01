/*
 * buf_shelf — memory that buffers no longer need, for those that need some next: last in, first
 * out, since the newest piece is most likely still in the processor's caches.
 *
 * With many requests under way, a buffer that each keeps for itself comes back to it cold.
 *
 * Owns     what lies on it: at most BUF_SHELF_PLACES pieces of BUF_SHELF_PIECE bytes.
 * Fails    never: what finds no place is freed, and an empty shelf gives nothing.
 * Threads  one at a time.
 */
#pragma once

#include "common/base/buf.h"

#define BUF_SHELF_PLACES 16
#define BUF_SHELF_PIECE (64 * 1024) /* larger ones are freed */

struct buf_shelf { /* all zero: empty */
    size_t count;
    struct {
        char *data;
        size_t cap;
    } places[BUF_SHELF_PLACES];
};

/* Memory for b, where it has none; b is empty afterwards. Its ceiling stays. */
void buf_shelf_take(struct buf_shelf *s, struct buf *b);
/* b is empty afterwards and has no memory. */
void buf_shelf_give(struct buf_shelf *s, struct buf *b);
void buf_shelf_fini(struct buf_shelf *s);
