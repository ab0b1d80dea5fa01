/*
 * openai_objects — responses, files and batches that OpenAI keeps.
 */
#include "dataplane/ai/provider/openai_send.h"

static bool speaks(const struct ai_endpoint *e)
{
    return e->kind == AI_STORED;
}

/* Behind what the target's own URL may have. */
static enum err add_query(struct ai_outgoing *o, struct slice query)
{
    if (!query.len)
        return ERR_OK;
    bool begun = slice_find(o->path, '?') >= 0;
    o->path = arena_printf(o->arena, "%.*s%s%.*s", SLICE_ARG(o->path), begun ? "&" : "?",
                           SLICE_ARG(slice_from(query, 1)));
    return o->path.ptr ? ERR_OK : ERR_NOMEM;
}

static enum err build(struct ai_outgoing *o)
{
    const struct ai_endpoint *e = o->endpoint;
    struct slice type = http_head_find(o->client_head, SLICE("content-type"));
    struct slice name = e->prefix ? o->request->object : SLICE("");
    struct slice path = arena_printf(o->arena, "%.*s%.*s%.*s", SLICE_ARG(slice_from(e->path, 3)),
                                     SLICE_ARG(name), SLICE_ARG(e->suffix));
    enum err err = path.ptr ? openai_path(o, path) : ERR_NOMEM;
    if (!err)
        err = add_query(o, o->request->object_query);
    if (!err)
        err = e->dialect->splice(o->request, o->body, &o->changes, o->arena, o->pieces);
    if (err)
        return err;
    if (type.len && o->body.len)
        ai_outgoing_add(o, SLICE("content-type"), type);
    ai_outgoing_add(o, SLICE("accept"),
                    o->request->stream ? SLICE("text/event-stream") : SLICE("*/*"));
    return openai_sign_bare(o);
}

/* Whatever it says of the thing, be it that it failed. */
static enum err decode_whole(struct ai_decoder *d, struct slice body, ai_event_fn *fn, void *arg)
{
    (void)d;
    (void)body;
    enum err e = fn(arg, &(struct ai_event){.kind = AI_FINISH, .finish = AI_FINISH_STOP});
    return e ? e : fn(arg, &(struct ai_event){.kind = AI_END});
}

/* A response that is read once more was paid for when it was made. */
static enum err decode(struct ai_decoder *d, const struct sse_event *e, ai_event_fn *fn, void *arg)
{
    return provider_openai_responses.decode(d, e, fn, arg);
}

const struct ai_provider provider_openai_objects = {
    .name = {"openai", 6},
    .speaks = speaks,
    .serves = speaks,
    .build = build,
    .read_error = openai_read_error,
    .decode = decode,
    .decode_whole = decode_whole,
};
