/*
 * json_out — each value writes the comma before it, and its name.
 */
#include "common/base/json_out.h"

static void put(struct json_out *o, struct slice s)
{
    if (!o->e)
        o->e = buf_append(o->to, s);
}

/* A comma where one is due, and the name with its colon. */
static void before(struct json_out *o, const char *name)
{
    char *to;
    const struct slice text = slice_str(name);
    size_t all = (o->comma ? 1 : 0) + (name ? text.len + 3 : 0);
    bool comma = o->comma;
    o->comma = true;
    if (!o->e && all)
        o->e = buf_room(o->to, all, &to);
    if (o->e || !all)
        return;
    if (comma)
        *to++ = ',';
    if (name) {
        *to++ = '"';
        to = slice_put(to, text);
        memcpy(to, "\":", 2);
    }
    buf_commit(o->to, all);
}

void json_out_begin(struct json_out *o, const char *name, char bracket)
{
    before(o, name);
    put(o, slice_of(&bracket, 1));
    o->comma = false;
}

void json_out_end(struct json_out *o, char bracket)
{
    put(o, slice_of(&bracket, 1));
    o->comma = true;
}

void json_out_text(struct json_out *o, const char *name, struct slice text)
{
    before(o, name);
    if (!o->e)
        o->e = buf_json_string(o->to, text);
}

void json_out_u64(struct json_out *o, const char *name, uint64_t n)
{
    char digits[SLICE_U64_MAX];
    size_t len = slice_write_u64(digits + sizeof(digits), n);
    json_out_raw(o, name, slice_of(digits + sizeof(digits) - len, len));
}

void json_out_real(struct json_out *o, const char *name, double value)
{
    char text[JSON_REAL_MAX];
    size_t len = json_real_text(value, text);
    json_out_raw(o, name, slice_of(text, len));
}

void json_out_bool(struct json_out *o, const char *name, bool value)
{
    json_out_raw(o, name, value ? SLICE("true") : SLICE("false"));
}

void json_out_tree(struct json_out *o, const char *name, const json_t *tree)
{
    before(o, name);
    if (!o->e)
        o->e = json_write(tree, o->to);
}

void json_out_raw(struct json_out *o, const char *name, struct slice json)
{
    before(o, name);
    put(o, json);
}

void json_out_name(struct json_out *o, struct slice name)
{
    json_out_text(o, NULL, name);
    put(o, SLICE(":"));
    o->comma = false;
}
