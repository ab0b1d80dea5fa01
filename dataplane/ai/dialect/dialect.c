/*
 * dialect — the paths of the AI gate, and the dialect that each is spoken in.
 */
#include "dataplane/ai/dialect/dialect.h"

#define TEXT(literal)                                                                              \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }

static const struct ai_endpoint endpoints[] = {
    {AI_CHAT, TEXT("POST"), TEXT("/v1/chat/completions"), false, TEXT("chat"),
     &dialect_openai_chat},
    {AI_EMBEDDINGS, TEXT("POST"), TEXT("/v1/embeddings"), false, TEXT("embeddings"),
     &dialect_openai_embeddings},
    {AI_MODELS, TEXT("GET"), TEXT("/v1/models"), false, TEXT("models"), &dialect_openai_models},
    {AI_MODEL, TEXT("GET"), TEXT("/v1/models/"), true, TEXT("model"), &dialect_openai_models},
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
        *allowed = slice_eq(method, endpoints[i].method) ||
                   (slice_eq(method, SLICE("HEAD")) && slice_eq(endpoints[i].method, SLICE("GET")));
        return &endpoints[i];
    }
    return NULL;
}

struct slice ai_endpoint_list(struct arena *a)
{
    struct slice list = SLICE("");
    for (size_t i = 0; i < ARRAY_LEN(endpoints); i++)
        list = arena_printf(a, "%.*s%s%.*s %.*s%s", SLICE_ARG(list), i ? ", " : "",
                            SLICE_ARG(endpoints[i].method), SLICE_ARG(endpoints[i].path),
                            endpoints[i].prefix ? "{model}" : "");
    return list;
}
