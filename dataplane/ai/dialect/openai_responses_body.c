/*
 * openai_responses_body — one scan for the members that the gate reads, the marks among them, and
 * the splice.
 */
#include "dataplane/ai/dialect/openai_responses_body.h"

#include "common/base/limits.h"
#include "dataplane/ai/dialect/body_member.h"
#include "dataplane/ai/dialect/openai_stored.h"

static const char *const wants[] = {
#define RESPONSES_WANT_PATH(name, path) path,
    OPENAI_RESPONSES_WANTS(RESPONSES_WANT_PATH)
#undef RESPONSES_WANT_PATH
};

_Static_assert(RESPONSES_WANTS <= AI_HITS, "each wanted member has its place");

/* ---- read ---- */

static bool names_input(const struct ai_request *r)
{
    return !body_is_absent(&r->hits[RESPONSES_INPUT]) ||
           !body_is_absent(&r->hits[RESPONSES_PREVIOUS]) ||
           !body_is_absent(&r->hits[RESPONSES_CONVERSATION]) ||
           !body_is_absent(&r->hits[RESPONSES_PROMPT]);
}

static enum err read_input(struct body_reading *d)
{
    const struct json_hit *input = &d->r->hits[RESPONSES_INPUT];
    bool fits =
        body_is_absent(input) || input->type == JSON_SCAN_STRING || input->type == JSON_SCAN_ARRAY;
    return fits && names_input(d->r) ? ERR_OK
                                     : body_wrong(d, RESPONSES_INPUT, "a string or an array");
}

static enum err read_members(struct body_reading *d)
{
    struct ai_request *r = d->r;
    bool flag;
    enum err e = body_read_model(d, RESPONSES_MODEL);
    if (!e)
        e = read_input(d);
    if (!e && !body_is_absent(&r->hits[RESPONSES_TOOLS]) &&
        r->hits[RESPONSES_TOOLS].type != JSON_SCAN_ARRAY)
        e = body_wrong(d, RESPONSES_TOOLS, "an array");
    if (!e)
        e = body_read_flag(d, RESPONSES_STREAM, &r->stream);
    if (!e)
        e = body_read_flag(d, RESPONSES_STORE, &flag);
    if (!e)
        e = body_read_flag(d, RESPONSES_BACKGROUND, &flag);
    if (!e)
        e = body_read_count(d, RESPONSES_MAX_OUTPUT_TOKENS, LIMIT_AI_TOKENS, &r->output_ceiling);
    if (!e)
        e = body_read_text(d, RESPONSES_SESSION_ID, &r->session_id);
    if (!e)
        e = body_read_text(d, RESPONSES_PROMPT_CACHE_KEY, &r->prompt_cache_key);
    r->wants_usage = true; /* a response always says it */
    r->kept = r->hits[RESPONSES_STORE].type != JSON_SCAN_FALSE;
    return e;
}

static struct slice text_at(const struct ai_request *r, enum openai_responses_want want)
{
    const struct json_hit *h = &r->hits[want];
    return h->type == JSON_SCAN_STRING ? slice_of(h->raw.ptr + 1, h->raw.len - 2) : SLICE_NONE;
}

/* The accounts that made what the body names. */
static void look_for_accounts(const struct ai_marker *m, struct ai_request *r)
{
    struct openai_bound bound;
    const struct json_hit *input = &r->hits[RESPONSES_INPUT];
    struct slice conversation = text_at(r, RESPONSES_CONVERSATION);
    openai_stored_look(m, text_at(r, RESPONSES_PREVIOUS),
                       conversation.ptr ? conversation : text_at(r, RESPONSES_CONVERSATION_ID),
                       input->type == JSON_SCAN_ARRAY ? input->raw : SLICE(""), &bound);
    r->stays = bound.stays;
    r->prefers = bound.prefers;
}

enum err openai_responses_read(const struct ai_incoming *in, struct ai_request *ret,
                               struct slice *detail)
{
    struct body_reading d = {.r = ret, .names = wants, .arena = in->arena};
    enum err e = body_scan(&d, in->body, RESPONSES_WANTS);
    if (!e)
        e = read_members(&d);
    if (!e)
        look_for_accounts(in->marker, ret);
    *detail = d.detail;
    return e;
}

/* ---- splice ---- */

_Static_assert(AI_REQUEST_PIECES >= 2 * 2 + 1, "two edits leave five pieces");

enum err openai_responses_splice(const struct ai_request *r, struct slice body,
                                 const struct ai_changes *c, struct arena *a,
                                 struct slice ret[static AI_REQUEST_PIECES])
{
    struct body_edit edits[2];
    size_t n = 0;
    if (!slice_eq(c->model, r->model)) {
        const struct slice raw = r->hits[RESPONSES_MODEL].raw;
        edits[n++] = (struct body_edit){raw.ptr, raw.len, body_quoted(a, c->model)};
    }
    if (c->output_limit && !r->output_ceiling) {
        struct slice number = arena_printf(a, "%llu", (unsigned long long)c->output_limit);
        edits[n++] = body_set_member(&r->hits[RESPONSES_MAX_OUTPUT_TOKENS], "max_output_tokens",
                                     body, number, a);
    }
    for (size_t i = 0; i < n; i++)
        if (!edits[i].text.ptr)
            return ERR_NOMEM;
    memset(ret, 0, AI_REQUEST_PIECES * sizeof(*ret));
    body_apply(edits, n, body, ret);
    return ERR_OK;
}
