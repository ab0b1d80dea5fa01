/*
 * openai_usage — how many tokens a call took, as OpenAI's protocol reports it
 * (dialects.md 1.1, 1.3).
 *
 * Threads  any; pure.
 */
#pragma once

#include "common/base/json_scan.h"
#include "common/base/money.h"

/* Of a whole response or one chunk of a stream. */
struct usage_look {
    bool has_usage;            /* "usage" is an object, and both of its counts can be believed */
    bool has_prompt;           /* the same, or the second is missing, as where nothing is written */
    bool only_usage;           /* the same object, and "choices" is empty: the extra chunk of 1.1 */
    bool has_error;            /* "error" is an object or a text */
    struct token_count tokens; /* zero without has_prompt */
};

/* ERR_INVALID: not JSON we would read. */
MUST_USE enum err usage_read(struct slice json, struct usage_look *ret);
/* Of a whole response. Where its root ends with a usage object, or a few small members behind one,
 * as providers write it, only that end is read: the response goes on as it is, whatever stands
 * before, and an error or choices there say nothing that counted tokens do not. Else the same as
 * usage_read. */
MUST_USE enum err usage_read_response(struct slice json, struct usage_look *ret);

/* Is it a JSON object with choices, or data, that are not empty? */
bool openai_holds_result(struct slice response);

/* Where the root's member `"usage":null` stands in a chunk, with one comma beside it; false: it
 * holds none, or is not JSON we would read. */
bool usage_find_null(struct slice chunk, struct slice *ret);

/* Bytes of the model's text, escapes and all: its words, its reasoning, the arguments of its tool
 * calls. Of a stream's chunk; and of a whole response, or as much of it as has come. */
uint64_t openai_words_in_chunk(struct slice chunk);
uint64_t openai_words_in_response(struct slice response);
