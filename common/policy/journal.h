/*
 * journal — what happened, kept on disk before the client sees the end of its answer, and until
 * the control plane says it is committed.
 *
 * One memory-mapped ring per worker, allocated in full. Two records a call: `opened` (who,
 * what, worst case) before the first byte goes upstream, with room taken for `closed`, which
 * is written before the client sees the end. A killed process loses nothing: what is only
 * opened is closed by the next start as `lost` at its worst case.
 * When room runs short, spans of free calls are dropped and counted before money is.
 *
 * Owns     its mapping; the writer belongs to one worker, the reader to the main thread.
 * Fails    ERR_EXHAUSTED: full. ERR_TOO_BIG: a record over JOURNAL_RECORD_MAX.
 */
#pragma once

#include "common/base/slice.h"

#define JOURNAL_RECORD_MAX (64 * 1024)
#define JOURNAL_CALL_ID 16

struct journal;

struct journal_entry { /* room taken at opening; empty: all zero */
    uint8_t call_id[JOURNAL_CALL_ID];
    uint64_t opened_at; /* ring position; 0 and `taken` false where nothing was opened */
    size_t room;
    bool taken;
};

/* record: const Gatehouse__JournalRecord *, packed into the ring. */
MUST_USE enum err journal_open_call(struct journal *j, const void *record,
                                    struct journal_entry *ret);
/* Calls that cost nothing and were never opened pass an empty entry: dropped and counted when
 * room is short. Consumes the entry. */
MUST_USE enum err journal_close_call(struct journal *j, const void *record,
                                     struct journal_entry *entry);

/* The same for records that the caller packed itself (a JournalRecord's wire form). A close that
 * fails leaves the entry as it was: try a shorter record, or forget it. */
MUST_USE enum err journal_open_packed(struct journal *j, struct slice record,
                                      const uint8_t call_id[static JOURNAL_CALL_ID],
                                      struct journal_entry *ret);
MUST_USE enum err journal_close_packed(struct journal *j, struct slice record,
                                       struct journal_entry *entry);
/* Gives up closing: a free call counts as dropped, an opened one stays open and is closed as lost
 * by the next start. Consumes the entry. */
void journal_forget(struct journal *j, struct journal_entry *entry);
