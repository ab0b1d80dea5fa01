/*
 * image — objects, the entries that know which object refers to which, and the deltas that change
 * them.
 *
 * Objects are kept as they lie on the wire, tag and length before them: Push.changes and
 * SnapshotReply.objects have the same field number, so one copy serves both.
 */
#include "controlplane/policy/image.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/secret.h"
#include "common/wire/policy_digest.h"
#include "controlplane/policy/frame.h"
#include "controlplane/policy/image_private.h"

/* ---- objects ---- */

struct image_object *image_object_hold(struct image_object *o)
{
    atomic_fetch_add_explicit(&o->holders, 1, memory_order_relaxed);
    return o;
}

void image_object_drop(struct image_object *o)
{
    if (!o || atomic_fetch_sub_explicit(&o->holders, 1, memory_order_acq_rel) != 1)
        return;
    secret_wipe(o->wire, o->len);
    mem_free(o->pools);
    mem_free(o->refs);
    mem_free(o);
}

struct slice image_object_id(const struct image_object *o)
{
    struct slice key = slice_of(o->key, o->key_len);
    return slice_from(key, (size_t)slice_find(key, '/') + 1);
}

static size_t write_key(char out[static IMAGE_KEY_MAX], int kind, const char *id)
{
    int n = snprintf(out, IMAGE_KEY_MAX, "%d/%s", kind, id);
    MUST(n > 0 && n < IMAGE_KEY_MAX);
    return (size_t)n;
}

static enum err copy_traits(struct image_object *o, const struct image_traits *t)
{
    snprintf(o->org, sizeof(o->org), "%s", t->org);
    o->off = t->off;
    o->has_pools = t->has_pools;
    o->needs = t->needs;
    if (t->pool_count > 0) {
        o->pools = mem_array(t->pool_count, sizeof(*o->pools));
        if (!o->pools)
            return ERR_NOMEM;
        memcpy(o->pools, t->pools, t->pool_count * sizeof(*o->pools));
        o->pool_count = t->pool_count;
    }
    if (t->ref_count > 0) {
        o->refs = mem_array(t->ref_count, sizeof(*o->refs));
        if (!o->refs)
            return ERR_NOMEM;
        memcpy(o->refs, t->refs, t->ref_count * sizeof(*o->refs));
        o->ref_count = t->ref_count;
    }
    return ERR_OK;
}

static struct image_object *object_new(const Gatehouse__PolicyObject *m,
                                       const struct image_traits *traits)
{
    size_t packed = gatehouse__policy_object__get_packed_size(m);
    struct image_object *o = mem_alloc(sizeof(*o) + FRAME_HEAD_MAX + packed);
    if (!o)
        return NULL;
    memset(o, 0, sizeof(*o));
    atomic_init(&o->holders, 1);
    o->kind = (int)m->kind;
    o->deleted = m->deleted;
    o->revision = m->revision;
    o->key_len = write_key(o->key, o->kind, m->id);
    o->len = frame_head(FRAME_OBJECTS, packed, o->wire);
    o->len += gatehouse__policy_object__pack(m, (uint8_t *)o->wire + o->len);
    if (traits && copy_traits(o, traits) != ERR_OK) {
        image_object_drop(o);
        return NULL;
    }
    return o;
}

/* ---- lists of them ---- */

enum err image_objects_add(struct image_objects *list, struct image_object *o)
{
    if (list->count == list->cap) {
        size_t cap = list->cap ? list->cap * 2 : 64;
        struct image_object **grown = mem_realloc(list->rows, cap * sizeof(struct image_object *));
        if (!grown)
            return ERR_NOMEM;
        list->rows = grown;
        list->cap = cap;
    }
    list->rows[list->count++] = image_object_hold(o);
    return ERR_OK;
}

void image_objects_fini(struct image_objects *o)
{
    for (size_t i = 0; i < o->count; i++)
        image_object_drop(o->rows[i]);
    mem_free(o->rows);
    *o = (struct image_objects){0};
}

size_t image_objects_size(const struct image_objects *o)
{
    size_t size = 0;
    for (size_t i = 0; i < o->count; i++)
        size += o->rows[i]->len;
    return size;
}

enum err image_objects_write(const struct image_objects *o, struct buf *out)
{
    enum err e = ERR_OK;
    for (size_t i = 0; i < o->count && e == ERR_OK; i++)
        e = buf_append(out, slice_of(o->rows[i]->wire, o->rows[i]->len));
    return e;
}

/* ---- deltas ---- */

void image_delta_fini(struct image_delta *d)
{
    image_objects_fini(&d->objects);
    *d = (struct image_delta){0};
}

enum err image_delta_add(struct image_delta *d, const Gatehouse__PolicyObject *message,
                         const struct image_traits *traits)
{
    if (!message->id || strlen(message->id) >= ID_MAX || (int)message->kind >= IMAGE_KINDS)
        return ERR_INVALID;
    if (gatehouse__policy_object__get_packed_size(message) > LIMIT_POLICY_OBJECT)
        return ERR_TOO_BIG;
    struct image_object *o = object_new(message, traits);
    if (!o)
        return ERR_NOMEM;
    enum err e = image_objects_add(&d->objects, o);
    image_object_drop(o);
    return e;
}

/* ---- entries ---- */

static enum err find_entry(struct catalogue *c, struct slice key, struct entry **ret)
{
    struct entry *e = map_find(c->entries, key);
    if (!e) {
        e = mem_zalloc(sizeof(*e));
        if (!e)
            return ERR_NOMEM;
        memcpy(e->key, key.ptr, key.len);
        e->key_len = key.len;
        list_init(&e->used_by);
        list_init(&e->restricted_by);
        list_init(&e->queued);
        list_init(&e->touched);
        if (map_put(c->entries, slice_of(e->key, e->key_len), e, NULL) != ERR_OK) {
            mem_free(e);
            return ERR_NOMEM;
        }
    }
    *ret = e;
    return ERR_OK;
}

static void drop_links(struct entry *e)
{
    for (size_t i = 0; i < e->link_count; i++)
        list_remove(&e->links[i].among);
    mem_free(e->links);
    e->links = NULL;
    e->link_count = 0;
}

/* What the object restricts is checked again with it: before its links change, and after. */
static void queue_restricted(struct catalogue *c, struct entry *e)
{
    for (size_t i = 0; i < e->link_count; i++)
        if (e->links[i].effect == IMAGE_RESTRICTS)
            entry_queue(c, e->links[i].to);
}

static enum err make_links(struct catalogue *c, struct entry *e)
{
    const struct image_object *o = e->object;
    if (!o || o->ref_count == 0)
        return ERR_OK;
    e->links = mem_array(o->ref_count, sizeof(*e->links));
    if (!e->links)
        return ERR_NOMEM;
    for (size_t i = 0; i < o->ref_count; i++) {
        char key[IMAGE_KEY_MAX];
        size_t len = write_key(key, o->refs[i].kind, o->refs[i].id);
        struct link *l = &e->links[i];
        enum err err = find_entry(c, slice_of(key, len), &l->to);
        if (err != ERR_OK)
            return err;
        l->from = e;
        l->effect = o->refs[i].effect;
        list_init(&l->among);
        list_push(l->effect == IMAGE_RESTRICTS ? &l->to->restricted_by : &l->to->used_by,
                  &l->among);
        e->link_count = i + 1;
    }
    return ERR_OK;
}

/* Nothing is there, and nothing refers to it. */
static void drop_if_empty(struct catalogue *c, struct entry *e)
{
    if (e->object || !list_empty(&e->used_by) || !list_empty(&e->restricted_by))
        return;
    map_remove(c->entries, slice_of(e->key, e->key_len));
    list_remove(&e->queued);
    list_remove(&e->touched);
    mem_free(e);
}

static enum err put_object(struct catalogue *c, struct image_object *o)
{
    struct entry *e = NULL;
    enum err err = find_entry(c, slice_of(o->key, o->key_len), &e);
    if (err != ERR_OK)
        return err;
    entry_touch(c, e);
    queue_restricted(c, e);
    drop_links(e);
    image_object_drop(e->object);
    e->object = o->deleted ? NULL : image_object_hold(o);
    err = make_links(c, e);
    queue_restricted(c, e);
    entry_queue(c, e);
    return err;
}

static enum err catalogue_init(struct catalogue *c)
{
    list_init(&c->queue);
    list_init(&c->touched);
    c->entries = map_new();
    return c->entries ? ERR_OK : ERR_NOMEM;
}

static void catalogue_fini(struct catalogue *c)
{
    struct slice key;
    size_t at = 0;
    void *value;
    while (c->entries && map_each(c->entries, &at, &key, &value)) {
        struct entry *e = value;
        mem_free(e->links);
        image_object_drop(e->object);
        image_object_drop(e->was);
        mem_free(e);
    }
    map_free(c->entries);
    c->entries = NULL;
}

/* ---- the image ---- */

struct image *image_new(void)
{
    struct image *im = mem_zalloc(sizeof(*im));
    if (!im)
        return NULL;
    if (catalogue_init(&im->all) != ERR_OK) {
        mem_free(im);
        return NULL;
    }
    pthread_mutex_init(&im->lock, NULL);
    return im;
}

void image_free(struct image *im)
{
    if (!im)
        return;
    for (size_t i = 0; i < ARRAY_LEN(im->views); i++)
        image_view_free(im->views[i]);
    catalogue_fini(&im->all);
    pthread_mutex_destroy(&im->lock);
    mem_free(im);
}

void image_head(struct image *im, struct image_head *ret)
{
    pthread_mutex_lock(&im->lock);
    *ret = im->head;
    pthread_mutex_unlock(&im->lock);
}

/* ---- what a delta makes of it ---- */

static void add_row(struct digest *sum, const struct image_object *o, bool gone)
{
    struct digest row;
    policy_digest_row(o->kind, image_object_id(o), o->revision, &row);
    if (gone)
        digest_sub(sum, &row);
    else
        digest_add(sum, &row);
}

static enum err add_gone(struct image_objects *list, const struct image_object *was)
{
    char id[ID_MAX];
    Gatehouse__PolicyObject m = GATEHOUSE__POLICY_OBJECT__INIT;
    snprintf(id, sizeof(id), "%.*s", SLICE_ARG(image_object_id(was)));
    m.has_kind = m.has_revision = m.has_deleted = m.deleted = true;
    m.kind = (Gatehouse__ObjectKind)was->kind;
    m.id = id;
    m.revision = was->revision;
    struct image_object *o = object_new(&m, NULL);
    enum err e = o ? image_objects_add(list, o) : ERR_NOMEM;
    image_object_drop(o);
    return e;
}

/* One touched object in one view: into its digest and its delta. */
static enum err note_change(struct view *v, unsigned number, const struct entry *e)
{
    bool was = (e->before[number / 64] >> number % 64 & 1) != 0;
    bool is = entry_given(e, number);
    if (was && is && e->was == e->object)
        return ERR_OK;
    if (was)
        add_row(&v->head.digest, e->was, true);
    if (is)
        add_row(&v->head.digest, e->object, false);
    if (is)
        return image_objects_add(&v->delta, e->object);
    return was ? add_gone(&v->delta, e->was) : ERR_OK;
}

static int by_kind(const void *a, const void *b)
{
    const struct image_object *x = *(struct image_object *const *)a;
    const struct image_object *y = *(struct image_object *const *)b;
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    return x->deleted == y->deleted ? 0 : x->deleted ? -1 : 1;
}

/* Ends a delta for one touched entry: what it was is forgotten. */
static void leave_entry(struct catalogue *c, struct entry *e)
{
    list_remove(&e->touched);
    e->is_touched = false;
    image_object_drop(e->was);
    e->was = NULL;
    drop_if_empty(c, e);
}

static void leave_touched(struct catalogue *c)
{
    LIST_EACH(&c->touched, it)
    leave_entry(c, LIST_ITEM(it, struct entry, touched));
}

/* A delta without objects would read as "too large, fetch": the settings, which every view has, go
 * along in one that changes nothing. */
static enum err fill_empty(struct catalogue *c, struct view *v)
{
    struct entry *e = map_find(c->entries, SLICE("1/settings"));
    if (v->delta.count > 0 || !e || !e->object)
        return ERR_OK;
    return image_objects_add(&v->delta, e->object);
}

static enum err end_view(struct catalogue *c, struct view *v, unsigned number,
                         const struct image_delta *d)
{
    enum err e = ERR_OK;
    image_objects_fini(&v->delta);
    if (d->whole)
        memset(&v->head.digest, 0, sizeof(v->head.digest));
    LIST_EACH(&c->touched, it)
    {
        if (e == ERR_OK)
            e = note_change(v, number, LIST_ITEM(it, struct entry, touched));
    }
    if (e == ERR_OK && !d->whole)
        e = fill_empty(c, v);
    if (d->whole)
        image_objects_fini(&v->delta); /* planes fetch it */
    /* principals before what refers to them: a plane may build as it reads */
    if (v->delta.count > 1)
        qsort(v->delta.rows, v->delta.count, sizeof(struct image_object *), by_kind);
    v->delta_from = d->from;
    v->has_delta = true;
    v->head.version = d->to;
    memcpy(v->head.lineage, d->lineage, sizeof(v->head.lineage));
    return e;
}

static void sum_all(struct catalogue *c, struct image_head *head)
{
    LIST_EACH(&c->touched, it)
    {
        const struct entry *e = LIST_ITEM(it, struct entry, touched);
        if (e->was == e->object)
            continue;
        if (e->was)
            add_row(&head->digest, e->was, true);
        if (e->object)
            add_row(&head->digest, e->object, false);
    }
}

static void give_up_unused_views(struct image *im)
{
    int64_t now = (int64_t)clock_mono_us();
    for (size_t i = 0; i < ARRAY_LEN(im->views); i++) {
        if (!im->views[i] || now - im->views[i]->used_us < IMAGE_VIEW_UNUSED_US)
            continue;
        image_view_free(im->views[i]);
        im->views[i] = NULL;
    }
}

/* Locked. c holds the objects as they are after d. */
static enum err apply_to(struct image *im, struct catalogue *c, const struct image_delta *d,
                         struct image_head *head)
{
    enum err e = ERR_OK;
    for (size_t i = 0; i < d->objects.count && e == ERR_OK; i++)
        e = put_object(c, d->objects.rows[i]);
    if (e != ERR_OK)
        return e;
    give_up_unused_views(im);
    catalogue_settle(c, im->views, 0, ARRAY_LEN(im->views));
    sum_all(c, head);
    for (unsigned i = 0; i < ARRAY_LEN(im->views) && e == ERR_OK; i++)
        if (im->views[i])
            e = end_view(c, im->views[i], i, d);
    leave_touched(c);
    return e;
}

/* A delta that fails in the middle would leave digests of neither version: the heads are then
 * forgotten, and the follower loads everything again. */
static void forget(struct image *im)
{
    leave_touched(&im->all);
    im->head = (struct image_head){0};
    for (size_t i = 0; i < ARRAY_LEN(im->views); i++) {
        image_view_free(im->views[i]);
        im->views[i] = NULL;
    }
}

enum err image_apply(struct image *im, const struct image_delta *d)
{
    struct catalogue fresh = {0}, old = {0};
    struct image_head head = {.version = d->to};
    enum err e = d->whole ? catalogue_init(&fresh) : ERR_OK;
    if (e != ERR_OK)
        return e;
    memcpy(head.lineage, d->lineage, sizeof(head.lineage));
    pthread_mutex_lock(&im->lock);
    if (d->whole) {
        old = im->all;
        im->all = fresh;
        list_init(&im->all.queue);
        list_init(&im->all.touched);
    } else {
        head.digest = im->head.digest;
    }
    e = apply_to(im, &im->all, d, &head);
    if (e == ERR_OK)
        im->head = head;
    else
        forget(im);
    pthread_mutex_unlock(&im->lock);
    catalogue_fini(&old); /* nothing is queued or touched between deltas */
    return e;
}
