/*
 * image — the map of objects, deltas in, chunks out.
 *
 * Objects are kept as they lie on the wire, tag and length before them: Push.changes and
 * SnapshotReply.objects have the same field number, so one copy serves both.
 */
#include "controlplane/sync/image.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "common/base/limits.h"
#include "common/base/map.h"
#include "common/base/mem.h"
#include "common/base/secret.h"
#include "common/wire/policy_digest.h"
#include "controlplane/sync/frame.h"
#include "proto/channel.pb-c.h"

#define KINDS 16 /* above every ObjectKind */

struct image_object {
    atomic_uint holders;
    int kind;
    bool deleted;
    uint64_t revision;
    size_t key_len;
    char key[ID_MAX + 4]; /* "<kind>/<id>" */
    size_t len;
    char wire[]; /* tag, length, PolicyObject */
};

/* one version, as it was when its first chunk was asked for */
struct frozen {
    struct image_head head;
    struct image_object **objects;
    size_t count;
    uint32_t *first; /* of each chunk: index into objects; chunks + 1 of them */
    uint32_t chunks;
    int64_t used_us;
};

struct image {
    pthread_mutex_t lock;
    struct map *objects;
    struct image_head head;
    struct frozen held[LIMIT_POLICY_HELD];
};

/* ---- objects ---- */

static struct image_object *hold(struct image_object *o)
{
    atomic_fetch_add_explicit(&o->holders, 1, memory_order_relaxed);
    return o;
}

static void drop(struct image_object *o)
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
        drop(d->objects[i]);
    mem_free(d->objects);
    *d = (struct image_delta){0};
}

enum err image_delta_add(struct image_delta *d, const Gatehouse__PolicyObject *message)
{
    if (!message->id || strlen(message->id) >= ID_MAX || (int)message->kind >= KINDS)
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

static void thaw(struct frozen *f)
{
    for (size_t i = 0; i < f->count; i++)
        drop(f->objects[i]);
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
        drop(o);
    map_free(objects);
}

void image_free(struct image *im)
{
    if (!im)
        return;
    for (size_t i = 0; i < ARRAY_LEN(im->held); i++)
        thaw(&im->held[i]);
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

size_t image_count(struct image *im)
{
    pthread_mutex_lock(&im->lock);
    size_t n = map_size(im->objects);
    pthread_mutex_unlock(&im->lock);
    return n;
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
    drop(old);
}

static enum err put_object(struct map *objects, struct image_object *o, struct digest *sum)
{
    remove_key(objects, o, sum);
    if (o->deleted)
        return ERR_OK;
    enum err e = map_put(objects, key_of(o), hold(o), NULL);
    if (e != ERR_OK) {
        drop(o);
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

/* ---- snapshots ---- */

/* Principals before what refers to them: a plane may build as it reads. */
static void gather(struct map *objects, struct image_object **ret)
{
    size_t start[KINDS + 1] = {0};
    struct slice key;
    size_t at = 0;
    void *value;

    while (map_each(objects, &at, &key, &value))
        start[((struct image_object *)value)->kind + 1]++;
    for (size_t k = 1; k <= KINDS; k++)
        start[k] += start[k - 1];
    at = 0;
    while (map_each(objects, &at, &key, &value)) {
        struct image_object *o = value;
        ret[start[o->kind]++] = hold(o);
    }
}

/* Chunk borders: as many objects as fit, one at least. first has room for count + 2. */
static uint32_t cut(struct image_object *const *objects, size_t count, uint32_t *first)
{
    uint32_t chunks = 0;
    size_t size = 0;

    first[0] = 0;
    for (size_t i = 0; i < count; i++) {
        if (size > 0 && size + objects[i]->len > LIMIT_BUS_CHUNK) {
            first[++chunks] = (uint32_t)i;
            size = 0;
        }
        size += objects[i]->len;
    }
    first[++chunks] = (uint32_t)count;
    return chunks;
}

static enum err freeze(struct image *im, struct frozen *f)
{
    size_t count = map_size(im->objects);
    f->objects = mem_array(count + 1, sizeof(struct image_object *));
    f->first = mem_array(count + 2, sizeof(uint32_t));
    if (!f->objects || !f->first) {
        thaw(f);
        return ERR_NOMEM;
    }
    f->head = im->head;
    f->count = count;
    gather(im->objects, f->objects);
    f->chunks = cut(f->objects, count, f->first);
    return ERR_OK;
}

static bool same_version(const struct frozen *f, const struct image_head *head)
{
    return f->objects && f->head.version == head->version &&
           strcmp(f->head.lineage, head->lineage) == 0 &&
           memcmp(&f->head.digest, &head->digest, sizeof(head->digest)) == 0;
}

/* the frozen newest version, made where there is none; the one longest unused makes room */
static enum err begin(struct image *im, struct frozen **ret)
{
    struct frozen *oldest = &im->held[0];
    for (size_t i = 0; i < ARRAY_LEN(im->held); i++) {
        struct frozen *f = &im->held[i];
        if (same_version(f, &im->head)) {
            *ret = f;
            return ERR_OK;
        }
        if (f->used_us < oldest->used_us)
            oldest = f;
    }
    thaw(oldest);
    *ret = oldest;
    return freeze(im, oldest);
}

static struct frozen *find(struct image *im, uint64_t version)
{
    for (size_t i = 0; i < ARRAY_LEN(im->held); i++)
        if (im->held[i].objects && im->held[i].head.version == version &&
            strcmp(im->held[i].head.lineage, im->head.lineage) == 0)
            return &im->held[i];
    return NULL;
}

static void thaw_unused(struct image *im, int64_t now_us)
{
    for (size_t i = 0; i < ARRAY_LEN(im->held); i++)
        if (im->held[i].objects && now_us - im->held[i].used_us > LIMIT_POLICY_HELD_US)
            thaw(&im->held[i]);
}

static enum err write_chunk(const struct frozen *f, uint32_t chunk, struct buf *out)
{
    Gatehouse__SnapshotReply reply = GATEHOUSE__SNAPSHOT_REPLY__INIT;
    reply.lineage = (char *)f->head.lineage;
    reply.has_version = reply.has_chunk = reply.has_chunks = reply.has_digest = true;
    reply.version = f->head.version;
    reply.chunk = chunk;
    reply.chunks = f->chunks;
    reply.digest.data = (uint8_t *)f->head.digest.bytes;
    reply.digest.len = DIGEST_LEN;

    enum err e = frame_pack(&reply.base, out);
    for (uint32_t i = f->first[chunk]; i < f->first[chunk + 1] && e == ERR_OK; i++)
        e = buf_append(out, slice_of(f->objects[i]->wire, f->objects[i]->len));
    return e;
}

static enum err write_gone(struct buf *out)
{
    Gatehouse__SnapshotReply reply = GATEHOUSE__SNAPSHOT_REPLY__INIT;
    reply.has_gone = reply.gone = true;
    return frame_pack(&reply.base, out);
}

static enum err chunk_locked(struct image *im, uint64_t version, uint32_t chunk, int64_t now_us,
                             struct buf *out)
{
    struct frozen *f = NULL;
    enum err e = ERR_OK;

    if (im->head.lineage[0] == '\0')
        return ERR_AGAIN;
    thaw_unused(im, now_us);
    if (version == 0)
        e = begin(im, &f);
    else
        f = find(im, version);
    if (e != ERR_OK)
        return e;
    if (!f || chunk >= f->chunks)
        return write_gone(out);
    f->used_us = now_us;
    return write_chunk(f, chunk, out);
}

enum err image_chunk(struct image *im, uint64_t version, uint32_t chunk, int64_t now_us,
                     struct buf *out)
{
    pthread_mutex_lock(&im->lock);
    enum err e = chunk_locked(im, version, chunk, now_us, out);
    pthread_mutex_unlock(&im->lock);
    return e;
}
