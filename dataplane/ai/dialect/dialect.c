/*
 * dialect — the paths of the AI gate, and the dialect that each is spoken in.
 */
#include "dataplane/ai/dialect/dialect.h"

#define TEXT(literal)                                                                              \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }

#define ANY .suffix = TEXT(""), .fits = NULL

/* "?alt=sse" among the members of the query: a stream of events, and not one array. */
static bool wants_events(const struct http_head *h)
{
    struct slice one, rest = slice_from(h->target, (size_t)(slice_find(h->target, '?') + 1));
    if (rest.len == h->target.len)
        return false;
    while (slice_split(&rest, '&', &one))
        if (slice_eq(one, SLICE("alt=sse")) || slice_eq(one, SLICE("$alt=sse")))
            return true;
    return false;
}

/* Clients of Google's APIs, on a path that others have too. */
static bool is_googles(const struct http_head *h)
{
    struct slice one, rest = slice_from(h->target, (size_t)(slice_find(h->target, '?') + 1));
    if (http_head_find(h, SLICE("x-goog-api-key")).len)
        return true;
    while (rest.len < h->target.len && slice_split(&rest, '&', &one))
        if (slice_starts(one, SLICE("key=")))
            return true;
    return false;
}

/* Anthropic's API wants its version said in each request (dialects.md 0, 4). */
static bool says_anthropics_version(const struct http_head *h)
{
    return http_head_find(h, SLICE("anthropic-version")).len > 0;
}

/* The rows of one path stand together, those with `fits` first. */
static const struct ai_endpoint endpoints[] = {
    {AI_CHAT, TEXT("POST"), TEXT("/v1/chat/completions"), false, TEXT("chat"), &dialect_openai_chat,
     ANY},
    {AI_CHAT, TEXT("POST"), TEXT("/v1/completions"), false, TEXT("completions"),
     &dialect_openai_completions, ANY},
    {AI_EMBEDDINGS, TEXT("POST"), TEXT("/v1/embeddings"), false, TEXT("embeddings"),
     &dialect_openai_embeddings, ANY},
    {AI_COUNT, TEXT("POST"), TEXT("/v1/responses/input_tokens"), false, TEXT("count_tokens"),
     &dialect_openai_responses_count, ANY},
    {AI_STORED, TEXT("GET"), TEXT("/v1/responses/"), true, TEXT("response items"),
     &dialect_openai_objects, TEXT("/input_items"), NULL},
    {AI_STORED, TEXT("POST"), TEXT("/v1/responses/"), true, TEXT("response cancel"),
     &dialect_openai_objects, TEXT("/cancel"), NULL},
    {AI_STORED, TEXT("GET"), TEXT("/v1/responses/"), true, TEXT("response"),
     &dialect_openai_objects, ANY},
    {AI_STORED, TEXT("DELETE"), TEXT("/v1/responses/"), true, TEXT("response delete"),
     &dialect_openai_objects, ANY},
    {AI_LIST, TEXT("GET"), TEXT("/v1/files"), false, TEXT("file list"), &dialect_openai_objects,
     ANY},
    {AI_STORED, TEXT("POST"), TEXT("/v1/files"), false, TEXT("file upload"),
     &dialect_openai_objects, ANY},
    {AI_STORED, TEXT("GET"), TEXT("/v1/files/"), true, TEXT("file content"),
     &dialect_openai_objects, TEXT("/content"), NULL},
    {AI_STORED, TEXT("GET"), TEXT("/v1/files/"), true, TEXT("file"), &dialect_openai_objects, ANY},
    {AI_STORED, TEXT("DELETE"), TEXT("/v1/files/"), true, TEXT("file delete"),
     &dialect_openai_objects, ANY},
    {AI_LIST, TEXT("GET"), TEXT("/v1/batches"), false, TEXT("batch list"), &dialect_openai_objects,
     ANY},
    {AI_STORED, TEXT("POST"), TEXT("/v1/batches"), false, TEXT("batch"), &dialect_openai_objects,
     ANY},
    {AI_STORED, TEXT("POST"), TEXT("/v1/batches/"), true, TEXT("batch cancel"),
     &dialect_openai_objects, TEXT("/cancel"), NULL},
    {AI_STORED, TEXT("GET"), TEXT("/v1/batches/"), true, TEXT("batch"), &dialect_openai_objects,
     ANY},
    {AI_TASK, TEXT("POST"), TEXT("/v1/moderations"), false, TEXT("moderations"),
     &dialect_openai_task, ANY},
    {AI_TASK, TEXT("POST"), TEXT("/v1/images/generations"), false, TEXT("images"),
     &dialect_openai_task, ANY},
    {AI_TASK, TEXT("POST"), TEXT("/v1/images/edits"), false, TEXT("images"), &dialect_openai_task,
     ANY},
    {AI_TASK, TEXT("POST"), TEXT("/v1/images/variations"), false, TEXT("images"),
     &dialect_openai_task, ANY},
    {AI_TASK, TEXT("POST"), TEXT("/v1/audio/speech"), false, TEXT("speech"), &dialect_openai_task,
     ANY},
    {AI_TASK, TEXT("POST"), TEXT("/v1/audio/transcriptions"), false, TEXT("transcriptions"),
     &dialect_openai_task, ANY},
    {AI_TASK, TEXT("POST"), TEXT("/v1/audio/translations"), false, TEXT("translations"),
     &dialect_openai_task, ANY},
    {AI_TASK, TEXT("POST"), TEXT("/v1/rerank"), false, TEXT("rerank"), &dialect_openai_task, ANY},
    {AI_TASK, TEXT("POST"), TEXT("/v2/rerank"), false, TEXT("rerank"), &dialect_openai_task, ANY},
    {AI_REALTIME, TEXT("GET"), TEXT("/v1/realtime"), false, TEXT("realtime"),
     &dialect_openai_realtime, ANY},
    {AI_SECRET, TEXT("POST"), TEXT("/v1/realtime/client_secrets"), false,
     TEXT("realtime client_secret"), &dialect_openai_realtime_secret, ANY},
    {AI_SECRET, TEXT("POST"), TEXT("/v1/realtime/sessions"), false, TEXT("realtime client_secret"),
     &dialect_openai_realtime_secret, ANY},
    {AI_CHAT, TEXT("POST"), TEXT("/v1/responses"), false, TEXT("responses"),
     &dialect_openai_responses, ANY},
    {AI_CHAT, TEXT("POST"), TEXT("/v1beta/models/"), true, TEXT("generate_content"),
     &dialect_gemini, TEXT(":generateContent"), NULL},
    {AI_CHAT, TEXT("POST"), TEXT("/v1/models/"), true, TEXT("generate_content"), &dialect_gemini,
     TEXT(":generateContent"), NULL},
    {AI_CHAT, TEXT("POST"), TEXT("/v1beta/models/"), true, TEXT("generate_content"),
     &dialect_gemini, TEXT(":streamGenerateContent"), wants_events},
    {AI_CHAT, TEXT("POST"), TEXT("/v1/models/"), true, TEXT("generate_content"), &dialect_gemini,
     TEXT(":streamGenerateContent"), wants_events},
    {AI_CHAT, TEXT("POST"), TEXT("/v1beta/models/"), true, TEXT("generate_content"),
     &dialect_gemini_array, TEXT(":streamGenerateContent"), NULL},
    {AI_CHAT, TEXT("POST"), TEXT("/v1/models/"), true, TEXT("generate_content"),
     &dialect_gemini_array, TEXT(":streamGenerateContent"), NULL},
    {AI_EMBEDDINGS, TEXT("POST"), TEXT("/v1beta/models/"), true, TEXT("embeddings"),
     &dialect_gemini_embed, TEXT(":embedContent"), NULL},
    {AI_EMBEDDINGS, TEXT("POST"), TEXT("/v1/models/"), true, TEXT("embeddings"),
     &dialect_gemini_embed, TEXT(":embedContent"), NULL},
    {AI_EMBEDDINGS, TEXT("POST"), TEXT("/v1beta/models/"), true, TEXT("embeddings"),
     &dialect_gemini_embed_batch, TEXT(":batchEmbedContents"), NULL},
    {AI_EMBEDDINGS, TEXT("POST"), TEXT("/v1/models/"), true, TEXT("embeddings"),
     &dialect_gemini_embed_batch, TEXT(":batchEmbedContents"), NULL},
    {AI_COUNT, TEXT("POST"), TEXT("/v1beta/models/"), true, TEXT("count_tokens"),
     &dialect_gemini_count, TEXT(":countTokens"), NULL},
    {AI_COUNT, TEXT("POST"), TEXT("/v1/models/"), true, TEXT("count_tokens"), &dialect_gemini_count,
     TEXT(":countTokens"), NULL},
    {AI_MODELS, TEXT("GET"), TEXT("/v1beta/models"), false, TEXT("models"), &dialect_gemini_models,
     ANY},
    {AI_MODEL, TEXT("GET"), TEXT("/v1beta/models/"), true, TEXT("model"), &dialect_gemini_models,
     ANY},
    {AI_MODELS, TEXT("GET"), TEXT("/v1/models"), false, TEXT("models"), &dialect_gemini_models,
     TEXT(""), is_googles},
    {AI_MODEL, TEXT("GET"), TEXT("/v1/models/"), true, TEXT("model"), &dialect_gemini_models,
     TEXT(""), is_googles},
    {AI_CHAT, TEXT("POST"), TEXT("/v1/messages"), false, TEXT("messages"),
     &dialect_anthropic_messages, ANY},
    {AI_COUNT, TEXT("POST"), TEXT("/v1/messages/count_tokens"), false, TEXT("count_tokens"),
     &dialect_anthropic_count, ANY},
    {AI_MODELS, TEXT("GET"), TEXT("/v1/models"), false, TEXT("models"), &dialect_anthropic_models,
     .suffix = TEXT(""), .fits = says_anthropics_version},
    {AI_MODELS, TEXT("GET"), TEXT("/v1/models"), false, TEXT("models"), &dialect_openai_models,
     ANY},
    {AI_MODEL, TEXT("GET"), TEXT("/v1/models/"), true, TEXT("model"), &dialect_anthropic_models,
     .suffix = TEXT(""), .fits = says_anthropics_version},
    {AI_MODEL, TEXT("GET"), TEXT("/v1/models/"), true, TEXT("model"), &dialect_openai_models, ANY},
    {AI_CHAT, TEXT("POST"), TEXT("/v2/chat"), false, TEXT("chat"), &dialect_cohere_chat, ANY},
    {AI_EMBEDDINGS, TEXT("POST"), TEXT("/v2/embed"), false, TEXT("embeddings"),
     &dialect_cohere_embed, ANY},
    {AI_CHAT, TEXT("POST"), TEXT("/model/"), true, TEXT("converse"), &dialect_bedrock_converse,
     TEXT("/converse"), NULL},
    {AI_CHAT, TEXT("POST"), TEXT("/model/"), true, TEXT("converse"), &dialect_bedrock_converse,
     TEXT("/converse-stream"), NULL},
};

static bool matches(const struct ai_endpoint *e, struct slice path)
{
    if (!e->prefix)
        return slice_eq(path, e->path);
    return path.len > e->path.len + e->suffix.len && slice_starts(path, e->path) &&
           slice_ends(path, e->suffix);
}

static bool serves(const struct ai_endpoint *e, struct slice method)
{
    return slice_eq(method, e->method) ||
           (slice_eq(method, SLICE("HEAD")) && slice_eq(e->method, SLICE("GET")));
}

/* A path may be served by different methods in different rows. */
const struct ai_endpoint *ai_endpoint_find(const struct http_head *h, struct slice path,
                                           bool *allowed)
{
    const struct ai_endpoint *found = NULL;
    for (size_t i = 0; i < ARRAY_LEN(endpoints); i++) {
        const struct ai_endpoint *e = &endpoints[i];
        if (!matches(e, path) || (e->fits && !e->fits(h)))
            continue;
        *allowed = serves(e, h->method);
        if (*allowed)
            return e;
        found = found ? found : e;
    }
    return found;
}

const struct ai_endpoint *ai_endpoint_item(const struct ai_endpoint *list)
{
    for (size_t i = 0; i < ARRAY_LEN(endpoints); i++) {
        const struct ai_endpoint *e = &endpoints[i];
        bool below = e->path.len == list->path.len + 1 && slice_starts(e->path, list->path);
        if (e->prefix && below && !e->suffix.len && slice_eq(e->method, SLICE("GET")))
            return e;
    }
    return NULL;
}

struct slice ai_endpoint_methods(const struct http_head *h, struct slice path, struct arena *a)
{
    struct slice list = SLICE("");
    for (size_t i = 0; i < ARRAY_LEN(endpoints); i++) {
        const struct ai_endpoint *e = &endpoints[i];
        if (matches(e, path) && (!e->fits || e->fits(h)) && slice_search(list, e->method) < 0)
            list = arena_printf(a, "%.*s%s%.*s", SLICE_ARG(list), list.len ? ", " : "",
                                SLICE_ARG(e->method));
    }
    return list;
}

struct slice ai_unescape(struct arena *a, struct slice s)
{
    char *out = arena_alloc(a, s.len);
    size_t n = 0;
    for (size_t i = 0; out && i < s.len; i++) {
        int high = i + 2 < s.len && s.ptr[i] == '%' ? slice_hex_digit(s.ptr[i + 1]) : -1;
        int low = high >= 0 ? slice_hex_digit(s.ptr[i + 2]) : -1;
        out[n++] = low >= 0 ? (char)(high * 16 + low) : s.ptr[i];
        if (low >= 0)
            i += 2;
    }
    return out ? slice_of(out, n) : SLICE_NONE;
}

static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.' || c == '~';
}

struct slice ai_escape(struct arena *a, struct slice name)
{
    static const char hex[] = "0123456789ABCDEF";
    char *out = arena_alloc(a, 3 * name.len + 1), *to = out;
    for (size_t i = 0; out && i < name.len; i++) {
        unsigned char c = (unsigned char)name.ptr[i];
        if (is_unreserved(name.ptr[i])) {
            *to++ = (char)c;
            continue;
        }
        *to++ = '%';
        *to++ = hex[c >> 4];
        *to++ = hex[c & 15];
    }
    return out ? slice_of(out, (size_t)(to - out)) : SLICE_NONE;
}

struct slice ai_incoming_name(const struct ai_incoming *in)
{
    const struct ai_endpoint *e = in->endpoint;
    if (!e->prefix || in->path.len < e->path.len + e->suffix.len)
        return SLICE_NONE;
    struct slice raw = slice_from(in->path, e->path.len);
    return ai_unescape(in->arena, slice_first(raw, raw.len - e->suffix.len));
}

struct slice ai_endpoint_list(struct arena *a)
{
    struct slice list = SLICE("");
    for (size_t i = 0; i < ARRAY_LEN(endpoints); i++)
        list = arena_printf(a, "%.*s%s%.*s %.*s%s%.*s", SLICE_ARG(list), i ? ", " : "",
                            SLICE_ARG(endpoints[i].method), SLICE_ARG(endpoints[i].path),
                            endpoints[i].prefix ? "{model}" : "", SLICE_ARG(endpoints[i].suffix));
    return list;
}
