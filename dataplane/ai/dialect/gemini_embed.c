/*
 * gemini_embed — embedContent and batchEmbedContents, as clients speak them (dialects.md 1.5). In
 * the normal form each content is a turn of the user, and each vector a block of the response.
 *
 * The body may name the model too, in each request of a batch. It must be the path's, by which
 * rights are looked up.
 */
#include "common/base/json_out.h"
#include "common/base/json_scan.h"
#include "dataplane/ai/ai_assembly.h"
#include "dataplane/ai/dialect/body_member.h"
#include "dataplane/ai/dialect/gemini_body.h"
#include "dataplane/ai/dialect/gemini_error.h"

#define BATCH_MAX 100 /* as the API has it */

static const json_t *either(const json_t *object, const char *camel, const char *snake)
{
    const json_t *v = json_object_get(object, camel);
    return v ? v : json_object_get(object, snake);
}

/* ---- read ---- */

static bool names_another(const struct json_hit *h, struct slice model, struct arena *a)
{
    return h->type != JSON_SCAN_ABSENT && h->type != JSON_SCAN_NULL &&
           !gemini_is_same_model(h, model, a);
}

static enum err read_one(const struct ai_incoming *in, struct ai_request *ret, struct slice *detail)
{
    static const char *const wants[] = {"model", "content"};
    struct json_hit hits[2];
    struct json_scan_problem problem;
    enum json_type root;
    ret->model = ai_incoming_name(in);
    ret->choices = 1;
    if (!ret->model.ptr)
        return ERR_NOMEM;
    if (json_scan(in->body, wants, 2, hits, &root, &problem)) {
        *detail = arena_copy(in->arena, slice_str(problem.text));
        return ERR_INVALID;
    }
    if (hits[1].type != JSON_SCAN_OBJECT)
        return body_refuse(ret, "content", "content must be an object", detail);
    if (names_another(&hits[0], ret->model, in->arena))
        return body_refuse(ret, "model", "model must be the model of the path", detail);
    return ERR_OK;
}

static enum err read_item(const struct ai_incoming *in, struct ai_request *ret, struct slice item,
                          struct slice *detail)
{
    static const char *const wants[] = {"model"};
    struct json_hit hit;
    struct json_scan_problem problem;
    enum json_type root;
    if (json_scan(item, wants, 1, &hit, &root, &problem) || root != JSON_SCAN_OBJECT)
        return body_refuse(ret, "requests", "each of requests must be an object", detail);
    if (names_another(&hit, ret->model, in->arena))
        return body_refuse(ret, "requests", "the model of each request must be the path's", detail);
    return ERR_OK;
}

static enum err read_batch(const struct ai_incoming *in, struct ai_request *ret,
                           struct slice *detail)
{
    static const char *const wants[] = {"requests"};
    struct json_hit requests, item;
    struct json_scan_problem problem;
    enum json_type root;
    size_t n = 0;
    enum err e = ERR_OK;
    ret->model = ai_incoming_name(in);
    ret->choices = 1;
    if (!ret->model.ptr)
        return ERR_NOMEM;
    if (json_scan(in->body, wants, 1, &requests, &root, &problem)) {
        *detail = arena_copy(in->arena, slice_str(problem.text));
        return ERR_INVALID;
    }
    if (requests.type != JSON_SCAN_ARRAY)
        return body_refuse(ret, "requests", "requests must be a list", detail);
    for (struct slice rest = requests.raw; !e && json_scan_item(&rest, &item); n++)
        e = read_item(in, ret, item.raw, detail);
    if (!e && (n < 1 || n > BATCH_MAX))
        return body_refuse(ret, "requests", "requests must hold 1 to 100 of them", detail);
    return e;
}

/* ---- parsed ---- */

static enum err parse_request(struct ai_chat *c, const json_t *request)
{
    const json_t *content = json_object_get(request, "content"), *part;
    const json_t *parts = json_object_get(content, "parts");
    const json_t *dimensions = either(request, "outputDimensionality", "output_dimensionality");
    struct ai_turn *t = ai_chat_add_turn(c, AI_USER);
    size_t i;
    if (!t)
        return ERR_NOMEM;
    json_array_foreach(parts, i, part)
    {
        const json_t *text = json_object_get(part, "text");
        if (!json_is_string(text))
            return ai_chat_wrong(c, "content", SLICE("other content than text"));
        struct ai_part *p = ai_chat_add_part(c, &t->parts, AI_PART_TEXT);
        if (!p)
            return ERR_NOMEM;
        p->text = slice_of(json_string_value(text), json_string_length(text));
    }
    if (!t->parts.count)
        return ai_chat_wrong(c, "content", SLICE("content without a part"));
    if (json_is_integer(dimensions) && json_integer_value(dimensions) > 0)
        c->dimensions = (uint64_t)json_integer_value(dimensions);
    enum err e = ERR_OK;
    if (either(request, "taskType", "task_type") && !c->others)
        e = ai_chat_add_other(c, "taskType", false, SLICE_NONE, NULL);
    return e;
}

static enum err read_tree(const struct ai_incoming *in, struct ai_chat *ret)
{
    struct json_problem problem;
    enum err e = json_read(in->body, &ret->root, &problem);
    return e == ERR_INVALID
               ? ai_chat_wrong(ret, NULL, arena_copy(in->arena, slice_str(problem.text)))
               : e;
}

static enum err parse_one(const struct ai_incoming *in, struct ai_chat *ret)
{
    enum err e = read_tree(in, ret);
    return e ? e : parse_request(ret, ret->root);
}

static enum err parse_batch(const struct ai_incoming *in, struct ai_chat *ret)
{
    const json_t *one;
    size_t i;
    enum err e = read_tree(in, ret);
    json_array_foreach(json_object_get(ret->root, "requests"), i, one)
    {
        if (!e)
            e = parse_request(ret, one);
    }
    return e;
}

/* ---- written ---- */

static void put_usage(struct json_out *o, const struct ai_usage *u)
{
    if (u->prompt == AI_UNSAID)
        return;
    json_out_begin(o, "usageMetadata", '{');
    json_out_u64(o, "promptTokenCount", u->prompt);
    json_out_u64(o, "totalTokenCount", u->prompt);
    json_out_end(o, '}');
}

static void put_vector(struct json_out *o, const char *name, const struct ai_block *b)
{
    json_out_begin(o, name, '{');
    json_out_raw(o, "values", buf_slice(&b->text));
    json_out_end(o, '}');
}

static enum err write_one(const struct ai_assembly *a, struct buf *out)
{
    struct json_out o = {.to = out};
    size_t at = 0;
    const struct ai_block *b = ai_choice_next(&a->choices[0], AI_MEDIA, &at);
    if (!b)
        return ERR_PROTOCOL;
    json_out_begin(&o, NULL, '{');
    put_vector(&o, "embedding", b);
    put_usage(&o, &a->usage);
    json_out_end(&o, '}');
    return o.e;
}

static enum err write_batch(const struct ai_assembly *a, struct buf *out)
{
    struct json_out o = {.to = out};
    size_t at = 0;
    json_out_begin(&o, NULL, '{');
    json_out_begin(&o, "embeddings", '[');
    for (const struct ai_block *b; (b = ai_choice_next(&a->choices[0], AI_MEDIA, &at));)
        put_vector(&o, NULL, b);
    json_out_end(&o, ']');
    put_usage(&o, &a->usage);
    json_out_end(&o, '}');
    return o.e;
}

static enum err write_stream_error(struct buf *out, const struct ai_error *e)
{
    return gemini_write_error(out, e); /* there are no streams */
}

const struct ai_dialect dialect_gemini_embed = {
    .name = "gemini_embed",
    .read = read_one,
    .parse = parse_one,
    .write_error = gemini_write_error,
    .write_stream_error = write_stream_error,
    .write_whole = write_one,
    .is_error = gemini_is_error,
    .query_key = {"key", 3},
};

const struct ai_dialect dialect_gemini_embed_batch = {
    .name = "gemini_embed_batch",
    .read = read_batch,
    .parse = parse_batch,
    .write_error = gemini_write_error,
    .write_stream_error = write_stream_error,
    .write_whole = write_batch,
    .is_error = gemini_is_error,
    .query_key = {"key", 3},
};
