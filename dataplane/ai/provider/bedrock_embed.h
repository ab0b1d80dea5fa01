/*
 * bedrock_embed — embeddings of Bedrock's models by InvokeModel: each maker's has a body of its
 * own.
 *
 * Titan takes one text a call; Cohere's models take lists.
 *
 * Threads  any; pure.
 */
#pragma once

#include "common/base/json.h"
#include "dataplane/ai/provider/provider.h"

/* Into o->translated and o->pieces. ERR_INVALID: ai_outgoing_refuse. */
MUST_USE enum err bedrock_write_embed(struct ai_outgoing *o);
bool bedrock_is_embedding(const json_t *response);
MUST_USE enum err bedrock_emit_embedding(const json_t *response, ai_event_fn *fn, void *arg);
