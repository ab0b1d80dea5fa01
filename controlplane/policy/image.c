/*
 * image — the map of objects, and the deltas that change it.
 *
 * Objects are kept as they lie on the wire, tag and length before them: Push.changes and
 * SnapshotReply.objects have the same field number, so one copy serves both.
 */
#include "controlplane/policy/image.h"

#include <stdio.h>

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
    mem_free(o);
}

static struct slice key_of(const struct image_object *o)
{
    return slice_of(o->key, o->key_len);
}

static struct slice id_of(const struct image_object *o)
{
    return slice_from(key_of(o), (size_t)slice_find(key_of(o), '/') + 1);
}

static struct image_object *object_new(const Gatehouse__PolicyObject *m)
{
    size_t packed = gatehouse__policy_object__get_packed_size(m);
    struct image_object *o = mem_alloc(sizeof(*o) + FRAME_HEAD_MAX + packed);
    if (!o)
        return NULL;
    atomic_init(&o->holders, 1);
    o->kind = (int)m->kind;
    o->deleted = m->deleted;
    o->revision = m->revision;
    int n = snprintf(o->key, sizeof(o->key), "%d/%s", o->kind, m->id);
    MUST(n > 0 && (size_t)n < sizeof(o->key));
    o->key_len = (size_t)n;
    o->len = frame_head(FRAME_OBJECTS, packed, o->wire);
    o->len += gatehouse__policy_object__pack(m, (uint8_t *)o->wire + o->len);
    return o;
}

/* ---- deltas ---- */

void image_delta_fini(struct image_delta *d)
{
    for (size_t i = 0; i < d->count; i++)
        image_object_drop(d->objects[i]);
    mem_free(d->objects);
    *d = (struct image_delta){0};
}

enum err image_delta_add(struct image_delta *d, const Gatehouse__PolicyObject *message)
{
    if (!message->id || strlen(message->id) >= ID_MAX || (int)message->kind >= IMAGE_KINDS)
        return ERR_INVALID;
    if (gatehouse__policy_object__get_packed_size(message) > LIMIT_POLICY_OBJECT)
        return ERR_TOO_BIG;
    if (d->count == d->cap) {
        size_t cap = d->cap ? d->cap * 2 : 64;
        struct image_object **grown = mem_realloc(d->objects, cap * sizeof(struct image_object *));
        if (!grown)
            return ERR_NOMEM;
        d->objects = grown;
        d->cap = cap;
    }
    struct image_object *o = object_new(message);
    if (!o)
        return ERR_NOMEM;
    d->objects[d->count++] = o;
    return ERR_OK;
}

size_t image_delta_size(const struct image_delta *d)
{
    size_t size = 0;
    for (size_t i = 0; i < d->count; i++)
        size += d->objects[i]->len;
    return size;
}

enum err image_delta_write(const struct image_delta *d, struct buf *out)
{
    enum err e = ERR_OK;
    for (size_t i = 0; i < d->count && e == ERR_OK; i++)
        e = buf_append(out, slice_of(d->objects[i]->wire, d->objects[i]->len));
    return e;
}

/* ---- the image ---- */

struct image *image_new(void)
{
    struct image *im = mem_zalloc(sizeof(*im));
    if (!im)
        return NULL;
    im->objects = map_new();
    if (!im->objects) {
        mem_free(im);
        return NULL;
    }
    pthread_mutex_init(&im->lock, NULL);
    return im;
}

void image_thaw(struct frozen *f)
{
    for (size_t i = 0; i < f->count; i++)
        image_object_drop(f->objects[i]);
    mem_free(f->objects);
    mem_free(f->first);
    *f = (struct frozen){0};
}

static void objects_free(struct map *objects)
{
    struct slice key;
    size_t at = 0;
    void *o;
    while (map_each(objects, &at, &key, &o))
        image_object_drop(o);
    map_free(objects);
}

void image_free(struct image *im)
{
    if (!im)
        return;
    for (size_t i = 0; i < ARRAY_LEN(im->held); i++)
        image_thaw(&im->held[i]);
    objects_free(im->objects);
    pthread_mutex_destroy(&im->lock);
    mem_free(im);
}

void image_head(struct image *im, struct image_head *ret)
{
    pthread_mutex_lock(&im->lock);
    *ret = im->head;
    pthread_mutex_unlock(&im->lock);
}

/* Takes what stands under o's key out of map and digest. */
static void remove_key(struct map *objects, const struct image_object *o, struct digest *sum)
{
    struct image_object *old = map_remove(objects, key_of(o));
    if (!old)
        return;
    struct digest row;
    policy_digest_row(old->kind, id_of(old), old->revision, &row);
    digest_sub(sum, &row);
    image_object_drop(old);
}

static enum err put_object(struct map *objects, struct image_object *o, struct digest *sum)
{
    remove_key(objects, o, sum);
    if (o->deleted)
        return ERR_OK;
    enum err e = map_put(objects, key_of(o), image_object_hold(o), NULL);
    if (e != ERR_OK) {
        image_object_drop(o);
        return e;
    }
    struct digest row;
    policy_digest_row(o->kind, id_of(o), o->revision, &row);
    digest_add(sum, &row);
    return ERR_OK;
}

static enum err apply_whole(struct image *im, const struct image_delta *d, struct image_head *head)
{
    struct map *objects = map_new();
    enum err e = objects ? ERR_OK : ERR_NOMEM;
    memset(&head->digest, 0, sizeof(head->digest));
    for (size_t i = 0; i < d->count && e == ERR_OK; i++)
        e = put_object(objects, d->objects[i], &head->digest);
    if (e != ERR_OK) {
        if (objects)
            objects_free(objects);
        return e;
    }
    pthread_mutex_lock(&im->lock);
    struct map *old = im->objects;
    im->objects = objects;
    im->head = *head;
    pthread_mutex_unlock(&im->lock);
    objects_free(old);
    return ERR_OK;
}

/* A delta that fails in the middle would leave a digest of neither version: the head is then
 * forgotten, and the follower loads everything again. */
static enum err apply_changes(struct image *im, const struct image_delta *d,
                              struct image_head *head)
{
    enum err e = ERR_OK;
    pthread_mutex_lock(&im->lock);
    head->digest = im->head.digest;
    for (size_t i = 0; i < d->count && e == ERR_OK; i++)
        e = put_object(im->objects, d->objects[i], &head->digest);
    if (e == ERR_OK)
        im->head = *head;
    else
        im->head = (struct image_head){0};
    pthread_mutex_unlock(&im->lock);
    return e;
}

enum err image_apply(struct image *im, const struct image_delta *d)
{
    struct image_head head = {.version = d->to};
    memcpy(head.lineage, d->lineage, sizeof(head.lineage));
    return d->whole ? apply_whole(im, d, &head) : apply_changes(im, d, &head);
}
