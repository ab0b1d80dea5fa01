/*
 * field — checks a document against its rows: unknown, missing and read-only members.
 * field_value.c reads single values.
 */
#include "controlplane/domain/field.h"

#include <stdarg.h>
#include <stdio.h>

#include "common/base/utf8.h"
#include "controlplane/domain/field_value.h"

void reading_problem(struct reading *r, const char *pointer, const char *fmt, ...)
{
    if (r->problems == NULL)
        r->problems = json_array();
    if (json_array_size(r->problems) >= FIELD_PROBLEMS_MOST)
        return;
    char text[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    text[utf8_whole(text, strlen(text))] = '\0'; /* where it was cut */
    json_t *row = json_pack("{s:s,s:s}", "pointer", pointer, "detail", text);
    if (row != NULL)
        json_array_append_new(r->problems, row);
}

void reading_fini(struct reading *r)
{
    json_decref(r->problems);
    r->problems = NULL;
}

const struct field *field_find(const struct field *fields, const char *name)
{
    for (const struct field *f = fields; f->name != NULL; f++)
        if (strcmp(f->name, name) == 0)
            return f;
    return NULL;
}

bool field_counts(const struct field *f, const json_t *doc)
{
    if (f->with != NULL && json_object_get(doc, f->with) == NULL)
        return false;
    return f->without == NULL || json_object_get(doc, f->without) == NULL;
}

bool field_filters(const struct field *f)
{
    if ((f->flags & FIELD_LIST) != 0)
        return false;
    return f->type == FIELD_REF || (f->type == FIELD_WORD && (f->flags & FIELD_FILTER) != 0);
}

void field_pointer(const char *base, const char *name, char out[static FIELD_POINTER_MAX])
{
    size_t at = strnlen(base, FIELD_POINTER_MAX - 1);
    memcpy(out, base, at);
    if (at < FIELD_POINTER_MAX - 1)
        out[at++] = '/';
    /* RFC 6901: "~" and "/" inside a name are escaped */
    for (const char *p = name; *p != '\0' && at + 3 < FIELD_POINTER_MAX; p++) {
        if (*p == '~' || *p == '/') {
            out[at++] = '~';
            out[at++] = *p == '~' ? '0' : '1';
        } else {
            out[at++] = *p;
        }
    }
    out[at] = '\0';
}

const char *field_set_name(const struct field *secret, char out[static FIELD_SET_NAME_MAX])
{
    snprintf(out, FIELD_SET_NAME_MAX, "%s_set", secret->name);
    return out;
}

/* What a response shows in a secret's place may be sent back. */
static bool stands_for_secret(const struct field *fields, const char *name)
{
    char set[FIELD_SET_NAME_MAX];
    for (const struct field *f = fields; f->name != NULL; f++)
        if (f->type == FIELD_SECRET && strcmp(name, field_set_name(f, set)) == 0)
            return true;
    return false;
}

static void refuse_unknown(struct reading *r, const struct field *fields, const json_t *body,
                           const char *pointer)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)body, name, value)
    {
        if (field_find(fields, name) != NULL)
            continue;
        if (stands_for_secret(fields, name))
            continue;
        char at[FIELD_POINTER_MAX];
        field_pointer(pointer, name, at);
        reading_problem(r, at, "unknown field");
    }
}

/* An absent value: the old one, the default, or a problem. */
static json_t *read_absent(struct reading *r, const struct field *f, const json_t *old,
                           const char *at)
{
    if ((f->flags & (FIELD_READ_ONLY | FIELD_ON_CREATE)) != 0 && old != NULL)
        return json_incref((json_t *)(uintptr_t)old);
    if (f->default_json != NULL) {
        json_t *tree = json_loads(f->default_json, JSON_DECODE_ANY, NULL);
        json_t *value = field_read_value(r, f, tree, NULL, at);
        json_decref(tree);
        return value;
    }
    if ((f->flags & FIELD_REQUIRED) != 0)
        reading_problem(r, at, "is required");
    return NULL;
}

/* Whether this caller may change the stored value. */
static bool may_change(struct reading *r, const struct field *f, const char *at)
{
    if ((f->flags & FIELD_READ_ONLY) != 0) {
        reading_problem(r, at, "is read-only");
        return false;
    }
    if ((f->flags & FIELD_ON_CREATE) != 0 && !r->creating) {
        reading_problem(r, at, "cannot be changed after creation");
        return false;
    }
    if ((f->flags & FIELD_OWNER_ONLY) != 0 && !r->is_owner) {
        reading_problem(r, at, "only the owner role may set this");
        return false;
    }
    return true;
}

static json_t *read_member(struct reading *r, const struct field *f, const json_t *given,
                           const json_t *old, const char *at)
{
    if (given == NULL || json_is_null(given))
        return read_absent(r, f, old, at);
    if (old != NULL && json_equal(given, old))
        return json_incref((json_t *)(uintptr_t)old);
    /* "the same" may be written otherwise (a number for money): compare the normal forms */
    size_t problems = json_array_size(r->problems);
    json_t *value = field_read_value(r, f, given, old, at);
    if (json_array_size(r->problems) > problems || value == NULL)
        return value;
    if (old != NULL && json_equal(value, old))
        return value;
    if (!may_change(r, f, at)) {
        json_decref(value);
        return NULL;
    }
    return value;
}

json_t *field_read(struct reading *r, const struct field *fields, const json_t *body,
                   const json_t *old, const char *pointer)
{
    json_t *doc = json_object();
    if (doc == NULL)
        return NULL;
    refuse_unknown(r, fields, body, pointer);
    for (const struct field *f = fields; f->name != NULL; f++) {
        char at[FIELD_POINTER_MAX];
        if ((f->flags & FIELD_COMPUTED) != 0 || !field_counts(f, body))
            continue;
        field_pointer(pointer, f->name, at);
        json_t *value =
            read_member(r, f, json_object_get(body, f->name), json_object_get(old, f->name), at);
        if (value != NULL)
            json_object_set_new(doc, f->name, value);
    }
    return doc;
}
