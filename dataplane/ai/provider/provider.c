/*
 * provider — the table, and what building a request has in common.
 */
#include "dataplane/ai/provider/provider.h"

#include "common/base/escape.h"
#include "common/base/json_out.h"
#include "common/base/json_scan.h"
#include "common/base/limits.h"
#include "common/base/secret.h"
#include "dataplane/ai/provider/openai_services.h"

static const struct ai_provider *const providers[] = {
    &provider_openai, &provider_azure,   &provider_mistral, &provider_anthropic, &provider_gemini,
    &provider_vertex, &provider_bedrock, &provider_cohere,  &provider_ollama,
};

const struct ai_provider *ai_provider_named(struct slice name)
{
    for (size_t i = 0; i < ARRAY_LEN(providers); i++)
        if (slice_eq(providers[i]->name, name))
            return providers[i];
    return NULL;
}

/* Beside its conversations, which all that speak as OpenAI does have; responses not all. */
static const struct ai_provider *const openai_protocols[] = {&provider_openai_responses,
                                                             &provider_openai_completions};

static bool has_protocol(const struct policy_provider *p, const struct ai_provider *protocol)
{
    return protocol != &provider_openai_responses || openai_has_responses(p);
}

/* Cohere has rerank alone of these. */
static bool serves_task(const struct policy_provider *p, const struct ai_endpoint *e)
{
    static const struct slice like_openai[] = {{"openai", 6}, {"azure", 5}, {"mistral", 7}};
    for (size_t i = 0; i < ARRAY_LEN(like_openai); i++)
        if (slice_eq(p->dialect, like_openai[i]))
            return true;
    return slice_eq(p->dialect, SLICE("cohere")) && slice_ends(e->path, SLICE("/rerank"));
}

const struct ai_provider *ai_provider_for(const struct policy_provider *p,
                                          const struct ai_endpoint *e, struct slice model)
{
    const struct ai_provider *named = ai_provider_named(p->dialect);
    if (e->kind == AI_TASK && serves_task(p, e))
        return &provider_openai_task;
    if (named == &provider_openai || named == &provider_azure) {
        if (e->kind == AI_REALTIME)
            return &provider_openai_realtime;
        if (e->kind == AI_SECRET)
            return &provider_openai_realtime_secret;
    }
    if (named == &provider_vertex)
        return vertex_protocol_of(model);
    if (named != &provider_openai && named != &provider_azure)
        return named;
    if (e->kind == AI_STORED)
        return &provider_openai_objects;
    for (size_t i = 0; i < ARRAY_LEN(openai_protocols); i++)
        if (openai_protocols[i]->speaks(e) && has_protocol(p, openai_protocols[i]))
            return openai_protocols[i];
    return named;
}

void ai_outgoing_add(struct ai_outgoing *o, struct slice name, struct slice value)
{
    MUST(o->header_count < AI_SEND_HEADERS);
    o->headers[o->header_count++] = (struct http_header){name, value};
}

void ai_outgoing_add_own(struct ai_outgoing *o)
{
    ai_outgoing_add(o, SLICE("accept-encoding"), SLICE("identity"));
    ai_outgoing_add(o, SLICE("user-agent"), SLICE("gatehouse"));
    ai_outgoing_add(o, SLICE("traceparent"), o->traceparent);
}

enum err ai_outgoing_sign(struct ai_outgoing *o, struct slice name, struct slice scheme)
{
    if (!o->credential)
        return ERR_OK;
    struct slice s = secret_reveal(o->credential);
    if (scheme.len + s.len > sizeof(o->secret))
        return ERR_TOO_BIG;
    slice_put(slice_put(o->secret, scheme), s);
    o->secret_len = scheme.len + s.len;
    ai_outgoing_add(o, name, slice_of(o->secret, o->secret_len));
    return ERR_OK;
}

enum err ai_outgoing_authorize(struct ai_outgoing *o, const struct ai_provider *p)
{
    return p->authorize ? p->authorize(o)
                        : ai_outgoing_sign(o, SLICE("authorization"), SLICE("Bearer "));
}

enum err ai_outgoing_path(struct ai_outgoing *o, struct slice rest)
{
    struct slice base = o->url->path, query = o->url->query;
    size_t len = base.len + rest.len + (query.len ? 1 + query.len : 0);
    char *out = arena_alloc(o->arena, len);
    if (!out)
        return ERR_NOMEM;
    char *to = slice_put(slice_put(out, base), rest);
    if (query.len)
        slice_put(slice_put(to, SLICE("?")), query);
    o->path = slice_of(out, len);
    return ERR_OK;
}

/* ---- what cannot be told ---- */

#define NOTICE_MAX 512

static bool is_named(struct slice notice, struct slice name)
{
    struct slice one;
    while (slice_split(&notice, ',', &one))
        if (slice_eq(slice_trim(one), name))
            return true;
    return false;
}

static bool is_plain(struct slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if ((unsigned char)name.ptr[i] < ' ' || (unsigned char)name.ptr[i] > '~')
            return false;
    return name.len > 0;
}

void ai_outgoing_leave_out(struct ai_outgoing *o, const char *common)
{
    struct slice name = slice_first(slice_str(ai_own_name(o->endpoint->dialect, common)), 64);
    if (!is_plain(name) || is_named(o->notice, name) || o->notice.len + name.len + 2 > NOTICE_MAX)
        return;
    char *text = o->notice.len ? (char *)(uintptr_t)o->notice.ptr : NULL;
    if (!text && !(text = arena_alloc(o->arena, NOTICE_MAX)))
        return;
    char *to = text + o->notice.len;
    if (o->notice.len)
        to = slice_put(to, SLICE(", "));
    to = slice_put(to, name);
    o->notice = slice_of(text, (size_t)(to - text));
}

enum err ai_outgoing_refuse(struct ai_outgoing *o, const char *param, struct slice why)
{
    if (!o->why.len) {
        o->param = ai_own_name(o->endpoint->dialect, param);
        o->why = why;
    }
    return ERR_INVALID;
}

enum err ai_outgoing_take_others(struct ai_outgoing *o)
{
    enum err e = ERR_OK;
    for (const struct ai_other *it = o->chat->others; it; it = it->next) {
        if (it->binds)
            e = ai_outgoing_refuse(o, it->name, it->why.len ? it->why : slice_str(it->name));
        else
            ai_outgoing_leave_out(o, it->name);
    }
    return e;
}

enum err ai_outgoing_write(struct ai_outgoing *o, const json_t *tree)
{
    buf_clear(o->translated);
    memset(o->pieces, 0, sizeof(o->pieces));
    enum err e = json_write(tree, o->translated);
    o->pieces[0] = buf_slice(o->translated);
    return e;
}

struct slice ai_plain_tool_id(struct slice id, char room[static AI_TOOL_ID_MAX])
{
    uint64_t hash = 14695981039346656037ull; /* FNV-1a */
    bool plain = id.len > 0 && id.len <= 64;
    for (size_t i = 0; i < id.len; i++) {
        char ch = id.ptr[i];
        plain = plain && ((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
                          (ch >= '0' && ch <= '9') || ch == '_' || ch == '-');
        hash = (hash ^ (unsigned char)ch) * 1099511628211ull;
    }
    snprintf(room, AI_TOOL_ID_MAX, "toolu_%016llx", (unsigned long long)hash);
    return plain ? id : slice_str(room);
}

/* ---- embeddings ---- */

struct slice ai_input_text(const struct ai_turn *t, struct arena *a)
{
    struct slice all = SLICE("");
    for (const struct ai_part *p = t->parts.first; p; p = p->next)
        all = all.len ? arena_printf(a, "%.*s\n%.*s", SLICE_ARG(all), SLICE_ARG(p->text)) : p->text;
    return all;
}

void ai_put_inputs(struct json_out *j, const char *name, struct ai_outgoing *o)
{
    if (o->chat->user.len)
        ai_outgoing_leave_out(o, "user");
    json_out_begin(j, name, '[');
    for (const struct ai_turn *t = o->chat->first; t; t = t->next)
        json_out_text(j, NULL, ai_input_text(t, o->arena));
    json_out_end(j, ']');
}

enum err ai_emit_vector(const json_t *vector, unsigned block, ai_event_fn *fn, void *arg)
{
    struct buf text;
    if (!json_is_array(vector))
        return ERR_PROTOCOL;
    buf_init(&text, LIMIT_AI_ANSWER);
    enum err e = json_write(vector, &text);
    if (!e)
        e = fn(arg, &(struct ai_event){.kind = AI_MEDIA, .block = block, .text = buf_slice(&text)});
    buf_fini(&text);
    return e;
}

enum err ai_emit_vectors(const json_t *list, uint64_t prompt, ai_event_fn *fn, void *arg)
{
    enum err e = list && !json_array_size(list) ? ERR_PROTOCOL : ERR_OK;
    for (size_t i = 0; i < json_array_size(list) && !e; i++)
        e = ai_emit_vector(json_array_get(list, i), (unsigned)i, fn, arg);
    if (!e && prompt != AI_UNSAID) {
        struct ai_usage u = AI_USAGE_NONE;
        u.prompt = prompt;
        u.output = 0;
        e = fn(arg, &(struct ai_event){.kind = AI_USAGE, .usage = u});
    }
    if (!e)
        e = fn(arg, &(struct ai_event){.kind = AI_FINISH, .finish = AI_FINISH_STOP});
    return e ? e : fn(arg, &(struct ai_event){.kind = AI_END});
}

/* ---- what a provider says went wrong ---- */

#define FAULT_TEXT_MAX 400 /* bytes of another's sentence that a client is told */

enum ai_verdict ai_verdict_of_status(unsigned status)
{
    switch (status) {
    case 401:
    case 402: /* the account behind the credential has no money */
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
    /* 2xx other than 200 is no response of a model either. */
    if (status >= 500 || status < 400)
        return status == 200 ? AI_OK : AI_RETRY;
    return AI_FATAL;
}

static bool is_word_end(char ch)
{
    return (unsigned char)ch <= ' ' || ch == '"' || ch == '\'' || ch == ',' || ch == ')';
}

/* What providers hand out as credentials, whole or with stars in it. */
static bool looks_secret(struct slice word)
{
    static const struct slice begins[] = {{"sk-", 3}, {"sk_", 3}, {"AIza", 4}, {"gsk_", 4}};
    if (slice_search(word, SLICE("***")) >= 0)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(begins); i++)
        if (word.len > 8 && slice_starts(word, begins[i]))
            return true;
    return false;
}

static size_t word_length(struct slice s)
{
    size_t n = 0;
    while (n < s.len && !is_word_end(s.ptr[n]))
        n++;
    return n;
}

/* One line: runs of white space and controls become one space, tags are left out. */
static size_t copy_clean(struct slice s, char *to, size_t max)
{
    size_t n = 0;
    bool in_tag = false;
    while (s.len && n + 1 < max) {
        size_t len = word_length(s);
        struct slice word = slice_first(s, len ? len : 1);
        s = slice_from(s, word.len);
        if (!len && (unsigned char)word.ptr[0] <= ' ') {
            if (n && to[n - 1] != ' ')
                to[n++] = ' ';
            continue;
        }
        if (word.ptr[0] == '<')
            in_tag = slice_find(word, '>') < 0;
        else if (in_tag)
            in_tag = slice_find(word, '>') < 0;
        else {
            word = looks_secret(word) ? SLICE("***") : slice_first(word, max - 1 - n);
            n = (size_t)(slice_put(to + n, slice_first(word, max - 1 - n)) - to);
        }
    }
    while (n && (to[n - 1] == ' ' || to[n - 1] == '.'))
        n--;
    return n;
}

/* Cut at a character's first byte, so that what was UTF-8 stays it. */
static size_t whole_characters(const char *text, size_t n, size_t max)
{
    if (n <= max)
        return n;
    n = max;
    while (n > 0 && ((unsigned char)text[n] & 0xC0) == 0x80)
        n--;
    return n;
}

struct slice ai_fault_clean(struct slice text, struct arena *a)
{
    char *to = arena_alloc(a, 2 * FAULT_TEXT_MAX);
    if (!to)
        return SLICE_NONE;
    size_t n = copy_clean(slice_first(text, 16 * FAULT_TEXT_MAX), to, 2 * FAULT_TEXT_MAX);
    return slice_of(to, whole_characters(to, n, FAULT_TEXT_MAX));
}

static bool read_member(const struct json_hit *h, struct arena *a, struct slice *ret)
{
    if (h->type != JSON_SCAN_STRING || h->raw.len <= 2)
        return false;
    char *out = arena_alloc(a, h->raw.len);
    return out && !json_scan_text(h, out, h->raw.len, ret);
}

struct slice ai_fault_text(struct slice body, struct arena *a)
{
    static const char *const wants[] = {"error.message", "message", "error", "detail"};
    struct json_hit hits[ARRAY_LEN(wants)];
    struct json_scan_problem problem;
    enum json_type root;
    struct slice text;
    if (json_scan(body, wants, ARRAY_LEN(wants), hits, &root, &problem))
        return ai_fault_clean(body, a); /* HTML, or plain text */
    for (size_t i = 0; i < ARRAY_LEN(wants); i++)
        if (read_member(&hits[i], a, &text))
            return ai_fault_clean(text, a);
    return SLICE_NONE;
}
