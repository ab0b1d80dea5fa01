/*
 * openai_completions — the older completions, at OpenAI and at the services that speak as it does:
 * for clients that speak them.
 */
#include "common/base/json.h"
#include "dataplane/ai/dialect/openai_error.h"
#include "dataplane/ai/provider/openai.h"
#include "dataplane/ai/provider/openai_send.h"

static bool speaks(const struct ai_endpoint *e)
{
    return e->dialect == &dialect_openai_completions;
}

/* A server without the path says so in its own way, not in OpenAI's envelope. */
static bool note_missing(const struct policy_provider *p, struct slice body)
{
    (void)p;
    return !openai_is_error(body);
}

static enum err build(struct ai_outgoing *o)
{
    enum err e = openai_path(o, SLICE("/completions"));
    if (!e)
        e = o->endpoint->dialect->splice(o->request, o->body, &o->changes, o->arena, o->pieces);
    return e ? e : openai_sign(o);
}

static enum ai_finish finish_of(struct slice reason)
{
    if (slice_eq(reason, SLICE("length")))
        return AI_FINISH_LENGTH;
    if (slice_eq(reason, SLICE("content_filter")))
        return AI_FINISH_FILTER;
    return reason.len ? AI_FINISH_STOP : AI_FINISH_NONE;
}

static enum err emit_choice(const json_t *choice, size_t place, ai_event_fn *fn, void *arg)
{
    const json_t *index = json_object_get(choice, "index");
    unsigned at = json_is_integer(index) ? (unsigned)json_integer_value(index) : (unsigned)place;
    struct slice text = json_text(choice, "text");
    enum ai_finish finish = finish_of(json_text(choice, "finish_reason"));
    enum err e = ERR_OK;
    if (text.len)
        e = fn(arg, &(struct ai_event){.kind = AI_TEXT, .choice = at, .text = text});
    if (!e && finish)
        e = fn(arg, &(struct ai_event){.kind = AI_FINISH, .choice = at, .finish = finish});
    return e;
}

static enum err emit_usage(const struct usage_look *look, ai_event_fn *fn, void *arg)
{
    struct ai_usage u = AI_USAGE_NONE;
    u.prompt = look->tokens.input;
    u.cache_read = look->tokens.cache_read;
    u.output = look->tokens.output;
    u.reasoning = look->tokens.reasoning;
    return fn(arg, &(struct ai_event){.kind = AI_USAGE, .usage = u});
}

static enum err emit_error(struct ai_decoder *d, struct slice data, ai_event_fn *fn, void *arg)
{
    struct ai_fault f;
    openai_read_error(500, data, d->arena, &f);
    return fn(arg, &(struct ai_event){
                       .kind = AI_ERROR, .text = f.text, .name = f.code, .verdict = f.verdict});
}

static enum err emit_all(struct ai_decoder *d, struct slice data, ai_event_fn *fn, void *arg)
{
    struct usage_look look = {0};
    struct json_problem problem;
    JSON_AUTO json_t *tree = NULL;
    const json_t *choice;
    size_t i;
    enum err e = json_read(data, &tree, &problem);
    if (e || !json_is_object(tree))
        return e == ERR_NOMEM ? e : ERR_PROTOCOL;
    if (!usage_read(data, &look) && look.has_error)
        return emit_error(d, data, fn, arg);
    if (!d->block++)
        e = fn(arg, &(struct ai_event){.kind = AI_START,
                                       .id = json_text(tree, "id"),
                                       .name = json_text(tree, "model")});
    json_array_foreach(json_object_get(tree, "choices"), i, choice)
    {
        if (!e)
            e = emit_choice(choice, i, fn, arg);
    }
    return e || !look.has_usage ? e : emit_usage(&look, fn, arg);
}

static enum err decode(struct ai_decoder *d, const struct sse_event *e, ai_event_fn *fn, void *arg)
{
    if (!e->has_data)
        return fn(arg, &(struct ai_event){.kind = AI_OTHER});
    if (slice_eq(slice_trim(e->data), SLICE("[DONE]")))
        return fn(arg, &(struct ai_event){.kind = AI_END});
    return emit_all(d, e->data, fn, arg);
}

static enum err decode_whole(struct ai_decoder *d, struct slice body, ai_event_fn *fn, void *arg)
{
    enum err e = emit_all(d, body, fn, arg);
    return e ? e : fn(arg, &(struct ai_event){.kind = AI_END});
}

const struct ai_provider provider_openai_completions = {
    .name = {"openai", 6},
    .bills_cancelled = true,
    .speaks = speaks,
    .serves = speaks,
    .build = build,
    .note_missing = note_missing,
    .read_error = openai_read_error,
    .decode = decode,
    .decode_whole = decode_whole,
};
