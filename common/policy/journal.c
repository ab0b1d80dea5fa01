/* journal — the writer's side; see the card for what is promised and journal_private.h for the
 * file. */
#include "common/policy/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/crc32c.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/money.h"
#include "common/policy/journal_private.h"
#include "proto/usage.pb-c.h"

#define NO_SLOT UINT64_MAX

static size_t aligned(size_t n)
{
    return (n + 7) & ~(size_t)7;
}

static size_t footprint(size_t record_len)
{
    return aligned(sizeof(struct journal_head) + record_len);
}

/* ---- the file ---- */

static size_t slots_for(size_t ring)
{
    size_t n = ring / JOURNAL_PAGE;
    if (n < JOURNAL_SLOTS_MIN)
        return JOURNAL_SLOTS_MIN;
    return n > JOURNAL_SLOTS_MAX ? JOURNAL_SLOTS_MAX : n;
}

static void lay_out(struct journal *j, void *map, size_t slot_count)
{
    j->page = map;
    j->slots = (void *)((char *)map + JOURNAL_PAGE);
    j->ring = (char *)j->slots + aligned(slot_count * sizeof(struct journal_slot));
}

static enum err map_file(struct journal *j, int fd, size_t len, size_t slot_count)
{
    void *map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return ERR_IO;
    j->map_len = len;
    lay_out(j, map, slot_count);
    return ERR_OK;
}

static enum err fill_free_slots(struct journal *j)
{
    j->free_slots = mem_array(j->page->slot_count, sizeof(*j->free_slots));
    if (!j->free_slots)
        return ERR_NOMEM;
    for (uint32_t i = j->page->slot_count; i-- > 0;) /* the first slots are used first */
        j->free_slots[j->free_count++] = i;
    return ERR_OK;
}

enum err journal_create(const struct journal_config *c, struct journal **ret)
{
    struct journal *j = mem_zalloc(sizeof(*j));
    if (!j)
        return ERR_NOMEM;
    size_t ring = (c->bytes + JOURNAL_PAGE - 1) / JOURNAL_PAGE * JOURNAL_PAGE;
    size_t slots = slots_for(ring);
    size_t len = JOURNAL_PAGE + aligned(slots * sizeof(struct journal_slot)) + ring;
    snprintf(j->path, sizeof(j->path), "%s/journal-%016lx-%u", c->dir, (unsigned long)c->epoch,
             c->worker);
    enum err e = ERR_IO;
    int fd = open(j->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        goto undo;
    int refused =
        posix_fallocate(fd, 0, (off_t)len); /* a full disk is found now, not in mid-call */
    if (refused != 0) {
        errno = refused;
        goto undo;
    }
    e = map_file(j, fd, len, slots);
    if (e != ERR_OK)
        goto undo;
    j->page->epoch = c->epoch;
    j->page->worker = c->worker;
    j->page->slot_count = (uint32_t)slots;
    j->page->ring_size = ring;
    e = fill_free_slots(j);
    if (e != ERR_OK)
        goto undo;
    j->page->magic = JOURNAL_MAGIC; /* last: a file without it is nobody's */
    close(fd);
    *ret = j;
    return ERR_OK;
undo:
    log_error(NULL, "journal_create_failed", "path=%s errno=%s", j->path, strerror(errno));
    if (fd >= 0) {
        close(fd);
        unlink(j->path);
    }
    journal_unmap(j);
    return e;
}

void journal_unmap(struct journal *j)
{
    if (!j)
        return;
    if (j->page)
        munmap(j->page, j->map_len);
    mem_free(j->free_slots);
    mem_free(j);
}

void journal_remove(struct journal *j)
{
    unlink(j->path);
    journal_unmap(j);
}

/* ---- the ring ---- */

static size_t room_left(const struct journal *j)
{
    uint64_t head = atomic_load_explicit(&j->page->head, memory_order_relaxed);
    uint64_t tail = atomic_load_explicit(&j->page->tail, memory_order_acquire);
    return j->page->ring_size - (size_t)(head - tail) - j->taken;
}

/* Where a record of `need` bytes would stand, padding included. */
static uint64_t place_for(const struct journal *j, size_t need, size_t *pad)
{
    uint64_t head = atomic_load_explicit(&j->page->head, memory_order_relaxed);
    size_t to_end = j->page->ring_size - (size_t)(head % j->page->ring_size);
    *pad = to_end < need ? to_end : 0;
    return head + *pad;
}

static void write_pad(struct journal *j, size_t pad)
{
    uint64_t head = atomic_load_explicit(&j->page->head, memory_order_relaxed);
    struct journal_head h = {0};
    memcpy(j->ring + head % j->page->ring_size, &h, pad < sizeof(h) ? pad : sizeof(h));
}

/* A record as its writer has it: a message, or packed already. */
struct content {
    const Gatehouse__JournalRecord *message; /* NULL: packed */
    struct slice packed;
};

static size_t length_of(const struct content *c)
{
    return c->message ? gatehouse__journal_record__get_packed_size(c->message) : c->packed.len;
}

static void pack(const struct content *c, char *to)
{
    if (c->message)
        gatehouse__journal_record__pack(c->message, (uint8_t *)to);
    else
        memcpy(to, c->packed.ptr, c->packed.len);
}

/* Writes the record at `at`; it does not count until publish moves head. */
static void write_record(struct journal *j, uint64_t at, const struct content *record, size_t len)
{
    char *to = j->ring + at % j->page->ring_size;
    pack(record, to + sizeof(struct journal_head));
    struct journal_head h = {
        .len = (uint32_t)len,
        .sequence = atomic_load_explicit(&j->page->sequence, memory_order_relaxed) + 1};
    h.crc = crc32c(slice_of(to + sizeof(h), len));
    memcpy(to, &h, sizeof(h));
}

static void publish(struct journal *j, uint64_t at, size_t len)
{
    atomic_store_explicit(&j->page->head, at + footprint(len), memory_order_release);
    atomic_fetch_add_explicit(&j->page->sequence, 1, memory_order_relaxed);
}

/* Only bytes that were promised, or are free, may be used. */
static enum err append(struct journal *j, const struct content *record, size_t promised,
                       struct journal_slot *slot)
{
    size_t len = length_of(record);
    if (len > JOURNAL_RECORD_MAX)
        return ERR_TOO_BIG;
    size_t pad;
    uint64_t at = place_for(j, footprint(len), &pad);
    if (footprint(len) + pad > room_left(j) + promised)
        return ERR_EXHAUSTED;
    if (pad > 0)
        write_pad(j, pad);
    write_record(j, at, record, len);
    if (slot) {
        slot->closing_at = at;
        atomic_store_explicit(&slot->state, SLOT_CLOSING, memory_order_release);
    }
    publish(j, at, len);
    return ERR_OK;
}

/* ---- calls ---- */

/* Twice the closing room: a pad may be needed to keep the record in one piece. */
#define PROMISE (2 * JOURNAL_CLOSE_ROOM)

static enum err open_call(struct journal *j, const struct content *record,
                          struct journal_entry *ret)
{
    size_t len = length_of(record);
    if (len > sizeof(j->slots[0].record))
        return ERR_TOO_BIG;
    if (j->free_count == 0 || room_left(j) < PROMISE)
        return ERR_EXHAUSTED;
    uint32_t index = j->free_slots[--j->free_count];
    struct journal_slot *slot = &j->slots[index];
    slot->len = (uint32_t)len;
    pack(record, slot->record);
    atomic_store_explicit(&slot->state, SLOT_OPEN, memory_order_release);
    j->taken += PROMISE;
    *ret = (struct journal_entry){.opened_at = index, .room = PROMISE, .taken = true};
    return ERR_OK;
}

enum err journal_open_call(struct journal *j, const void *record, struct journal_entry *ret)
{
    const struct content c = {.message = record};
    enum err e = open_call(j, &c, ret);
    if (!e && c.message->call_id.len == JOURNAL_CALL_ID)
        memcpy(ret->call_id, c.message->call_id.data, JOURNAL_CALL_ID);
    return e;
}

enum err journal_open_packed(struct journal *j, struct slice record,
                             const uint8_t call_id[static JOURNAL_CALL_ID],
                             struct journal_entry *ret)
{
    const struct content c = {.packed = record};
    enum err e = open_call(j, &c, ret);
    if (!e)
        memcpy(ret->call_id, call_id, JOURNAL_CALL_ID);
    return e;
}

/* What must not be lost is the money: who, what, how much. */
static enum err append_short(struct journal *j, const Gatehouse__JournalRecord *record,
                             size_t promised, struct journal_slot *slot)
{
    Gatehouse__JournalRecord brief = *record;
    brief.n_attempts = 0;
    Gatehouse__Span span;
    if (record->span) {
        span = *record->span;
        span.n_events = 0;
        span.path = NULL;
        span.external_id = NULL;
        brief.span = &span;
    }
    return append(j, &(struct content){.message = &brief}, promised, slot);
}

static struct journal_slot *slot_of(struct journal *j, const struct journal_entry *entry)
{
    return entry->taken ? &j->slots[entry->opened_at] : NULL;
}

/* The record is in the ring: room and slot are free again. */
static void let_go(struct journal *j, struct journal_entry *entry)
{
    struct journal_slot *slot = slot_of(j, entry);
    if (slot) {
        j->taken -= entry->room;
        atomic_store_explicit(&slot->state, SLOT_FREE, memory_order_release);
        j->free_slots[j->free_count++] = (uint32_t)entry->opened_at;
    }
    *entry = (struct journal_entry){0};
}

void journal_forget(struct journal *j, struct journal_entry *entry)
{
    if (entry->taken)
        j->taken -= entry->room; /* the slot stays open: the next start counts it as lost */
    else
        atomic_fetch_add_explicit(&j->page->dropped, 1, memory_order_relaxed);
    *entry = (struct journal_entry){0};
}

enum err journal_close_packed(struct journal *j, struct slice record, struct journal_entry *entry)
{
    const struct content c = {.packed = record};
    enum err e = append(j, &c, entry->taken ? entry->room : 0, slot_of(j, entry));
    if (!e)
        let_go(j, entry);
    return e;
}

enum err journal_close_call(struct journal *j, const void *record, struct journal_entry *entry)
{
    const struct content c = {.message = record};
    struct journal_slot *slot = slot_of(j, entry);
    size_t promised = entry->taken ? entry->room : 0;
    enum err e = append(j, &c, promised, slot);
    if (e != ERR_OK && slot)
        e = append_short(j, record, promised, slot);
    if (e == ERR_OK)
        let_go(j, entry);
    else
        journal_forget(j, entry);
    return e;
}

/* ---- the reader's side ---- */

bool journal_next(const struct journal *j, uint64_t *at, uint64_t *sequence, struct slice *record)
{
    uint64_t head = atomic_load_explicit(&j->page->head, memory_order_acquire);
    while (*at < head) {
        size_t offset = (size_t)(*at % j->page->ring_size);
        size_t to_end = (size_t)j->page->ring_size - offset;
        struct journal_head h = {0};
        memcpy(&h, j->ring + offset, to_end < sizeof(h) ? to_end : sizeof(h));
        if (h.len == 0) {
            *at += to_end;
            continue;
        }
        MUST(footprint(h.len) <= to_end);
        *record = slice_of(j->ring + offset + sizeof(h), h.len);
        *sequence = h.sequence;
        *at += footprint(h.len);
        return true;
    }
    return false;
}

void journal_commit(struct journal *j, uint64_t at, uint64_t sequence)
{
    atomic_store_explicit(&j->page->committed, sequence, memory_order_relaxed);
    atomic_store_explicit(&j->page->tail, at, memory_order_release);
}

bool journal_is_empty(const struct journal *j)
{
    return atomic_load_explicit(&j->page->head, memory_order_acquire) ==
           atomic_load_explicit(&j->page->tail, memory_order_relaxed);
}

/* ---- replay: a killed process's file ---- */

static enum err check_page(const struct journal_page *p, size_t file_len)
{
    size_t slots = aligned(p->slot_count * sizeof(struct journal_slot));
    bool sane = p->magic == JOURNAL_MAGIC && p->slot_count <= JOURNAL_SLOTS_MAX &&
                p->ring_size > 0 && p->ring_size <= file_len &&
                JOURNAL_PAGE + slots + p->ring_size == file_len && p->head >= p->tail &&
                p->head - p->tail <= p->ring_size;
    return sane ? ERR_OK : ERR_INVALID;
}

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
        if (h.len > JOURNAL_RECORD_MAX || footprint(h.len) > to_end ||
            (before != 0 && h.sequence != before + 1) ||
            crc32c(slice_of(j->ring + offset + sizeof(h), h.len)) != h.crc)
            return ERR_INVALID;
        before = h.sequence;
        at += footprint(h.len);
    }
    /* it may have been killed between publishing a record and counting it */
    atomic_store(&j->page->sequence, before != 0 ? before : atomic_load(&j->page->committed));
    return at == head ? ERR_OK : ERR_INVALID;
}

static money charge_sum(const Gatehouse__JournalRecord *m)
{
    money most = 0; /* every account is charged the same call: the call cost the largest */
    for (size_t i = 0; i < m->n_charges; i++) {
        if (m->charges[i]->amount_nano > most)
            most = m->charges[i]->amount_nano;
    }
    return most;
}

/* Its answer was never accounted: it counts at its worst case and stays visible. */
static enum err close_as_lost(struct journal *j, struct journal_slot *slot)
{
    if (slot->len > sizeof(slot->record))
        return ERR_INVALID;
    Gatehouse__JournalRecord *m =
        gatehouse__journal_record__unpack(NULL, slot->len, (const uint8_t *)slot->record);
    if (!m || !m->span) {
        gatehouse__journal_record__free_unpacked(m, NULL);
        return ERR_INVALID;
    }
    static char lost[] = "lost", error[] = "error", killed[] = "plane_killed";
    char *source = m->span->usage_source, *status = m->span->status, *code = m->span->code;
    m->has_opened = true;
    m->opened = false;
    m->span->usage_source = lost;
    m->span->status = error;
    m->span->code = killed;
    if (m->n_charges > 0) {
        m->span->has_cost_known = m->span->has_cost_nano = true;
        m->span->cost_known = true;
        m->span->cost_nano = charge_sum(m);
    }
    enum err e = append(j, &(struct content){.message = m}, PROMISE, slot);
    m->span->usage_source = source;
    m->span->status = status;
    m->span->code = code;
    gatehouse__journal_record__free_unpacked(m, NULL);
    if (e == ERR_OK)
        atomic_store_explicit(&slot->state, SLOT_FREE, memory_order_release);
    return e;
}

static enum err close_open_slots(struct journal *j)
{
    uint64_t head = atomic_load(&j->page->head);
    for (uint32_t i = 0; i < j->page->slot_count; i++) {
        struct journal_slot *slot = &j->slots[i];
        unsigned state = atomic_load(&slot->state);
        if (state == SLOT_CLOSING && slot->closing_at < head)
            atomic_store(&slot->state, SLOT_FREE); /* its record did get out */
        else if (state != SLOT_FREE) {
            enum err e = close_as_lost(j, slot);
            if (e ==
                ERR_INVALID) { /* unreadable: nothing can be said of it but that it was there */
                log_error(NULL, "journal_slot_unreadable", "path=%s slot=%u", j->path, i);
                atomic_store(&slot->state, SLOT_FREE);
            } else if (e != ERR_OK) {
                return e;
            }
            atomic_fetch_add(&j->page->lost, 1);
        }
    }
    return ERR_OK;
}

enum err journal_replay(const char *path, struct journal **ret)
{
    struct journal *j = mem_zalloc(sizeof(*j));
    if (!j)
        return ERR_NOMEM;
    snprintf(j->path, sizeof(j->path), "%s", path);
    struct journal_page first;
    enum err e = ERR_IO;
    off_t len = -1;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd >= 0 && pread(fd, &first, sizeof(first), 0) == (ssize_t)sizeof(first))
        len = lseek(fd, 0, SEEK_END);
    if (len > 0) {
        e = check_page(&first, (size_t)len);
        if (e == ERR_OK)
            e = map_file(j, fd, (size_t)len, first.slot_count);
        if (e == ERR_OK)
            e = check_ring(j);
        if (e == ERR_OK)
            e = close_open_slots(j);
    }
    if (fd >= 0)
        close(fd);
    if (e != ERR_OK) {
        journal_unmap(j);
        return e;
    }
    *ret = j;
    return ERR_OK;
}
