/*
 * openai_task — calls of models that are no conversations, as OpenAI has them (and Cohere and Jina
 * rerank): moderation, images, speech, transcription, translation, rerank.
 *
 * Bodies and responses go on as they came; only the model is read and changed. A body is JSON, or a
 * form. What a call costs is bounded where its body shows it; elsewhere it is refused where a
 * budget applies.
 */
#include "common/base/limits.h"
#include "dataplane/ai/dialect/body_member.h"
#include "dataplane/ai/dialect/openai_error.h"
#include "dataplane/ai/form.h"

#define WANTS(X)                                                                                   \
    X(MODEL, "model")                                                                              \
    X(STREAM, "stream")                                                                            \
    X(STREAM_FORMAT, "stream_format")                                                              \
    X(QUERY, "query")                                                                              \
    X(DOCUMENTS, "documents")

enum want {
#define WANT_ENUM(name, path) W_##name,
    WANTS(WANT_ENUM) W_COUNT
#undef WANT_ENUM
};

static const char *const wants[] = {
#define WANT_PATH(name, path) path,
    WANTS(WANT_PATH)
#undef WANT_PATH
};

static bool is_under(const struct ai_endpoint *e, struct slice path)
{
    return slice_starts(e->path, path);
}

static bool reranks(const struct ai_endpoint *e)
{
    return slice_ends(e->path, SLICE("/rerank"));
}

/* ---- read ---- */

/* Where OpenAI takes a body without one. */
static struct slice usual_model(const struct ai_endpoint *e)
{
    return is_under(e, SLICE("/v1/moderations")) ? SLICE("omni-moderation-latest") : SLICE_NONE;
}

static uint64_t items_in(const struct json_hit *list)
{
    struct slice rest = list->raw;
    struct json_hit item;
    uint64_t n = 0;
    while (list->type == JSON_SCAN_ARRAY && json_scan_item(&rest, &item))
        n++;
    return n;
}

/* What is sent there is mostly a file, and costs what it costs: no bound is taken from its length.
 */
static bool has_file(const struct ai_endpoint *e)
{
    return is_under(e, SLICE("/v1/images")) || is_under(e, SLICE("/v1/audio"));
}

/* A token of text is a byte at least. The query of a rerank is read with each document. */
static void bound(const struct ai_incoming *in, struct ai_request *r)
{
    r->prompt.text = in->body.len;
    if (reranks(in->endpoint))
        r->prompt.text += r->hits[W_QUERY].raw.len * items_in(&r->hits[W_DOCUMENTS]);
    if (is_under(in->endpoint, SLICE("/v1/images")))
        r->prompt.unbounded = "what an image costs is not known before it is made";
    else if (is_under(in->endpoint, SLICE("/v1/audio")))
        r->prompt.unbounded = "what audio costs is not known before it was read";
}

static enum err read_json(const struct ai_incoming *in, struct body_reading *d)
{
    struct ai_request *r = d->r;
    struct slice format = SLICE_NONE, usual = usual_model(in->endpoint);
    enum err e = body_scan(d, in->body, W_COUNT);
    if (!e && usual.len && body_is_absent(&r->hits[W_MODEL]))
        r->model = usual;
    else if (!e)
        e = body_read_model(d, W_MODEL);
    if (!e)
        e = body_read_flag(d, W_STREAM, &r->stream);
    if (!e)
        e = body_read_text(d, W_STREAM_FORMAT, &format);
    r->stream = r->stream || slice_eq(format, SLICE("sse"));
    return e;
}

struct fields {
    struct body_reading *d;
    enum err e;
};

/* What a front ends in is not known yet. */
static bool take_field(void *arg, const struct form_part *p)
{
    struct fields *f = arg;
    struct json_hit *model = &f->d->r->hits[W_MODEL];
    if (slice_eq(p->name, SLICE("model"))) {
        if (p->file || model->raw.ptr)
            f->e = body_wrong(f->d, W_MODEL, "one field of the form");
        else if (!p->whole)
            f->e = ERR_AGAIN;
        model->raw = p->value; /* no JSON: it is read as it stands */
        f->d->r->model = p->value;
    } else if (p->whole && slice_eq(p->name, SLICE("stream"))) {
        f->d->r->stream = slice_eq(p->value, SLICE("true"));
    }
    return !f->e;
}

static bool read_late(struct ai_request *r, const struct form_part *p)
{
    r->param = "model";
    if (slice_eq(p->name, SLICE("model")))
        return false;
    if (p->whole && slice_eq(p->name, SLICE("stream")))
        r->stream = slice_eq(p->value, SLICE("true"));
    r->param = NULL;
    return true;
}

static bool is_name(struct slice model)
{
    for (size_t i = 0; i < model.len; i++)
        if ((unsigned char)model.ptr[i] < ' ')
            return false;
    return model.len > 0 && model.len <= 256;
}

static enum err read_form(const struct ai_incoming *in, struct body_reading *d,
                          struct slice boundary)
{
    struct fields f = {.d = d};
    const char *problem;
    d->r->choices = 1;
    enum err e =
        (in->is_front ? form_read_front : form_read)(in->body, boundary, take_field, &f, &problem);
    if (e) {
        d->detail = slice_str(problem);
        return e;
    }
    if (!f.e && in->is_front && !d->r->hits[W_MODEL].raw.ptr)
        return ERR_AGAIN;
    if (!f.e && !is_name(d->r->model))
        return body_wrong(d, W_MODEL, "the name of a model");
    return f.e;
}

static enum err read_body(const struct ai_incoming *in, struct ai_request *ret,
                          struct slice *detail)
{
    struct body_reading d = {.r = ret, .names = wants, .arena = in->arena};
    struct slice boundary = form_boundary(http_head_find(in->head, SLICE("content-type")));
    ret->is_form = boundary.ptr != NULL;
    if (in->is_front && !has_file(in->endpoint))
        return ERR_AGAIN;
    enum err e = ret->is_form ? read_form(in, &d, boundary) : read_json(in, &d);
    if (!e)
        bound(in, ret);
    *detail = d.detail;
    return e;
}

/* ---- splice ---- */

static enum err splice(const struct ai_request *r, struct slice body, const struct ai_changes *c,
                       struct arena *a, struct slice ret[static AI_REQUEST_PIECES])
{
    const struct json_hit *model = &r->hits[W_MODEL];
    struct body_edit edit = {model->raw.ptr, model->raw.len, c->model};
    bool same = model->raw.ptr && slice_eq(c->model, r->model);
    if (!r->is_form && !same)
        edit = body_set_member(model, "model", body, body_quoted(a, c->model), a);
    if (!same && !edit.text.ptr)
        return ERR_NOMEM;
    memset(ret, 0, AI_REQUEST_PIECES * sizeof(*ret));
    body_apply(&edit, same ? 0 : 1, body, ret);
    return ERR_OK;
}

/* What a stream says goes on as it came. */
static enum err write_event(struct ai_writer *w, const struct ai_event *e, struct buf *out)
{
    (void)w;
    return e->raw.ptr ? buf_append(out, e->raw) : ERR_OK;
}

const struct ai_dialect dialect_openai_task = {
    .name = "openai_task",
    .read = read_body,
    .splice = splice,
    .write_error = openai_write_error,
    .write_stream_error = openai_write_stream_error,
    .write_event = write_event,
    .is_error = openai_is_error,
    .keep_alive = {": keep-alive\n\n", 14},
    .takes_forms = true,
    .read_late = read_late,
};
