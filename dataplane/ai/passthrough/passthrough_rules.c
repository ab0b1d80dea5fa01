/*
 * passthrough_rules — paths and queries.
 */
#include "dataplane/ai/passthrough/passthrough_rules.h"

#include <stdlib.h>

#include "common/wire/keyprint.h"
#include "dataplane/ai/provider/aws_sign.h"

/* ---- paths ---- */

struct slice passthrough_below(struct slice base, struct slice path)
{
    while (slice_ends(base, SLICE("/")))
        base.len--;
    bool repeats =
        base.len && slice_starts(path, base) && (path.len == base.len || path.ptr[base.len] == '/');
    if (!repeats)
        return path;
    return path.len == base.len ? SLICE("/") : slice_from(path, base.len);
}

const struct policy_route *passthrough_route(const struct policy_grant *g, struct slice base,
                                             struct slice method, struct slice path)
{
    for (size_t i = 0; g->routes_set && i < g->route_count; i++) {
        struct policy_route r = g->routes[i];
        r.path = passthrough_below(base, r.path);
        if (policy_route_allows(&r, 1, method, path, false))
            return &g->routes[i];
    }
    return NULL;
}

/* The first segments behind versions ("/v1/", "/v1beta/"). Compared without case: a server may be
 * more lenient than its documentation. Sources: OpenAI, "Administration" and fine-tuning checkpoint
 * permissions, and "Realtime: client secrets"; Anthropic, "Admin API"; OpenRouter, "Provisioning
 * API keys"; Gemini, "Ephemeral tokens"; Ollama's and vLLM's servers; LiteLLM's own, as an
 * upstream. */
static const struct {
    const char *dialect; /* NULL: any */
    struct slice path;
} administration[] = {
    {NULL, {"/organization", 13}},
    {NULL, {"/organizations", 14}},
    {NULL, {"/dashboard", 10}},
    {NULL, {"/admin", 6}},
    {NULL, {"/api-keys", 9}},
    {NULL, {"/api_keys", 9}},
    {NULL, {"/keys", 5}},
    {NULL, {"/key", 4}},
    {NULL, {"/credits", 8}},
    {NULL, {"/billing", 8}},
    {NULL, {"/fine_tuning/checkpoints", 24}},
    /* they give out credentials, with which a client is at the provider without the gateway */
    {NULL, {"/realtime/client_secrets", 24}},
    {NULL, {"/realtime/sessions", 18}},
    {NULL, {"/realtime/transcription_sessions", 32}},
    {"gemini", {"/auth_tokens", 12}},
    {NULL, {"/load_lora_adapter", 18}},
    {NULL, {"/unload_lora_adapter", 20}},
    {NULL, {"/sleep", 6}},
    {NULL, {"/wake_up", 8}},
    {"ollama", {"/api/pull", 9}},
    {"ollama", {"/api/push", 9}},
    {"ollama", {"/api/create", 11}},
    {"ollama", {"/api/copy", 9}},
    {"ollama", {"/api/delete", 11}},
    {"ollama", {"/api/blobs", 10}},
};

static bool is_version(struct slice segment)
{
    return segment.len >= 2 && (segment.ptr[0] == 'v' || segment.ptr[0] == 'V') &&
           segment.ptr[1] >= '0' && segment.ptr[1] <= '9';
}

/* "/v1/organization/users" → "/organization/users"; "/api/v1/keys" → "/keys" */
static struct slice behind_versions(struct slice path)
{
    for (struct slice at = path; at.len > 1;) {
        struct slice below = slice_from(at, 1);
        ptrdiff_t slash = slice_find(below, '/');
        if (slash < 0)
            break;
        struct slice segment = slice_first(below, (size_t)slash);
        at = slice_from(below, (size_t)slash);
        if (is_version(segment))
            path = at;
        else if (!slice_ieq(segment, SLICE("api")) && !slice_ieq(segment, SLICE("openai")))
            break;
    }
    return path;
}

static bool is_at(struct slice path, struct slice prefix)
{
    return slice_ieq(slice_first(path, prefix.len), prefix) &&
           (path.len == prefix.len || path.ptr[prefix.len] == '/');
}

bool passthrough_is_administration(struct slice dialect, struct slice path)
{
    struct slice bare = behind_versions(path);
    for (size_t i = 0; i < ARRAY_LEN(administration); i++) {
        const char *of = administration[i].dialect;
        if (of && !slice_eq(dialect, slice_str(of)))
            continue;
        if (is_at(path, administration[i].path) || is_at(bare, administration[i].path))
            return true;
    }
    return false;
}

static bool is_below(struct slice path, struct slice prefix)
{
    return path.len > prefix.len && is_at(path, prefix);
}

bool passthrough_is_kept(struct slice dialect, struct slice method, struct slice path)
{
    bool has_owners = slice_eq(dialect, SLICE("openai")) || slice_eq(dialect, SLICE("azure"));
    struct slice bare = behind_versions(path), chats = SLICE("/chat/completions");
    bool makes_one = slice_eq(method, SLICE("POST")) &&
                     (slice_ieq(bare, chats) || slice_ieq(bare, SLICE("/chat/completions/")));
    if (!has_owners)
        return false;
    if (is_at(bare, SLICE("/files")) || is_at(bare, SLICE("/batches")) ||
        is_at(bare, SLICE("/conversations")))
        return true;
    if (is_at(bare, chats)) /* those that were stored, and the list of them */
        return !makes_one;
    return is_below(bare, SLICE("/responses")) && !slice_eq(bare, SLICE("/responses/input_tokens"));
}

/* ---- the AI gate's path ---- */

static bool has_version(struct slice path)
{
    ptrdiff_t slash = path.len > 1 ? slice_find(slice_from(path, 1), '/') : -1;
    return slash > 0 && is_version(slice_first(slice_from(path, 1), (size_t)slash));
}

static const struct ai_endpoint *look_up(const struct http_head *h, struct slice path,
                                         struct passthrough_modelled *ret)
{
    bool allowed = false;
    const struct ai_endpoint *e = path.ptr ? ai_endpoint_find(h, path, &allowed) : NULL;
    if (!e || !allowed)
        return NULL;
    ret->path = path;
    return e;
}

/* "/chat/completions", "/v1/chat/completions", "/openai/v1/chat/completions" */
static const struct ai_endpoint *look_up_versions(const struct http_head *h, struct slice path,
                                                  struct arena *a, struct passthrough_modelled *ret)
{
    bool whole = has_version(path) || slice_starts(path, SLICE("/model/"));
    struct slice bare = behind_versions(path);
    const struct ai_endpoint *e =
        look_up(h, whole ? path : arena_printf(a, "/v1%.*s", SLICE_ARG(path)), ret);
    if (!e && bare.len < path.len)
        e = look_up(h, arena_printf(a, "/v1%.*s", SLICE_ARG(bare)), ret);
    return e;
}

static struct slice in_lower_case(struct slice path, struct arena *a)
{
    char *to = arena_alloc(a, path.len);
    for (size_t i = 0; to && i < path.len; i++)
        to[i] = path.ptr[i] >= 'A' && path.ptr[i] <= 'Z' ? (char)(path.ptr[i] + ('a' - 'A'))
                                                         : path.ptr[i];
    return to ? slice_of(to, path.len) : SLICE_NONE;
}

enum err passthrough_model_path(const struct http_head *h, struct slice path, struct arena *a,
                                struct passthrough_modelled *ret)
{
    *ret = (struct passthrough_modelled){0};
    ret->endpoint = look_up_versions(h, path, a, ret);
    if (ret->endpoint)
        return ERR_OK;
    struct slice plain = ai_unescape(a, path);
    struct slice lower = plain.ptr ? in_lower_case(plain, a) : SLICE_NONE;
    if (!lower.ptr)
        return ERR_NOMEM;
    if (plain.len > 1 && slice_ends(plain, SLICE("/")))
        plain.len = --lower.len;
    ret->endpoint = look_up_versions(h, plain, a, ret);
    if (!ret->endpoint)
        ret->endpoint = look_up_versions(h, lower, a, ret);
    return ERR_OK;
}

/* ---- queries ---- */

static bool is_googles(struct slice dialect)
{
    return slice_eq(dialect, SLICE("gemini")) || slice_eq(dialect, SLICE("vertex"));
}

/* Where services look for a credential; this gate does in `key`, whatever the dialect. */
static bool names_credential(struct slice name)
{
    static const struct slice names[] = {
        {"access_token", 12}, {"api_key", 7},           {"api-key", 7},         {"apikey", 6},
        {"key", 3},           {"subscription-key", 16}, {"x-goog-api-key", 14},
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (slice_ieq(name, names[i]))
            return true;
    return slice_starts(name, SLICE("X-Amz-")); /* a signature of the client's */
}

/* What Google's APIs leave out of a response, or write it in, by the query: usage would be lost.
 * https://cloud.google.com/apis/docs/system-parameters */
static bool hides_usage(struct slice name, struct slice value)
{
    if (slice_starts(name, SLICE("$")))
        name = slice_from(name, 1);
    if (slice_ieq(name, SLICE("alt")))
        return !slice_eq(value, SLICE("sse")) && !slice_eq(value, SLICE("json"));
    return slice_ieq(name, SLICE("fields")) || slice_ieq(name, SLICE("callback"));
}

static bool is_dropped(struct slice member, const struct passthrough_query_in *in, struct arena *a)
{
    ptrdiff_t equals = slice_find(member, '=');
    struct slice name = equals < 0 ? member : slice_first(member, (size_t)equals);
    struct slice value = equals < 0 ? SLICE("") : slice_from(member, (size_t)equals + 1);
    name = ai_unescape(a, name);
    value = ai_unescape(a, value);
    if (!name.ptr || !value.ptr)
        return true;
    return names_credential(name) || keyprint_is_ours(value) ||
           (in->metered && is_googles(in->dialect) && hides_usage(name, value));
}

struct slice passthrough_query(const struct passthrough_query_in *in, struct arena *a)
{
    struct slice base = in->base, add = in->add, query = in->sent, one;
    char *room = arena_alloc(a, base.len + add.len + query.len + 3), *to = room;
    if (!room)
        return SLICE_NONE;
    to = slice_put(to, base);
    while (slice_split(&query, '&', &one)) {
        if (!one.len || is_dropped(one, in, a))
            continue;
        if (to != room)
            *to++ = '&';
        to = slice_put(to, one);
    }
    if (add.len && to != room)
        *to++ = '&';
    to = slice_put(to, add);
    return slice_of(room, (size_t)(to - room));
}

#define QUERY_MEMBERS 64

static int by_bytes(const void *a, const void *b)
{
    const struct slice *x = a, *y = b;
    size_t n = x->len < y->len ? x->len : y->len;
    int d = memcmp(x->ptr, y->ptr, n);
    return d ? d : (x->len > y->len) - (x->len < y->len);
}

static struct slice canonical_member(struct slice member, struct arena *a)
{
    ptrdiff_t equals = slice_find(member, '=');
    struct slice name = equals < 0 ? member : slice_first(member, (size_t)equals);
    struct slice value = equals < 0 ? SLICE("") : slice_from(member, (size_t)equals + 1);
    name = ai_unescape(a, name);
    value = ai_unescape(a, value);
    if (!name.ptr || !value.ptr)
        return SLICE_NONE;
    name = aws_path_segment(name, a);
    value = aws_path_segment(value, a);
    return name.ptr && value.ptr ? arena_printf(a, "%.*s=%.*s", SLICE_ARG(name), SLICE_ARG(value))
                                 : SLICE_NONE;
}

struct slice passthrough_sorted_query(struct slice query, struct arena *a)
{
    struct slice members[QUERY_MEMBERS], one, all = SLICE("");
    size_t n = 0;
    while (query.len && slice_split(&query, '&', &one)) {
        if (n == QUERY_MEMBERS)
            return SLICE_NONE;
        if (one.len && !(members[n++] = canonical_member(one, a)).ptr)
            return SLICE_NONE;
    }
    qsort(members, n, sizeof(members[0]), by_bytes);
    for (size_t i = 0; i < n && all.ptr; i++)
        all = i ? arena_printf(a, "%.*s&%.*s", SLICE_ARG(all), SLICE_ARG(members[i])) : members[i];
    return all;
}
