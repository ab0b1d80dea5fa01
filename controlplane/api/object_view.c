/*
 * object_view — builds the view of an object from its normal form.
 */
#include "controlplane/api/object_view.h"

#include <stdio.h>

#include "common/base/clock.h"
#include "controlplane/domain/nouns.h"

static const char *const our_members[] = {"id", "created_at", "updated_at", "revision",
                                          "not_enforced"};

bool object_view_is_server_member(const struct noun *n, const char *member)
{
    for (size_t i = 0; i < ARRAY_LEN(our_members); i++)
        if (strcmp(member, our_members[i]) == 0)
            return true;
    if ((n->flags & NOUN_UNNAMED) != 0 && strcmp(member, "name") == 0)
        return true;
    for (const struct field *f = n->fields; f->name != NULL; f++) {
        size_t len = strlen(f->name);
        if (f->type == FIELD_REF && strncmp(member, f->name, len) == 0 &&
            strcmp(member + len, "_id") == 0)
            return true;
    }
    return false;
}

static enum err collect_id(void *arg, const struct field *row, struct slice id)
{
    (void)row;
    json_array_append_new(arg, json_from(id));
    return ERR_OK;
}

/* The name of a referenced object; its id where names of its noun may repeat. */
static json_t *name_of(const struct field *f, const json_t *id, const json_t *names)
{
    const json_t *name = json_object_get(names, json_string_value(id));
    bool repeats = (noun_find(f->ref)->flags & NOUN_NAME_REPEATS) != 0;
    return json_incref((json_t *)(uintptr_t)(name == NULL || repeats ? id : name));
}

static json_t *view_fields(const struct field *fields, const json_t *doc, const json_t *names);

static json_t *view_value(const struct field *f, const json_t *v, const json_t *names)
{
    if (f->type == FIELD_REF)
        return name_of(f, v, names);
    if (f->type == FIELD_OBJECT)
        return view_fields(f->fields, v, names);
    return json_incref((json_t *)(uintptr_t)v);
}

static json_t *view_list(const struct field *f, const json_t *list, const json_t *names)
{
    json_t *shown = json_array();
    for (size_t i = 0; i < json_array_size(list); i++)
        json_array_append_new(shown, view_value(f, json_array_get(list, i), names));
    return shown;
}

static json_t *view_fields(const struct field *fields, const json_t *doc, const json_t *names)
{
    json_t *shown = json_object();
    for (const struct field *f = fields; f->name != NULL; f++) {
        const json_t *v = json_object_get(doc, f->name);
        if (v == NULL || (f->flags & FIELD_HIDDEN) != 0 || !field_counts(f, doc))
            continue;
        bool is_list = (f->flags & FIELD_LIST) != 0;
        json_object_set_new(shown, f->name,
                            is_list ? view_list(f, v, names) : view_value(f, v, names));
    }
    for (const struct field *f = fields; f->name != NULL; f++) {
        char name[FIELD_SET_NAME_MAX];
        json_t *set =
            f->type == FIELD_SECRET ? json_object_get(doc, field_set_name(f, name)) : NULL;
        if (set != NULL)
            json_object_set(shown, name, set);
    }
    return shown;
}

/* "agent_id" behind "agent": names change, ids do not */
static void add_ids(json_t *shown, const struct noun *n, const json_t *doc)
{
    for (const struct field *f = n->fields; f->name != NULL; f++) {
        json_t *id = json_object_get(doc, f->name);
        char name[64];
        if (f->type != FIELD_REF || (f->flags & FIELD_LIST) != 0 || id == NULL)
            continue;
        snprintf(name, sizeof(name), "%s_id", f->name);
        json_object_set(shown, name, id);
    }
}

static json_t *view_one(const struct noun *n, const struct object *o, const json_t *names)
{
    char at[CLOCK_TEXT_MAX];
    json_t *t = json_object();
    json_object_set_new(t, "id", json_string(o->id));
    json_object_set_new(t, "name", json_string(o->name[0] != '\0' ? o->name : o->id));
    json_t *shown = view_fields(n->fields, o->spec, names);
    json_object_update(t, shown);
    json_decref(shown);
    add_ids(t, n, o->spec);
    json_t *loose = noun_not_enforced(n, o->spec);
    if (json_array_size(loose) > 0)
        json_object_set(t, "not_enforced", loose);
    json_decref(loose);
    json_set_text(t, "created_at", clock_format(o->created_us, at));
    json_set_text(t, "updated_at", clock_format(o->updated_us, at));
    json_object_set_new(t, "revision", json_integer((json_int_t)o->revision));
    return t;
}

enum err object_views(struct tx *tx, const struct noun *n, const struct object *rows, size_t count,
                      json_t **ret)
{
    JSON_AUTO json_t *ids = json_array(), *names = NULL;
    for (size_t i = 0; i < count; i++)
        (void)noun_each_ref(n, rows[i].spec, collect_id, ids); /* collect_id cannot fail */
    enum err e = store_object_names(tx, ids, &names);
    if (e != ERR_OK)
        return e;
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, view_one(n, &rows[i], names));
    *ret = list;
    return ERR_OK;
}

enum err object_view(struct tx *tx, const struct noun *n, const struct object *o, json_t **ret)
{
    JSON_AUTO json_t *list = NULL;
    enum err e = object_views(tx, n, o, 1, &list);
    if (e == ERR_OK)
        *ret = json_incref(json_array_get(list, 0));
    return e;
}
