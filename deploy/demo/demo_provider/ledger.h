/*
 * ledger — what this provider would bill: one entry a call, found again by the trace it came with.
 *
 * GET /ledger gives all entries; tests hold the gateway's own records against them.
 *
 * Owns     its entries, at most LEDGER_MAX; later calls are only counted.
 * Threads  one.
 */
#pragma once

#include "common/base/buf.h"
#include "common/base/slice.h"

#define LEDGER_MAX 1000000

struct ledger_entry {
    char traceparent[56]; /* as received; "" where none */
    char model[64];
    uint32_t prompt_tokens;
    uint32_t completion_tokens; /* sent so far */
    bool streamed;
    bool complete; /* the whole response was handed to the network */
};

struct ledger;

MUST_USE struct ledger *ledger_new(void);
void ledger_free(struct ledger *l);
/* The number of a new entry, for the other calls; SIZE_MAX when it is full. */
size_t ledger_open(struct ledger *l, struct slice traceparent, struct slice model,
                   uint32_t prompt_tokens, bool streamed);
void ledger_sent(struct ledger *l, size_t entry, uint32_t completion_tokens);
void ledger_complete(struct ledger *l, size_t entry);
/* {"calls":n,"entries":[…]} */
MUST_USE enum err ledger_write(const struct ledger *l, struct buf *out);
void ledger_clear(struct ledger *l);
