/* journal — the writer's side; journal_private.h describes the file. */
#include "common/journal/journal.h"

#include "common/base/crc32c.h"
#include "common/journal/journal_private.h"
#include "common/wire/proto_read.h"

#define RECORD_CHARGES 5 /* JournalRecord.charges of proto/usage.proto */

/* Entries that become records in one turn: packing them all at once would hold up a loop. */
#define TEND_MAX 128

size_t journal_footprint(size_t record_len)
{
    return JOURNAL_FOOTPRINT(record_len);
}

/* ---- the ring ---- */

static void write_pad(struct journal *j, uint64_t head, size_t pad)
{
    struct journal_head h = {0};
    memcpy(j->ring + head % j->page->ring_size, &h, pad < sizeof(h) ? pad : sizeof(h));
}

/* The record stands at `at` and does not count until publish moves the head. */
static void write_record(struct journal *j, uint64_t at, struct slice record)
{
    char *to = j->ring + at % j->page->ring_size;
    struct journal_head h = {
        .len = (uint32_t)record.len,
        .sequence = atomic_load_explicit(&j->page->sequence, memory_order_relaxed) + 1};
    memcpy(to + sizeof(h), record.ptr, record.len);
    h.crc = crc32c(slice_of(to + sizeof(h), record.len));
    memcpy(to, &h, sizeof(h));
}

/* Of an empty ring the front is used again: its pages are in the caches, and the disk need not
 * write all the others for nothing. The reader finds a pad, or the tail behind it; the tail is its
 * own, but it does not move the one of an empty ring. */
static uint64_t rewind_empty(struct journal *j, uint64_t head)
{
    uint64_t size = j->page->ring_size, offset = head % size, front = head - offset + size;
    if (offset < JOURNAL_WARM)
        return head;
    write_pad(j, head, size - offset);
    atomic_store_explicit(&j->page->head, front, memory_order_release);
    atomic_store_explicit(&j->page->tail, front, memory_order_release);
    return front;
}

/* Writes the record where the ring would then not be fuller than `full`. */
static enum err prepare(struct journal *j, struct slice record, uint64_t full, uint64_t *at)
{
    if (record.len > JOURNAL_RECORD_MAX)
        return ERR_TOO_BIG;
    uint64_t head = atomic_load_explicit(&j->page->head, memory_order_relaxed);
    uint64_t tail = atomic_load_explicit(&j->page->tail, memory_order_acquire);
    if (head == tail)
        head = tail = rewind_empty(j, head);
    size_t need = journal_footprint(record.len);
    size_t to_end = (size_t)(j->page->ring_size - head % j->page->ring_size);
    size_t pad = to_end < need ? to_end : 0;
    if (head - tail + pad + need > full)
        return ERR_EXHAUSTED;
    if (pad > 0)
        write_pad(j, head, pad);
    write_record(j, head + pad, record);
    *at = head + pad;
    return ERR_OK;
}

static void publish(struct journal *j, uint64_t at, size_t len)
{
    atomic_store_explicit(&j->page->head, at + journal_footprint(len), memory_order_release);
    atomic_fetch_add_explicit(&j->page->sequence, 1, memory_order_relaxed);
}

static uint64_t three_quarters(const struct journal *j)
{
    return j->page->ring_size / 4 * 3;
}

/* The last quarter is for the calls that it was promised to. */
static uint64_t full_for(const struct journal *j, const struct journal_entry *entry)
{
    return entry->room ? j->page->ring_size - (j->taken - entry->room) : three_quarters(j);
}

/* ---- keeping ---- */

static void slot_free(struct journal_slot *slot)
{
    if (slot)
        atomic_store_explicit(&slot->state, SLOT_FREE, memory_order_release);
}

static enum err append(struct journal *j, struct slice record, uint64_t full,
                       struct journal_slot *slot)
{
    uint64_t at;
    enum err e = prepare(j, record, full, &at);
    if (e != ERR_OK)
        return e;
    if (slot) {
        slot->closing_at = at;
        atomic_store_explicit(&slot->state, SLOT_CLOSING, memory_order_release);
    }
    publish(j, at, record.len);
    slot_free(slot);
    return ERR_OK;
}

static void drop(struct journal *j, struct journal_slot *slot)
{
    atomic_fetch_add_explicit(&j->page->dropped, 1, memory_order_relaxed);
    slot_free(slot);
}

static void tell_folds(struct journal *j)
{
    atomic_store_explicit(&j->page->folds, fold_in_use(j->fold), memory_order_release);
}

static enum err fold_in(struct journal *j, const struct fold_call *c, uint32_t may_take,
                        struct journal_slot *slot)
{
    struct fold_place place;
    enum err e = fold_stage(j->fold, c, may_take, &place);
    if (e != ERR_OK)
        return e;
    if (slot) {
        slot->closing_at = place.version;
        slot->folding_in = place.index;
        atomic_store_explicit(&slot->state, SLOT_FOLDING, memory_order_release);
    }
    fold_commit(j->fold, &place);
    slot_free(slot);
    atomic_fetch_add_explicit(&j->page->folded, c->sums.calls, memory_order_relaxed);
    tell_folds(j);
    return ERR_OK;
}

/* apart, as its large frame is no business of the usual way */
static __attribute__((noinline)) enum err fold_or_drop(struct journal *j, struct slice record,
                                                       struct journal_slot *slot, uint32_t may_take)
{
    struct fold_call c;
    enum err e = fold_call_read(record, j->scratch, &c);
    if (e != ERR_OK)
        return e;
    if (!fold_call_is_free(&c))
        return fold_in(j, &c, may_take, slot);
    drop(j, slot);
    return ERR_OK;
}

enum err journal_keep(struct journal *j, struct slice record, struct journal_slot *slot,
                      uint64_t full, uint32_t may_take)
{
    enum err e = append(j, record, full, slot);
    return e == ERR_EXHAUSTED ? fold_or_drop(j, record, slot, may_take) : e;
}

/* ---- calls ---- */

/* Free entries that no opened call has a right to. */
static uint32_t unseated(const struct journal *j)
{
    uint32_t spare = fold_spare(j->fold);
    return spare > j->seats ? spare - j->seats : 0;
}

static bool ring_can_promise(const struct journal *j)
{
    uint64_t head = atomic_load_explicit(&j->page->head, memory_order_relaxed);
    uint64_t tail = atomic_load_explicit(&j->page->tail, memory_order_acquire);
    uint64_t used = head - tail;
    uint64_t records = used > three_quarters(j) ? used : three_quarters(j);
    return records + j->taken + JOURNAL_PROMISE <= j->page->ring_size;
}

/* Of a packed record: what its sums may need is known when it is opened. */
static uint32_t seats_for(struct slice record)
{
    struct slice rest = record;
    struct proto_field f;
    size_t charges = 0;
    while (proto_take(&rest, &f) == ERR_OK)
        charges += f.number == RECORD_CHARGES;
    return fold_entries_for(record.len, charges);
}

static void fill_slot(struct journal *j, struct journal_slot *slot, struct slice record,
                      uint32_t more)
{
    size_t own = record.len < JOURNAL_SLOT_RECORD ? record.len : JOURNAL_SLOT_RECORD;
    slot->len = (uint32_t)record.len;
    slot->more = more;
    memcpy(slot->record, record.ptr, own);
    if (more)
        memcpy(j->slots[more - 1].record, record.ptr + own, record.len - own);
    atomic_store_explicit(&slot->worst, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->state, SLOT_OPEN, memory_order_release);
}

enum err journal_open_packed(struct journal *j, struct slice record,
                             const uint8_t call_id[static JOURNAL_CALL_ID],
                             struct journal_entry *ret)
{
    size_t room = 0;
    uint32_t slots = record.len > JOURNAL_SLOT_RECORD ? 2 : 1, seats = seats_for(record);
    if (record.len > JOURNAL_OPENED_MAX)
        return ERR_TOO_BIG;
    if (j->free_count < slots)
        return ERR_EXHAUSTED;
    if (unseated(j) < seats) {
        if (!ring_can_promise(j))
            return ERR_EXHAUSTED;
        room = JOURNAL_PROMISE;
        seats = 0;
    }
    uint32_t index = j->free_slots[--j->free_count];
    fill_slot(j, &j->slots[index], record, slots > 1 ? j->free_slots[--j->free_count] + 1 : 0);
    j->taken += room;
    j->seats += seats;
    *ret = (struct journal_entry){
        .opened_at = index, .room = room, .seats = (uint8_t)seats, .taken = true};
    memcpy(ret->call_id, call_id, JOURNAL_CALL_ID);
    return ERR_OK;
}

void journal_raise(struct journal *j, const struct journal_entry *entry, money worst)
{
    if (entry->taken)
        atomic_store_explicit(&j->slots[entry->opened_at].worst, worst, memory_order_release);
}

static void give_slots_back(struct journal *j, uint32_t index)
{
    if (j->slots[index].more)
        j->free_slots[j->free_count++] = j->slots[index].more - 1;
    j->free_slots[j->free_count++] = index;
}

enum err journal_close_packed(struct journal *j, struct slice record, struct journal_entry *entry)
{
    struct journal_slot *slot = entry->taken ? &j->slots[entry->opened_at] : NULL;
    enum err e = journal_keep(j, record, slot, full_for(j, entry), unseated(j) + entry->seats);
    if (e != ERR_OK)
        return e;
    if (slot) {
        j->taken -= entry->room;
        j->seats -= entry->seats;
        give_slots_back(j, (uint32_t)entry->opened_at);
    }
    *entry = (struct journal_entry){0};
    return ERR_OK;
}

/* ---- sums become records ---- */

static enum err unfold(struct journal *j, uint32_t i)
{
    struct fold_call c;
    char packed[FOLD_RECORD_MAX];
    uint64_t at;
    fold_get(j->fold, i, &c);
    struct slice record = fold_call_pack(&c, packed);
    enum err e = prepare(j, record, j->page->ring_size / 2, &at);
    if (e != ERR_OK)
        return e;
    fold_note_out(j->fold, i, at);
    publish(j, at, record.len);
    fold_clear(j->fold, i);
    return ERR_OK;
}

void journal_tend(struct journal *j)
{
    uint32_t i = 0;
    if (fold_in_use(j->fold) == 0)
        return;
    for (unsigned n = 0; n < TEND_MAX && fold_next(j->fold, &i); n++)
        if (unfold(j, i) != ERR_OK)
            break;
    tell_folds(j);
}
