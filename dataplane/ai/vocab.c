/*
 * vocab — the rows.
 */
#include "dataplane/ai/vocab.h"

#define TEXT(literal)                                                                              \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }

static const struct ai_endpoint endpoints[] = {
    {AI_CHAT, TEXT("POST"), TEXT("/v1/chat/completions"), false, TEXT("/chat/completions"),
     TEXT("chat")},
    {AI_EMBEDDINGS, TEXT("POST"), TEXT("/v1/embeddings"), false, TEXT("/embeddings"),
     TEXT("embeddings")},
    {AI_MODELS, TEXT("GET"), TEXT("/v1/models"), false, TEXT(""), TEXT("models")},
    {AI_MODEL, TEXT("GET"), TEXT("/v1/models/"), true, TEXT(""), TEXT("model")},
};

static bool matches(const struct ai_endpoint *e, struct slice path)
{
    if (e->prefix)
        return path.len > e->path.len && slice_starts(path, e->path);
    return slice_eq(path, e->path);
}

const struct ai_endpoint *ai_endpoint_find(struct slice method, struct slice path, bool *allowed)
{
    for (size_t i = 0; i < ARRAY_LEN(endpoints); i++) {
        if (!matches(&endpoints[i], path))
            continue;
        *allowed = slice_eq(method, endpoints[i].method);
        return &endpoints[i];
    }
    return NULL;
}
