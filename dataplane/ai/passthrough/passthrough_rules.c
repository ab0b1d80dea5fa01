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
 * permissions; Anthropic, "Admin API"; OpenRouter, "Provisioning API keys"; Ollama's and vLLM's
 * servers; LiteLLM's own, as an upstream. */
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

bool passthrough_is_kept(struct slice dialect, struct slice path)
{
    bool has_owners = slice_eq(dialect, SLICE("openai")) || slice_eq(dialect, SLICE("azure"));
    struct slice bare = behind_versions(path), responses = SLICE("/responses/");
    if (!has_owners)
        return false;
    if (is_at(bare, SLICE("/files")) || is_at(bare, SLICE("/batches")))
        return true;
    return slice_ieq(slice_first(bare, responses.len), responses) &&
           !slice_eq(slice_from(bare, responses.len), SLICE("input_tokens"));
}

/* ---- the AI gate's path ---- */

static bool has_version(struct slice path)
{
    ptrdiff_t slash = path.len > 1 ? slice_find(slice_from(path, 1), '/') : -1;
    return slash > 0 && is_version(slice_first(slice_from(path, 1), (size_t)slash));
}

struct slice passthrough_modelled_path(struct slice path, struct arena *a)
{
    bool whole = has_version(path) || slice_starts(path, SLICE("/model/"));
    return whole ? path : arena_printf(a, "/v1%.*s", SLICE_ARG(path));
}

const struct ai_endpoint *passthrough_endpoint(const struct http_head *h, struct slice path,
                                               struct arena *a)
{
    bool allowed = false;
    struct slice known = passthrough_modelled_path(path, a);
    const struct ai_endpoint *e = known.ptr ? ai_endpoint_find(h, known, &allowed) : NULL;
    return e && allowed ? e : NULL;
}

/* ---- queries ---- */

/* Where services look for a credential. */
static bool names_credential(struct slice name, struct slice dialect)
{
    static const struct slice names[] = {{"access_token", 12},     {"api_key", 7},
                                         {"api-key", 7},           {"apikey", 6},
                                         {"subscription-key", 16}, {"x-goog-api-key", 14}};
    bool googles = slice_eq(dialect, SLICE("gemini")) || slice_eq(dialect, SLICE("vertex"));
    if (googles && slice_ieq(name, SLICE("key")))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (slice_ieq(name, names[i]))
            return true;
    return slice_starts(name, SLICE("X-Amz-")); /* a signature of the client's */
}

static bool is_dropped(struct slice member, struct slice dialect, struct arena *a)
{
    ptrdiff_t equals = slice_find(member, '=');
    struct slice name = equals < 0 ? member : slice_first(member, (size_t)equals);
    struct slice value = equals < 0 ? SLICE("") : slice_from(member, (size_t)equals + 1);
    name = ai_unescape(a, name);
    value = ai_unescape(a, value);
    if (!name.ptr || !value.ptr)
        return true;
    return names_credential(name, dialect) || keyprint_is_ours(value);
}

struct slice passthrough_query(struct slice base, struct slice add, struct slice query,
                               struct slice dialect, struct arena *a)
{
    char *room = arena_alloc(a, base.len + add.len + query.len + 3), *to = room;
    struct slice one;
    if (!room)
        return SLICE_NONE;
    to = slice_put(to, base);
    while (slice_split(&query, '&', &one)) {
        if (!one.len || is_dropped(one, dialect, a))
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
