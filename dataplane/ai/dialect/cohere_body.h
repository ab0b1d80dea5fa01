/*
 * cohere_body — a client's body of Cohere's chat, version 2: read by places, spliced for an
 * upstream that speaks it too, parsed for any other (dialects.md 1.7).
 *
 * Threads  any.
 */
#pragma once

#include "dataplane/ai/dialect/dialect.h"

enum err cohere_read(const struct ai_incoming *in, struct ai_request *ret, struct slice *detail);
enum err cohere_splice(const struct ai_request *r, struct slice body, const struct ai_changes *c,
                       struct arena *a, struct slice ret[static AI_REQUEST_PIECES]);
enum err cohere_parse(const struct ai_incoming *in, struct ai_chat *ret);
