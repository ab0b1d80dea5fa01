/*
 * gemini — Google's Gemini API, with a key (dialects.md 1.5).
 */
#include "dataplane/ai/provider/gemini.h"

#include "dataplane/ai/provider/gemini_request.h"

bool gemini_speaks(const struct ai_endpoint *e)
{
    return e->dialect == &dialect_gemini || e->dialect == &dialect_gemini_count;
}

/* A stream as one array is asked for as events, since its objects are the same; so the request is
 * the client's own, while the response is written anew. */
static bool takes_body(const struct ai_endpoint *e)
{
    return gemini_speaks(e) || e->dialect == &dialect_gemini_array;
}

bool gemini_serves(const struct ai_endpoint *e)
{
    return e->kind == AI_CHAT || e->dialect == &dialect_gemini_count;
}

/* ---- the request ---- */

void gemini_add_headers(struct ai_outgoing *o)
{
    ai_outgoing_add(o, SLICE("content-type"), SLICE("application/json"));
    ai_outgoing_add(o, SLICE("accept"),
                    o->request->stream ? SLICE("text/event-stream") : SLICE("application/json"));
    ai_outgoing_add_own(o);
}

static bool is_plain(char ch)
{
    return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') ||
           (ch && strchr("-._~", ch));
}

struct slice gemini_escape(struct arena *a, struct slice name)
{
    static const char digits[] = "0123456789ABCDEF";
    char *out = arena_alloc(a, 3 * name.len + 1);
    size_t n = 0;
    if (!out)
        return SLICE_NONE;
    for (size_t i = 0; i < name.len; i++) {
        unsigned char ch = (unsigned char)name.ptr[i];
        if (is_plain((char)ch)) {
            out[n++] = (char)ch;
            continue;
        }
        out[n++] = '%';
        out[n++] = digits[ch >> 4];
        out[n++] = digits[ch & 15];
    }
    return slice_of(out, n);
}

/* A tuned model's name has its collection in front, a plain one has not. */
static struct slice model_path(struct arena *a, struct slice model)
{
    static const struct slice collections[] = {{"models/", 7}, {"tunedModels/", 12}};
    for (size_t i = 0; i < ARRAY_LEN(collections); i++)
        if (slice_starts(model, collections[i]))
            return arena_printf(a, "%.*s%.*s", SLICE_ARG(collections[i]),
                                SLICE_ARG(gemini_escape(a, slice_from(model, collections[i].len))));
    return arena_printf(a, "models/%.*s", SLICE_ARG(gemini_escape(a, model)));
}

enum err gemini_path(struct ai_outgoing *o, struct slice rest, struct slice method)
{
    struct slice base = o->url->path, query = o->url->query;
    bool stream = o->request->stream;
    if (!rest.ptr || !base.ptr)
        return ERR_NOMEM;
    o->path = arena_printf(o->arena, "%.*s%.*s:%.*s%s%s%.*s", SLICE_ARG(base), SLICE_ARG(rest),
                           SLICE_ARG(method), stream ? "?alt=sse" : "",
                           !query.len ? ""
                           : stream   ? "&"
                                      : "?",
                           SLICE_ARG(query));
    return o->path.ptr ? ERR_OK : ERR_NOMEM;
}

/* The version of the client's own path, where it speaks this protocol. */
static const char *version_of(const struct ai_endpoint *e)
{
    return (takes_body(e) || gemini_embeds(e)) && slice_starts(e->path, SLICE("/v1/")) ? "v1"
                                                                                       : "v1beta";
}

struct slice gemini_method(const struct ai_outgoing *o)
{
    if (o->endpoint->kind == AI_COUNT)
        return SLICE("countTokens");
    if (o->endpoint->kind == AI_EMBEDDINGS)
        return gemini_embed_method(o);
    return o->request->stream ? SLICE("streamGenerateContent") : SLICE("generateContent");
}

static enum err set_path(struct ai_outgoing *o)
{
    struct slice base = o->url->path, model = model_path(o->arena, o->changes.model);
    bool bare = !base.len || slice_eq(base, SLICE("/"));
    struct slice rest = bare ? arena_printf(o->arena, "%s%s/%.*s", base.len ? "" : "/",
                                            version_of(o->endpoint), SLICE_ARG(model))
                             : arena_printf(o->arena, "/%.*s", SLICE_ARG(model));
    return gemini_path(o, rest, gemini_method(o));
}

enum err gemini_set_body(struct ai_outgoing *o, const struct gemini_service *s)
{
    if (takes_body(o->endpoint))
        return o->endpoint->dialect->splice(o->request, o->body, &o->changes, o->arena, o->pieces);
    enum err e = gemini_write_request(o, s);
    memset(o->pieces, 0, sizeof(o->pieces));
    o->pieces[0] = buf_slice(o->translated);
    return e;
}

static bool speaks(const struct ai_endpoint *e)
{
    return gemini_speaks(e) || gemini_embeds(e);
}

static bool serves(const struct ai_endpoint *e)
{
    return gemini_serves(e) || e->kind == AI_EMBEDDINGS;
}

static enum err authorize(struct ai_outgoing *o)
{
    return ai_outgoing_sign(o, SLICE("x-goog-api-key"), SLICE(""));
}

static enum err build(struct ai_outgoing *o)
{
    static const struct gemini_service service = {.call_ids = true};
    enum err e = set_path(o);
    if (!e)
        e = o->endpoint->kind == AI_EMBEDDINGS ? gemini_write_embed(o)
                                               : gemini_set_body(o, &service);
    if (e)
        return e;
    gemini_add_headers(o);
    return authorize(o);
}

const struct ai_provider provider_gemini = {
    .name = {"gemini", 6},
    .hidden_prompt = 200, /* its own instructions for functions */
    .speaks = speaks,
    .serves = serves,
    .build = build,
    .authorize = authorize,
    .read_error = gemini_read_error,
    .read_count = gemini_read_count_response,
    .decode = gemini_decode,
    .decode_whole = gemini_decode_whole,
};
