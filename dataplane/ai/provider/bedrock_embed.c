/*
 * bedrock_embed — Titan's and Cohere's.
 */
#include "dataplane/ai/provider/bedrock_embed.h"

#include "common/base/json_out.h"
#include "dataplane/ai/ai_usage.h"

/* Of models and of profiles alike ("eu.cohere.embed-v4:0"). */
static bool is_cohere(struct slice model)
{
    return slice_search(model, SLICE("cohere.embed")) >= 0;
}

static enum err put_cohere(struct ai_outgoing *o, struct json_out *j)
{
    json_out_text(j, "input_type", SLICE("search_document"));
    json_out_raw(j, "embedding_types", SLICE("[\"float\"]"));
    ai_put_inputs(j, "texts", o);
    if (o->chat->dimensions)
        json_out_u64(j, "output_dimension", o->chat->dimensions);
    return ERR_OK;
}

static enum err put_titan(struct ai_outgoing *o, struct json_out *j)
{
    if (o->chat->turn_count > 1)
        return ai_outgoing_refuse(o, "input", SLICE("more than one text at a time"));
    if (o->chat->user.len)
        ai_outgoing_leave_out(o, "user");
    json_out_text(j, "inputText", ai_input_text(o->chat->first, o->arena));
    if (o->chat->dimensions)
        json_out_u64(j, "dimensions", o->chat->dimensions);
    return ERR_OK;
}

enum err bedrock_write_embed(struct ai_outgoing *o)
{
    struct json_out j = {.to = o->translated};
    buf_clear(o->translated);
    memset(o->pieces, 0, sizeof(o->pieces));
    json_out_begin(&j, NULL, '{');
    enum err e = is_cohere(o->changes.model) ? put_cohere(o, &j) : put_titan(o, &j);
    json_out_end(&j, '}');
    o->pieces[0] = buf_slice(o->translated);
    if (!e)
        e = ai_outgoing_take_others(o);
    return e ? e : j.e;
}

bool bedrock_is_embedding(const json_t *response)
{
    return json_object_get(response, "embedding") || json_object_get(response, "embeddings");
}

/* {"embedding":[…],"inputTextTokenCount":n}; {"embeddings":{"float":[[…]]}}, or the list alone. */
enum err bedrock_emit_embedding(const json_t *response, ai_event_fn *fn, void *arg)
{
    json_t *one = json_object_get(response, "embedding");
    const json_t *list = json_object_get(response, "embeddings");
    const json_t *typed = json_object_get(list, "float");
    if (!one)
        return ai_emit_vectors(typed ? typed : list, AI_UNSAID, fn, arg);
    JSON_AUTO json_t *single = json_array();
    if (!single || json_array_append(single, one))
        return ERR_NOMEM;
    return ai_emit_vectors(single, ai_usage_member(response, "inputTextTokenCount"), fn, arg);
}
