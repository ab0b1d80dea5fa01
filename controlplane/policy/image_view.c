/* image_view — which object is in which view, and what the last version changed there. */
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/wire/policy_digest.h"
#include "controlplane/policy/image_private.h"

/* ---- judging ---- */

void entry_queue(struct catalogue *c, struct entry *e)
{
    if (list_empty(&e->queued))
        list_push(&c->queue, &e->queued);
}

void entry_touch(struct catalogue *c, struct entry *e)
{
    if (e->is_touched)
        return;
    e->is_touched = true;
    e->was = e->object ? image_object_hold(e->object) : NULL;
    memcpy(e->before, e->given, sizeof(e->before));
    list_push(&c->touched, &e->touched);
}

static bool serves_pool(const struct image_object *o, const char *pool)
{
    if (!o->has_pools)
        return true;
    for (size_t i = 0; i < o->pool_count; i++)
        if (strcmp(o->pools[i], pool) == 0)
            return true;
    return false;
}

/* Whether the view's planes may be given the object, without regard to what it refers to. */
static bool is_meant_for(const struct image_object *o, const struct view_key *v)
{
    return !o->off && (o->org[0] == '\0' || strcmp(o->org, v->org) == 0) && serves_pool(o, v->pool);
}

static bool lacks_feature(const struct image_object *o, const struct view_key *v)
{
    return (o->needs & ~v->features) != 0;
}

/* A restriction of it that the view's planes would not know of. */
static bool has_unknown_restriction(const struct entry *e, const struct view_key *v)
{
    LIST_EACH(&e->restricted_by, it)
    {
        const struct image_object *o = LIST_ITEM(it, struct link, among)->from->object;
        if (o && is_meant_for(o, v) && lacks_feature(o, v))
            return true;
    }
    return false;
}

static bool references_stand(const struct entry *e, unsigned view)
{
    bool one_of = false, one_stands = false;
    for (size_t i = 0; i < e->link_count; i++) {
        const struct link *l = &e->links[i];
        bool stands = entry_given(l->to, view);
        if (l->effect == IMAGE_NEEDS && !stands)
            return false;
        if (l->effect == IMAGE_ONE_OF) {
            one_of = true;
            one_stands = one_stands || stands;
        }
    }
    return !one_of || one_stands;
}

static bool stands_in(const struct entry *e, const struct view *v, unsigned number)
{
    const struct image_object *o = e->object;
    return o && is_meant_for(o, &v->key) && !lacks_feature(o, &v->key) &&
           references_stand(e, number) && !has_unknown_restriction(e, &v->key);
}

/* Sets or clears the view's bit; true where it changed. */
static bool judge(struct catalogue *c, struct entry *e, const struct view *v, unsigned number)
{
    bool stands = stands_in(e, v, number);
    if (stands == entry_given(e, number))
        return false;
    entry_touch(c, e);
    e->given[number / 64] ^= UINT64_C(1) << number % 64;
    return true;
}

/* References run in one direction only (what restricts refers to what it restricts, and does not
 * depend on it; models lead to models without circles, domain/model.c), so this ends. */
void catalogue_settle(struct catalogue *c, struct view *const *views, unsigned first, unsigned last)
{
    struct list *link;
    while ((link = list_take_first(&c->queue))) {
        struct entry *e = LIST_ITEM(link, struct entry, queued);
        bool moved = false;
        for (unsigned i = first; i < last; i++)
            if (views[i])
                moved = judge(c, e, views[i], i) || moved;
        if (!moved)
            continue;
        LIST_EACH(&e->used_by, it)
        entry_queue(c, LIST_ITEM(it, struct link, among)->from);
    }
}

/* ---- views ---- */

void image_view_free(struct view *v)
{
    if (!v)
        return;
    image_objects_fini(&v->delta);
    for (size_t i = 0; i < ARRAY_LEN(v->held); i++)
        image_thaw(&v->held[i]);
    mem_free(v);
}

static void add_given(struct view *v, unsigned number, const struct entry *e)
{
    struct digest row;
    if (!entry_given(e, number))
        return;
    policy_digest_row(e->object->kind, image_object_id(e->object), e->object->revision, &row);
    digest_add(&v->head.digest, &row);
}

/* The bits of a number that another view had are cleared first. Nothing else is queued or touched:
 * this is no delta. */
static void fill_view(struct image *im, struct view *v, unsigned number)
{
    struct catalogue *c = &im->all;
    struct slice key;
    size_t at = 0;
    void *value;
    while (map_each(c->entries, &at, &key, &value)) {
        struct entry *e = value;
        e->given[number / 64] &= ~(UINT64_C(1) << number % 64);
        entry_queue(c, e);
    }
    catalogue_settle(c, im->views, number, number + 1);
    struct list *link;
    while ((link = list_take_first(&c->touched))) {
        struct entry *e = LIST_ITEM(link, struct entry, touched);
        e->is_touched = false;
        image_object_drop(e->was);
        e->was = NULL;
        add_given(v, number, e);
    }
}

enum err image_find_view(struct image *im, const struct view_key *key, struct view **ret)
{
    size_t free = ARRAY_LEN(im->views);
    for (size_t i = ARRAY_LEN(im->views); i-- > 0;) {
        struct view *v = im->views[i];
        if (v && view_same(&v->key, key)) {
            v->used_us = (int64_t)clock_mono_us();
            *ret = v;
            return ERR_OK;
        }
        if (!v)
            free = i;
    }
    if (free == ARRAY_LEN(im->views))
        return ERR_EXHAUSTED;
    struct view *v = mem_zalloc(sizeof(*v));
    if (!v)
        return ERR_NOMEM;
    v->key = *key;
    v->head = im->head;
    memset(&v->head.digest, 0, sizeof(v->head.digest));
    v->used_us = (int64_t)clock_mono_us();
    im->views[free] = v;
    fill_view(im, v, (unsigned)free);
    *ret = v;
    return ERR_OK;
}

enum err image_view_head(struct image *im, const struct view_key *key, struct image_head *ret)
{
    struct view *v = NULL;
    pthread_mutex_lock(&im->lock);
    enum err e = image_find_view(im, key, &v);
    if (e == ERR_OK)
        *ret = v->head;
    pthread_mutex_unlock(&im->lock);
    return e;
}

enum err image_take_delta(struct image *im, const struct view_key *key, struct image_head *ret_head,
                          uint64_t *ret_from, struct image_objects *ret)
{
    struct view *v = NULL;
    *ret = (struct image_objects){0};
    pthread_mutex_lock(&im->lock);
    enum err e = image_find_view(im, key, &v);
    if (e == ERR_OK) {
        *ret_head = v->head;
        *ret_from = v->has_delta ? v->delta_from : v->head.version;
        *ret = v->delta;
        v->delta = (struct image_objects){0};
        v->has_delta = false;
    }
    pthread_mutex_unlock(&im->lock);
    return e;
}

/* ---- what is withheld ---- */

unsigned image_view_number(const struct image *im, const struct view *v)
{
    for (unsigned i = 0; i < ARRAY_LEN(im->views); i++)
        if (im->views[i] == v)
            return i;
    MUST(false && "a view has a number");
    return 0;
}

static feature_set features_lacked(struct image *im, const struct view_key *key)
{
    feature_set lacked = FEATURES_NONE;
    struct slice name;
    size_t at = 0;
    void *value;
    while (map_each(im->all.entries, &at, &name, &value)) {
        const struct image_object *o = ((struct entry *)value)->object;
        if (o && is_meant_for(o, key))
            lacked |= o->needs & ~key->features;
    }
    return lacked;
}

/* Objects that a plane with every feature would be given, and this view's are not. */
static size_t count_missing(struct image *im, unsigned full, unsigned here)
{
    size_t count = 0, at = 0;
    struct slice name;
    void *value;
    while (map_each(im->all.entries, &at, &name, &value))
        count += entry_given(value, full) && !entry_given(value, here);
    return count;
}

static enum err withheld_locked(struct image *im, const struct view_key *key,
                                struct image_withheld *ret)
{
    struct view_key every = *key;
    struct view *full = NULL, *here = NULL;
    ret->features = features_lacked(im, key);
    if (ret->features == FEATURES_NONE)
        return ERR_OK;
    every.features |= ret->features;
    enum err e = image_find_view(im, key, &here);
    if (e == ERR_OK)
        e = image_find_view(im, &every, &full);
    if (e == ERR_OK)
        ret->objects = count_missing(im, image_view_number(im, full), image_view_number(im, here));
    return e;
}

enum err image_withheld(struct image *im, const struct view_key *key, struct image_withheld *ret)
{
    *ret = (struct image_withheld){0};
    pthread_mutex_lock(&im->lock);
    enum err e = withheld_locked(im, key, ret);
    pthread_mutex_unlock(&im->lock);
    return e;
}
