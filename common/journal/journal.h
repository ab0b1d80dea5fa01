/*
 * journal — what happened, kept on disk before the client sees the end of its response, and until
 * the control plane says it is committed.
 *
 * One memory-mapped file per worker, allocated in full. Two records a call: `opened` (principal,
 * target, worst case) before the first byte goes upstream, and `closed`, for which a place is sure,
 * before the client sees the end. A killed process loses nothing: what is only opened is closed
 * by the next start as `lost` at its worst case.
 *
 * Where the control plane takes nothing for long and space runs short, spans of free calls are
 * dropped and counted; calls that cost money or tokens are folded into exact sums, which become
 * records once there is space again. So a journal that is full refuses no call.
 *
 * Records are a JournalRecord's wire form, packed by the caller.
 *
 * Owns     its mapping; the writer belongs to one worker, the reader to the main thread.
 * Fails    ERR_EXHAUSTED: more calls under way than slots, or more kinds of calls in the sums than
 *          entries. ERR_TOO_BIG: a record over JOURNAL_RECORD_MAX, or an opened one over its slot.
 */
#pragma once

#include "common/base/money.h"
#include "common/base/slice.h"

#define JOURNAL_RECORD_MAX (64 * 1024)
#define JOURNAL_CALL_ID 16

struct journal;

struct journal_entry { /* space taken at opening; empty: all zero */
    uint8_t call_id[JOURNAL_CALL_ID];
    uint64_t opened_at; /* its slot; 0 and `taken` false where nothing was opened */
    size_t room;        /* promised in the ring; 0: it has seats in the sums */
    uint8_t seats;      /* entries of the sums that it has a right to */
    bool taken;
};

MUST_USE enum err journal_open_packed(struct journal *j, struct slice record,
                                      const uint8_t call_id[static JOURNAL_CALL_ID],
                                      struct journal_entry *ret);
/* The call may cost more than its opened record says: so much, if it is lost. No entry, no effect.
 */
void journal_raise(struct journal *j, const struct journal_entry *entry, money worst);
/* Calls that were never opened pass an empty entry. Consumes the entry. A close that fails leaves
 * it as it was: try a shorter record; given up, it stays open and is lost by the next start. */
MUST_USE enum err journal_close_packed(struct journal *j, struct slice record,
                                       struct journal_entry *entry);
uint64_t journal_waiting(const struct journal *j); /* records and sums that were not shipped */
/* Now and then, by the writer: sums become records where the ring has drained. */
void journal_tend(struct journal *j);
