/*
 * openai_embeddings — OpenAI's embeddings, as clients speak it. There are no streams. In the normal
 * form each input is a turn of the user, and each vector a block of the response.
 *
 * OpenAI's Node SDK asks for base64 where its caller named no format, and older ones decode
 * whatever comes (dialects.md 0, 5). Servers that know only numbers send lists of them: those
 * become base64 of 32-bit floats in little-endian order here.
 */
#include <endian.h>
#include <stdlib.h>

#include "common/base/digest.h"
#include "common/base/json_out.h"
#include "dataplane/ai/ai_assembly.h"
#include "dataplane/ai/dialect/openai_body.h"
#include "dataplane/ai/dialect/openai_error.h"

#define FLOATS 3                  /* in as many bytes as base64 has no padding for */
#define TEXT (4 * FLOATS / 3 * 4) /* characters of those */

static enum err put_floats(const uint32_t *bits, size_t n, struct buf *out)
{
    char text[TEXT + 1];
    return buf_append(out, slice_of(text, digest_base64(slice_of(bits, n * sizeof(*bits)), text)));
}

/* ERR_PROTOCOL: one of them is no number. */
static enum err put_vector(struct slice list, struct buf *out)
{
    struct json_hit item;
    uint32_t bits[FLOATS];
    size_t n = 0;
    enum err e = buf_append(out, SLICE("\""));
    while (!e && json_scan_item(&list, &item)) {
        char text[64];
        if (item.type != JSON_SCAN_NUMBER || item.raw.len >= sizeof(text))
            return ERR_PROTOCOL;
        *slice_put(text, item.raw) = '\0';
        float value = strtof(text, NULL);
        uint32_t own;
        memcpy(&own, &value, sizeof(own));
        bits[n++] = htole32(own);
        if (n == FLOATS) {
            e = put_floats(bits, n, out);
            n = 0;
        }
    }
    if (!e && n)
        e = put_floats(bits, n, out);
    return e ? e : buf_append(out, SLICE("\""));
}

static bool is_base64_wanted(const struct ai_request *r)
{
    const struct json_hit *h = r ? &r->hits[OPENAI_ENCODING_FORMAT] : NULL;
    return h && h->type == JSON_SCAN_STRING && slice_eq(h->raw, SLICE("\"base64\""));
}

/* From *at to the end of this embedding, with its list in another form. */
static enum err put_embedding(struct slice item, const char **at, struct buf *out)
{
    static const char *const wants[] = {"embedding"};
    struct json_hit hit;
    struct json_scan_problem problem;
    enum json_type root;
    if (json_scan_response(item, wants, 1, &hit, &root, &problem) || hit.type != JSON_SCAN_ARRAY)
        return ERR_OK;
    enum err e = buf_append(out, slice_of(*at, (size_t)(hit.raw.ptr - *at)));
    *at = hit.raw.ptr + hit.raw.len;
    return e ? e : put_vector(hit.raw, out);
}

/* ERR_NOT_FOUND: it is as the client asked. */
static enum err write_as_asked(const struct ai_context *to, struct slice body, struct buf *out)
{
    static const char *const wants[] = {"data"};
    struct json_hit data, item;
    struct json_scan_problem problem;
    enum json_type root;
    const char *at = body.ptr;
    if (!is_base64_wanted(to->request) ||
        json_scan_response(body, wants, 1, &data, &root, &problem) || data.type != JSON_SCAN_ARRAY)
        return ERR_NOT_FOUND;
    enum err e = ERR_OK;
    while (!e && json_scan_item(&data.raw, &item))
        e = put_embedding(item.raw, &at, out);
    if (!e && at == body.ptr)
        return ERR_NOT_FOUND;
    return e ? e : buf_append(out, slice_of(at, (size_t)(body.ptr + body.len - at)));
}

/* ---- parsed ---- */

static enum err add_input(struct ai_chat *c, const json_t *input)
{
    if (!json_is_string(input))
        return ai_chat_wrong(c, "input", SLICE("an input of token numbers"));
    struct ai_turn *t = ai_chat_add_turn(c, AI_USER);
    struct ai_part *p = t ? ai_chat_add_part(c, &t->parts, AI_PART_TEXT) : NULL;
    if (!p)
        return ERR_NOMEM;
    p->text = slice_of(json_string_value(input), json_string_length(input));
    return ERR_OK;
}

static enum err parse_embeddings(const struct ai_incoming *in, struct ai_chat *ret)
{
    struct json_problem problem;
    const json_t *one, *input, *dimensions;
    size_t i;
    enum err e = json_read(in->body, &ret->root, &problem);
    if (e)
        return e == ERR_INVALID
                   ? ai_chat_wrong(ret, NULL, arena_copy(in->arena, slice_str(problem.text)))
                   : e;
    input = json_object_get(ret->root, "input");
    dimensions = json_object_get(ret->root, "dimensions");
    if (json_is_string(input))
        e = add_input(ret, input);
    json_array_foreach(input, i, one)
    {
        if (!e)
            e = add_input(ret, one);
    }
    if (!e && !ret->turn_count)
        e = ai_chat_wrong(ret, "input", SLICE("input must be a text or a list of texts"));
    if (json_is_integer(dimensions) && json_integer_value(dimensions) > 0)
        ret->dimensions = (uint64_t)json_integer_value(dimensions);
    ret->as_base64 = slice_eq(json_text(ret->root, "encoding_format"), SLICE("base64"));
    ret->user = json_text(ret->root, "user");
    return e;
}

/* ---- written ---- */

static void put_usage(struct json_out *o, const struct ai_usage *u)
{
    uint64_t prompt = u->prompt == AI_UNSAID ? 0 : u->prompt;
    json_out_begin(o, "usage", '{');
    json_out_u64(o, "prompt_tokens", prompt);
    json_out_u64(o, "total_tokens", prompt);
    json_out_end(o, '}');
}

static enum err write_whole(const struct ai_assembly *a, struct buf *out)
{
    struct json_out o = {.to = out};
    size_t at = 0;
    uint64_t index = 0;
    json_out_begin(&o, NULL, '{');
    json_out_text(&o, "object", SLICE("list"));
    json_out_begin(&o, "data", '[');
    for (const struct ai_block *b; !o.e && (b = ai_choice_next(&a->choices[0], AI_MEDIA, &at));) {
        json_out_begin(&o, NULL, '{');
        json_out_text(&o, "object", SLICE("embedding"));
        json_out_u64(&o, "index", index++);
        json_out_raw(&o, "embedding", SLICE(""));
        if (!o.e)
            o.e = a->asked && a->asked->as_base64 ? put_vector(buf_slice(&b->text), out)
                                                  : buf_append(out, buf_slice(&b->text));
        json_out_end(&o, '}');
    }
    json_out_end(&o, ']');
    json_out_text(&o, "model", buf_slice(&a->model));
    put_usage(&o, &a->usage);
    json_out_end(&o, '}');
    return o.e;
}

const struct ai_dialect dialect_openai_embeddings = {
    .name = "openai_embeddings",
    .read = openai_read_embeddings,
    .parse = parse_embeddings,
    .measure = openai_measure,
    .splice = openai_splice,
    .mark_whole = write_as_asked,
    .write_whole = write_whole,
    .write_error = openai_write_error,
    .write_stream_error = openai_write_stream_error,
    .is_error = openai_is_error,
};
