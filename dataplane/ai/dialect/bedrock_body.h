/*
 * bedrock_body — a client's body of Converse: read by places, spliced for an upstream that speaks
 * it too, parsed for any other (dialects.md 1.6).
 *
 * Threads  any.
 */
#pragma once

#include "dataplane/ai/dialect/dialect.h"

/* What only its maker can read of another provider's reasoning is bytes in this API: what stands
 * here, then the text and its mark (ai_mark.h). In base64 they begin alike. */
#define BEDROCK_SEAL "ghseal"
#define BEDROCK_SEAL_BASE64 "Z2hzZWFs"

enum err bedrock_read(const struct ai_incoming *in, struct ai_request *ret, struct slice *detail);
enum err bedrock_splice(const struct ai_request *r, struct slice body, const struct ai_changes *c,
                        struct arena *a, struct slice ret[static AI_REQUEST_PIECES]);
enum err bedrock_parse(const struct ai_incoming *in, struct ai_chat *ret);
