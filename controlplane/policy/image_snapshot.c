/* image_snapshot — one version of a view frozen, cut into chunks, held while planes fetch it. */
#include "common/base/mem.h"
#include "controlplane/policy/frame.h"
#include "controlplane/policy/image_private.h"
#include "proto/channel.pb-c.h"

/* The view's objects, principals before what refers to them: a plane may build as it reads. */
static void gather(struct map *entries, unsigned view, struct image_object **ret)
{
    size_t start[IMAGE_KINDS + 1] = {0};
    struct slice key;
    size_t at = 0;
    void *value;

    while (map_each(entries, &at, &key, &value))
        if (entry_given(value, view))
            start[((struct entry *)value)->object->kind + 1]++;
    for (size_t k = 1; k <= IMAGE_KINDS; k++)
        start[k] += start[k - 1];
    at = 0;
    while (map_each(entries, &at, &key, &value)) {
        if (!entry_given(value, view))
            continue;
        struct image_object *o = ((struct entry *)value)->object;
        ret[start[o->kind]++] = image_object_hold(o);
    }
}

static size_t count_given(struct map *entries, unsigned view)
{
    size_t count = 0, at = 0;
    struct slice key;
    void *value;
    while (map_each(entries, &at, &key, &value))
        count += entry_given(value, view);
    return count;
}

/* Chunk borders: as many objects as fit, one at least. first has count + 2 entries. */
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

static enum err freeze(struct image *im, const struct view *v, struct frozen *f)
{
    unsigned number = image_view_number(im, v);
    size_t count = count_given(im->all.entries, number);
    f->objects = mem_array(count + 1, sizeof(struct image_object *));
    f->first = mem_array(count + 2, sizeof(uint32_t));
    if (!f->objects || !f->first) {
        image_thaw(f);
        return ERR_NOMEM;
    }
    f->head = v->head;
    f->count = count;
    gather(im->all.entries, number, f->objects);
    f->chunks = cut(f->objects, count, f->first);
    return ERR_OK;
}

static bool same_version(const struct frozen *f, const struct image_head *head)
{
    return f->objects && f->head.version == head->version &&
           strcmp(f->head.lineage, head->lineage) == 0 &&
           memcmp(&f->head.digest, &head->digest, sizeof(head->digest)) == 0;
}

/* the frozen newest version, made where there is none; the one longest unused gives way */
static enum err begin(struct image *im, struct view *v, struct frozen **ret)
{
    struct frozen *oldest = &v->held[0];
    for (size_t i = 0; i < ARRAY_LEN(v->held); i++) {
        struct frozen *f = &v->held[i];
        if (same_version(f, &v->head)) {
            *ret = f;
            return ERR_OK;
        }
        if (f->used_us < oldest->used_us)
            oldest = f;
    }
    image_thaw(oldest);
    *ret = oldest;
    return freeze(im, v, oldest);
}

static struct frozen *find(struct view *v, uint64_t version)
{
    for (size_t i = 0; i < ARRAY_LEN(v->held); i++)
        if (v->held[i].objects && v->held[i].head.version == version &&
            strcmp(v->held[i].head.lineage, v->head.lineage) == 0)
            return &v->held[i];
    return NULL;
}

static void thaw_unused(struct view *v, int64_t now_us)
{
    for (size_t i = 0; i < ARRAY_LEN(v->held); i++)
        if (v->held[i].objects && now_us - v->held[i].used_us > LIMIT_POLICY_HELD_US)
            image_thaw(&v->held[i]);
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

static enum err chunk_locked(struct image *im, const struct view_key *key, uint64_t version,
                             uint32_t chunk, int64_t now_us, struct buf *out)
{
    struct view *v = NULL;
    struct frozen *f = NULL;

    if (im->head.lineage[0] == '\0')
        return ERR_AGAIN;
    enum err e = image_find_view(im, key, &v);
    if (e != ERR_OK)
        return e;
    thaw_unused(v, now_us);
    if (version == 0)
        e = begin(im, v, &f);
    else
        f = find(v, version);
    if (e != ERR_OK)
        return e;
    if (!f || chunk >= f->chunks)
        return write_gone(out);
    f->used_us = now_us;
    return write_chunk(f, chunk, out);
}

enum err image_chunk(struct image *im, const struct view_key *key, uint64_t version, uint32_t chunk,
                     int64_t now_us, struct buf *out)
{
    pthread_mutex_lock(&im->lock);
    enum err e = chunk_locked(im, key, version, chunk, now_us, out);
    pthread_mutex_unlock(&im->lock);
    return e;
}

void image_thaw(struct frozen *f)
{
    for (size_t i = 0; i < f->count; i++)
        image_object_drop(f->objects[i]);
    mem_free(f->objects);
    mem_free(f->first);
    *f = (struct frozen){0};
}
