/*
 * vocab — the paths of the AI gate: which method, which name in the trace, where it goes upstream.
 *
 * Threads  any; constant.
 */
#pragma once

#include "common/base/slice.h"

enum ai_kind { AI_CHAT, AI_EMBEDDINGS, AI_MODELS, AI_MODEL };

struct ai_endpoint {
    enum ai_kind kind;
    struct slice method;
    struct slice path;     /* "/v1/…" as clients ask */
    bool prefix;           /* what follows the path is a name */
    struct slice upstream; /* appended to a provider's base URL */
    struct slice name;     /* of the span */
};

/* NULL: no such path. *allowed: does it serve this method? */
const struct ai_endpoint *ai_endpoint_find(struct slice method, struct slice path, bool *allowed);

static inline bool ai_calls_upstream(const struct ai_endpoint *e)
{
    return e->kind == AI_CHAT || e->kind == AI_EMBEDDINGS;
}
