/* journal_read — the main thread's side: what is in the ring, and how far it is committed. */
#include "common/journal/journal_private.h"

bool journal_next(const struct journal *j, uint64_t *at, uint64_t *sequence, struct slice *record)
{
    uint64_t head = atomic_load_explicit(&j->page->head, memory_order_acquire);
    while (*at < head) {
        size_t offset = (size_t)(*at % j->page->ring_size);
        size_t to_end = (size_t)j->page->ring_size - offset;
        struct journal_head h = {0};
        memcpy(&h, j->ring + offset, to_end < sizeof(h) ? to_end : sizeof(h));
        /* The ring was empty and is used from its front again: then this was no head any more. */
        atomic_thread_fence(memory_order_acquire);
        uint64_t tail = atomic_load_explicit(&j->page->tail, memory_order_relaxed);
        if (*at < tail) {
            *at = tail;
            continue;
        }
        if (h.len == 0) {
            *at += to_end;
            continue;
        }
        MUST(journal_footprint(h.len) <= to_end);
        *record = slice_of(j->ring + offset + sizeof(h), h.len);
        *sequence = h.sequence;
        *at += journal_footprint(h.len);
        return true;
    }
    return false;
}

void journal_commit(struct journal *j, uint64_t at, uint64_t sequence)
{
    atomic_store_explicit(&j->page->committed, sequence, memory_order_relaxed);
    atomic_store_explicit(&j->page->tail, at, memory_order_release);
}

bool journal_is_shipped(const struct journal *j)
{
    return atomic_load_explicit(&j->page->head, memory_order_acquire) ==
           atomic_load_explicit(&j->page->tail, memory_order_relaxed);
}

/* Sums leave the table after they have come into the ring: asked in this order, none is missed. */
bool journal_is_empty(const struct journal *j)
{
    return atomic_load_explicit(&j->page->folds, memory_order_acquire) == 0 &&
           journal_is_shipped(j);
}

uint64_t journal_waiting(const struct journal *j)
{
    uint64_t at = atomic_load_explicit(&j->page->tail, memory_order_relaxed), first = 0;
    uint64_t folds = atomic_load_explicit(&j->page->folds, memory_order_acquire);
    struct slice record;
    if (!journal_next(j, &at, &first, &record))
        return folds;
    uint64_t last = atomic_load_explicit(&j->page->sequence, memory_order_relaxed);
    return folds + (last >= first ? last - first + 1 : 0);
}
