/*
 * image_private — the inside of an image: image.c changes it, image_snapshot.c hands it out.
 *
 * Threads  everything of struct image lies behind its lock.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "common/base/limits.h"
#include "common/base/map.h"
#include "controlplane/policy/image.h"

#define IMAGE_KINDS 16 /* above every ObjectKind */

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

struct image_object *image_object_hold(struct image_object *o);
void image_object_drop(struct image_object *o); /* NULL is fine */
void image_thaw(struct frozen *f);              /* forgets that version */
