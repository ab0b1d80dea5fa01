/*
 * vertex — Google Cloud's Vertex AI: Gemini's protocol, and Anthropic's for the models of Claude,
 * below a project and a region. A credential is a service account's JSON, which is exchanged for a
 * token (common/upstream/access_token), or a token as it is.
 */
#include "common/base/json_scan.h"
#include "common/base/secret.h"
#include "dataplane/ai/provider/anthropic.h"
#include "dataplane/ai/provider/anthropic_request.h"
#include "dataplane/ai/provider/gemini.h"

#define SCOPE "https://www.googleapis.com/auth/cloud-platform"
#define CLAUDE_VERSION "vertex-2023-10-16"

static bool is_claude(struct slice model)
{
    return slice_starts(model, SLICE("claude")) ||
           slice_starts(model, SLICE("publishers/anthropic/"));
}

const struct ai_provider *vertex_protocol_of(struct slice model)
{
    return is_claude(model) ? &provider_vertex_claude : &provider_vertex;
}

/* ---- the path ---- */

/* The account says which project it is of. SLICE_NONE: it is no JSON, or has none. */
static struct slice project_of(const struct ai_outgoing *o)
{
    static const char *const wants[] = {"project_id"};
    struct json_hit hit;
    struct json_scan_problem problem;
    enum json_type root;
    struct slice text, account = SLICE_NONE;
    if (o->account && o->account->source)
        return o->account->source->project;
    if (o->account && o->account->secret)
        account = secret_reveal(o->account->secret);
    if (json_scan(account, wants, 1, &hit, &root, &problem) || hit.type != JSON_SCAN_STRING)
        return SLICE_NONE;
    char *out = arena_alloc(o->arena, hit.raw.len);
    return out && !json_scan_text(&hit, out, hit.raw.len, &text) ? text : SLICE_NONE;
}

/* "…/projects/P/locations/L", which a base URL may hold already. */
static enum err place_of(struct ai_outgoing *o, struct slice *ret)
{
    struct slice base = o->url->path, project, region = SLICE("global");
    if (slice_search(base, SLICE("/locations/")) >= 0) {
        *ret = SLICE("");
        return ERR_OK;
    }
    project = project_of(o);
    if (!project.len)
        return ai_outgoing_refuse(
            o, NULL,
            SLICE("a credential that names no project: a service account's JSON, a source with a "
                  "project, or a base_url with /projects/…/locations/…"));
    if (o->account->region.len)
        region = o->account->region;
    bool versioned = slice_ends(base, SLICE("/v1")) || slice_ends(base, SLICE("/v1beta1"));
    const char *front = versioned ? "/" : slice_eq(base, SLICE("/")) ? "v1/" : "/v1/";
    *ret = arena_printf(o->arena, "%sprojects/%.*s/locations/%.*s", front,
                        SLICE_ARG(gemini_escape(o->arena, project)),
                        SLICE_ARG(gemini_escape(o->arena, region)));
    return ret->ptr ? ERR_OK : ERR_NOMEM;
}

static enum err model_path(struct ai_outgoing *o, const char *publisher, struct slice *ret)
{
    struct slice place, model = o->changes.model;
    enum err e = place_of(o, &place);
    if (e)
        return e;
    ptrdiff_t at = slice_search(model, SLICE("/models/"));
    if (at >= 0) /* "publishers/…/models/…" */
        *ret = arena_printf(o->arena, "%.*s/%.*s", SLICE_ARG(place), SLICE_ARG(model));
    else
        *ret = arena_printf(o->arena, "%.*s/publishers/%s/models/%.*s", SLICE_ARG(place), publisher,
                            SLICE_ARG(gemini_escape(o->arena, model)));
    return ret->ptr ? ERR_OK : ERR_NOMEM;
}

/* ---- Gemini's models ---- */

static enum err build(struct ai_outgoing *o)
{
    static const struct gemini_service service = {.call_ids = false};
    struct slice path;
    enum err e = model_path(o, "google", &path);
    if (!e)
        e = gemini_path(o, path, gemini_method(o));
    if (!e)
        e = gemini_set_body(o, &service);
    if (e)
        return e;
    gemini_add_headers(o);
    return ai_outgoing_sign(o, SLICE("authorization"), SLICE("Bearer "));
}

const struct ai_provider provider_vertex = {
    .name = {"vertex", 6},
    .token_scope = {SCOPE, sizeof(SCOPE) - 1},
    .hidden_prompt = 200,
    .speaks = gemini_speaks,
    .serves = gemini_serves,
    .build = build,
    .read_error = gemini_read_error,
    .read_count = gemini_read_count_response,
    .decode = gemini_decode,
    .decode_whole = gemini_decode_whole,
};

/* ---- Claude's ---- */

/* The body has neither the model's name nor the version's header, so a client of Anthropic's
 * dialect is translated too. */
static bool speaks_claude(const struct ai_endpoint *e)
{
    (void)e;
    return false;
}

static bool serves_claude(const struct ai_endpoint *e)
{
    return e->kind == AI_CHAT;
}

static enum err build_claude(struct ai_outgoing *o)
{
    const struct anthropic_wrapping wrapping = {.no_model = true, .version = SLICE(CLAUDE_VERSION)};
    bool stream = o->request->stream;
    struct slice path, query = o->url->query;
    enum err e = model_path(o, "anthropic", &path);
    if (!e)
        e = anthropic_write_body(o, &wrapping);
    if (e)
        return e;
    o->path = arena_printf(o->arena, "%.*s%.*s:%s%s%.*s", SLICE_ARG(o->url->path), SLICE_ARG(path),
                           stream ? "streamRawPredict" : "rawPredict", query.len ? "?" : "",
                           SLICE_ARG(query));
    if (!o->path.ptr)
        return ERR_NOMEM;
    gemini_add_headers(o);
    return ai_outgoing_sign(o, SLICE("authorization"), SLICE("Bearer "));
}

/* What Google refuses before Anthropic's model is reached has Google's form. */
static void read_claude_error(unsigned status, struct slice body, struct arena *a,
                              struct ai_fault *ret)
{
    if (slice_search(body, SLICE("\"type\"")) >= 0 && slice_search(body, SLICE("\"@type\"")) < 0)
        anthropic_read_error(status, body, a, ret);
    else
        gemini_read_error(status, body, a, ret);
}

const struct ai_provider provider_vertex_claude = {
    .name = {"vertex", 6},
    .token_scope = {SCOPE, sizeof(SCOPE) - 1},
    .hidden_prompt = 600,
    .bills_cancelled = true,
    .speaks = speaks_claude,
    .serves = serves_claude,
    .build = build_claude,
    .read_error = read_claude_error,
    .decode = anthropic_decode,
    .decode_whole = anthropic_decode_whole,
};
