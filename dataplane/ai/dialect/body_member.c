/*
 * body_member — members of a body, and its pieces.
 */
#include "dataplane/ai/dialect/body_member.h"

#include "common/base/escape.h"

#define MODEL_NAME_MAX 256 /* no provider's names are longer */

enum err body_wrong(struct body_reading *d, unsigned want, const char *should)
{
    d->r->param = d->names[want];
    d->detail = arena_printf(d->arena, "%s%smust be %s", d->names[want],
                             d->between ? d->between : " ", should);
    return ERR_INVALID;
}

enum err body_refuse(struct ai_request *r, const char *param, const char *what,
                     struct slice *detail)
{
    r->param = param;
    *detail = slice_str(what);
    return ERR_INVALID;
}

bool body_is_absent(const struct json_hit *h)
{
    return h->type == JSON_SCAN_ABSENT || h->type == JSON_SCAN_NULL;
}

enum err body_read_text(struct body_reading *d, unsigned want, struct slice *ret)
{
    const struct json_hit *h = &d->r->hits[want];
    if (body_is_absent(h))
        return ERR_OK;
    if (h->type != JSON_SCAN_STRING)
        return body_wrong(d, want, "a string");
    char *out = arena_alloc(d->arena, h->raw.len);
    if (!out)
        return ERR_NOMEM;
    if (json_scan_text(h, out, h->raw.len, ret))
        return body_wrong(d, want, "a string without a NUL or half of a surrogate pair");
    return ERR_OK;
}

enum err body_read_flag(struct body_reading *d, unsigned want, bool *ret)
{
    const struct json_hit *h = &d->r->hits[want];
    if (body_is_absent(h))
        return ERR_OK;
    if (h->type != JSON_SCAN_TRUE && h->type != JSON_SCAN_FALSE)
        return body_wrong(d, want, "true or false");
    *ret = h->type == JSON_SCAN_TRUE;
    return ERR_OK;
}

enum err body_read_count(struct body_reading *d, unsigned want, uint64_t max, uint64_t *ret)
{
    const struct json_hit *h = &d->r->hits[want];
    uint64_t n;
    if (body_is_absent(h))
        return ERR_OK;
    if (json_scan_u64(h, &n) || n == 0 || n > max)
        return body_wrong(d, want, "a positive integer in range");
    *ret = n;
    return ERR_OK;
}

enum err body_read_model(struct body_reading *d, unsigned want)
{
    enum err e = body_read_text(d, want, &d->r->model);
    if (e)
        return e;
    if (!d->r->model.len || d->r->model.len > MODEL_NAME_MAX)
        return body_wrong(d, want, "the name of a model");
    return ERR_OK;
}

enum err body_scan(struct body_reading *d, struct slice body, size_t wants)
{
    struct json_scan_problem problem;
    enum json_type root;
    d->r->choices = 1;
    enum err e = json_scan(body, d->names, wants, d->r->hits, &root, &problem);
    if (e) {
        d->detail = arena_copy(d->arena, slice_str(problem.text));
        return e;
    }
    if (root != JSON_SCAN_OBJECT) {
        d->detail = SLICE("it must be an object");
        return ERR_INVALID;
    }
    return ERR_OK;
}

struct slice body_quoted(struct arena *a, struct slice text)
{
    char *out = arena_alloc(a, text.len * ESCAPE_MAX + 2), *to = out;
    if (!out)
        return SLICE_NONE;
    *to++ = '"';
    while (text.len) {
        size_t plain = escape_plain(text);
        memcpy(to, text.ptr, plain);
        to += plain;
        text = slice_from(text, plain);
        if (text.len)
            to += escape_json(&text, to);
    }
    *to++ = '"';
    return slice_of(out, (size_t)(to - out));
}

static void sort(struct body_edit *edits, size_t n)
{
    for (size_t i = 1; i < n; i++)
        for (size_t j = i; j > 0 && edits[j].at < edits[j - 1].at; j--) {
            struct body_edit later = edits[j - 1];
            edits[j - 1] = edits[j];
            edits[j] = later;
        }
}

void body_apply(struct body_edit *edits, size_t n, struct slice body, struct slice *ret)
{
    const char *from = body.ptr, *end = body.ptr + body.len;
    sort(edits, n);
    for (size_t i = 0; i < n; i++) {
        *ret++ = slice_of(from, (size_t)(edits[i].at - from));
        *ret++ = edits[i].text;
        from = edits[i].at + edits[i].old;
    }
    *ret = slice_of(from, (size_t)(end - from));
}

struct body_edit body_set_member(const struct json_hit *h, const char *name, struct slice body,
                                 struct slice text, struct arena *a)
{
    if (h->type != JSON_SCAN_ABSENT)
        return (struct body_edit){h->raw.ptr, h->raw.len, text};
    ptrdiff_t brace = slice_find(body, '{'); /* the root's: the scan said it is an object */
    size_t next = (size_t)brace + 1;
    while (next < body.len && strchr(" \t\r\n", body.ptr[next]))
        next++;
    bool alone = next >= body.len || body.ptr[next] == '}';
    struct slice member = arena_printf(a, "\"%s\":%.*s%s", name, SLICE_ARG(text), alone ? "" : ",");
    return (struct body_edit){body.ptr + brace + 1, 0, member};
}
