/*
 * openai_body — one scan for the members that the gate reads, and the splice.
 */
#include "dataplane/ai/dialect/openai_body.h"

#include "common/base/escape.h"
#include "common/base/limits.h"

#define MODEL_NAME_MAX 256 /* no provider's names are longer */
#define CHOICES_MAX 128    /* OpenAI's own ceiling of n */

static const char *const wants[] = {
#define OPENAI_WANT_PATH(name, path) path,
    OPENAI_CHAT_WANTS(OPENAI_WANT_PATH) OPENAI_EMBEDDING_WANTS(OPENAI_WANT_PATH)
#undef OPENAI_WANT_PATH
};

_Static_assert(OPENAI_ALL_WANTS <= AI_HITS, "each wanted member has its place");

/* dialects.md 1.1: almost every member may be null, and that means absent */
static bool is_absent(const struct json_hit *h)
{
    return h->type == JSON_SCAN_ABSENT || h->type == JSON_SCAN_NULL;
}

struct reading {
    struct ai_request *r;
    struct arena *arena;
    struct slice detail;
};

static enum err wrong(struct reading *d, enum openai_want w, const char *should)
{
    d->r->param = wants[w];
    d->detail = arena_printf(d->arena, "%s must be %s", wants[w], should);
    return ERR_INVALID;
}

static enum err read_text(struct reading *d, enum openai_want w, struct slice *ret)
{
    const struct json_hit *h = &d->r->hits[w];
    if (is_absent(h))
        return ERR_OK;
    if (h->type != JSON_SCAN_STRING)
        return wrong(d, w, "a string");
    char *out = arena_alloc(d->arena, h->raw.len);
    if (!out)
        return ERR_NOMEM;
    if (json_scan_text(h, out, h->raw.len, ret))
        return wrong(d, w, "a string without a NUL or half of a surrogate pair");
    return ERR_OK;
}

static enum err read_bool(struct reading *d, enum openai_want w, bool *ret)
{
    const struct json_hit *h = &d->r->hits[w];
    if (is_absent(h))
        return ERR_OK;
    if (h->type != JSON_SCAN_TRUE && h->type != JSON_SCAN_FALSE)
        return wrong(d, w, "true or false");
    *ret = h->type == JSON_SCAN_TRUE;
    return ERR_OK;
}

static enum err read_count(struct reading *d, enum openai_want w, uint64_t max, uint64_t *ret)
{
    const struct json_hit *h = &d->r->hits[w];
    uint64_t n;
    if (is_absent(h))
        return ERR_OK;
    if (json_scan_u64(h, &n) || n == 0 || n > max)
        return wrong(d, w, "a positive integer in range");
    *ret = n;
    return ERR_OK;
}

static enum err read_model(struct reading *d)
{
    enum err e = read_text(d, OPENAI_MODEL, &d->r->model);
    if (e)
        return e;
    if (!d->r->model.len || d->r->model.len > MODEL_NAME_MAX)
        return wrong(d, OPENAI_MODEL, "the name of a model");
    return ERR_OK;
}

static enum err read_ceilings(struct reading *d)
{
    uint64_t old = 0, new = 0;
    enum err e = read_count(d, OPENAI_MAX_TOKENS, LIMIT_AI_TOKENS, &old);
    if (!e)
        e = read_count(d, OPENAI_MAX_COMPLETION_TOKENS, LIMIT_AI_TOKENS, &new);
    if (!e)
        e = read_count(d, OPENAI_N, CHOICES_MAX, &d->r->choices);
    /* Providers differ in which of the two wins: the larger one is the safe one. */
    d->r->output_ceiling = old > new ? old : new;
    return e;
}

static enum err read_chat(struct reading *d)
{
    struct json_hit *hits = d->r->hits;
    if (hits[OPENAI_MESSAGES].type != JSON_SCAN_ARRAY)
        return wrong(d, OPENAI_MESSAGES, "an array");
    if (!is_absent(&hits[OPENAI_TOOLS]) && hits[OPENAI_TOOLS].type != JSON_SCAN_ARRAY)
        return wrong(d, OPENAI_TOOLS, "an array");
    if (!is_absent(&hits[OPENAI_STREAM_OPTIONS]) &&
        hits[OPENAI_STREAM_OPTIONS].type != JSON_SCAN_OBJECT)
        return wrong(d, OPENAI_STREAM_OPTIONS, "an object");
    enum err e = read_bool(d, OPENAI_STREAM, &d->r->stream);
    if (!e)
        e = read_bool(d, OPENAI_INCLUDE_USAGE, &d->r->wants_usage);
    if (!e)
        e = read_ceilings(d);
    return e;
}

static enum err read_embeddings(struct reading *d)
{
    enum json_type t = d->r->hits[OPENAI_INPUT].type;
    return t == JSON_SCAN_STRING || t == JSON_SCAN_ARRAY
               ? ERR_OK
               : wrong(d, OPENAI_INPUT, "a string or an array");
}

static enum err read_labels(struct reading *d)
{
    enum err e = read_text(d, OPENAI_SESSION_ID, &d->r->session_id);
    return e ? e : read_text(d, OPENAI_PROMPT_CACHE_KEY, &d->r->prompt_cache_key);
}

static enum err read_body(struct slice body, struct reading *d, size_t n,
                          enum err (*read_rest)(struct reading *d))
{
    struct json_scan_problem problem;
    enum json_type root;
    d->r->choices = 1;
    enum err e = json_scan(body, wants, n, d->r->hits, &root, &problem);
    if (e) {
        d->detail = arena_copy(d->arena, slice_str(problem.text));
        return e;
    }
    if (root != JSON_SCAN_OBJECT) {
        d->detail = SLICE("it must be an object");
        return ERR_INVALID;
    }
    e = read_model(d);
    if (!e)
        e = read_rest(d);
    return e ? e : read_labels(d);
}

enum err openai_read_chat(const struct ai_incoming *in, struct ai_request *ret,
                          struct slice *detail)
{
    struct reading d = {.r = ret, .arena = in->arena};
    enum err e = read_body(in->body, &d, OPENAI_WANTS, read_chat);
    *detail = d.detail;
    return e;
}

enum err openai_read_embeddings(const struct ai_incoming *in, struct ai_request *ret,
                                struct slice *detail)
{
    struct reading d = {.r = ret, .arena = in->arena};
    enum err e = read_body(in->body, &d, OPENAI_ALL_WANTS, read_embeddings);
    *detail = d.detail;
    return e;
}

/* ---- the splice ---- */

struct edit {
    const char *at;
    size_t old;
    struct slice text;
};

static bool is_empty_object(struct slice raw)
{
    for (size_t i = 1; i < raw.len; i++)
        if (raw.ptr[i] != ' ' && raw.ptr[i] != '\t' && raw.ptr[i] != '\r' && raw.ptr[i] != '\n')
            return raw.ptr[i] == '}';
    return false;
}

/* false: the body requests usage already. Where it must be put in anew, it goes behind the root's
 * brace. */
static bool usage_edit(const struct ai_request *r, struct slice body, struct edit *ret)
{
    const struct json_hit *options = &r->hits[OPENAI_STREAM_OPTIONS];
    const struct json_hit *include = &r->hits[OPENAI_INCLUDE_USAGE];
    if (include->type == JSON_SCAN_TRUE)
        return false;
    if (include->type != JSON_SCAN_ABSENT) {
        *ret = (struct edit){include->raw.ptr, include->raw.len, SLICE("true")};
    } else if (options->type == JSON_SCAN_OBJECT) {
        struct slice text = is_empty_object(options->raw) ? SLICE("\"include_usage\":true")
                                                          : SLICE("\"include_usage\":true,");
        *ret = (struct edit){options->raw.ptr + 1, 0, text};
    } else if (options->type == JSON_SCAN_NULL) {
        *ret = (struct edit){options->raw.ptr, options->raw.len, SLICE("{\"include_usage\":true}")};
    } else {
        ptrdiff_t brace = slice_find(body, '{'); /* the root's: the scan said it is an object */
        *ret = (struct edit){body.ptr + brace + 1, 0,
                             SLICE("\"stream_options\":{\"include_usage\":true},")};
    }
    return true;
}

/* As a JSON string; .ptr NULL: no memory. */
static struct slice quoted(struct arena *a, struct slice text)
{
    char *out = arena_alloc(a, text.len * ESCAPE_MAX + 2), *to = out;
    if (!out)
        return SLICE_NONE;
    *to++ = '"';
    while (text.len) {
        size_t plain = escape_plain(text);
        memcpy(to, text.ptr, plain);
        to += plain;
        text = slice_from(text, plain);
        if (text.len)
            to += escape_json(&text, to);
    }
    *to++ = '"';
    return slice_of(out, (size_t)(to - out));
}

static void apply(const struct edit *edits, size_t n, struct slice body, struct slice *ret)
{
    const char *from = body.ptr, *end = body.ptr + body.len;
    for (size_t i = 0; i < n; i++) {
        *ret++ = slice_of(from, (size_t)(edits[i].at - from));
        *ret++ = edits[i].text;
        from = edits[i].at + edits[i].old;
    }
    *ret = slice_of(from, (size_t)(end - from));
}

/* "max_tokens":N, in the arena; without a name, only the number. Written by hand, since this is
 * done for each call under a budget. */
static struct slice limit_text(const char *name, uint64_t limit, struct arena *a)
{
    size_t len = name ? strlen(name) : 0, most = len + SLICE_U64_MAX + 4;
    char *text = arena_alloc(a, most);
    if (!text)
        return SLICE_NONE;
    char *end = text + most, *p = end;
    if (name)
        *--p = ',';
    p -= slice_write_u64(p, limit);
    if (name) {
        *--p = ':';
        *--p = '"';
        p -= len;
        memcpy(p, name, len);
        *--p = '"';
    }
    return slice_of(p, (size_t)(end - p));
}

/* The limit in place of a null, or behind the root's brace. */
static struct edit limit_edit(const struct ai_request *r, struct slice body,
                              const struct ai_changes *c, struct arena *a)
{
    bool new_name = strcmp(c->limit_name, wants[OPENAI_MAX_COMPLETION_TOKENS]) == 0;
    const struct json_hit *h =
        &r->hits[new_name ? OPENAI_MAX_COMPLETION_TOKENS : OPENAI_MAX_TOKENS];
    ptrdiff_t brace = slice_find(body, '{');
    if (h->type == JSON_SCAN_NULL)
        return (struct edit){h->raw.ptr, h->raw.len, limit_text(NULL, c->output_limit, a)};
    return (struct edit){body.ptr + brace + 1, 0, limit_text(c->limit_name, c->output_limit, a)};
}

static void sort(struct edit *edits, size_t n)
{
    for (size_t i = 1; i < n; i++)
        for (size_t j = i; j > 0 && edits[j].at < edits[j - 1].at; j--) {
            struct edit later = edits[j - 1];
            edits[j - 1] = edits[j];
            edits[j] = later;
        }
}

_Static_assert(AI_REQUEST_PIECES >= 2 * 3 + 1, "three edits leave seven pieces");

enum err openai_splice(const struct ai_request *r, struct slice body, const struct ai_changes *c,
                       struct arena *a, struct slice ret[static AI_REQUEST_PIECES])
{
    struct edit edits[3];
    size_t n = 0;
    if (!slice_eq(c->model, r->model)) {
        const struct slice raw = r->hits[OPENAI_MODEL].raw;
        edits[n] = (struct edit){raw.ptr, raw.len, quoted(a, c->model)};
        if (!edits[n++].text.ptr)
            return ERR_NOMEM;
    }
    if (r->stream && !c->no_usage_option && usage_edit(r, body, &edits[n]))
        n++;
    if (c->output_limit && !r->output_ceiling) {
        edits[n] = limit_edit(r, body, c, a);
        if (!edits[n++].text.ptr)
            return ERR_NOMEM;
    }
    sort(edits, n);
    memset(ret, 0, AI_REQUEST_PIECES * sizeof(*ret));
    apply(edits, n, body, ret);
    return ERR_OK;
}
