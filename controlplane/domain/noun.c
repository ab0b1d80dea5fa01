/*
 * noun — what every noun shares: its references, what it needs, what is not enforced, patches.
 */
#include "controlplane/domain/noun.h"

json_t *noun_merge(const json_t *target, const json_t *patch)
{
    if (!json_is_object(patch))
        return json_incref((json_t *)(uintptr_t)patch);
    json_t *merged =
        json_is_object(target) ? json_copy((json_t *)(uintptr_t)target) : json_object();
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)patch, name, value)
    {
        if (json_is_null(value))
            json_object_del(merged, name);
        else
            json_object_set_new(merged, name, noun_merge(json_object_get(merged, name), value));
    }
    return merged;
}

static enum err visit_value(const struct field *f, const json_t *v,
                            enum err (*visit)(void *arg, const struct field *row, struct slice id),
                            void *arg);

static enum err visit_fields(const struct field *fields, const json_t *doc,
                             enum err (*visit)(void *arg, const struct field *row, struct slice id),
                             void *arg)
{
    enum err e = ERR_OK;
    for (const struct field *f = fields; f->name != NULL && e == ERR_OK; f++) {
        const json_t *v = json_object_get(doc, f->name);
        if (v == NULL || !field_counts(f, doc))
            continue;
        if ((f->flags & FIELD_LIST) == 0)
            e = visit_value(f, v, visit, arg);
        for (size_t i = 0; i < json_array_size(v) && e == ERR_OK; i++)
            e = visit_value(f, json_array_get(v, i), visit, arg);
    }
    return e;
}

static enum err visit_value(const struct field *f, const json_t *v,
                            enum err (*visit)(void *arg, const struct field *row, struct slice id),
                            void *arg)
{
    if (f->type == FIELD_REF)
        return visit(arg, f, slice_of(json_string_value(v), json_string_length(v)));
    if (f->type == FIELD_OBJECT)
        return visit_fields(f->fields, v, visit, arg);
    return ERR_OK;
}

enum err noun_each_ref(const struct noun *n, const json_t *doc,
                       enum err (*visit)(void *arg, const struct field *row, struct slice id),
                       void *arg)
{
    return visit_fields(n->fields, doc, visit, arg);
}

static feature_set fields_need(const struct field *fields, const json_t *doc);

static feature_set value_needs(const struct field *f, const json_t *v)
{
    feature_set needs = FEATURES_NONE;
    if (f->type == FIELD_OBJECT)
        needs |= fields_need(f->fields, v);
    for (const struct field_word_needs *w = f->word_needs; w != NULL && w->word != NULL; w++)
        if (json_is_string(v) && strcmp(json_string_value(v), w->word) == 0)
            needs |= w->needs;
    return needs;
}

static feature_set fields_need(const struct field *fields, const json_t *doc)
{
    feature_set needs = FEATURES_NONE;
    for (const struct field *f = fields; f->name != NULL; f++) {
        const json_t *v = json_object_get(doc, f->name);
        if (v == NULL || !field_counts(f, doc))
            continue;
        needs |= f->needs;
        if ((f->flags & FIELD_LIST) == 0)
            needs |= value_needs(f, v);
        for (size_t i = 0; i < json_array_size(v); i++)
            needs |= value_needs(f, json_array_get(v, i));
    }
    return needs;
}

feature_set noun_needs(const struct noun *n, struct slice name, const json_t *doc)
{
    feature_set by_name = n->name_needs != NULL ? n->name_needs(name) : FEATURES_NONE;
    return feature_of_kind(n->kind) | by_name | fields_need(n->fields, doc);
}

static void add_not_enforced(json_t *list, const struct field *fields, const json_t *doc,
                             const char *prefix)
{
    for (const struct field *f = fields; f->name != NULL; f++) {
        const json_t *v = json_object_get(doc, f->name);
        if (v == NULL || !field_counts(f, doc))
            continue;
        json_t *name = json_sprintf("%s%s", prefix, f->name);
        bool known = false;
        for (size_t i = 0; i < json_array_size(list); i++)
            known = known || json_equal(json_array_get(list, i), name);
        if ((f->flags & FIELD_NOT_ENFORCED) != 0 && !known)
            json_array_append(list, name);
        if (f->type == FIELD_OBJECT && (f->flags & FIELD_NOT_ENFORCED) == 0) {
            json_t *inner = json_sprintf("%s%s.", prefix, f->name);
            if ((f->flags & FIELD_LIST) == 0)
                add_not_enforced(list, f->fields, v, json_string_value(inner));
            for (size_t i = 0; i < json_array_size(v); i++)
                add_not_enforced(list, f->fields, json_array_get(v, i), json_string_value(inner));
            json_decref(inner);
        }
        json_decref(name);
    }
}

json_t *noun_not_enforced(const struct noun *n, const json_t *doc)
{
    json_t *list = json_array();
    add_not_enforced(list, n->fields, doc, "");
    return list;
}
