/*
 * journal_private — the file behind a journal; for the files journal*.c and shipper.c.
 *
 * One file per worker, allocated in full and mapped:
 *
 *   page     | slots: one per call that is under way | ring: closed records, in order | sums
 *
 * A slot is written before its state says OPEN. Closing writes the record into the ring, notes
 * its place in the slot (CLOSING), moves `head`, and frees the slot; or, where the ring is three
 * quarters full, writes new sums, notes their version in the slot (FOLDING), commits them, and
 * frees the slot. Whatever moment the process is killed at, exactly one of slot, ring and sums
 * stands for the call. (Stores of a killed process reach the page cache in program order; the file
 * is not meant to survive the machine.)
 *
 * A record that one slot does not hold goes on in a second one, which stays free by its state and
 * belongs to the first as long as that is in use.
 *
 * What was opened always finds a place: it has the right to an entry of the sums (a seat; two where
 * it has many charges) or, where
 * those have all been given away, a promise of space in the ring's last quarter.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include "common/journal/fold.h"
#include "common/journal/journal.h"

#define JOURNAL_MAGIC 0x33304a4857544147u /* "GATWHJ03" */
/* "GATWHJ02", of before a record could take two slots or entries: it is one that has none. */
#define JOURNAL_MAGIC_2 0x32304a4857544147u
#define JOURNAL_PAGE 4096
#define JOURNAL_RING_MIN (64 * 1024) /* half of it takes the longest sums wherever they fall */
#define JOURNAL_SLOT 1536            /* an opened record: names, a few charges, a clipped path */
#define JOURNAL_CLOSE_ROOM 3072      /* a brief closed record; most whole ones need less */
#define JOURNAL_FOOTPRINT(len) ((sizeof(struct journal_head) + (len) + 7) & ~(size_t)7)
/* Nearly twice that: a pad, eight bytes short of it, may be needed to keep it in one piece. */
#define JOURNAL_PROMISE (2 * JOURNAL_FOOTPRINT(JOURNAL_CLOSE_ROOM) - 8)
#define JOURNAL_WARM (64 * 1024) /* of the ring's front, not worth going back in */
#define JOURNAL_SLOTS_MIN 64
#define JOURNAL_SLOTS_MAX 20000   /* LIMIT_CONNECTIONS: one call each */
#define JOURNAL_FOLDS_MIN 256     /* keys that are busy at once, however small the ring is */
#define JOURNAL_FOLDS_MAX 1048576 /* of the largest ring that can be set */

enum slot_state { SLOT_FREE, SLOT_OPEN, SLOT_CLOSING, SLOT_FOLDING };

struct journal_page {
    uint64_t magic;
    uint64_t epoch;
    uint32_t worker;
    uint32_t slot_count;
    uint64_t ring_size;
    atomic_uint_fast64_t head;      /* byte positions that only grow; the worker moves head, */
    atomic_uint_fast64_t tail;      /* the main thread tail, behind what is committed; the worker
                                       both, while there is nothing between them */
    atomic_uint_fast64_t sequence;  /* of the last closed record; the first is 1 */
    atomic_uint_fast64_t committed; /* the sequence before tail */
    atomic_uint_fast64_t dropped;   /* records of free calls for which there was no space */
    atomic_uint_fast64_t lost;      /* calls closed as lost by a later start */
    uint32_t fold_count;            /* entries; 0 in files of before there were any */
    atomic_uint_fast32_t folds;     /* of those, in use: for readers, as of the last change */
    atomic_uint_fast64_t folded;    /* calls that went into sums */
};

#define JOURNAL_SLOT_RECORD (JOURNAL_SLOT - 32)
#define JOURNAL_OPENED_MAX (2 * JOURNAL_SLOT_RECORD) /* sixteen charges, and every text */

struct journal_slot {
    atomic_uint state;
    uint32_t len;
    uint64_t closing_at; /* ring position of its closed record, or the version of its sums */
    char record[JOURNAL_SLOT_RECORD];
    atomic_int_fast64_t worst; /* nano-dollars, where that is more than the record says */
    uint32_t folding_in;       /* the entry of its sums */
    uint32_t more; /* index and one of a slot, free by its state, that holds the record's rest */
};
_Static_assert(FOLD_CALL_ID == JOURNAL_CALL_ID, "one form of records");
_Static_assert(sizeof(struct journal_slot) == JOURNAL_SLOT, "the file's layout");

/* before each record in the ring, 8-aligned; a record never wraps: a `pad` fills the end */
struct journal_head {
    uint32_t len; /* of the record; 0: pad to the end of the ring */
    uint32_t crc; /* crc32c */
    uint64_t sequence;
};

struct journal {
    struct journal_page *page;
    struct journal_slot *slots;
    char *ring;
    struct fold *fold;
    size_t map_len;
    size_t taken;         /* ring bytes promised to opened calls; the worker's */
    uint32_t seats;       /* entries of the sums that opened calls have a right to; the worker's */
    uint32_t *free_slots; /* a stack; the worker's */
    uint32_t free_count;
    char path[512];
    _Alignas(16) char scratch[FOLD_SCRATCH]; /* not touched before there is something to fold */
};

/* ---- journal_file.c ---- */

struct journal_config {
    const char *dir;
    uint64_t epoch;
    unsigned worker;
    size_t bytes; /* of the ring; rounded up to pages */
};

MUST_USE enum err journal_create(const struct journal_config *c, struct journal **ret);
/* Maps the file of an earlier start. ERR_INVALID: it cannot be one. */
MUST_USE enum err journal_map(const char *path, struct journal **ret);
void journal_unmap(struct journal *j);  /* the file stays; NULL is fine */
void journal_remove(struct journal *j); /* the file goes too */

/* ---- journal.c ---- */

size_t journal_footprint(size_t record_len); /* in the ring */
/* Keeps a closed record and lets its slot go (NULL: it had none): in the ring, where that is then
 * no fuller than `full` bytes; else in the sums, where it may take one of `may_take` free entries.
 * A call that costs nothing is dropped, and counted, instead of folded. */
MUST_USE enum err journal_keep(struct journal *j, struct slice record, struct journal_slot *slot,
                               uint64_t full, uint32_t may_take);

/* ---- journal_replay.c ---- */

/* Maps an earlier start's file, closes as lost what was only opened, and is ready to be shipped;
 * the caller has the pen. */
MUST_USE enum err journal_replay(const char *path, struct journal **ret);

/* ---- journal_read.c: the main thread's side ---- */

/* The next closed record at or after *at (a ring position; before the tail, the tail is meant):
 * lent until the tail moves. false: none yet. *at moves behind it. */
bool journal_next(const struct journal *j, uint64_t *at, uint64_t *sequence, struct slice *record);
/* Everything before `at`, up to this sequence, may be overwritten. */
void journal_commit(struct journal *j, uint64_t at, uint64_t sequence);
bool journal_is_shipped(const struct journal *j); /* no record waits in the ring */
bool journal_is_empty(const struct journal *j);   /* nor are there sums that will become records */
