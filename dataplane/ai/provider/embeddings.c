/*
 * embeddings — Cohere's and Ollama's, for clients that ask as others do.
 *
 * In the normal form each text is a turn of the user, and each vector a block of the response.
 * Either service has a form of its own for both.
 */
#include "common/base/json_out.h"
#include "dataplane/ai/provider/provider.h"

static bool speaks(const struct ai_endpoint *e)
{
    (void)e;
    return false;
}

static bool serves(const struct ai_endpoint *e)
{
    return e->kind == AI_EMBEDDINGS;
}

/* ---- the request ---- */

static void add_headers(struct ai_outgoing *o)
{
    ai_outgoing_add(o, SLICE("content-type"), SLICE("application/json"));
    ai_outgoing_add(o, SLICE("accept"), SLICE("application/json"));
    ai_outgoing_add(o, SLICE("accept-encoding"), SLICE("identity"));
    ai_outgoing_add(o, SLICE("user-agent"), SLICE("gatehouse"));
    ai_outgoing_add(o, SLICE("traceparent"), o->traceparent);
}

static void put_texts(struct json_out *j, const struct ai_outgoing *o, const char *name)
{
    json_out_begin(j, name, '[');
    for (const struct ai_turn *t = o->chat->first; t; t = t->next)
        for (const struct ai_part *p = t->parts.first; p; p = p->next)
            json_out_text(j, NULL, p->text);
    json_out_end(j, ']');
}

static struct json_out begin(struct ai_outgoing *o, const char *dimensions)
{
    struct json_out j = {.to = o->translated};
    if (o->chat->user.len)
        ai_outgoing_leave_out(o, "user");
    buf_clear(o->translated);
    json_out_begin(&j, NULL, '{');
    json_out_text(&j, "model", o->changes.model);
    if (o->chat->dimensions)
        json_out_u64(&j, dimensions, o->chat->dimensions);
    return j;
}

/* `rest` stands behind a base URL that is bare, `behind` where that has a path. */
static enum err end(struct ai_outgoing *o, struct json_out *j, struct slice rest,
                    struct slice behind)
{
    struct slice base = o->url->path;
    bool bare = !base.len || slice_eq(base, SLICE("/"));
    json_out_end(j, '}');
    memset(o->pieces, 0, sizeof(o->pieces));
    o->pieces[0] = buf_slice(o->translated);
    enum err e = j->e ? j->e : ai_outgoing_take_others(o);
    if (!e)
        e = ai_outgoing_path(o, slice_from(bare ? rest : behind, slice_ends(base, SLICE("/"))));
    if (e)
        return e;
    add_headers(o);
    return ai_outgoing_sign(o, SLICE("authorization"), SLICE("Bearer "));
}

static enum err cohere_build(struct ai_outgoing *o)
{
    if (!o->chat)
        return ai_outgoing_refuse(o, NULL, SLICE("a request in this dialect"));
    struct json_out j = begin(o, "output_dimension");
    json_out_text(&j, "input_type", SLICE("search_document"));
    json_out_raw(&j, "embedding_types", SLICE("[\"float\"]"));
    put_texts(&j, o, "texts");
    return end(o, &j, SLICE("/v2/embed"), SLICE("/embed"));
}

static enum err ollama_build(struct ai_outgoing *o)
{
    if (!o->chat)
        return ai_outgoing_refuse(o, NULL, SLICE("a request in this dialect"));
    struct json_out j = begin(o, "dimensions");
    put_texts(&j, o, "input");
    return end(o, &j, SLICE("/api/embed"), SLICE("/embed"));
}

/* ---- the response ---- */

static void read_error(unsigned status, struct slice body, struct arena *a, struct ai_fault *ret)
{
    *ret = (struct ai_fault){.verdict = ai_verdict_of_status(status),
                             .text = ai_fault_text(body, a),
                             .usage = AI_USAGE_NONE};
}

static enum err emit_vectors(const json_t *list, ai_event_fn *fn, void *arg)
{
    const json_t *one;
    struct buf text;
    size_t i;
    enum err e = json_array_size(list) ? ERR_OK : ERR_PROTOCOL;
    buf_init(&text, 64u * 1024 * 1024);
    json_array_foreach(list, i, one)
    {
        buf_clear(&text);
        if (!e)
            e = json_is_array(one) ? json_write(one, &text) : ERR_PROTOCOL;
        if (!e)
            e = fn(arg, &(struct ai_event){
                            .kind = AI_MEDIA, .block = (unsigned)i, .text = buf_slice(&text)});
    }
    buf_fini(&text);
    return e;
}

static enum err emit_all(const json_t *list, const json_t *tokens, ai_event_fn *fn, void *arg)
{
    struct ai_usage u = AI_USAGE_NONE;
    enum err e = emit_vectors(list, fn, arg);
    if (json_is_number(tokens) && json_number_value(tokens) >= 0) {
        u.prompt = (uint64_t)json_number_value(tokens);
        u.output = 0;
    }
    if (!e)
        e = fn(arg, &(struct ai_event){.kind = AI_USAGE, .usage = u});
    if (!e)
        e = fn(arg, &(struct ai_event){.kind = AI_FINISH, .finish = AI_FINISH_STOP});
    return e ? e : fn(arg, &(struct ai_event){.kind = AI_END});
}

static const json_t *get(const json_t *tree, const char *outer, const char *inner)
{
    return json_object_get(json_object_get(tree, outer), inner);
}

static enum err cohere_decode(struct ai_decoder *d, struct slice body, ai_event_fn *fn, void *arg)
{
    JSON_AUTO json_t *tree = NULL;
    struct json_problem problem;
    enum err e = json_read(body, &tree, &problem);
    (void)d;
    if (e)
        return e == ERR_NOMEM ? e : ERR_PROTOCOL;
    const json_t *units = get(tree, "meta", "billed_units");
    return emit_all(get(tree, "embeddings", "float"), json_object_get(units, "input_tokens"), fn,
                    arg);
}

static enum err ollama_decode(struct ai_decoder *d, struct slice body, ai_event_fn *fn, void *arg)
{
    JSON_AUTO json_t *tree = NULL;
    struct json_problem problem;
    enum err e = json_read(body, &tree, &problem);
    (void)d;
    if (e)
        return e == ERR_NOMEM ? e : ERR_PROTOCOL;
    return emit_all(json_object_get(tree, "embeddings"), json_object_get(tree, "prompt_eval_count"),
                    fn, arg);
}

/* There are no streams of vectors. */
static enum err no_stream(struct ai_decoder *d, const struct sse_event *e, ai_event_fn *fn,
                          void *arg)
{
    (void)d, (void)e, (void)fn, (void)arg;
    return ERR_PROTOCOL;
}

const struct ai_provider provider_cohere_embeddings = {.name = {"cohere", 6},
                                                       .speaks = speaks,
                                                       .serves = serves,
                                                       .build = cohere_build,
                                                       .read_error = read_error,
                                                       .decode = no_stream,
                                                       .decode_whole = cohere_decode};
const struct ai_provider provider_ollama_embeddings = {.name = {"ollama", 6},
                                                       .speaks = speaks,
                                                       .serves = serves,
                                                       .build = ollama_build,
                                                       .read_error = read_error,
                                                       .decode = no_stream,
                                                       .decode_whole = ollama_decode};
