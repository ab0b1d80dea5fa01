/*
 * openai — what providers share that speak OpenAI's protocol: OpenAI and those like it, Azure,
 * Mistral.
 *
 * openai_decode makes events of streams and responses; openai looks at them without decoding.
 *
 * Threads  any; pure.
 */
#pragma once

#include "dataplane/ai/provider/openai_services.h"
#include "dataplane/ai/provider/openai_usage.h"
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

struct ai_usage openai_usage_of(const struct usage_look *look);
bool openai_is_done(struct slice data); /* "[DONE]" */

MUST_USE enum err openai_decode(struct ai_decoder *d, const struct sse_event *e, ai_event_fn *fn,
                                void *arg);
MUST_USE enum err openai_decode_whole(struct ai_decoder *d, struct slice body, ai_event_fn *fn,
                                      void *arg);

/* openai_embed.c */
MUST_USE enum err openai_write_embeddings(struct ai_outgoing *o);
bool openai_is_embeddings(struct slice body); /* what a response begins with */
enum err openai_decode_embeddings(struct slice body, ai_event_fn *fn, void *arg);
