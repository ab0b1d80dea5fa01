/*
 * fold — calls as exact sums, for when the journal's ring is nearly full; private to the journal.
 *
 * A table of fixed entries behind the ring, in the same mapped file; one entry sums up the calls of
 * one key in one minute (fold_call.h). Where entries run short, the minute is given up first.
 *
 * An entry holds its sums twice; the low bit of `version` names the copy that counts. Adding
 * writes the other copy and then stores version + 1: that one store is when the call counts. An
 * entry is free where its live copy counts no calls; freeing adds one to the version as well, so
 * that a version once noted stays behind for ever.
 *
 * A call with many charges takes two entries; both copies of the second one's amounts go by the
 * first one's version.
 *
 * Owns     its index; the entries are the journal's mapping.
 * Fails    ERR_EXHAUSTED: no entry of this key, and none may be taken. ERR_INVALID: entries of no
 *          table of ours.
 * Threads  the journal's writer.
 */
#pragma once

#include <stdatomic.h>

#include "common/journal/fold_call.h"

#define FOLD_ENTRY 1024
#define FOLD_KEY 776       /* of an entry by itself */
#define FOLD_OWN_CHARGES 4 /* amounts of an entry by itself */
#define FOLD_MORE_CHARGES (FOLD_CHARGES - FOLD_OWN_CHARGES)
#define FOLD_MORE_KEY (FOLD_KEY - (int)(2 * FOLD_MORE_CHARGES * sizeof(int64_t)))
_Static_assert(FOLD_KEY + FOLD_MORE_KEY == FOLD_KEY_MAX, "two entries hold the longest key");

struct fold_stored {
    uint64_t calls;
    uint64_t tokens[FOLD_TOKENS];
    int64_t cost;
    int64_t amounts[FOLD_OWN_CHARGES];
    int64_t first_us, last_us;
};

/* What does not fit into one entry, a longer key or amounts beyond four, lies in the key field of a
 * second one, which stays free by its own sums and belongs to the first as long as that is in use.
 * Files of before 2026 have no second entries: `more` is 0 in them. */
struct fold_entry {
    atomic_uint_fast64_t version;
    uint64_t out_at;                  /* where in the ring it stands as a record, */
    atomic_uint_fast64_t out_version; /* as it was in this version; 0: nowhere */
    int64_t minute;
    struct fold_stored sums[2];
    uint32_t key_len;
    char key[FOLD_KEY];
    uint32_t more; /* the second entry's index and one; 0: it has none */
};
_Static_assert(sizeof(struct fold_entry) == FOLD_ENTRY, "the file's layout");

/* Sums that were written: they count once they are committed. */
struct fold_place {
    uint32_t index;
    uint64_t version;
};

struct fold;

/* fresh: they are all zero, and are not even looked at, so that they take no memory before they
 * are used; else they come from an earlier start. */
MUST_USE enum err fold_new(struct fold_entry *entries, uint32_t count, bool fresh,
                           struct fold **ret);
void fold_free(struct fold *f); /* NULL is fine */
/* How many entries a call may need whose packed record has so many bytes and charges. */
uint32_t fold_entries_for(size_t record_len, size_t charges);
uint32_t fold_spare(const struct fold *f);  /* entries that are free */
uint32_t fold_in_use(const struct fold *f); /* and those that are not */

/* Writes sums with this call in them beside the ones that count. may_take: how many of the free
 * entries are not promised to others. */
MUST_USE enum err fold_stage(struct fold *f, const struct fold_call *c, uint32_t may_take,
                             struct fold_place *ret);
void fold_commit(struct fold *f, const struct fold_place *p);
bool fold_is_committed(const struct fold *f, const struct fold_place *p);

/* The first entry in use at or after *i; false: there is none. */
bool fold_next(const struct fold *f, uint32_t *i);
void fold_get(const struct fold *f, uint32_t i, struct fold_call *ret);
/* The entry as it is now stands in the ring at `at`, once the head has passed that. */
void fold_note_out(struct fold *f, uint32_t i, uint64_t at);
void fold_clear(struct fold *f, uint32_t i);
/* After a kill: frees what did get out before `head`, and forgets the other notes. */
void fold_settle(struct fold *f, uint64_t head);
