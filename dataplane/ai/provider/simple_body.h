/*
 * simple_body — a conversation as services take it that have messages and functions in OpenAI's
 * manner and few words beside them: Cohere, Ollama.
 *
 *   simple_body_begin   {"model":…,"stream":…,"messages":[
 *   …each turn, "]", and the service's own members…
 *   simple_body_end     what such a service has no word for; }
 *
 * Owns     nothing: it writes into the outgoing request's memory.
 * Threads  any.
 */
#pragma once

#include "common/base/json_out.h"
#include "dataplane/ai/provider/provider.h"

struct simple_body {
    struct ai_outgoing *o;
    const struct ai_chat *chat;
    struct json_out j;
    bool refused;
};

void simple_body_begin(struct simple_body *w, struct ai_outgoing *o);
MUST_USE enum err simple_body_end(struct simple_body *w);

/* The request cannot be told the service; ai_outgoing_refuse. */
void simple_body_refuse(struct simple_body *w, const char *param, struct slice why);
/* {"type":"function","function":{…}} */
void simple_body_function(struct simple_body *w, const struct ai_function *f);

/* {"model":… of embeddings, and their end */
void simple_embed_begin(struct json_out *j, struct ai_outgoing *o);
MUST_USE enum err simple_embed_end(struct json_out *j, struct ai_outgoing *o);
