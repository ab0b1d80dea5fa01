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

/* With "{region}" in it a host is all the hosts that a region gives. */
static bool place_of(const struct field *f, const json_t *text, char *room, struct url *ret)
{
    if (!json_is_string(text))
        return false;
    bool regional = (f->flags & FIELD_WITH_REGION) != 0;
    return url_parse(
               regional ? url_in_region(text_of(text), SLICE("x--region--x"), room, FIELD_TEXT_MOST)
                        : text_of(text),
               ret) == ERR_OK;
}

static bool same_place(const struct field *f, const json_t *a, const json_t *b)
{
    struct url x, y;
    char room[2][FIELD_TEXT_MOST];
    if (a == NULL && b == NULL)
        return true;
    if (!place_of(f, a, room[0], &x) || !place_of(f, b, room[1], &y))
        return false;
    return x.tls == y.tls && x.port == y.port && slice_ieq(x.host, y.host);
}

static bool host_moved(const struct noun *n, const json_t *old, const json_t *doc)
{
    if (old == NULL)
        return false;
    for (const struct field *f = n->fields; f->name != NULL; f++)
        if ((f->flags & FIELD_GUARDS_SECRET) != 0 &&
            !same_place(f, json_object_get(old, f->name), json_object_get(doc, f->name)))
            return true;
    return false;
}

const char *noun_slot(const char *of_object, const struct field *secret,
                      char out[static NOUN_SLOT_MAX])
{
    bool first = strcmp(secret->name, "secret") == 0;
    snprintf(out, NOUN_SLOT_MAX, "%s%s%s", of_object, first ? "" : ".", first ? "" : secret->name);
    return out;
}

static struct noun_secret *add_row(struct settling *s, const char *of_object,
                                   const struct field *secret)
{
    MUST(s->out->count < NOUN_SECRETS_MOST);
    struct noun_secret *row = &s->out->rows[s->out->count++];
    *row = (struct noun_secret){0};
    noun_slot(of_object, secret, row->slot);
    return row;
}

/* Is the member that a secret belongs to another one now? */
static bool is_orphaned(const struct field *secret, const json_t *object, const json_t *old)
{
    const json_t *was = json_object_get(old, secret->beside != NULL ? secret->beside : "");
    const json_t *is = json_object_get(object, secret->beside != NULL ? secret->beside : "");
    return was != is && (was == NULL || is == NULL || !json_equal(was, is));
}

static bool may_lack(const struct field *secret, const json_t *object)
{
    return secret->unless != NULL && json_object_get(object, secret->unless) != NULL;
}

/* Takes a secret out of one object; old is the object it was, or NULL. */
static void settle_secret(struct settling *s, const struct field *f, json_t *object,
                          const json_t *old, const char *slot, const char *pointer)
{
    char set[FIELD_SET_NAME_MAX];
    json_t *given = json_object_get(object, f->name);
    bool was_set = json_is_true(json_object_get(old, field_set_name(f, set)));
    bool goes = was_set && (s->moved || is_orphaned(f, object, old));
    bool is_set = given != NULL || (was_set && !goes);
    if (given != NULL) {
        struct noun_secret *row = add_row(s, slot, f);
        row->holder = json_incref(given);
        row->value = text_of(given);
        json_object_del(object, f->name);
    } else if (goes) {
        add_row(s, slot, f)->drop = true;
    } else if (old == NULL && (f->flags & FIELD_OPTIONAL) == 0 && !may_lack(f, object)) {
        char at[FIELD_POINTER_MAX];
        field_pointer(pointer, f->name, at);
        reading_problem(s->r, at, "is required");
    }
    if (is_set || (f->flags & FIELD_OPTIONAL) == 0)
        json_object_set_new(object, set, json_boolean(is_set));
}

static void settle_secrets(struct settling *s, const struct field *of, json_t *object,
                           const json_t *old, const char *slot, const char *pointer)
{
    for (const struct field *f = of->fields; f->name != NULL; f++)
        if (f->type == FIELD_SECRET)
            settle_secret(s, f, object, old, slot, pointer);
}

static void drop_secrets(struct settling *s, const struct field *of, const json_t *old,
                         const char *slot)
{
    char set[FIELD_SET_NAME_MAX];
    for (const struct field *f = of->fields; f->name != NULL; f++)
        if (f->type == FIELD_SECRET && ((f->flags & FIELD_OPTIONAL) == 0 ||
                                        json_is_true(json_object_get(old, field_set_name(f, set)))))
            add_row(s, slot, f)->drop = true;
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
        settle_secrets(s, f, entry, old, json_string_value(json_object_get(entry, "id")), at);
    }
    for (size_t i = 0; i < json_array_size(old_list); i++) {
        const json_t *gone = json_array_get(old_list, i), *id = json_object_get(gone, "id");
        if (entry_by(list, "id", id) == NULL)
            drop_secrets(s, f, gone, json_string_value(id));
    }
}

static void settle_object(struct settling *s, const struct field *f, const json_t *old, json_t *doc)
{
    char at[FIELD_POINTER_MAX];
    field_pointer("", f->name, at);
    if (doc != NULL)
        settle_secrets(s, f, doc, old, f->name, at);
    else if (old != NULL)
        drop_secrets(s, f, old, f->name);
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
