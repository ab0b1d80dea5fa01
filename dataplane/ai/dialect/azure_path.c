/*
 * azure_path — paths of Azure OpenAI, and the model that they name.
 */
#include "dataplane/ai/dialect/azure_path.h"

#include "dataplane/ai/dialect/body_member.h"
#include "dataplane/ai/dialect/dialect.h"
#include "dataplane/ai/form.h"

/* What stands behind a deployment's name, which may hold slashes: OpenAI's Python client does not
 * escape it. Longer ones stand before those that they end with. */
static const struct slice operations[] = {
    {"/audio/transcriptions", 21}, {"/audio/translations", 19}, {"/images/generations", 19},
    {"/images/variations", 18},    {"/chat/completions", 17},   {"/audio/speech", 13},
    {"/images/edits", 13},         {"/completions", 12},        {"/embeddings", 11},
};

static enum err split_deployment(struct arena *a, struct slice rest, struct azure_path *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(operations); i++) {
        struct slice operation = operations[i];
        if (rest.len <= operation.len || !slice_ends(rest, operation))
            continue;
        ret->deployment = ai_unescape(a, slice_first(rest, rest.len - operation.len));
        ret->path = arena_printf(a, "/v1%.*s", SLICE_ARG(operation));
        return ret->path.ptr && ret->deployment.ptr ? ERR_OK : ERR_NOMEM;
    }
    return ERR_OK; /* no path of ours: it is refused as it was asked for */
}

static enum err read_query(struct arena *a, struct slice query, struct azure_path *ret)
{
    const struct slice version = SLICE("api-version="), deployment = SLICE("deployment=");
    struct slice one, rest = query;
    ret->query = SLICE("");
    while (rest.len && slice_split(&rest, '&', &one)) {
        if (slice_starts(one, version))
            continue;
        bool names = slice_starts(one, deployment) && slice_eq(ret->path, SLICE("/v1/realtime"));
        if (names)
            one = slice_from(one, deployment.len);
        ret->query = arena_printf(a, "%.*s%s%s%.*s", SLICE_ARG(ret->query),
                                  ret->query.len ? "&" : "", names ? "model=" : "", SLICE_ARG(one));
        if (!ret->query.ptr)
            return ERR_NOMEM;
    }
    return ERR_OK;
}

enum err azure_path_read(struct arena *a, struct slice path, struct slice query,
                         struct azure_path *ret)
{
    const struct slice root = SLICE("/openai"), deployments = SLICE("/deployments/");
    struct slice rest = slice_from(path, root.len);
    enum err e = ERR_OK;
    *ret = (struct azure_path){.path = path};
    if (slice_starts(rest, deployments))
        e = split_deployment(a, slice_from(rest, deployments.len), ret);
    else if (slice_starts(rest, SLICE("/v1/")))
        ret->path = rest;
    else
        ret->path = arena_printf(a, "/v1%.*s", SLICE_ARG(rest));
    if (!e && !ret->path.ptr)
        e = ERR_NOMEM;
    return e ? e : read_query(a, query, ret);
}

/* ---- the body ---- */

struct field {
    struct slice value;
    bool twice; /* or a file: the dialect refuses it */
};

static bool take_field(void *arg, const struct form_part *p)
{
    struct field *f = arg;
    if (!slice_eq(p->name, SLICE("model")))
        return true;
    f->twice = f->twice || p->file || f->value.ptr || !p->whole;
    f->value = p->value;
    return true;
}

/* false: the body stays as it is. */
static bool edit_form(struct arena *a, const struct azure_body *in, struct slice body,
                      struct slice boundary, struct body_edit *ret)
{
    struct field f = {.value = SLICE_NONE};
    const char *problem;
    enum err e =
        (in->is_front ? form_read_front : form_read)(body, boundary, take_field, &f, &problem);
    if (e || f.twice)
        return false;
    *ret = (struct body_edit){f.value.ptr, f.value.len, in->deployment};
    if (!f.value.ptr)
        *ret = (struct body_edit){
            body.ptr, 0,
            arena_printf(a,
                         "--%.*s\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n"
                         "%.*s\r\n",
                         SLICE_ARG(boundary), SLICE_ARG(in->deployment))};
    return true;
}

static bool edit_json(struct arena *a, struct slice body, struct slice deployment,
                      struct body_edit *ret)
{
    static const char *const wants[] = {"model"};
    struct json_hit hit;
    struct json_scan_problem problem;
    enum json_type root;
    if (json_scan(body, wants, ARRAY_LEN(wants), &hit, &root, &problem) || root != JSON_SCAN_OBJECT)
        return false;
    struct slice quoted = body_quoted(a, deployment);
    *ret = quoted.ptr ? body_set_member(&hit, wants[0], body, quoted, a)
                      : (struct body_edit){.text = SLICE_NONE};
    return true;
}

enum err azure_name_model(struct arena *a, const struct azure_body *in, struct buf *body,
                          struct buf *spare)
{
    struct slice boundary = form_boundary(http_head_find(in->head, SLICE("content-type")));
    struct slice old = buf_slice(body), pieces[3];
    struct body_edit edit;
    enum err e = ERR_OK;
    if (!(boundary.ptr ? edit_form(a, in, old, boundary, &edit)
                       : edit_json(a, old, in->deployment, &edit)))
        return ERR_OK;
    if (!edit.text.ptr)
        return ERR_NOMEM;
    body_apply(&edit, 1, old, pieces);
    buf_clear(spare);
    for (size_t i = 0; !e && i < ARRAY_LEN(pieces); i++)
        e = buf_append(spare, pieces[i]);
    if (e)
        return e;
    buf_clear(body); /* no place in it is needed any more */
    return buf_append(body, buf_slice(spare));
}
