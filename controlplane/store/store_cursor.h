/*
 * store_cursor — how far the journals of data planes are taken in: one cursor per plane, epoch and
 * worker.
 *
 * Fails    as tx.h.
 * Threads  any, with a transaction of their own.
 */
#pragma once

#include "controlplane/store/tx.h"

struct journal_part {
    struct slice plane;
    uint64_t epoch;
    uint32_t worker;
    uint64_t first, last; /* sequences of a batch; last may lie before first: it is empty */
};

/* Moves the cursor of a batch that begins at it or before it and ends behind it; of any other it
 * stays. *ret: where it was. A cursor that is not there is made. ERR_AGAIN: another transaction
 * makes it at this moment. The cursor's row is locked. */
MUST_USE enum err store_cursor_pass(struct tx *tx, const struct journal_part *part, uint64_t *ret);
