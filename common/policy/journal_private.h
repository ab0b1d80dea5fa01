/*
 * journal_private — the file behind a journal; for journal.c, journal_replay.c and shipper.c.
 *
 * One file per worker, allocated in full and mapped:
 *
 *   page     | slots: one per call that is under way | ring: closed records, in order
 *
 * A slot is written before its state says OPEN. Closing writes the record into the ring, notes
 * its place in the slot (CLOSING), moves `head`, and frees the slot: whatever moment the
 * process is killed at, exactly one of slot and ring stands for the call. (Stores of a killed
 * process reach the page cache in program order; the file is not meant to survive the machine.)
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include "common/policy/journal.h"

#define JOURNAL_MAGIC 0x32304a4857544147u /* "GATWHJ02" */
#define JOURNAL_PAGE 4096
#define JOURNAL_SLOT 1536       /* an opened record: names, charges, a clipped path */
#define JOURNAL_CLOSE_ROOM 2048 /* taken at opening; most closed records need less */
#define JOURNAL_SLOTS_MIN 64
#define JOURNAL_SLOTS_MAX 20000 /* LIMIT_CONNECTIONS: one call each */

enum slot_state { SLOT_FREE, SLOT_OPEN, SLOT_CLOSING };

struct journal_page {
    uint64_t magic;
    uint64_t epoch;
    uint32_t worker;
    uint32_t slot_count;
    uint64_t ring_size;
    atomic_uint_fast64_t head;      /* byte positions that only grow; the worker moves head, */
    atomic_uint_fast64_t tail;      /* the main thread tail, behind what is committed */
    atomic_uint_fast64_t sequence;  /* of the last closed record; the first is 1 */
    atomic_uint_fast64_t committed; /* the sequence before tail */
    atomic_uint_fast64_t dropped;   /* records of free calls that found no room */
    atomic_uint_fast64_t lost;      /* calls closed as lost by a later start */
};

struct journal_slot {
    atomic_uint state;
    uint32_t len;
    uint64_t closing_at; /* ring position of its closed record */
    char record[JOURNAL_SLOT - 16];
};

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
    size_t map_len;
    size_t taken;         /* ring bytes promised to opened calls; the worker's */
    uint32_t *free_slots; /* a stack; the worker's */
    uint32_t free_count;
    char path[512];
};

struct journal_config {
    const char *dir;
    uint64_t epoch;
    unsigned worker;
    size_t bytes; /* of the ring; rounded up to pages */
};

MUST_USE enum err journal_create(const struct journal_config *c, struct journal **ret);
/* Maps an earlier start's file, closes as lost what was only opened, and is ready to be shipped. */
MUST_USE enum err journal_replay(const char *path, struct journal **ret);
void journal_unmap(struct journal *j);  /* the file stays; NULL is fine */
void journal_remove(struct journal *j); /* the file goes too */

/* The next closed record at or after *at (a ring position, at least tail): lent until the tail
 * moves. false: none yet. *at moves behind it. */
bool journal_next(const struct journal *j, uint64_t *at, uint64_t *sequence, struct slice *record);
/* Everything before `at`, up to this sequence, may be overwritten. */
void journal_commit(struct journal *j, uint64_t at, uint64_t sequence);
bool journal_is_empty(const struct journal *j);
