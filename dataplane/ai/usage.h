/*
 * usage — how many tokens a call took: as the provider reports it, or as we estimate it.
 *
 * Threads  any; pure.
 */
#pragma once

#include "common/base/json_scan.h"
#include "common/base/money.h"

/* Of a whole answer or one stream chunk. */
struct usage_look {
    bool has_usage;            /* "usage" is an object, and both of its counts can be believed */
    bool has_prompt;           /* the same, or the second is missing, as where nothing is written */
    bool only_usage;           /* the same object, and "choices" is empty: the extra chunk of 1.1 */
    bool has_error;            /* "error" is an object or a text */
    struct token_count tokens; /* zero without has_prompt */
};

/* ERR_INVALID: not JSON we would read. */
MUST_USE enum err usage_read(struct slice json, struct usage_look *ret);
/* Of a whole answer. Where its root ends with a usage object, or a few small members behind one, as
 * providers write it, only that end is read: the answer goes on as it is, whatever stands before,
 * and an error or choices there say nothing that counted tokens do not. Else the same as
 * usage_read. */
MUST_USE enum err usage_read_response(struct slice json, struct usage_look *ret);

/* Where the root's member `"usage":null` stands in a chunk, with one comma beside it; false: it
 * holds none, or is not JSON we would read. */
bool usage_find_null(struct slice chunk, struct slice *ret);

/* Prompt tokens of a body nobody counted: all of it is taken for text. Text held 2.1 bytes a token
 * where it was densest (dialects.md, 4), so half the bytes errs on the dear side without being
 * absurd. */
uint64_t usage_estimate_prompt(size_t body_bytes);

/* What a model has written so far, for the case that nobody counts it: its text, its reasoning, the
 * arguments of its tool calls. A token of prose is about four bytes. */
struct usage_meter {
    uint64_t pieces; /* chunks of a stream that held text; each is one token at least */
    uint64_t bytes;  /* of the text as it stands, escapes and all */
};

void usage_meter_feed(struct usage_meter *m, struct slice chunk);   /* of a stream */
void usage_meter_whole(struct usage_meter *m, struct slice answer); /* or as much as has come */
uint64_t usage_meter_tokens(const struct usage_meter *m);
