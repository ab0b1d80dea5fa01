/*
 * openai — OpenAI, and the many services that speak its protocol.
 */
#include "dataplane/ai/provider/openai_usage.h"
#include "dataplane/ai/provider/provider.h"

/* what a client may tell the provider; everything else stays here */
static const struct slice telling[] = {{"openai-beta", 11}};

static bool speaks(const struct ai_endpoint *e)
{
    return e->kind == AI_CHAT || e->kind == AI_EMBEDDINGS;
}

static struct slice path_of(enum ai_kind kind)
{
    return kind == AI_CHAT ? SLICE("/chat/completions") : SLICE("/embeddings");
}

/* Built from nothing: no header of the client passes but those listed. */
static void add_headers(struct ai_outgoing *o)
{
    ai_outgoing_add(o, SLICE("content-type"), SLICE("application/json"));
    ai_outgoing_add(o, SLICE("accept"),
                    o->request->stream ? SLICE("text/event-stream") : SLICE("application/json"));
    ai_outgoing_add(o, SLICE("accept-encoding"), SLICE("identity"));
    ai_outgoing_add(o, SLICE("user-agent"), SLICE("gatehouse"));
    ai_outgoing_add(o, SLICE("traceparent"), o->traceparent);
    for (size_t i = 0; i < ARRAY_LEN(telling); i++) {
        struct slice value = http_head_find(o->client_head, telling[i]);
        if (value.len)
            ai_outgoing_add(o, telling[i], value);
    }
}

static enum err build(struct ai_outgoing *o)
{
    enum err e = ai_outgoing_path(o, path_of(o->endpoint->kind));
    if (!e)
        e = o->endpoint->dialect->splice(o->request, o->body, &o->changes, o->arena, o->pieces);
    if (e)
        return e;
    add_headers(o);
    return ai_outgoing_sign(o, SLICE("authorization"), SLICE("Bearer "));
}

static enum ai_verdict classify(unsigned status)
{
    switch (status) {
    case 401:
    case 403:
    case 407:
        return AI_CREDENTIAL_BAD;
    case 429:
        return AI_LIMITED;
    case 408:
        return AI_RETRY;
    default:
        break;
    }
    if (status >= 500 || status < 200 || (status >= 300 && status < 400))
        return AI_RETRY;
    return status < 300 ? AI_OK : AI_FATAL;
}

static struct ai_usage usage_of(const struct usage_look *look)
{
    struct ai_usage u = AI_USAGE_NONE;
    if (!look->has_prompt)
        return u;
    u.prompt = look->tokens.input;
    u.cache_read = look->tokens.cache_read;
    u.cache_write = look->tokens.cache_write;
    u.output = look->has_usage ? look->tokens.output : AI_UNSAID;
    u.reasoning = look->tokens.reasoning;
    return u;
}

static void read_whole(struct slice body, enum ai_kind kind, struct ai_whole *ret)
{
    struct usage_look look = {0};
    *ret = (struct ai_whole){0};
    enum err e = usage_read_response(body, &look);
    bool counted = !e && (look.has_usage || (look.has_prompt && kind == AI_EMBEDDINGS));
    if (counted) {
        ret->counted = AI_COUNTED_ALL;
        ret->tokens = look.tokens;
    }
    ret->fails = look.has_error && !counted;
}

static bool is_done(struct slice data)
{
    return slice_eq(slice_trim(data), SLICE("[DONE]"));
}

/* `"usage":null` stands in every chunk where usage was asked for: not worth a scan */
static bool may_hold_usage(struct slice data)
{
    ptrdiff_t at = slice_search(data, SLICE("\"usage\""));
    if (at < 0)
        return false;
    struct slice rest = slice_trim(slice_from(data, (size_t)at + 7));
    if (!rest.len || rest.ptr[0] != ':')
        return true;
    return !slice_starts(slice_trim(slice_from(rest, 1)), SLICE("null"));
}

/* A choice has ended: the member is a text, and not null as until then. */
static bool names_a_reason(struct slice data)
{
    const struct slice name = SLICE("\"finish_reason\"");
    ptrdiff_t at;
    while ((at = slice_search(data, name)) >= 0) {
        data = slice_trim(slice_from(data, (size_t)at + name.len));
        if (slice_starts(data, SLICE(":")) &&
            slice_starts(slice_trim(slice_from(data, 1)), SLICE("\"")))
            return true;
    }
    return false;
}

static bool says_error(struct slice data)
{
    struct usage_look look;
    if (slice_search(data, SLICE("\"error\"")) < 0)
        return false;
    if (usage_read(data, &look))
        return slice_starts(data, SLICE("{\"error\"")); /* broken, and meant as one */
    return look.has_error;
}

static void glance(struct slice data, bool wants_usage, struct ai_glance *ret)
{
    struct usage_look look = {0};
    *ret = (struct ai_glance){.ends = is_done(data)};
    if (ret->ends)
        return;
    if (may_hold_usage(data) && !usage_read(data, &look)) {
        ret->has_usage = look.has_usage;
        ret->usage = usage_of(&look);
        ret->usage_alone = look.only_usage;
        if (look.only_usage && !wants_usage)
            return;
    }
    ret->fails = says_error(data);
    ret->finishes = names_a_reason(data);
    ret->words = openai_words_in_chunk(data);
    if (!wants_usage && slice_search(data, SLICE("\"usage\"")) >= 0 &&
        !usage_find_null(data, &ret->unasked))
        ret->unasked = SLICE_NONE;
}

static void identify(struct slice data, struct arena *a, struct ai_writer *w)
{
    static const char *const wants[] = {"id", "created", "model"};
    struct json_hit hits[ARRAY_LEN(wants)];
    struct json_scan_problem problem;
    enum json_type root;
    if (w->id.ptr || json_scan(data, wants, ARRAY_LEN(wants), hits, &root, &problem))
        return;
    w->id = arena_copy(a, hits[0].raw);
    w->created = arena_copy(a, hits[1].raw);
    w->model = arena_copy(a, hits[2].raw);
}

const struct ai_provider provider_openai = {
    .name = {"openai", 6},
    .speaks = speaks,
    .build = build,
    .classify = classify,
    .read_whole = read_whole,
    .glance = glance,
    .identify = identify,
    .words = openai_words_in_response,
};
