/*
 * openai_realtime — the request for a WebSocket with a realtime model, at OpenAI, at Azure, and at
 * services that speak as they do; what follows is events, which go on as they come. And the request
 * for a client secret.
 */
#include "dataplane/ai/dialect/openai_realtime.h"
#include "dataplane/ai/provider/openai_send.h"

static bool speaks(const struct ai_endpoint *e)
{
    return e->kind == AI_REALTIME;
}

/* Azure's older form names the deployment beside an api-version. */
static const char *name_of_model(const struct ai_outgoing *o)
{
    bool azure = slice_eq(o->target->dialect, SLICE("azure"));
    return azure && o->target->api_version.len ? "deployment" : "model";
}

static enum err build(struct ai_outgoing *o)
{
    enum err e = openai_path(o, SLICE("/realtime"));
    if (e)
        return e;
    struct slice name = ai_escape(o->arena, o->changes.model);
    o->path =
        arena_printf(o->arena, "%.*s%s%s=%.*s", SLICE_ARG(o->path),
                     slice_find(o->path, '?') < 0 ? "?" : "&", name_of_model(o), SLICE_ARG(name));
    if (!name.ptr || !o->path.ptr)
        return ERR_NOMEM;
    ai_outgoing_add(o, SLICE("sec-websocket-version"), SLICE("13"));
    ai_outgoing_add(o, SLICE("sec-websocket-key"), o->websocket_key);
    bool said = http_head_find(o->client_head, SLICE("openai-beta")).len > 0;
    if (!said && realtime_wants_beta(o->client_head))
        ai_outgoing_add(o, SLICE("openai-beta"), SLICE("realtime=v1"));
    memset(o->pieces, 0, sizeof(o->pieces));
    return openai_sign_bare(o);
}

static bool makes_secrets(const struct ai_endpoint *e)
{
    return e->kind == AI_SECRET;
}

static enum err build_secret(struct ai_outgoing *o)
{
    enum err e = openai_path(o, slice_from(o->endpoint->path, 3));
    if (!e)
        e = o->endpoint->dialect->splice(o->request, o->body, &o->changes, o->arena, o->pieces);
    return e ? e : openai_sign(o);
}

const struct ai_provider provider_openai_realtime_secret = {
    .name = {"openai", 6},
    .speaks = makes_secrets,
    .serves = makes_secrets,
    .build = build_secret,
    .read_error = openai_read_error,
};

const struct ai_provider provider_openai_realtime = {
    .name = {"openai", 6},
    .speaks = speaks,
    .serves = speaks,
    .build = build,
    .read_error = openai_read_error,
};
