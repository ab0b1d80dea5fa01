/* buf_shelf — a stack of pieces of memory. */
#include "common/base/buf_shelf.h"

#include "common/base/mem.h"

void buf_shelf_take(struct buf_shelf *s, struct buf *b)
{
    buf_clear(b);
    if (b->data || s->count == 0 || s->places[s->count - 1].cap > b->max)
        return;
    s->count--;
    b->data = s->places[s->count].data;
    b->cap = s->places[s->count].cap;
}

void buf_shelf_give(struct buf_shelf *s, struct buf *b)
{
    if (b->data && b->cap <= BUF_SHELF_PIECE && s->count < BUF_SHELF_PLACES) {
        s->places[s->count].data = b->data;
        s->places[s->count].cap = b->cap;
        s->count++;
        buf_init(b, b->max);
        return;
    }
    buf_fini(b);
}

void buf_shelf_fini(struct buf_shelf *s)
{
    while (s->count > 0)
        mem_free(s->places[--s->count].data);
}
