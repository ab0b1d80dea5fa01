/*
 * store_catalogue — reads the file, and writes what differs from the stored rows.
 */
#include "controlplane/store/store_catalogue.h"

#include <stdio.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "controlplane/domain/catalogue_import.h"
#include "controlplane/domain/nouns.h"
#include "controlplane/store/store_object.h"
#include "controlplane/store/store_write.h"

static const struct log_ctx catalogue_log = {.component = "catalogue"};

#define BUILT_IN "built-in "

struct loading {
    struct write w;
    size_t changed;
};

static enum err read_file(const char *path, json_t **ret)
{
    struct buf text;
    struct json_problem problem;
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return ERR_NOT_FOUND;
    buf_init(&text, CATALOGUE_FILE_MAX);
    enum err e = ERR_OK;
    char part[16384];
    size_t n;
    while (e == ERR_OK && (n = fread(part, 1, sizeof(part), f)) > 0)
        e = buf_append(&text, slice_of(part, n));
    if (e == ERR_OK && ferror(f))
        e = ERR_IO;
    fclose(f);
    if (e == ERR_OK)
        e = json_read(buf_slice(&text), ret, &problem);
    buf_fini(&text);
    return e;
}

/* One entry of the file in the normal form of the noun; NULL: it is none, or no memory. */
static json_t *normal_form(const json_t *entry)
{
    char source[128];
    JSON_AUTO json_t *body = json_object();
    struct reading r = {.creating = true, .now_us = clock_wall_us()};
    snprintf(source, sizeof(source), BUILT_IN "%.*s", SLICE_ARG(json_text(entry, "source")));
    json_object_set_new(body, "source", json_string(source));
    json_object_set(body, "models", json_object_get(entry, "models"));
    json_t *spec = field_read(&r, noun_catalogue.fields, body, NULL, "");
    if (spec != NULL && r.failed == ERR_OK)
        noun_catalogue.check(&r, NULL, spec);
    if (r.failed != ERR_OK || json_array_size(r.problems) > 0) {
        json_decref(spec);
        spec = NULL;
    }
    reading_fini(&r);
    return spec;
}

static enum err record(struct loading *l, const struct object *o, const char *action)
{
    const struct audit_entry entry = {.actor = "system",
                                      .actor_role = "system",
                                      .source = "",
                                      .action = action,
                                      .noun = noun_catalogue.name,
                                      .object_id = o->id,
                                      .object_name = o->name};
    l->changed++;
    enum err e = write_change(&l->w, noun_catalogue.kind, slice_str(o->id), false);
    return e == ERR_OK ? write_audit(&l->w, &entry) : e;
}

static enum err add(struct loading *l, const char *name, json_t *spec)
{
    struct object o = {.spec = spec}; /* lent */
    bool living = false, taken = false;
    enum err e =
        store_object_name_taken(&l->w.tx, &noun_catalogue, slice_str(name), "", &living, &taken);
    if (e != ERR_OK || taken)
        return e;
    id_new(noun_catalogue.id_prefix, o.id);
    snprintf(o.org_id, sizeof(o.org_id), "%s", l->w.org_id);
    snprintf(o.name, sizeof(o.name), "%s", name);
    e = store_object_insert(&l->w.tx, &noun_catalogue, &o);
    return e == ERR_OK ? record(l, &o, "create") : e;
}

static enum err replace(struct loading *l, struct object *o, json_t *spec)
{
    struct slice is = json_text(o->spec, "source"), comes = json_text(spec, "source");
    bool older = slice_starts(is, SLICE(BUILT_IN)) && strcmp(is.ptr, comes.ptr) <= 0;
    if (!older || json_equal(o->spec, spec))
        return ERR_OK;
    json_decref(o->spec);
    o->spec = json_incref(spec);
    enum err e = store_object_update(&l->w.tx, &noun_catalogue, o);
    return e == ERR_OK ? record(l, o, "replace") : e;
}

static enum err take(struct loading *l, const json_t *entry)
{
    OBJECT_AUTO struct object o = {0};
    struct slice name = json_text(entry, "name");
    JSON_AUTO json_t *spec = normal_form(entry);
    if (spec == NULL || noun_slug_rule(name) != NULL)
        return ERR_INVALID;
    enum err e = store_object_get(&l->w.tx, &noun_catalogue, name, true, &o);
    if (e == ERR_NOT_FOUND)
        return add(l, name.ptr, spec);
    return e == ERR_OK ? replace(l, &o, spec) : e;
}

static enum err take_all(struct db *db, const char *org_id, const json_t *entries, size_t *changed)
{
    struct loading l = {.changed = 0};
    const json_t *entry;
    size_t i;
    enum err e = write_begin(db, slice_str(org_id), &l.w);
    json_array_foreach(entries, i, entry)
    {
        if (e == ERR_OK)
            e = take(&l, entry);
    }
    if (e == ERR_OK && l.changed > 0)
        e = write_commit(&l.w);
    write_cancel(&l.w);
    *changed = l.changed;
    return e;
}

enum err store_catalogue_load(struct db *db, const char *org_id, const char *path)
{
    JSON_AUTO json_t *file = NULL;
    size_t changed = 0, left_out = 0;
    enum err e = read_file(path, &file);
    if (e == ERR_OK && catalogue_is_litellm(file)) {
        JSON_AUTO json_t *entries = catalogue_from_litellm(file, &left_out);
        e = take_all(db, org_id, entries, &changed);
    } else if (e == ERR_OK) {
        e = take_all(db, org_id, json_object_get(file, "catalogues"), &changed);
    }
    if (e != ERR_OK)
        log_error(&catalogue_log, "catalogue_not_loaded", "file=%s why=%s", path, err_text(e));
    else if (changed > 0)
        log_info(&catalogue_log, "catalogue_loaded", "changed=%zu left_out=%zu", changed, left_out);
    return e;
}
