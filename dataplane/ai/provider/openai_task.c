/*
 * openai_task — moderation, images, audio and rerank at OpenAI, at services that speak as it does,
 * and at Cohere.
 */
#include "common/base/json.h"
#include "dataplane/ai/provider/openai_send.h"

static bool speaks(const struct ai_endpoint *e)
{
    return e->kind == AI_TASK;
}

static bool is_cohere(const struct policy_provider *p)
{
    return slice_eq(p->dialect, SLICE("cohere"));
}

/* Behind a base URL that ends with OpenAI's "/v1"; Cohere's is the bare host. */
static struct slice path_of(const struct ai_outgoing *o)
{
    struct slice path = o->endpoint->path;
    return is_cohere(o->target) ? path : slice_from(path, 3);
}

static enum err build(struct ai_outgoing *o)
{
    struct slice type = http_head_find(o->client_head, SLICE("content-type"));
    enum err e = openai_path(o, path_of(o));
    if (!e)
        e = o->endpoint->dialect->splice(o->request, o->body, &o->changes, o->arena, o->pieces);
    if (e)
        return e;
    ai_outgoing_add(o, SLICE("content-type"),
                    o->request->is_form ? type : SLICE("application/json"));
    ai_outgoing_add(o, SLICE("accept"), SLICE("*/*"));
    return openai_sign_bare(o);
}

/* ---- what it says of its cost ---- */

static uint64_t count_of(const json_t *o, const char *name, const char *other)
{
    const json_t *v = json_object_get(o, name);
    if (!json_is_integer(v))
        v = json_object_get(o, other);
    return json_is_integer(v) && json_integer_value(v) >= 0 ? (uint64_t)json_integer_value(v)
                                                            : AI_UNSAID;
}

/* OpenAI counts input and output, Jina a total, Cohere what it billed. */
static bool read_usage(const json_t *tree, struct ai_usage *ret)
{
    const json_t *usage = json_object_get(tree, "usage");
    const json_t *billed = json_object_get(json_object_get(tree, "meta"), "billed_units");
    *ret = AI_USAGE_NONE;
    ret->prompt = count_of(usage, "input_tokens", "prompt_tokens");
    ret->output = count_of(usage, "output_tokens", "completion_tokens");
    if (ret->prompt == AI_UNSAID)
        ret->prompt = count_of(usage, "total_tokens", "total_tokens");
    if (ret->prompt == AI_UNSAID)
        ret->prompt = count_of(billed, "input_tokens", "input_tokens");
    if (ret->output == AI_UNSAID)
        ret->output = 0;
    return ret->prompt != AI_UNSAID;
}

static enum err emit_usage(const json_t *tree, ai_event_fn *fn, void *arg)
{
    struct ai_event e = {.kind = AI_USAGE};
    return read_usage(tree, &e.usage) ? fn(arg, &e) : ERR_OK;
}

static enum err emit_error(struct ai_decoder *d, struct slice data, ai_event_fn *fn, void *arg)
{
    struct ai_fault f;
    openai_read_error(500, data, d->arena, &f);
    return fn(arg, &(struct ai_event){
                       .kind = AI_ERROR, .text = f.text, .name = f.code, .verdict = f.verdict});
}

static enum err emit_end(ai_event_fn *fn, void *arg)
{
    enum err e = fn(arg, &(struct ai_event){.kind = AI_FINISH, .finish = AI_FINISH_STOP});
    return e ? e : fn(arg, &(struct ai_event){.kind = AI_END});
}

/* A sound, or a text of its own form, is whole when it is something. */
static enum err decode_whole(struct ai_decoder *d, struct slice body, ai_event_fn *fn, void *arg)
{
    struct json_problem problem;
    JSON_AUTO json_t *tree = NULL;
    if (!body.len)
        return ERR_PROTOCOL;
    if (body.ptr[0] == '{') {
        enum err e = json_read(body, &tree, &problem);
        if (e == ERR_NOMEM)
            return e;
        const json_t *error = json_object_get(tree, "error");
        if (json_is_object(error) || json_is_string(error))
            return emit_error(d, body, fn, arg);
        e = emit_usage(tree, fn, arg);
        if (e)
            return e;
    }
    return emit_end(fn, arg);
}

/* ---- a stream ---- */

static bool is_last(struct slice type)
{
    return slice_ends(type, SLICE(".done")) || slice_ends(type, SLICE(".completed"));
}

static enum err decode(struct ai_decoder *d, const struct sse_event *e, ai_event_fn *fn, void *arg)
{
    struct json_problem problem;
    JSON_AUTO json_t *tree = NULL;
    if (!e->has_data)
        return fn(arg, &(struct ai_event){.kind = AI_OTHER});
    if (slice_eq(slice_trim(e->data), SLICE("[DONE]")))
        return emit_end(fn, arg);
    enum err err = json_read(e->data, &tree, &problem);
    if (err || !json_is_object(tree))
        return err == ERR_NOMEM ? err : ERR_PROTOCOL;
    if (json_is_object(json_object_get(tree, "error")))
        return emit_error(d, e->data, fn, arg);
    err = emit_usage(tree, fn, arg);
    if (!err && !is_last(json_text(tree, "type")))
        return fn(arg, &(struct ai_event){.kind = AI_MEDIA, .text = json_text(tree, "delta")});
    return err ? err : emit_end(fn, arg);
}

const struct ai_provider provider_openai_task = {
    .name = {"openai", 6},
    .speaks = speaks,
    .serves = speaks,
    .build = build,
    .read_error = openai_read_error,
    .decode = decode,
    .decode_whole = decode_whole,
};
