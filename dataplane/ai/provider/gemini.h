/*
 * gemini — what the services that speak Gemini's protocol have in common.
 *
 * Threads  any; pure.
 */
#pragma once

#include "dataplane/ai/provider/gemini_request.h"

/* gemini_response.c: what it says, as events; and what its errors mean */
enum err gemini_decode(struct ai_decoder *d, const struct sse_event *e, ai_event_fn *fn, void *arg);
enum err gemini_decode_whole(struct ai_decoder *d, struct slice body, ai_event_fn *fn, void *arg);
void gemini_read_error(unsigned status, struct slice body, struct arena *a, struct ai_fault *ret);
enum err gemini_read_count_response(struct slice body, uint64_t *ret);

/* gemini.c */
bool gemini_speaks(const struct ai_endpoint *e);
bool gemini_serves(const struct ai_endpoint *e);
struct slice gemini_method(const struct ai_outgoing *o);
void gemini_add_headers(struct ai_outgoing *o);
/* As one segment of a path. .ptr NULL: no memory. */
struct slice gemini_escape(struct arena *a, struct slice name);
/* The base URL with `rest`, a colon and the method behind its path; a stream as events. */
MUST_USE enum err gemini_path(struct ai_outgoing *o, struct slice rest, struct slice method);
MUST_USE enum err gemini_set_body(struct ai_outgoing *o, const struct gemini_service *s);

/* gemini_embed.c */
bool gemini_embeds(const struct ai_endpoint *e); /* in this protocol's own dialect */
MUST_USE enum err gemini_write_embed(struct ai_outgoing *o);
struct slice gemini_embed_method(const struct ai_outgoing *o);
bool gemini_is_embedding(const json_t *tree);
enum err gemini_emit_embeddings(const json_t *tree, ai_event_fn *fn, void *arg);
