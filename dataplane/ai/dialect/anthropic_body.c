/*
 * anthropic_body — one scan for the members that the gate reads, and the splice.
 */
#include "dataplane/ai/dialect/anthropic_body.h"

#include "common/base/limits.h"
#include "dataplane/ai/ai_mark.h"
#include "dataplane/ai/dialect/body_member.h"

static const char *const wants[] = {
#define ANTHROPIC_WANT_PATH(name, path) path,
    ANTHROPIC_BODY_WANTS(ANTHROPIC_WANT_PATH)
#undef ANTHROPIC_WANT_PATH
};

_Static_assert(ANTHROPIC_WANTS <= AI_HITS, "each wanted member has its place");

/* 0 only warms the cache. It is a ceiling too, and 0 in ai_request says that none was named. */
static enum err read_ceiling(struct body_reading *d)
{
    const struct json_hit *h = &d->r->hits[ANTHROPIC_MAX_TOKENS];
    uint64_t n;
    if (body_is_absent(h))
        return body_wrong(d, ANTHROPIC_MAX_TOKENS, "given");
    if (json_scan_u64(h, &n) || n > LIMIT_AI_TOKENS)
        return body_wrong(d, ANTHROPIC_MAX_TOKENS, "an integer in range");
    d->r->output_ceiling = n ? n : 1;
    return ERR_OK;
}

static enum err read_lists(struct body_reading *d)
{
    const struct json_hit *hits = d->r->hits;
    if (hits[ANTHROPIC_MESSAGES].type != JSON_SCAN_ARRAY)
        return body_wrong(d, ANTHROPIC_MESSAGES, "an array");
    if (!body_is_absent(&hits[ANTHROPIC_TOOLS]) && hits[ANTHROPIC_TOOLS].type != JSON_SCAN_ARRAY)
        return body_wrong(d, ANTHROPIC_TOOLS, "an array");
    return ERR_OK;
}

struct slice anthropic_session_of(struct slice user_id, struct arena *a)
{
    static const char *const named[] = {"session_id"};
    const struct slice before = SLICE("_session_");
    struct json_scan_problem problem;
    struct json_hit hit;
    enum json_type root;
    struct slice text;
    ptrdiff_t at = slice_search(user_id, before);
    if (!slice_starts(user_id, SLICE("{")))
        return at < 0 ? SLICE_NONE : slice_from(user_id, (size_t)at + before.len);
    if (json_scan(user_id, named, 1, &hit, &root, &problem) || hit.type != JSON_SCAN_STRING)
        return SLICE_NONE;
    char *out = arena_alloc(a, hit.raw.len);
    return out && !json_scan_text(&hit, out, hit.raw.len, &text) && text.len ? text : SLICE_NONE;
}

static enum err read_session(struct body_reading *d)
{
    struct slice user = SLICE_NONE;
    enum err e = body_read_text(d, ANTHROPIC_USER_ID, &user);
    if (e || !user.len)
        return e;
    d->r->session_id = anthropic_session_of(user, d->arena);
    d->r->session_named_by = wants[ANTHROPIC_USER_ID];
    return ERR_OK;
}

static enum err read_body(const struct ai_incoming *in, struct body_reading *d)
{
    d->r->wants_usage = true; /* every stream of this dialect says it */
    enum err e = body_scan(d, in->body, ANTHROPIC_WANTS);
    if (!e)
        e = body_read_model(d, ANTHROPIC_MODEL);
    if (!e)
        e = read_lists(d);
    return e ? e : read_session(d);
}

enum err anthropic_read_messages(const struct ai_incoming *in, struct ai_request *ret,
                                 struct slice *detail)
{
    struct body_reading d = {.r = ret, .names = wants, .arena = in->arena, .between = ": "};
    enum err e = read_body(in, &d);
    if (!e)
        e = body_read_flag(&d, ANTHROPIC_STREAM, &ret->stream);
    if (!e)
        e = read_ceiling(&d);
    *detail = d.detail;
    return e;
}

enum err anthropic_read_count(const struct ai_incoming *in, struct ai_request *ret,
                              struct slice *detail)
{
    struct body_reading d = {.r = ret, .names = wants, .arena = in->arena, .between = ": "};
    enum err e = read_body(in, &d);
    *detail = d.detail;
    return e;
}

/* ---- the splice ---- */

/*
 * Reasoning of another provider is told a client of this dialect as a thinking block, whose
 * signature is empty or marked as that account's. The client repeats it, and Anthropic would refuse
 * it: such blocks are taken out. What this account itself made goes back to it without the mark.
 * Only bodies that seem to hold one are parsed, and where they do not, they pass as they are.
 */
static bool may_hold_marked(struct slice body)
{
    return slice_search(body, SLICE("\"signature\":\"\"")) >= 0 ||
           slice_search(body, SLICE("\"signature\": \"\"")) >= 0 ||
           slice_search(body, SLICE("_gh")) >= 0;
}

enum seal { SEAL_KEEP, SEAL_RESTORED, SEAL_FOREIGN };

static enum seal look_at_seal(json_t *block, const char *member, const struct ai_changes *c)
{
    struct slice value, seal = json_text(block, member);
    struct ai_account account;
    if (seal.ptr && !seal.len)
        return SEAL_FOREIGN;
    if (!ai_mark_split(seal, &value, &account))
        return SEAL_KEEP;
    if (!c->marker || !c->maker || !ai_mark_read(c->marker, seal, &value, &account) ||
        !ai_account_eq(&account, c->maker))
        return SEAL_FOREIGN;
    return json_object_set_new(block, member, json_from(value)) ? SEAL_FOREIGN : SEAL_RESTORED;
}

static enum seal seal_of(json_t *block, const struct ai_changes *c)
{
    struct slice type = json_text(block, "type");
    if (slice_eq(type, SLICE("thinking")))
        return look_at_seal(block, "signature", c);
    return slice_eq(type, SLICE("redacted_thinking")) ? look_at_seal(block, "data", c) : SEAL_KEEP;
}

/* false: nothing was changed. A turn that was nothing else goes too, as none may be empty. */
static bool settle_seals(json_t *messages, const struct ai_changes *c)
{
    bool changed = false;
    for (size_t i = json_array_size(messages); i > 0; i--) {
        json_t *content = json_object_get(json_array_get(messages, i - 1), "content");
        size_t before = json_array_size(content);
        for (size_t j = before; j > 0; j--) {
            enum seal seal = seal_of(json_array_get(content, j - 1), c);
            changed = changed || seal != SEAL_KEEP;
            if (seal == SEAL_FOREIGN)
                json_array_remove(content, j - 1);
        }
        if (before && !json_array_size(content))
            json_array_remove(messages, i - 1);
    }
    return changed;
}

static enum err write_tree(json_t *root, const struct ai_changes *c, struct arena *a,
                           struct slice *ret)
{
    struct buf out;
    buf_init(&out, 2 * LIMIT_AI_BODY);
    json_set_text(root, "model", c->model);
    enum err e = json_write(root, &out);
    if (!e) {
        *ret = arena_copy(a, buf_slice(&out));
        e = ret->ptr ? ERR_OK : ERR_NOMEM;
    }
    buf_fini(&out);
    return e;
}

enum err anthropic_splice(const struct ai_request *r, struct slice body, const struct ai_changes *c,
                          struct arena *a, struct slice ret[static AI_REQUEST_PIECES])
{
    JSON_AUTO json_t *root = NULL;
    struct json_problem problem;
    const struct slice raw = r->hits[ANTHROPIC_MODEL].raw;
    memset(ret, 0, AI_REQUEST_PIECES * sizeof(*ret));
    ret[0] = body;
    if (may_hold_marked(body) && !json_read(body, &root, &problem) &&
        settle_seals(json_object_get(root, "messages"), c))
        return write_tree(root, c, a, ret);
    if (slice_eq(c->model, r->model))
        return ERR_OK;
    size_t before = (size_t)(raw.ptr - body.ptr);
    ret[0] = slice_first(body, before);
    ret[1] = body_quoted(a, c->model);
    ret[2] = slice_from(body, before + raw.len);
    return ret[1].ptr ? ERR_OK : ERR_NOMEM;
}
