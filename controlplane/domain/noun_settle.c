/*
 * noun_settle — between reading a document and storing it: entries keep their ids, secrets
 * leave the document, and a changed host gets none of the old ones (security.md, What goes out).
 */
#include <stdio.h>

#include "common/base/id.h"
#include "common/base/secret.h"
#include "common/net/address.h"
#include "controlplane/domain/field_value.h"
#include "controlplane/domain/noun.h"

struct settling {
    struct reading *r;
    struct noun_secrets *out;
    bool moved; /* a guarding URL names another host now */
};

static struct slice text_of(const json_t *v)
{
    return slice_of(json_string_value(v), json_string_length(v));
}

static bool same_place(const json_t *a, const json_t *b)
{
    struct url x, y;
    if (!json_is_string(a) || !json_is_string(b) || url_parse(text_of(a), &x) != ERR_OK ||
        url_parse(text_of(b), &y) != ERR_OK)
        return false;
    return x.tls == y.tls && x.port == y.port && slice_ieq(x.host, y.host);
}

static bool host_moved(const struct noun *n, const json_t *old, const json_t *doc)
{
    if (old == NULL)
        return false;
    for (const struct field *f = n->fields; f->name != NULL; f++)
        if ((f->flags & FIELD_GUARDS_SECRET) != 0 &&
            !same_place(json_object_get(old, f->name), json_object_get(doc, f->name)))
            return true;
    return false;
}

static struct noun_secret *add_row(struct settling *s, struct slice slot)
{
    MUST(s->out->count < NOUN_SECRETS_MOST);
    struct noun_secret *row = &s->out->rows[s->out->count++];
    *row = (struct noun_secret){0};
    snprintf(row->slot, sizeof(row->slot), "%.*s", SLICE_ARG(slot));
    return row;
}

/* Takes `secret` out of one object; old is the object it was, or NULL. */
static void settle_secret(struct settling *s, json_t *object, const json_t *old, struct slice slot,
                          const char *pointer)
{
    json_t *given = json_object_get(object, "secret");
    bool was_set = json_is_true(json_object_get(old, "secret_set"));
    bool is_set = given != NULL || (was_set && !s->moved);
    if (given != NULL) {
        struct noun_secret *row = add_row(s, slot);
        row->holder = json_incref(given);
        row->value = text_of(given);
        json_object_del(object, "secret");
    } else if (was_set && s->moved) {
        add_row(s, slot)->drop = true;
    } else if (old == NULL) {
        char at[FIELD_POINTER_MAX];
        field_pointer(pointer, "secret", at);
        reading_problem(s->r, at, "is required");
    }
    json_object_set_new(object, "secret_set", json_boolean(is_set));
}

static const json_t *entry_by(const json_t *list, const char *member, const json_t *value)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *e = json_array_get(list, i);
        if (value != NULL && json_equal(json_object_get(e, member), value))
            return e;
    }
    return NULL;
}

static const json_t *settle_identity(struct settling *s, const struct field *f, json_t *entry,
                                     const json_t *old_list, const char *at)
{
    const json_t *given = json_object_get(entry, "id");
    const json_t *old = given != NULL ? entry_by(old_list, "id", given)
                                      : entry_by(old_list, "name", json_object_get(entry, "name"));
    char fresh[ID_MAX];
    if (given != NULL && old == NULL) {
        char id_at[FIELD_POINTER_MAX];
        field_pointer(at, "id", id_at);
        reading_problem(s->r, id_at, "no entry has this id");
    }
    if (old != NULL)
        json_object_set(entry, "id", json_object_get(old, "id"));
    else
        json_set_text(entry, "id", id_new(f->id_prefix, fresh));
    return old;
}

static void settle_list(struct settling *s, const struct field *f, const json_t *old_list,
                        json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *entry = json_array_get(list, i);
        char at[FIELD_POINTER_MAX];
        snprintf(at, sizeof(at), "/%s/%zu", f->name, i);
        if (entry_by(list, "name", json_object_get(entry, "name")) != entry) {
            char name_at[FIELD_POINTER_MAX];
            field_pointer(at, "name", name_at);
            reading_problem(s->r, name_at, "another entry has this name");
        }
        if (json_object_get(entry, "id") != NULL &&
            entry_by(list, "id", json_object_get(entry, "id")) != entry) {
            char id_at[FIELD_POINTER_MAX];
            field_pointer(at, "id", id_at);
            reading_problem(s->r, id_at, "another entry has this id");
            continue;
        }
        const json_t *old = settle_identity(s, f, entry, old_list, at);
        settle_secret(s, entry, old, text_of(json_object_get(entry, "id")), at);
    }
    for (size_t i = 0; i < json_array_size(old_list); i++) {
        const json_t *id = json_object_get(json_array_get(old_list, i), "id");
        if (entry_by(list, "id", id) == NULL)
            add_row(s, text_of(id))->drop = true;
    }
}

static void settle_object(struct settling *s, const struct field *f, const json_t *old, json_t *doc)
{
    char at[FIELD_POINTER_MAX];
    field_pointer("", f->name, at);
    if (doc != NULL)
        settle_secret(s, doc, old, slice_str(f->name), at);
    else if (old != NULL)
        add_row(s, slice_str(f->name))->drop = true;
}

void noun_settle(struct reading *r, const struct noun *n, const json_t *old, json_t *doc,
                 struct noun_secrets *ret)
{
    struct settling s = {.r = r, .out = ret, .moved = host_moved(n, old, doc)};
    for (const struct field *f = n->fields; f->name != NULL; f++) {
        if (f->type != FIELD_OBJECT || field_find(f->fields, "secret") == NULL)
            continue;
        const json_t *was = json_object_get(old, f->name);
        json_t *is = json_object_get(doc, f->name);
        if ((f->flags & FIELD_IDENTITY) != 0)
            settle_list(&s, f, was, is);
        else
            settle_object(&s, f, was, is);
    }
}

void noun_secrets_fini(struct noun_secrets *s)
{
    for (size_t i = 0; i < s->count; i++) {
        struct noun_secret *row = &s->rows[i];
        if (row->holder == NULL)
            continue;
        secret_wipe((void *)(uintptr_t)row->value.ptr, row->value.len);
        json_decref(row->holder);
        row->holder = NULL;
    }
    s->count = 0;
}
