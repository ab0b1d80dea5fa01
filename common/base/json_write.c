/*
 * json_write — trees as compact text.
 *
 * jansson's own writer prints 0.1 as 0.10000000000000001, so what was read is not what is
 * written; here a real keeps the shortest form that reads back as itself.
 */
#include "common/base/json.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/limits.h"
#include "common/base/mem.h"

static enum err write_value(const json_t *v, struct buf *out, bool sorted, int depth);

static enum err write_member(const char *name, size_t len, const json_t *v, struct buf *out,
                             bool sorted, int depth)
{
    enum err e = buf_json_string(out, slice_of(name, len));
    if (!e)
        e = buf_append(out, SLICE(":"));
    return e ? e : write_value(v, out, sorted, depth);
}

struct member {
    struct slice name;
    const json_t *value;
};

static int by_name(const void *a, const void *b)
{
    return slice_cmp(((const struct member *)a)->name, ((const struct member *)b)->name);
}

static enum err write_in_order(struct member *members, size_t n, struct buf *out, int depth)
{
    enum err e = ERR_OK;
    qsort(members, n, sizeof(*members), by_name);
    for (size_t i = 0; i < n && !e; i++) {
        if (i)
            e = buf_append(out, SLICE(","));
        if (!e)
            e = write_member(members[i].name.ptr, members[i].name.len, members[i].value, out, true,
                             depth);
    }
    return e;
}

static enum err write_sorted(json_t *object, struct buf *out, int depth)
{
    size_t n = 0;
    struct member *members = mem_array(json_object_size(object), sizeof(*members));
    if (!members)
        return ERR_NOMEM;
    const char *name;
    json_t *v;
    json_object_foreach(object, name, v) members[n++] = (struct member){slice_str(name), v};
    enum err e = write_in_order(members, n, out, depth);
    mem_free(members);
    return e;
}

static enum err write_as_it_came(json_t *object, struct buf *out, int depth)
{
    enum err e = ERR_OK;
    bool first = true;
    const char *name;
    json_t *v;
    json_object_foreach(object, name, v)
    {
        if (!first)
            e = buf_append(out, SLICE(","));
        if (!e)
            e = write_member(name, strlen(name), v, out, false, depth);
        if (e)
            return e;
        first = false;
    }
    return ERR_OK;
}

static enum err write_object(const json_t *v, struct buf *out, bool sorted, int depth)
{
    json_t *object = (json_t *)v; /* jansson's iterators take no const; nothing is changed */
    enum err e = buf_append(out, SLICE("{"));
    if (!e)
        e = sorted ? write_sorted(object, out, depth) : write_as_it_came(object, out, depth);
    return e ? e : buf_append(out, SLICE("}"));
}

static enum err write_array(const json_t *v, struct buf *out, bool sorted, int depth)
{
    enum err e = buf_append(out, SLICE("["));
    for (size_t i = 0; i < json_array_size(v) && !e; i++) {
        if (i)
            e = buf_append(out, SLICE(","));
        if (!e)
            e = write_value(json_array_get(v, i), out, sorted, depth);
    }
    return e ? e : buf_append(out, SLICE("]"));
}

static enum err write_real(double value, struct buf *out)
{
    char text[JSON_REAL_MAX];
    size_t len = json_real_text(value, text);
    enum err e = buf_append(out, slice_of(text, len));
    /* a real stays a real: "1" would be read back as an integer */
    if (!e && !strpbrk(text, ".eE"))
        e = buf_append(out, SLICE(".0"));
    return e;
}

static enum err write_value(const json_t *v, struct buf *out, bool sorted, int depth)
{
    bool deeper = json_is_object(v) || json_is_array(v);
    if (!v || (deeper && depth == LIMIT_JSON_DEPTH))
        return ERR_INVALID;
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        return write_object(v, out, sorted, depth + 1);
    case JSON_ARRAY:
        return write_array(v, out, sorted, depth + 1);
    case JSON_STRING:
        return buf_json_string(out, slice_of(json_string_value(v), json_string_length(v)));
    case JSON_INTEGER:
        return buf_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
    case JSON_REAL:
        return write_real(json_real_value(v), out);
    case JSON_TRUE:
        return buf_append(out, SLICE("true"));
    case JSON_FALSE:
        return buf_append(out, SLICE("false"));
    case JSON_NULL:
        return buf_append(out, SLICE("null"));
    }
    return ERR_INVALID;
}

static enum err write_tree(const json_t *tree, struct buf *out, bool sorted)
{
    size_t before = out->len;
    enum err e = write_value(tree, out, sorted, 0);
    if (e)
        out->len = before;
    return e;
}

enum err json_write(const json_t *tree, struct buf *out)
{
    return write_tree(tree, out, false);
}

enum err json_write_sorted(const json_t *tree, struct buf *out)
{
    return write_tree(tree, out, true);
}
