/*
 * fold_call — one call, or many of one kind, as a key and exact sums; private to the journal.
 *
 * The key holds the principal (org, team, agent, key, task), the target (gate, model, provider),
 * the outcome, the source of the counts, whether the price is known, and the accounts and leases it
 * was paid from. What else a record holds is given up. A call is read from a packed record, and
 * many are packed as one.
 *
 * Owns     nothing.
 * Fails    ERR_INVALID: no record of a call, or no key of ours. ERR_TOO_BIG: texts that no key
 *          holds, or a record that does not fit the scratch.
 * Threads  any.
 */
#pragma once

#include "common/base/slice.h"

#define FOLD_KEY_MAX 1360    /* the texts of most calls take 300 bytes; sixteen charges 900 more */
#define FOLD_CHARGES 16      /* one for each scope of a call */
#define FOLD_CALL_ID 16      /* bytes of a record's call_id */
#define FOLD_TOKENS 5        /* of the message Tokens, in its order */
#define FOLD_RECORD_MAX 3072 /* a key and forty numbers as a packed record */
/* Eight attempts and every text of a call, unpacked, take a third of it. */
#define FOLD_SCRATCH (64 * 1024)

struct fold_sums {
    uint64_t calls;
    uint64_t tokens[FOLD_TOKENS];
    int64_t cost;
    int64_t amounts[FOLD_CHARGES]; /* of the charges, in the key's order */
    int64_t first_us, last_us;     /* wall clock: the first one's begin, the last one's end */
};

struct fold_call {
    int64_t minute; /* since 1970 */
    struct fold_sums sums;
    uint32_t charges; /* how many of the amounts are used */
    uint32_t key_len;
    char key[FOLD_KEY_MAX];
};

/* scratch: FOLD_SCRATCH bytes, aligned for anything, used until it returns */
MUST_USE enum err fold_call_read(struct slice record, void *scratch, struct fold_call *ret);
/* Neither money nor tokens: nothing that a bill could miss. */
bool fold_call_is_free(const struct fold_call *c);
/* The charges that its key names; 0: it is no key of ours. */
uint32_t fold_call_charges(const struct fold_call *c);
bool fold_call_is_sound(const struct fold_call *c); /* a key that fold_call_read could have made */
/* Keeps the sums below what the control plane takes for one record. */
bool fold_sums_have_room(const struct fold_sums *to, const struct fold_sums *from);
void fold_sums_add(struct fold_sums *to, const struct fold_sums *from);
/* As a closed record of kind `call` and code `folded`, into out[FOLD_RECORD_MAX]. */
struct slice fold_call_pack(const struct fold_call *c, char *out);
