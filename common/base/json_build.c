/*
 * json_build — one call of build_value for each level of brackets. `p` is where the next token
 * begins; NULL: the text is not taken, and nothing was built.
 */
#include "common/base/json_private.h"

#include <math.h>
#include <stdlib.h>

#include "common/base/json_token.h"
#include "common/base/limits.h"
#include "common/base/mem.h"

struct building {
    const char *end;
    size_t depth;
    bool starved;
    struct json_fault fault; /* not told: jansson says what is wrong */
};

static const char *build_value(struct building *b, const char *p, json_t **ret);

/* ---- strings ---- */

struct unescaped {
    struct slice text;
    char *heap; /* NULL: it lies in the text that is read */
};

static bool unescape(struct building *b, struct slice raw, struct unescaped *u)
{
    if (!json_token_is_clear(raw))
        return false;
    u->heap = mem_alloc(raw.len);
    b->starved = !u->heap;
    if (u->heap)
        u->text = slice_of(u->heap, json_token_unescape(raw, u->heap));
    return u->heap;
}

/* ret->heap is to be freed, also where the string is not taken. */
static const char *read_string(struct building *b, const char *p, struct unescaped *ret)
{
    ret->heap = NULL;
    const char *stop = json_token_plain(p + 1, b->end);
    bool plain = stop < b->end && *stop == '"';
    const char *behind = plain ? stop + 1 : json_token_string_on(p, stop, b->end, &b->fault);
    if (!behind)
        return NULL;
    ret->text = slice_of(p + 1, (size_t)(behind - p) - 2);
    if (plain || !memchr(stop, '\\', (size_t)(behind - stop)))
        return behind;
    return unescape(b, ret->text, ret) ? behind : NULL;
}

static const char *made(struct building *b, const char *behind, json_t *value, json_t **ret)
{
    b->starved = !value;
    *ret = value;
    return value ? behind : NULL;
}

static const char *build_string(struct building *b, const char *p, json_t **ret)
{
    struct unescaped u;
    p = read_string(b, p, &u);
    if (p)
        p = made(b, p, json_stringn_nocheck(u.text.ptr, u.text.len), ret);
    mem_free(u.heap);
    return p;
}

/* ---- numbers and words ---- */

#define REAL_MAX 64
#define DIGITS_SURE 18 /* of any value fit an int64_t */

static const char *build_real(struct building *b, struct slice raw, json_t **ret)
{
    char text[REAL_MAX], *end;
    if (raw.len >= sizeof(text))
        return NULL;
    memcpy(text, raw.ptr, raw.len);
    text[raw.len] = '\0';
    double value = strtod(text, &end);
    if (end != text + raw.len || !isfinite(value))
        return NULL;
    return made(b, raw.ptr + raw.len, json_real(value), ret);
}

static const char *build_number(struct building *b, const char *p, json_t **ret)
{
    const char *behind = json_token_number(p, b->end, &b->fault);
    if (!behind)
        return NULL;
    const struct slice raw = slice_of(p, (size_t)(behind - p));
    bool negative = *p == '-';
    int64_t value = 0;
    for (p += negative; p < behind && *p >= '0' && *p <= '9'; p++)
        if (raw.len <= DIGITS_SURE)
            value = value * 10 + (*p - '0');
    if (p < behind)
        return build_real(b, raw, ret);
    if (raw.len > DIGITS_SURE)
        return NULL;
    return made(b, behind, json_integer(negative ? -value : value), ret);
}

static const char *build_word(struct building *b, const char *p, json_t **ret)
{
    const char *behind = json_token_word(p, b->end, &b->fault);
    if (!behind)
        return NULL;
    return made(b, behind, *p == 'n' ? json_null() : json_boolean(*p == 't'), ret);
}

/* ---- brackets ---- */

/* A name that stands twice is refused: the object does not grow by its second value. */
static const char *build_member(struct building *b, const char *p, json_t *object)
{
    struct unescaped name;
    json_t *value = NULL;
    size_t before = json_object_size(object);
    if (p == b->end || *p != '"')
        return NULL;
    p = read_string(b, p, &name);
    if (p)
        p = json_token_space(p, b->end);
    p = p && p < b->end && *p == ':' ? build_value(b, p + 1, &value) : NULL;
    if (p && json_object_setn_new_nocheck(object, name.text.ptr, name.text.len, value)) {
        b->starved = true;
        p = NULL;
    }
    mem_free(name.heap);
    return p && json_object_size(object) == before + 1 ? p : NULL;
}

static const char *build_item(struct building *b, const char *p, json_t *list)
{
    json_t *value = NULL;
    p = build_value(b, p, &value);
    if (!p || !json_array_append_new(list, value))
        return p;
    b->starved = true;
    return NULL;
}

/* p: behind the opening bracket */
static const char *build_inside(struct building *b, const char *p, json_t *whole)
{
    bool object = json_is_object(whole);
    char close = object ? '}' : ']';
    p = json_token_space(p, b->end);
    if (p < b->end && *p == close)
        return p + 1;
    while (p) {
        p = object ? build_member(b, p, whole) : build_item(b, p, whole);
        if (p)
            p = json_token_space(p, b->end);
        if (!p || p == b->end)
            return NULL;
        if (*p == close)
            return p + 1;
        p = *p == ',' ? json_token_space(p + 1, b->end) : NULL;
    }
    return NULL;
}

static const char *build_brackets(struct building *b, const char *p, json_t **ret)
{
    if (b->depth == LIMIT_JSON_DEPTH)
        return NULL;
    json_t *whole = *p == '{' ? json_object() : json_array();
    if (!made(b, p, whole, &whole))
        return NULL;
    b->depth++;
    p = build_inside(b, p + 1, whole);
    b->depth--;
    if (p)
        *ret = whole;
    else
        json_decref(whole);
    return p;
}

static const char *build_value(struct building *b, const char *p, json_t **ret)
{
    p = json_token_space(p, b->end);
    if (p == b->end)
        return NULL;
    switch (*p) {
    case '{':
    case '[':
        return build_brackets(b, p, ret);
    case '"':
        return build_string(b, p, ret);
    case 't':
    case 'f':
    case 'n':
        return build_word(b, p, ret);
    default:
        return build_number(b, p, ret);
    }
}

enum err json_build(struct slice text, json_t **ret)
{
    const char *start = text.ptr ? text.ptr : "";
    struct building b = {.end = start + text.len};
    json_t *tree = NULL;
    const char *p = build_value(&b, start, &tree);
    if (p && json_token_space(p, b.end) == b.end) {
        *ret = tree;
        return ERR_OK;
    }
    json_decref(tree);
    return b.starved ? ERR_NOMEM : ERR_INVALID;
}
