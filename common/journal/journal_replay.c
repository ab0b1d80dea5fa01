/*
 * journal_replay — a killed process's file: what is written twice stands once, and what was only
 * opened is closed as lost.
 *
 * It may be killed itself, at any moment, and begins again. So what was half done is settled
 * before the head moves or a version grows: both are what tells half done from done.
 */
#include "common/base/crc32c.h"
#include "common/base/log.h"
#include "common/base/money.h"
#include "common/journal/journal_private.h"
#include "proto/usage.pb-c.h"

/* The ring as it stands must be readable up to head; a torn file is refused as a whole. */
static enum err check_ring(const struct journal *j)
{
    uint64_t at = atomic_load(&j->page->tail), head = atomic_load(&j->page->head);
    uint64_t before = 0;
    while (at < head) {
        size_t offset = (size_t)(at % j->page->ring_size);
        size_t to_end = (size_t)j->page->ring_size - offset;
        struct journal_head h = {0};
        memcpy(&h, j->ring + offset, to_end < sizeof(h) ? to_end : sizeof(h));
        if (h.len == 0) {
            at += to_end;
            continue;
        }
        if (h.len > JOURNAL_RECORD_MAX || journal_footprint(h.len) > to_end ||
            (before != 0 && h.sequence != before + 1) ||
            crc32c(slice_of(j->ring + offset + sizeof(h), h.len)) != h.crc)
            return ERR_INVALID;
        before = h.sequence;
        at += journal_footprint(h.len);
    }
    if (before == 0 && at == head) /* killed on its way back to the ring's front: a pad alone */
        atomic_store(&j->page->tail, head);
    /* it may have been killed between publishing a record and counting it */
    atomic_store(&j->page->sequence, before != 0 ? before : atomic_load(&j->page->committed));
    return at == head ? ERR_OK : ERR_INVALID;
}

/* ---- what was half done ---- */

static bool is_kept(const struct journal *j, const struct journal_slot *slot)
{
    const struct fold_place place = {.index = slot->folding_in, .version = slot->closing_at};
    switch (atomic_load(&slot->state)) {
    case SLOT_CLOSING:
        return slot->closing_at < atomic_load(&j->page->head);
    case SLOT_FOLDING:
        return fold_is_committed(j->fold, &place);
    default:
        return false;
    }
}

static void settle_slots(struct journal *j)
{
    for (uint32_t i = 0; i < j->page->slot_count; i++) {
        struct journal_slot *slot = &j->slots[i];
        if (atomic_load(&slot->state) != SLOT_FREE)
            atomic_store(&slot->state, is_kept(j, slot) ? SLOT_FREE : SLOT_OPEN);
    }
}

/* ---- what was only opened ---- */

/* Every account is charged the same call: at what was said at its opening, or what it was raised
 * to since. */
static void charge_worst(Gatehouse__JournalRecord *m, money raised)
{
    Gatehouse__Span *span = m->span;
    money most = span->has_cost_nano && span->cost_nano > raised ? span->cost_nano : raised;
    for (size_t i = 0; i < m->n_charges; i++)
        most = m->charges[i]->amount_nano > most ? m->charges[i]->amount_nano : most;
    for (size_t i = 0; i < m->n_charges; i++)
        m->charges[i]->amount_nano = most;
    if (m->n_charges == 0 && !span->has_cost_nano)
        return; /* its price was not known */
    span->has_cost_known = span->has_cost_nano = true;
    span->cost_known = true;
    span->cost_nano = most;
}

/* The opened record as a closed one; texts are lent, and given back before it is freed. */
static enum err keep_as_lost(struct journal *j, struct journal_slot *slot,
                             Gatehouse__JournalRecord *m)
{
    static char lost[] = "lost", error[] = "error", killed[] = "plane_killed";
    uint8_t packed[JOURNAL_CLOSE_ROOM];
    Gatehouse__Span *span = m->span;
    char *source = span->usage_source, *status = span->status, *code = span->code;
    m->has_opened = true;
    m->opened = false;
    span->usage_source = lost;
    span->status = error;
    span->code = killed;
    charge_worst(m, atomic_load(&slot->worst));
    enum err e = ERR_INVALID;
    if (gatehouse__journal_record__get_packed_size(m) <= sizeof(packed)) {
        size_t len = gatehouse__journal_record__pack(m, packed);
        e = journal_keep(j, slice_of(packed, len), slot, j->page->ring_size, fold_spare(j->fold));
    }
    span->usage_source = source;
    span->status = status;
    span->code = code;
    return e;
}

/* The record of a slot, put together in `out` where a second slot has its rest. */
static enum err slot_record(const struct journal *j, const struct journal_slot *slot,
                            char out[static JOURNAL_OPENED_MAX], struct slice *ret)
{
    if (slot->len <= JOURNAL_SLOT_RECORD) {
        *ret = slice_of(slot->record, slot->len);
        return ERR_OK;
    }
    if (slot->len > JOURNAL_OPENED_MAX || slot->more == 0 || slot->more > j->page->slot_count)
        return ERR_INVALID;
    memcpy(out, slot->record, JOURNAL_SLOT_RECORD);
    memcpy(out + JOURNAL_SLOT_RECORD, j->slots[slot->more - 1].record,
           slot->len - JOURNAL_SLOT_RECORD);
    *ret = slice_of(out, slot->len);
    return ERR_OK;
}

/* Its response was never accounted: it counts at its worst case and stays visible. */
static enum err close_as_lost(struct journal *j, struct journal_slot *slot)
{
    char whole[JOURNAL_OPENED_MAX];
    struct slice record;
    enum err e = slot_record(j, slot, whole, &record);
    if (e != ERR_OK)
        return e;
    Gatehouse__JournalRecord *m =
        gatehouse__journal_record__unpack(NULL, record.len, (const uint8_t *)record.ptr);
    e = m && m->span ? keep_as_lost(j, slot, m) : ERR_INVALID;
    gatehouse__journal_record__free_unpacked(m, NULL);
    return e;
}

static enum err close_open_slots(struct journal *j)
{
    for (uint32_t i = 0; i < j->page->slot_count; i++) {
        struct journal_slot *slot = &j->slots[i];
        if (atomic_load(&slot->state) == SLOT_FREE)
            continue;
        atomic_fetch_add(&j->page->lost, 1);
        enum err e = close_as_lost(j, slot);
        if (e == ERR_EXHAUSTED)
            return e;
        if (e != ERR_OK) { /* unreadable: nothing can be said of it but that it was there */
            log_error(NULL, "journal_slot_unreadable", "path=%s slot=%u", j->path, i);
            atomic_store(&slot->state, SLOT_FREE);
        }
    }
    return ERR_OK;
}

enum err journal_replay(const char *path, struct journal **ret)
{
    struct journal *j;
    enum err e = journal_map(path, &j);
    if (e != ERR_OK)
        return e;
    e = check_ring(j);
    if (e == ERR_OK) {
        settle_slots(j);
        fold_settle(j->fold, atomic_load(&j->page->head));
        e = close_open_slots(j);
    }
    if (e != ERR_OK) {
        journal_unmap(j);
        return e;
    }
    atomic_store(&j->page->folds, fold_in_use(j->fold));
    *ret = j;
    return ERR_OK;
}
