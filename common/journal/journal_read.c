/* journal_read — the main thread's side: what is in the ring, and how far it is committed. */
#include "common/journal/journal_private.h"

bool journal_next(const struct journal *rq, uint64_t *at, uint64_t *sequence, struct slice *record)
{
    uint64_t head = atomic_load_explicit(&rq->page->head, memory_order_acquire);
    while (*at < head) {
        size_t offset = (size_t)(*at % rq->page->ring_size);
        size_t to_end = (size_t)rq->page->ring_size - offset;
        struct journal_head h = {0};
        memcpy(&h, rq->ring + offset, to_end < sizeof(h) ? to_end : sizeof(h));
        /* The ring was empty and is used from its front again: then this was no head any more. */
        atomic_thread_fence(memory_order_acquire);
        uint64_t tail = atomic_load_explicit(&rq->page->tail, memory_order_relaxed);
        if (*at < tail) {
            *at = tail;
            continue;
        }
        if (h.len == 0) {
            *at += to_end;
            continue;
        }
        MUST(journal_footprint(h.len) <= to_end);
        *record = slice_of(rq->ring + offset + sizeof(h), h.len);
        *sequence = h.sequence;
        *at += journal_footprint(h.len);
        return true;
    }
    return false;
}

void journal_commit(struct journal *rq, uint64_t at, uint64_t sequence)
{
    atomic_store_explicit(&rq->page->committed, sequence, memory_order_relaxed);
    atomic_store_explicit(&rq->page->tail, at, memory_order_release);
}

bool journal_is_shipped(const struct journal *rq)
{
    return atomic_load_explicit(&rq->page->head, memory_order_acquire) ==
           atomic_load_explicit(&rq->page->tail, memory_order_relaxed);
}

/* Sums leave the table after they have come into the ring: asked in this order, none is missed. */
bool journal_is_empty(const struct journal *rq)
{
    return atomic_load_explicit(&rq->page->folds, memory_order_acquire) == 0 &&
           journal_is_shipped(rq);
}

uint64_t journal_waiting(const struct journal *rq)
{
    uint64_t at = atomic_load_explicit(&rq->page->tail, memory_order_relaxed), first = 0;
    uint64_t folds = atomic_load_explicit(&rq->page->folds, memory_order_acquire);
    struct slice record;
    if (!journal_next(rq, &at, &first, &record))
        return folds;
    uint64_t last = atomic_load_explicit(&rq->page->sequence, memory_order_relaxed);
    return folds + (last >= first ? last - first + 1 : 0);
}
