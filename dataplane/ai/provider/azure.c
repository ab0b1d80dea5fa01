/*
 * azure — OpenAI's models in Azure (dialects.md 1.7).
 *
 * Under a base URL of …/openai there are two forms: with an api_version the deployment stands in
 * the path, …/deployments/NAME/chat/completions?api-version=…; without one the newer …/v1/… is
 * taken. A base URL that goes on behind /openai is taken as it stands.
 */
#include "dataplane/ai/provider/openai.h"

/* What is of the account: its body or its query names the deployment, or nothing does. */
static bool is_of_no_deployment(struct slice kind)
{
    return slice_starts(kind, SLICE("/responses")) || slice_starts(kind, SLICE("/files")) ||
           slice_starts(kind, SLICE("/batches")) || slice_starts(kind, SLICE("/realtime"));
}

/* Behind the base URL's path, which may end with a slash. */
static struct slice rest_of(const struct ai_outgoing *o, struct slice base, struct slice kind)
{
    if (slice_search(base, SLICE("/deployments/")) >= 0 || slice_ends(base, SLICE("/v1")))
        return kind;
    if (!o->target->api_version.len)
        return arena_printf(o->arena, "/v1%.*s", SLICE_ARG(kind));
    if (is_of_no_deployment(kind))
        return kind;
    struct slice name = ai_escape(o->arena, o->changes.model);
    return name.ptr
               ? arena_printf(o->arena, "/deployments/%.*s%.*s", SLICE_ARG(name), SLICE_ARG(kind))
               : SLICE_NONE;
}

enum err azure_path(struct ai_outgoing *o, struct slice kind)
{
    struct slice base = o->url->path, version = o->target->api_version;
    if (slice_ends(base, SLICE("/")))
        base.len--;
    if (!base.len)
        base = SLICE("/openai");
    struct slice rest = rest_of(o, base, kind);
    if (!rest.ptr)
        return ERR_NOMEM;
    o->path = arena_printf(o->arena, "%.*s%.*s%s%.*s%s%.*s", SLICE_ARG(base), SLICE_ARG(rest),
                           o->url->query.len || version.len ? "?" : "", SLICE_ARG(o->url->query),
                           version.len ? o->url->query.len ? "&api-version=" : "api-version=" : "",
                           SLICE_ARG(version));
    return o->path.ptr ? ERR_OK : ERR_NOMEM;
}

/* A token of Entra ID is a JWT: three parts, of which the first is a JSON object in base64. */
static bool is_token(const struct secret *s)
{
    struct slice text = secret_reveal(s), part;
    size_t parts = 0;
    bool jwt = slice_starts(text, SLICE("eyJ"));
    while (jwt && slice_split(&text, '.', &part))
        parts++;
    return parts == 3;
}

enum err azure_sign(struct ai_outgoing *o)
{
    if (o->given || (o->credential && is_token(o->credential)))
        return ai_outgoing_sign(o, SLICE("authorization"), SLICE("Bearer "));
    return ai_outgoing_sign(o, SLICE("api-key"), SLICE(""));
}
