/*
 * api_object — the six verbs, each a read or a few calls of change.h.
 */
#include "controlplane/api/api_object.h"

#include "controlplane/api/change.h"
#include "controlplane/api/cursor.h"
#include "controlplane/api/object_hook.h"
#include "controlplane/api/object_view.h"
#include "controlplane/domain/nouns.h"
#include "controlplane/store/store_secret.h"

/* What is read, with its computed members. */
static enum err show(struct tx *tx, const struct noun *n, const struct object *rows, size_t count,
                     json_t **ret)
{
    const struct object_hook *hook = object_hook_find(n);
    json_t *views = NULL;
    enum err e = object_views(tx, n, rows, count, &views);
    if (e == ERR_OK && hook != NULL && hook->show != NULL)
        e = hook->show(tx, views);
    if (e != ERR_OK) {
        json_decref(views);
        return e;
    }
    *ret = views;
    return ERR_OK;
}

enum err api_object_get(struct call *c)
{
    OBJECT_AUTO struct object o = {0};
    TX_AUTO struct tx tx = {0};
    enum err e = tx_begin(c->app->db, slice_str(c->actor.org_id), &tx);
    if (e == ERR_OK)
        e = store_object_get(&tx, c->noun, c->params[0], false, &o);
    if (e == ERR_NOT_FOUND)
        return call_problem(c, PROBLEM_NOT_FOUND, "no such %s", c->noun->name);
    if (e == ERR_EXHAUSTED)
        return call_problem(c, PROBLEM_AMBIGUOUS_NAME, "several %ss have this name: use an id",
                            c->noun->name);
    JSON_AUTO json_t *views = NULL;
    if (e == ERR_OK)
        e = show(&tx, c->noun, &o, 1, &views);
    if (e != ERR_OK)
        return e;
    json_t *view = json_incref(json_array_get(views, 0));
    call_header(c, "etag", "\"%llu\"", (unsigned long long)o.revision);
    return call_respond(c, 200, &view);
}

/* ---- lists ---- */

/* ERR_CANCELLED: it is none of the field's words, and the response is a 400. */
static enum err match_word(struct call *c, const struct field *f, struct slice wanted,
                           json_t *match)
{
    char words[160] = "";
    for (const char *const *w = f->words; *w != NULL; w++) {
        size_t at = strlen(words);
        snprintf(words + at, sizeof(words) - at, "%s%s", at > 0 ? ", " : "", *w);
        if (!slice_eq(wanted, slice_str(*w)))
            continue;
        json_object_set_new(match, f->name, json_from(wanted));
        return ERR_OK;
    }
    enum err e = call_problem(c, PROBLEM_BAD_PARAMETER, "?%s= must be one of: %s", f->name, words);
    return e == ERR_OK ? ERR_CANCELLED : e;
}

/* ?agent=, ?server= …: each scalar reference of the noun filters by name or id, a tool's ?state=
 * by its word. ERR_NOT_FOUND: it names nothing, so nothing matches. */
/* A reference that is also found through another: keys of a team's agents. */
static void look_through(struct object_page *page, const struct noun *n, const struct field *f,
                         const char *id)
{
    page->through.field = f->name;
    page->through.via = f->through;
    page->through.table = noun_find(field_find(n->fields, f->through)->ref)->table;
    snprintf(page->through.id, sizeof(page->through.id), "%s", id);
}

static enum err read_filters(struct call *c, struct tx *tx, struct object_page *page, json_t **ret)
{
    json_t *match = json_object();
    enum err e = ERR_OK;
    for (const struct field *f = c->noun->fields; f->name != NULL && e == ERR_OK; f++) {
        struct slice wanted = call_query(c, f->name);
        if (!field_filters(f) || wanted.ptr == NULL)
            continue;
        if (f->type == FIELD_WORD) {
            e = match_word(c, f, wanted, match);
            continue;
        }
        OBJECT_AUTO struct object o = {0};
        e = store_object_get(tx, noun_find(f->ref), wanted, false, &o);
        if (e == ERR_OK && f->through != NULL)
            look_through(page, c->noun, f, o.id);
        else if (e == ERR_OK)
            json_object_set_new(match, f->name, json_string(o.id));
    }
    if (e != ERR_OK) {
        json_decref(match);
        return e;
    }
    *ret = match;
    return ERR_OK;
}

static enum err respond_with_page(struct call *c, struct tx *tx, struct object *rows, size_t found,
                                  size_t limit)
{
    char cursor[CURSOR_TEXT_MAX];
    size_t shown = found > limit ? limit : found;
    json_t *items = NULL;
    enum err e = show(tx, c->noun, rows, shown, &items);
    if (e != ERR_OK)
        return e;
    json_t *next = json_null();
    if (found > limit)
        next = json_from(cursor_format(rows[shown - 1].created_us, rows[shown - 1].id, cursor));
    json_t *page = json_pack("{s:o,s:o}", "items", items, "next", next);
    e = call_respond(c, 200, &page);
    /* large documents: a shorter page, and the cursor goes on from there */
    return e == ERR_TOO_BIG && limit > 1 ? respond_with_page(c, tx, rows, found, limit / 2) : e;
}

static enum err list_in(struct call *c, struct tx *tx, struct object_page *page)
{
    struct object *rows = NULL;
    size_t found = 0;
    JSON_AUTO json_t *match = NULL;
    enum err e = read_filters(c, tx, page, &match);
    page->match = match;
    if (e == ERR_OK)
        e = store_object_page(tx, c->noun, page, &rows, &found);
    if (e == ERR_CANCELLED)
        return ERR_OK;
    if (e == ERR_NOT_FOUND || e == ERR_EXHAUSTED)
        e = ERR_OK;
    if (e == ERR_OK)
        e = respond_with_page(c, tx, rows, found, page->limit);
    store_object_page_free(rows, found);
    return e;
}

enum err api_object_list(struct call *c)
{
    struct page asked;
    if (cursor_page(c, &asked) != ERR_OK)
        return ERR_OK;
    struct object_page page = {
        .name = call_query(c, "name"), .limit = asked.limit, .after_us = asked.at_us};
    if (asked.goes_on)
        page.after_id = slice_str(asked.id);
    TX_AUTO struct tx tx = {0};
    enum err e = tx_begin(c->app->db, slice_str(c->actor.org_id), &tx);
    return e == ERR_OK ? list_in(c, &tx, &page) : e;
}

/* ---- writes ---- */

static void begin(struct change *x, struct call *c)
{
    const struct object_hook *hook = object_hook_find(c->noun);
    change_init(x, c);
    if (hook != NULL && hook->shows_written)
        x->show = hook->show;
}

enum err api_object_create(struct call *c)
{
    CHANGE_AUTO struct change x = {0};
    begin(&x, c);
    const struct object_hook *hook = object_hook_find(c->noun);
    enum err e = change_begin(&x);
    if (e == ERR_OK)
        e = change_document(&x, c->body);
    if (e == ERR_OK && hook != NULL && hook->before_insert != NULL)
        e = hook->before_insert(&x);
    if (e == ERR_OK)
        e = change_store(&x);
    if (e == ERR_OK && hook != NULL && hook->after_insert != NULL)
        e = hook->after_insert(&x);
    if (e == ERR_OK)
        e = change_end(&x, "create", 201);
    return change_result(e);
}

static bool differs(const struct change *x)
{
    return strcmp(x->old.name, x->now.name) != 0 || x->secrets.count > 0 ||
           !json_equal(x->old.spec, x->now.spec);
}

static enum err finish_update(struct change *x, const char *action)
{
    if (!differs(x))
        return change_nothing(x, 200);
    enum err e = change_store(x);
    return e == ERR_OK ? change_end(x, action, 200) : e;
}

enum err api_object_replace(struct call *c)
{
    CHANGE_AUTO struct change x = {0};
    begin(&x, c);
    enum err e = change_open(&x);
    if (e == ERR_OK)
        e = change_document(&x, c->body);
    if (e == ERR_OK)
        e = finish_update(&x, "replace");
    return change_result(e);
}

/* What a patch is merged into: the stored document with its name. */
static json_t *patched(const struct change *x, const json_t *patch)
{
    JSON_AUTO json_t *target = json_deep_copy(x->old.spec);
    if ((x->n->flags & NOUN_UNNAMED) == 0)
        json_object_set_new(target, "name", json_string(x->old.name));
    return noun_merge(target, patch);
}

enum err api_object_patch(struct call *c)
{
    CHANGE_AUTO struct change x = {0};
    begin(&x, c);
    JSON_AUTO json_t *merged = NULL;
    enum err e = change_open(&x);
    if (e == ERR_OK)
        merged = patched(&x, c->body);
    if (e == ERR_OK)
        e = change_document(&x, merged);
    if (e == ERR_OK)
        e = finish_update(&x, "patch");
    return change_result(e);
}

static enum err refuse_if_used(struct change *x)
{
    JSON_AUTO json_t *users = NULL;
    if (x->n->always != NULL && strcmp(x->old.name, x->n->always) == 0) {
        enum err e = call_problem(x->c, PROBLEM_ALWAYS_THERE, "the %s \"%s\" cannot be deleted",
                                  x->n->name, x->n->always);
        return e == ERR_OK ? ERR_CANCELLED : e;
    }
    enum err e = store_links_to(&x->w.tx, x->old.id, &users);
    if (e != ERR_OK || json_array_size(users) == 0)
        return e;
    json_t *extra = json_object();
    json_object_set(extra, "referenced_by", users);
    e = call_problem_with(x->c, PROBLEM_REFERENCED, &extra,
                          "others refer to this %s: delete or change them first", x->n->name);
    return e == ERR_OK ? ERR_CANCELLED : e;
}

static enum err remove_row(struct change *x)
{
    struct tx *tx = &x->w.tx;
    enum err e = store_object_delete(tx, x->n, x->old.id);
    if (e == ERR_OK)
        e = store_links_drop(tx, x->old.id);
    if (e == ERR_OK)
        e = store_secret_drop_all(tx, slice_str(x->old.id));
    if (e == ERR_OK)
        e = write_change(&x->w, x->n->kind, slice_str(x->old.id), true);
    const struct object_hook *hook = object_hook_find(x->n);
    if (e == ERR_OK && hook != NULL && hook->after_delete != NULL)
        e = hook->after_delete(x);
    return e;
}

enum err api_object_delete(struct call *c)
{
    CHANGE_AUTO struct change x = {0};
    begin(&x, c);
    enum err e = change_open(&x);
    if (e == ERR_OK)
        e = refuse_if_used(&x);
    if (e == ERR_OK)
        e = remove_row(&x);
    if (e == ERR_OK)
        e = change_end(&x, "delete", 204);
    return change_result(e);
}
