/*
 * usage_batch — closed records of one journal on their way to the control plane (proto/usage.proto,
 * UsageBatch): compressed together, as one record is much like the next.
 *
 * The plane's side copies records as they lie in the journal, each a packed JournalRecord, and
 * never reads them. The control plane's side decompresses what it is sent, within USAGE_BATCH_MAX,
 * and unpacks what usage_batch_check has counted, which bounds the memory that takes.
 *
 * Owns     its two buffers; what usage_batch_seal lends lies in them until the next call.
 * Fails    ERR_NOMEM; ERR_TOO_BIG: full, or more than a batch may hold; ERR_INVALID: no such batch.
 * Threads  one at a time.
 */
#pragma once

#include "common/base/buf.h"
#include "proto/usage.pb-c.h"

#define USAGE_BATCH_MAX (1024u * 1024) /* bytes of records, before they are compressed */
#define USAGE_BATCH_RECORDS 2048       /* they go into the database in one transaction */
#define USAGE_RECORD_PARTS 64 /* of one: attempts, charges, events; some twenty are in use */

struct usage_batch {
    struct buf records; /* as a UsageBatch's wire form has them */
    struct buf packed;
    size_t count;
};

void usage_batch_init(struct usage_batch *b);
void usage_batch_fini(struct usage_batch *b);
void usage_batch_clear(struct usage_batch *b); /* keeps the memory */
/* A batch holds at least one record, however long a journal lets it be. */
MUST_USE enum err usage_batch_add(struct usage_batch *b, struct slice record);
/* Sets what m says of its records. */
MUST_USE enum err usage_batch_seal(struct usage_batch *b, Gatehouse__UsageBatch *m);

/* A packed UsageBatch, before anything is made of it. ERR_TOO_BIG: of more records than a batch
 * has, or one of more parts. */
MUST_USE enum err usage_batch_check(struct slice packed);
/* *ret: m's head with its records to be read; the caller frees it (usage_batch_free). An older
 * plane's batch is not compressed, and was checked before it was unpacked. */
MUST_USE enum err usage_batch_open(const Gatehouse__UsageBatch *m, Gatehouse__UsageBatch **ret);
void usage_batch_free(Gatehouse__UsageBatch *m);
