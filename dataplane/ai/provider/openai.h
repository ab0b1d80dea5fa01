/*
 * openai — what providers share that speak OpenAI's protocol: OpenAI and those like it, Azure,
 * Mistral.
 *
 * openai_decode makes events of streams and responses; openai looks at them without decoding.
 *
 * Threads  any; pure.
 */
#pragma once

#include "common/base/json_scan.h"
#include "dataplane/ai/provider/openai_services.h"
#include "dataplane/ai/provider/provider.h"

bool openai_speaks(const struct ai_endpoint *e);
bool openai_serves(const struct ai_endpoint *e);
/* The client's body with the changes in place where it speaks OpenAI's dialect, else a body of its
 * own. `s` may be NULL where there is neither a chat nor an output limit, and it has no quirks. */
MUST_USE enum err openai_build_body(struct ai_outgoing *o, const struct openai_service *s);

/* azure: "/chat/completions" where its base URL and version have it, and its credential. */
MUST_USE enum err azure_path(struct ai_outgoing *o, struct slice rest);
MUST_USE enum err azure_sign(struct ai_outgoing *o);

void openai_read_whole(struct slice body, enum ai_kind kind, struct ai_whole *ret);
void openai_glance(struct slice data, bool wants_usage, struct ai_glance *ret);
void openai_identify(struct slice data, struct arena *a, struct ai_writer *w);

bool openai_is_done(struct slice data); /* "[DONE]" */

MUST_USE enum err openai_decode(struct ai_decoder *d, const struct sse_event *e, ai_event_fn *fn,
                                void *arg);
MUST_USE enum err openai_decode_whole(struct ai_decoder *d, struct slice body, ai_event_fn *fn,
                                      void *arg);

/* openai_embed.c */
MUST_USE enum err openai_write_embeddings(struct ai_outgoing *o);
bool openai_is_embeddings(struct slice body); /* what a response begins with */
enum err openai_decode_embeddings(struct slice body, ai_event_fn *fn, void *arg);

/* ---- how many tokens a call took (dialects.md 1.1, 1.3), and how much a model has said ---- */

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

/* Where the root's member `"usage":null` stands in a chunk, with one comma beside it; false: it
 * holds none, or is not JSON we would read. */
bool usage_find_null(struct slice chunk, struct slice *ret);

/* Bytes of the model's text, escapes and all: its words, its reasoning, the arguments of its tool
 * calls. Of a stream's chunk; and of a whole response, or as much of it as has come. */
uint64_t openai_words_in_chunk(struct slice chunk);
uint64_t openai_words_in_response(struct slice response);
struct ai_usage openai_usage_of(const struct usage_look *look);
