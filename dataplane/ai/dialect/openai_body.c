/*
 * openai_body — one scan for the members that the gate reads, and the splice.
 */
#include "dataplane/ai/dialect/openai_body.h"

#include "common/base/limits.h"
#include "dataplane/ai/dialect/body_member.h"

#define CHOICES_MAX 128 /* OpenAI's own ceiling of n */

static const char *const wants[] = {
#define OPENAI_WANT_PATH(name, path) path,
    OPENAI_CHAT_WANTS(OPENAI_WANT_PATH) OPENAI_EMBEDDING_WANTS(OPENAI_WANT_PATH)
#undef OPENAI_WANT_PATH
};

_Static_assert(OPENAI_ALL_WANTS <= AI_HITS, "each wanted member has its place");

static enum err read_ceilings(struct body_reading *d)
{
    uint64_t old = 0, new = 0;
    enum err e = body_read_count(d, OPENAI_MAX_TOKENS, LIMIT_AI_TOKENS, &old);
    if (!e)
        e = body_read_count(d, OPENAI_MAX_COMPLETION_TOKENS, LIMIT_AI_TOKENS, &new);
    if (!e)
        e = body_read_count(d, OPENAI_N, CHOICES_MAX, &d->r->choices);
    /* Providers differ in which of the two wins: the larger one is the safe one. */
    d->r->output_ceiling = old > new ? old : new;
    return e;
}

static enum err read_chat(struct body_reading *d)
{
    struct json_hit *hits = d->r->hits;
    if (hits[OPENAI_MESSAGES].type != JSON_SCAN_ARRAY)
        return body_wrong(d, OPENAI_MESSAGES, "an array");
    if (!body_is_absent(&hits[OPENAI_TOOLS]) && hits[OPENAI_TOOLS].type != JSON_SCAN_ARRAY)
        return body_wrong(d, OPENAI_TOOLS, "an array");
    if (!body_is_absent(&hits[OPENAI_STREAM_OPTIONS]) &&
        hits[OPENAI_STREAM_OPTIONS].type != JSON_SCAN_OBJECT)
        return body_wrong(d, OPENAI_STREAM_OPTIONS, "an object");
    enum err e = body_read_flag(d, OPENAI_STREAM, &d->r->stream);
    if (!e)
        e = body_read_flag(d, OPENAI_INCLUDE_USAGE, &d->r->wants_usage);
    if (!e)
        e = read_ceilings(d);
    return e;
}

static enum err read_embeddings(struct body_reading *d)
{
    enum json_type t = d->r->hits[OPENAI_INPUT].type;
    return t == JSON_SCAN_STRING || t == JSON_SCAN_ARRAY
               ? ERR_OK
               : body_wrong(d, OPENAI_INPUT, "a string or an array");
}

static enum err read_labels(struct body_reading *d)
{
    enum err e = body_read_text(d, OPENAI_SESSION_ID, &d->r->session_id);
    return e ? e : body_read_text(d, OPENAI_PROMPT_CACHE_KEY, &d->r->prompt_cache_key);
}

static enum err read_body(struct slice body, struct body_reading *d, size_t n,
                          enum err (*read_rest)(struct body_reading *d))
{
    enum err e = body_scan(d, body, n);
    if (!e)
        e = body_read_model(d, OPENAI_MODEL);
    if (!e)
        e = read_rest(d);
    return e ? e : read_labels(d);
}

enum err openai_read_chat(const struct ai_incoming *in, struct ai_request *ret,
                          struct slice *detail)
{
    struct body_reading d = {.r = ret, .names = wants, .arena = in->arena};
    enum err e = read_body(in->body, &d, OPENAI_WANTS, read_chat);
    *detail = d.detail;
    return e;
}

enum err openai_read_embeddings(const struct ai_incoming *in, struct ai_request *ret,
                                struct slice *detail)
{
    struct body_reading d = {.r = ret, .names = wants, .arena = in->arena};
    enum err e = read_body(in->body, &d, OPENAI_ALL_WANTS, read_embeddings);
    *detail = d.detail;
    return e;
}

/* ---- the splice ---- */

static bool is_empty_object(struct slice raw)
{
    for (size_t i = 1; i < raw.len; i++)
        if (raw.ptr[i] != ' ' && raw.ptr[i] != '\t' && raw.ptr[i] != '\r' && raw.ptr[i] != '\n')
            return raw.ptr[i] == '}';
    return false;
}

/* false: the body requests usage already. Where it must be put in anew, it goes behind the root's
 * brace. */
static bool usage_edit(const struct ai_request *r, struct slice body, struct body_edit *ret)
{
    const struct json_hit *options = &r->hits[OPENAI_STREAM_OPTIONS];
    const struct json_hit *include = &r->hits[OPENAI_INCLUDE_USAGE];
    if (include->type == JSON_SCAN_TRUE)
        return false;
    if (include->type != JSON_SCAN_ABSENT) {
        *ret = (struct body_edit){include->raw.ptr, include->raw.len, SLICE("true")};
    } else if (options->type == JSON_SCAN_OBJECT) {
        struct slice text = is_empty_object(options->raw) ? SLICE("\"include_usage\":true")
                                                          : SLICE("\"include_usage\":true,");
        *ret = (struct body_edit){options->raw.ptr + 1, 0, text};
    } else if (options->type == JSON_SCAN_NULL) {
        *ret = (struct body_edit){options->raw.ptr, options->raw.len,
                                  SLICE("{\"include_usage\":true}")};
    } else {
        ptrdiff_t brace = slice_find(body, '{'); /* the root's: the scan said it is an object */
        *ret = (struct body_edit){body.ptr + brace + 1, 0,
                                  SLICE("\"stream_options\":{\"include_usage\":true},")};
    }
    return true;
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
static struct body_edit limit_edit(const struct ai_request *r, struct slice body,
                                   const struct ai_changes *c, struct arena *a)
{
    bool new_name = strcmp(c->limit_name, wants[OPENAI_MAX_COMPLETION_TOKENS]) == 0;
    const struct json_hit *h =
        &r->hits[new_name ? OPENAI_MAX_COMPLETION_TOKENS : OPENAI_MAX_TOKENS];
    ptrdiff_t brace = slice_find(body, '{');
    if (h->type == JSON_SCAN_NULL)
        return (struct body_edit){h->raw.ptr, h->raw.len, limit_text(NULL, c->output_limit, a)};
    return (struct body_edit){body.ptr + brace + 1, 0,
                              limit_text(c->limit_name, c->output_limit, a)};
}

_Static_assert(AI_REQUEST_PIECES >= 2 * 3 + 1, "three edits leave seven pieces");

enum err openai_splice(const struct ai_request *r, struct slice body, const struct ai_changes *c,
                       struct arena *a, struct slice ret[static AI_REQUEST_PIECES])
{
    struct body_edit edits[3];
    size_t n = 0;
    if (!slice_eq(c->model, r->model)) {
        const struct slice raw = r->hits[OPENAI_MODEL].raw;
        edits[n] = (struct body_edit){raw.ptr, raw.len, body_quoted(a, c->model)};
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
    memset(ret, 0, AI_REQUEST_PIECES * sizeof(*ret));
    body_apply(edits, n, body, ret);
    return ERR_OK;
}
