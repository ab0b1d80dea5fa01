/*
 * gemini_embed — embeddings: the client's own body with the target's name of the model in it, or a
 * batch written of texts; and what comes back, of which each vector is a block.
 */
#include "common/base/json_out.h"
#include "dataplane/ai/provider/gemini.h"

bool gemini_embeds(const struct ai_endpoint *e)
{
    return e->dialect == &dialect_gemini_embed || e->dialect == &dialect_gemini_embed_batch;
}

/* ---- the request ---- */

static enum err name_model(json_t *request, struct slice model, struct arena *a)
{
    struct slice name = arena_printf(a, "models/%.*s", SLICE_ARG(model));
    if (!name.ptr)
        return ERR_NOMEM;
    if (!json_object_get(request, "model"))
        return ERR_OK;
    return json_object_set_new(request, "model", json_from(name)) ? ERR_NOMEM : ERR_OK;
}

/* Where the target knows the model by the client's name, the body goes as it came. */
static enum err rename_models(struct ai_outgoing *o)
{
    JSON_AUTO json_t *body = NULL;
    struct json_problem problem;
    json_t *one;
    size_t i;
    memset(o->pieces, 0, sizeof(o->pieces));
    o->pieces[0] = o->body;
    if (slice_eq(o->request->model, o->changes.model))
        return ERR_OK;
    enum err e = json_read(o->body, &body, &problem);
    if (!e)
        e = name_model(body, o->changes.model, o->arena);
    json_array_foreach(json_object_get(body, "requests"), i, one)
    {
        if (!e)
            e = name_model(one, o->changes.model, o->arena);
    }
    return e ? e : ai_outgoing_write(o, body);
}

static void put_request(struct json_out *j, const struct ai_outgoing *o, const struct ai_turn *t)
{
    json_out_begin(j, NULL, '{');
    json_out_text(j, "model", arena_printf(o->arena, "models/%.*s", SLICE_ARG(o->changes.model)));
    json_out_begin(j, "content", '{');
    json_out_begin(j, "parts", '[');
    for (const struct ai_part *p = t->parts.first; p; p = p->next) {
        json_out_begin(j, NULL, '{');
        json_out_text(j, "text", p->text);
        json_out_end(j, '}');
    }
    json_out_end(j, ']');
    json_out_end(j, '}');
    if (o->chat->dimensions)
        json_out_u64(j, "outputDimensionality", o->chat->dimensions);
    json_out_end(j, '}');
}

enum err gemini_write_embed(struct ai_outgoing *o)
{
    struct json_out j = {.to = o->translated};
    if (gemini_embeds(o->endpoint))
        return rename_models(o);
    if (!o->chat)
        return ai_outgoing_refuse(o, NULL, SLICE("a request in this dialect"));
    buf_clear(o->translated);
    json_out_begin(&j, NULL, '{');
    json_out_begin(&j, "requests", '[');
    for (const struct ai_turn *t = o->chat->first; t; t = t->next)
        put_request(&j, o, t);
    json_out_end(&j, ']');
    json_out_end(&j, '}');
    memset(o->pieces, 0, sizeof(o->pieces));
    o->pieces[0] = buf_slice(o->translated);
    enum err e = ai_outgoing_take_others(o);
    return e ? e : j.e;
}

struct slice gemini_embed_method(const struct ai_outgoing *o)
{
    return o->endpoint->dialect == &dialect_gemini_embed ? SLICE("embedContent")
                                                         : SLICE("batchEmbedContents");
}

/* ---- the response ---- */

bool gemini_is_embedding(const json_t *tree)
{
    return json_is_object(json_object_get(tree, "embedding")) ||
           json_is_array(json_object_get(tree, "embeddings"));
}

enum err gemini_emit_embeddings(const json_t *tree, ai_event_fn *fn, void *arg)
{
    const json_t *one, *single = json_object_get(tree, "embedding");
    const json_t *count =
        json_object_get(json_object_get(tree, "usageMetadata"), "promptTokenCount");
    size_t i;
    enum err e = single ? ai_emit_vector(json_object_get(single, "values"), 0, fn, arg) : ERR_OK;
    json_array_foreach(json_object_get(tree, "embeddings"), i, one)
    {
        if (!e)
            e = ai_emit_vector(json_object_get(one, "values"), (unsigned)i, fn, arg);
    }
    if (!e && json_is_integer(count) && json_integer_value(count) >= 0) {
        struct ai_usage u = AI_USAGE_NONE;
        u.prompt = (uint64_t)json_integer_value(count);
        u.output = 0;
        e = fn(arg, &(struct ai_event){.kind = AI_USAGE, .usage = u});
    }
    if (!e)
        e = fn(arg, &(struct ai_event){.kind = AI_FINISH, .finish = AI_FINISH_STOP});
    return e ? e : fn(arg, &(struct ai_event){.kind = AI_END});
}
