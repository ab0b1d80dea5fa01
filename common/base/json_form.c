/*
 * json_form — the walk over an object whose members are known.
 */
#include "common/base/json_form.h"

#include "common/base/json_token.h"

struct matching {
    const char *end;
    struct json_hit *hits;
    struct json_fault fault; /* not told */
};

#define NUMBER_MAX 18 /* characters; each of them fits an int64_t */

static const char *match_object(struct matching *m, const char *p, const struct json_form *form);

static const char *match_string(struct matching *m, const char *p)
{
    const char *stop = json_token_plain(p + 1, m->end);
    if (stop < m->end && *stop == '"')
        return stop + 1;
    const char *behind = json_token_string_on(p, stop, m->end, &m->fault);
    if (!behind || !json_token_is_clear(slice_of(p + 1, (size_t)(behind - p) - 2)))
        return NULL;
    return behind;
}

static const char *match_number(struct matching *m, const char *p)
{
    const char *behind = json_token_number(p, m->end, &m->fault);
    if (!behind || behind - p > NUMBER_MAX)
        return NULL;
    for (p += *p == '-'; p < behind; p++)
        if (*p < '0' || *p > '9')
            return NULL;
    return behind;
}

static const char *match_list(struct matching *m, const char *p, const struct json_form *f)
{
    if (!f->inside || !f->in_list)
        return NULL;
    p = json_token_space(p + 1, m->end);
    p = p < m->end && *p == '{' ? match_object(m, p, f->inside) : NULL;
    p = p ? json_token_space(p, m->end) : NULL;
    return p && p < m->end && *p == ']' ? p + 1 : NULL;
}

static const char *match_value(struct matching *m, const char *p, const struct json_form *f,
                               enum json_type *type)
{
    switch (*p) {
    case '"':
        *type = JSON_SCAN_STRING;
        return match_string(m, p);
    case '{':
        *type = JSON_SCAN_OBJECT;
        return f->inside && !f->in_list ? match_object(m, p, f->inside) : NULL;
    case '[':
        *type = JSON_SCAN_ARRAY;
        return match_list(m, p, f);
    case 't':
    case 'f':
    case 'n':
        *type = *p == 't' ? JSON_SCAN_TRUE : *p == 'f' ? JSON_SCAN_FALSE : JSON_SCAN_NULL;
        return json_token_word(p, m->end, &m->fault);
    default:
        *type = JSON_SCAN_NUMBER;
        return match_number(m, p);
    }
}

static const struct json_form *find(const struct json_form *form, struct slice name)
{
    for (; form->name; form++)
        if (strncmp(form->name, name.ptr, name.len) == 0 && !form->name[name.len])
            return form;
    return NULL;
}

static const char *match_member(struct matching *m, const char *p, const struct json_form *form)
{
    if (p == m->end || *p != '"')
        return NULL;
    const char *stop = json_token_plain(p + 1, m->end);
    if (stop == m->end || *stop != '"')
        return NULL;
    const struct json_form *f = find(form, slice_of(p + 1, (size_t)(stop - p) - 1));
    p = json_token_space(stop + 1, m->end);
    if (!f || m->hits[f->hit].type != JSON_SCAN_ABSENT || p == m->end || *p != ':')
        return NULL;
    const char *value = json_token_space(p + 1, m->end);
    struct json_hit *hit = &m->hits[f->hit];
    p = value < m->end ? match_value(m, value, f, &hit->type) : NULL;
    hit->raw = slice_of(value, p ? (size_t)(p - value) : 0);
    return p;
}

static const char *match_object(struct matching *m, const char *p, const struct json_form *form)
{
    p = json_token_space(p + 1, m->end);
    if (p < m->end && *p == '}')
        return p + 1;
    while ((p = match_member(m, p, form))) {
        p = json_token_space(p, m->end);
        if (p == m->end || (*p != '}' && *p != ','))
            return NULL;
        if (*p == '}')
            return p + 1;
        p = json_token_space(p + 1, m->end);
    }
    return NULL;
}

bool json_form_match(struct slice text, const struct json_form *form, struct json_hit *hits,
                     size_t n)
{
    const char *start = text.ptr ? text.ptr : "";
    struct matching m = {.end = start + text.len, .hits = hits};
    for (size_t i = 0; i < n; i++)
        hits[i] = (struct json_hit){.type = JSON_SCAN_ABSENT};
    const char *p = json_token_space(start, m.end);
    p = p < m.end && *p == '{' ? match_object(&m, p, form) : NULL;
    return p && json_token_space(p, m.end) == m.end;
}

bool json_form_text(const struct json_hit *hit, struct json_form_room *room, struct slice *ret)
{
    *ret = SLICE_NONE;
    if (hit->type != JSON_SCAN_STRING)
        return true;
    *ret = slice_of(hit->raw.ptr + 1, hit->raw.len - 2);
    if (!memchr(ret->ptr, '\\', ret->len))
        return true;
    if (ret->len > sizeof(room->text) - room->used)
        return false;
    char *to = room->text + room->used;
    *ret = slice_of(to, json_token_unescape(*ret, to));
    room->used += ret->len;
    return true;
}
