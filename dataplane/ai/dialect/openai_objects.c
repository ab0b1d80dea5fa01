/*
 * openai_objects — things that OpenAI keeps, asked for by their ids: responses, files, batches.
 *
 * Ids carry marks (ai_mark.h): one that was not given to this owner is unknown, at every path
 * alike. Lists are of what the owner made (ai_list.h). What else the body says goes on as it came.
 */
#include "dataplane/ai/dialect/openai_objects.h"

#include "dataplane/ai/dialect/body_member.h"
#include "dataplane/ai/dialect/openai_error.h"
#include "dataplane/ai/dialect/openai_stored.h"
#include "dataplane/ai/form.h"

static const char *const wants[] = {"input_file_id", "endpoint"};

_Static_assert(OBJECT_HITS <= AI_HITS && ARRAY_LEN(wants) <= OBJECT_HITS, "each has its place");

static bool is_path(const struct ai_incoming *in, struct slice path)
{
    return slice_eq(in->endpoint->path, path);
}

/* ---- ids ---- */

static enum err unknown(struct ai_request *r, const char *param, struct slice id, struct slice *why)
{
    r->param = param;
    *why = id;
    return ERR_NOT_FOUND;
}

static enum err read_name(const struct ai_incoming *in, struct ai_request *r, struct slice *detail)
{
    struct slice name = ai_incoming_name(in);
    if (!name.ptr)
        return ERR_NOMEM;
    if (slice_find(name, '/') >= 0 ||
        openai_unmark_id(in->marker, name, &r->object, &r->stays) != ERR_OK)
        return unknown(r, "id", name, detail);
    return ERR_OK;
}

/* "after=msg_1_gh…": items of a list are named by what its pages gave. */
static enum err read_query(const struct ai_incoming *in, struct ai_request *r, struct slice *detail)
{
    struct slice rest = in->query, one, out = SLICE("");
    while (rest.len && slice_split(&rest, '&', &one)) {
        struct slice value = one;
        struct ai_account account;
        ptrdiff_t at = slice_find(one, '=');
        struct slice text = at < 0 ? SLICE("") : slice_from(one, (size_t)at + 1);
        if (ai_mark_split(text, &value, &account)) {
            if (openai_unmark_id(in->marker, text, &value, &account) ||
                !ai_account_eq(&account, &r->stays))
                return unknown(r, "after", text, detail);
            one = slice_of(one.ptr, (size_t)(value.ptr + value.len - one.ptr));
        }
        out = arena_printf(in->arena, "%.*s%s%.*s", SLICE_ARG(out), out.len ? "&" : "?",
                           SLICE_ARG(one));
        if (!out.ptr)
            return ERR_NOMEM;
    }
    r->object_query = out;
    r->stream = slice_search(out, SLICE("stream=true")) >= 0;
    return ERR_OK;
}

/* ---- what is made ---- */

struct upload {
    struct ai_request *r;
    struct slice purpose, file;
    bool twice;
    bool unfinished; /* the purpose is not known yet */
};

static bool is_purpose(const struct form_part *p)
{
    return slice_eq(p->name, SLICE("purpose"));
}

static bool is_file(const struct form_part *p)
{
    return slice_eq(p->name, SLICE("file"));
}

static bool take_field(void *arg, const struct form_part *p)
{
    struct upload *u = arg;
    struct slice *to = is_purpose(p) ? &u->purpose : is_file(p) ? &u->file : NULL;
    if (to) {
        u->twice = u->twice || to->ptr || (is_purpose(p) && p->file);
        u->unfinished = u->unfinished || (is_purpose(p) && !p->whole);
        *to = p->value;
    }
    return true;
}

/* The front named a purpose, and began the file. */
static bool read_late(struct ai_request *r, const struct form_part *p)
{
    r->param = is_purpose(p) ? "purpose" : is_file(p) && !p->whole ? "file" : NULL;
    return !r->param;
}

/* A batch's lines are read and changed, so that all of them must be there. */
static bool is_enough(const struct upload *u)
{
    return u->purpose.len && !u->unfinished && u->file.ptr && !slice_eq(u->purpose, SLICE("batch"));
}

/* What a batch's lines ask for is looked at when it is uploaded; later it is an id. */
static enum err read_file(const struct ai_incoming *in, struct ai_request *r, struct slice *detail)
{
    struct upload u = {.r = r};
    const char *problem = "it must be multipart/form-data";
    struct slice boundary = form_boundary(http_head_find(in->head, SLICE("content-type")));
    enum err e = !boundary.ptr  ? ERR_INVALID
                 : in->is_front ? form_read_front(in->body, boundary, take_field, &u, &problem)
                                : form_read(in->body, boundary, take_field, &u, &problem);
    r->is_form = true;
    if (!e && in->is_front && !is_enough(&u))
        return ERR_AGAIN;
    if (!e && (u.twice || !u.purpose.len || !u.file.ptr)) {
        problem = "file and purpose must each be one field of the form";
        e = ERR_INVALID;
    }
    if (e)
        *detail = slice_str(problem);
    else if (slice_eq(u.purpose, SLICE("batch")))
        r->hits[OBJECT_LINES].raw = u.file;
    return e;
}

static bool may_batch(const struct json_hit *h)
{
    for (size_t i = 0; i < OBJECT_BATCH_PATHS; i++) {
        struct slice path = openai_batch_paths[i];
        if (h->raw.len == path.len + 2 && slice_eq(slice_of(h->raw.ptr + 1, path.len), path))
            return true;
    }
    return false;
}

static enum err read_batch(const struct ai_incoming *in, struct ai_request *r, struct slice *detail)
{
    struct body_reading d = {.r = r, .names = wants, .arena = in->arena};
    struct slice id = SLICE_NONE;
    enum err e = body_scan(&d, in->body, ARRAY_LEN(wants));
    if (!e)
        e = body_read_text(&d, OBJECT_INPUT_FILE, &id);
    if (!e && !id.len)
        e = body_wrong(&d, OBJECT_INPUT_FILE, "the id of a file");
    if (!e && (r->hits[OBJECT_ENDPOINT].type != JSON_SCAN_STRING ||
               !may_batch(&r->hits[OBJECT_ENDPOINT])))
        e = body_wrong(&d, OBJECT_ENDPOINT,
                       "/v1/chat/completions, /v1/completions, /v1/embeddings or "
                       "/v1/moderations");
    *detail = d.detail;
    if (!e && openai_unmark_id(in->marker, id, &r->object, &r->stays))
        e = unknown(r, wants[OBJECT_INPUT_FILE], id, detail);
    r->prompt.unbounded = "what a batch costs is not known before it ran";
    return e;
}

static enum err read_request(const struct ai_incoming *in, struct ai_request *ret,
                             struct slice *detail)
{
    enum err e = ERR_OK;
    ret->choices = 1;
    ret->kept = !slice_eq(in->endpoint->suffix, SLICE("/content"));
    if (in->endpoint->prefix)
        e = read_name(in, ret, detail);
    else if (is_path(in, SLICE("/v1/files")))
        e = read_file(in, ret, detail);
    else if (is_path(in, SLICE("/v1/batches")))
        e = read_batch(in, ret, detail);
    return e ? e : read_query(in, ret, detail);
}

static enum err splice(const struct ai_request *r, struct slice body, const struct ai_changes *c,
                       struct arena *a, struct slice ret[static AI_REQUEST_PIECES])
{
    const struct json_hit *id = &r->hits[OBJECT_INPUT_FILE];
    struct body_edit edit = {id->raw.ptr, id->raw.len, SLICE_NONE};
    (void)c;
    memset(ret, 0, AI_REQUEST_PIECES * sizeof(*ret));
    if (id->type == JSON_SCAN_STRING)
        edit.text = body_quoted(a, r->object);
    if (id->type == JSON_SCAN_STRING && !edit.text.ptr)
        return ERR_NOMEM;
    body_apply(&edit, edit.text.ptr ? 1 : 0, body, ret);
    return ERR_OK;
}

/* A response that is asked for as a stream goes on as it came. */
static enum err write_event(struct ai_writer *w, const struct ai_event *e, struct buf *out)
{
    return e->raw.ptr ? openai_stored_mark_event(&w->to, e->raw, out) : ERR_OK;
}

const struct ai_dialect dialect_openai_objects = {
    .name = "openai_objects",
    .read = read_request,
    .splice = splice,
    .write_error = openai_write_error,
    .write_stream_error = openai_write_stream_error,
    .write_event = write_event,
    .marks = true,
    .mark_event = openai_stored_mark_event,
    .mark_whole = openai_stored_mark_body,
    .is_error = openai_is_error,
    .keep_alive = {": keep-alive\n\n", 14},
    .takes_forms = true,
    .read_late = read_late,
};
