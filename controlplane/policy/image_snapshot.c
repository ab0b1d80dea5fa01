/* image_snapshot — one version frozen, cut into chunks, held while planes fetch it. */
#include "common/base/mem.h"
#include "controlplane/policy/frame.h"
#include "controlplane/policy/image_private.h"
#include "proto/channel.pb-c.h"

/* Principals before what refers to them: a plane may build as it reads. */
static void gather(struct map *objects, struct image_object **ret)
{
    size_t start[IMAGE_KINDS + 1] = {0};
    struct slice key;
    size_t at = 0;
    void *value;

    while (map_each(objects, &at, &key, &value))
        start[((struct image_object *)value)->kind + 1]++;
    for (size_t k = 1; k <= IMAGE_KINDS; k++)
        start[k] += start[k - 1];
    at = 0;
    while (map_each(objects, &at, &key, &value)) {
        struct image_object *o = value;
        ret[start[o->kind]++] = image_object_hold(o);
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
        image_thaw(f);
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
    image_thaw(oldest);
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
            image_thaw(&im->held[i]);
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
