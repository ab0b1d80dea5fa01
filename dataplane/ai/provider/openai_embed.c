/*
 * openai_embed — embeddings for clients of another dialect: a body of texts, and each vector of the
 * response as a block.
 */
#include "common/base/json_out.h"
#include "dataplane/ai/provider/openai.h"

enum err openai_write_embeddings(struct ai_outgoing *o)
{
    struct json_out j = {.to = o->translated};
    buf_clear(o->translated);
    json_out_begin(&j, NULL, '{');
    json_out_text(&j, "model", o->changes.model);
    json_out_begin(&j, "input", '[');
    for (const struct ai_turn *t = o->chat->first; t; t = t->next) {
        struct slice text = SLICE("");
        for (const struct ai_part *p = t->parts.first; p; p = p->next)
            text = text.len
                       ? arena_printf(o->arena, "%.*s\n%.*s", SLICE_ARG(text), SLICE_ARG(p->text))
                       : p->text;
        json_out_text(&j, NULL, text);
    }
    json_out_end(&j, ']');
    json_out_text(&j, "encoding_format", SLICE("float"));
    if (o->chat->dimensions)
        json_out_u64(&j, "dimensions", o->chat->dimensions);
    json_out_end(&j, '}');
    memset(o->pieces, 0, sizeof(o->pieces));
    o->pieces[0] = buf_slice(o->translated);
    enum err e = ai_outgoing_take_others(o);
    return e ? e : j.e;
}

bool openai_is_embeddings(struct slice body)
{
    return slice_search(slice_first(body, 256), SLICE("\"list\"")) >= 0;
}

enum err openai_decode_embeddings(struct slice body, ai_event_fn *fn, void *arg)
{
    JSON_AUTO json_t *tree = NULL;
    struct json_problem problem;
    const json_t *one, *data;
    size_t i;
    enum err e = json_read(body, &tree, &problem);
    data = json_object_get(tree, "data");
    if (e || !json_is_array(data))
        return e == ERR_NOMEM ? e : ERR_PROTOCOL;
    e = fn(arg, &(struct ai_event){.kind = AI_START, .name = json_text(tree, "model")});
    json_array_foreach(data, i, one)
    {
        if (!e)
            e = ai_emit_vector(json_object_get(one, "embedding"), (unsigned)i, fn, arg);
    }
    const json_t *count = json_object_get(json_object_get(tree, "usage"), "prompt_tokens");
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
