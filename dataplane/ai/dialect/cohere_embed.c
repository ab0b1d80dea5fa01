/*
 * cohere_embed — Cohere's embeddings, version 2, as clients speak them. In the normal form each
 * text is a turn of the user, and each vector a block of the response.
 */
#include "common/base/json_out.h"
#include "dataplane/ai/ai_assembly.h"
#include "dataplane/ai/dialect/body_member.h"
#include "dataplane/ai/dialect/cohere_error.h"

enum want { W_MODEL, W_COUNT };

static const char *const wants[W_COUNT] = {"model"};

static enum err read_body(const struct ai_incoming *in, struct ai_request *ret,
                          struct slice *detail)
{
    struct body_reading d = {.r = ret, .names = wants, .arena = in->arena};
    enum err e = body_scan(&d, in->body, W_COUNT);
    if (!e)
        e = body_read_model(&d, W_MODEL);
    ret->choices = 1;
    *detail = d.detail;
    return e;
}

static enum err splice(const struct ai_request *r, struct slice body, const struct ai_changes *c,
                       struct arena *a, struct slice ret[static AI_REQUEST_PIECES])
{
    const struct slice raw = r->hits[W_MODEL].raw;
    struct body_edit edit = {raw.ptr, raw.len, SLICE_NONE};
    bool same = slice_eq(c->model, r->model);
    if (!same)
        edit.text = body_quoted(a, c->model);
    if (!same && !edit.text.ptr)
        return ERR_NOMEM;
    memset(ret, 0, AI_REQUEST_PIECES * sizeof(*ret));
    body_apply(&edit, same ? 0 : 1, body, ret);
    return ERR_OK;
}

/* ---- parsed ---- */

static enum err add_texts(struct ai_chat *c, const json_t *texts)
{
    const json_t *text;
    size_t i;
    if (!json_is_array(texts))
        return ai_chat_wrong(c, "texts", SLICE("texts must be a list of texts"));
    json_array_foreach(texts, i, text)
    {
        if (!json_is_string(text))
            return ai_chat_wrong(c, "texts", SLICE("texts must be a list of texts"));
        struct ai_turn *t = ai_chat_add_turn(c, AI_USER);
        struct ai_part *p = t ? ai_chat_add_part(c, &t->parts, AI_PART_TEXT) : NULL;
        if (!p)
            return ERR_NOMEM;
        p->text = slice_of(json_string_value(text), json_string_length(text));
    }
    return ERR_OK;
}

/* Vectors of single numbers are what others have. */
static enum err add_types(struct ai_chat *c, const json_t *types)
{
    const json_t *type = json_array_get(types, 0);
    bool usual = json_array_size(types) == 1 && json_is_string(type) &&
                 strcmp(json_string_value(type), "float") == 0;
    return usual ? ERR_OK
                 : ai_chat_add_other(c, "embedding_types", true, SLICE("other types than float"),
                                     NULL);
}

static enum err add_member(struct ai_chat *c, const char *name, const json_t *v)
{
    if (strcmp(name, "texts") == 0)
        return add_texts(c, v);
    if (strcmp(name, "embedding_types") == 0)
        return add_types(c, v);
    if (strcmp(name, "output_dimension") == 0) {
        c->dimensions = json_is_integer(v) ? (uint64_t)json_integer_value(v) : 0;
        return ERR_OK;
    }
    bool content = strcmp(name, "inputs") == 0 || strcmp(name, "images") == 0;
    return strcmp(name, "model") == 0 ? ERR_OK : ai_chat_add_other(c, name, content, SLICE_NONE, v);
}

static enum err parse(const struct ai_incoming *in, struct ai_chat *ret)
{
    struct json_problem problem;
    const char *name;
    json_t *v;
    enum err e = json_read(in->body, &ret->root, &problem);
    if (e)
        return e == ERR_INVALID
                   ? ai_chat_wrong(ret, NULL, arena_copy(in->arena, slice_str(problem.text)))
                   : e;
    json_object_foreach(ret->root, name, v)
    {
        if (!e && !json_is_null(v))
            e = add_member(ret, name, v);
    }
    if (!e && !ret->turn_count && !json_object_get(ret->root, "inputs") &&
        !json_object_get(ret->root, "images"))
        e = ai_chat_wrong(ret, "texts", SLICE("texts must be a list of texts"));
    return e;
}

/* ---- written ---- */

static void put_texts(struct json_out *o, const struct ai_chat *asked)
{
    json_out_begin(o, "texts", '[');
    for (const struct ai_turn *t = asked ? asked->first : NULL; t; t = t->next)
        json_out_text(o, NULL, t->parts.first->text);
    json_out_end(o, ']');
}

static void put_meta(struct json_out *o, const struct ai_usage *u)
{
    json_out_begin(o, "meta", '{');
    json_out_raw(o, "api_version", SLICE("{\"version\":\"2\"}"));
    json_out_begin(o, "billed_units", '{');
    json_out_u64(o, "input_tokens", u->prompt == AI_UNSAID ? 0 : u->prompt);
    json_out_end(o, '}');
    json_out_end(o, '}');
}

static enum err write_whole(const struct ai_assembly *a, struct buf *out)
{
    struct json_out o = {.to = out};
    size_t at = 0;
    json_out_begin(&o, NULL, '{');
    json_out_text(&o, "id", buf_slice(&a->id));
    json_out_text(&o, "response_type", SLICE("embeddings_by_type"));
    json_out_begin(&o, "embeddings", '{');
    json_out_begin(&o, "float", '[');
    for (const struct ai_block *b; (b = ai_choice_next(&a->choices[0], AI_MEDIA, &at));)
        json_out_raw(&o, NULL, buf_slice(&b->text));
    json_out_end(&o, ']');
    json_out_end(&o, '}');
    put_texts(&o, a->asked);
    put_meta(&o, &a->usage);
    json_out_end(&o, '}');
    return o.e;
}

static const char *const names[][2] = {
    {"dimensions", "output_dimension"}, {"input", "texts"}, {NULL, NULL}};

const struct ai_dialect dialect_cohere_embed = {
    .name = "cohere_embed",
    .read = read_body,
    .parse = parse,
    .splice = splice,
    .write_error = cohere_write_error,
    .write_stream_error = cohere_write_error, /* there are no streams */
    .write_whole = write_whole,
    .is_error = cohere_is_error,
    .names = names,
};
