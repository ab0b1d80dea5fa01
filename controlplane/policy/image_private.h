/*
 * image_private — the inside of an image, which three files share: image.c keeps objects and
 * applies deltas, image_view.c decides which objects are in which view, image_snapshot.c serves
 * snapshots.
 *
 * Threads  every member of struct image is guarded by its lock.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "common/base/limits.h"
#include "common/base/list.h"
#include "common/base/map.h"
#include "controlplane/policy/image.h"

#define IMAGE_KINDS 64 /* above every ObjectKind */
#define IMAGE_KEY_MAX (ID_MAX + 4)
#define IMAGE_WORDS (LIMIT_POLICY_VIEWS / 64)
#define IMAGE_VIEW_UNUSED_US (60 * INT64_C(1000000)) /* then the view is freed */

struct image_object {
    atomic_uint holders;
    int kind;
    bool deleted;
    uint64_t revision;
    size_t key_len;
    char key[IMAGE_KEY_MAX]; /* "<kind>/<id>" */
    char org[ID_MAX];
    bool off, has_pools;
    feature_set needs;
    char (*pools)[ID_MAX];
    size_t pool_count;
    struct image_ref *refs;
    size_t ref_count;
    size_t len;
    char wire[]; /* tag, length, PolicyObject */
};

struct entry;

/* One reference: a link in the list of the entry that is referred to. */
struct link {
    struct list among; /* in used_by, or restricted_by */
    struct entry *from, *to;
    enum image_effect effect;
};

/* One id, with its object or only referred to by others. */
struct entry {
    struct image_object *object; /* NULL: nothing of this id is there */
    struct link *links;
    size_t link_count;
    struct list used_by, restricted_by; /* links of others to this one */
    uint64_t given[IMAGE_WORDS];        /* bit n: it is in view n */

    /* while a delta is applied */
    struct list queued;           /* to be checked again */
    struct list touched;          /* among the entries whose presence in a view may have changed */
    struct image_object *was;     /* the object before, held */
    uint64_t before[IMAGE_WORDS]; /* `given`, before */
    bool is_touched;
    char key[IMAGE_KEY_MAX];
    size_t key_len;
};

/* one version of a view, as it was when its first chunk was fetched */
struct frozen {
    struct image_head head;
    struct image_object **objects;
    size_t count;
    uint32_t *first; /* of each chunk: index into objects; chunks + 1 of them */
    uint32_t chunks;
    int64_t used_us;
};

struct view {
    struct view_key key;
    struct image_head head;
    int64_t used_us;
    uint64_t delta_from;
    bool has_delta;
    struct image_objects delta; /* what the last version changed here */
    struct frozen held[LIMIT_POLICY_HELD];
};

/* Everything of one lineage. */
struct catalogue {
    struct map *entries;
    struct list queue, touched;
};

struct image {
    pthread_mutex_t lock;
    struct catalogue all;
    struct image_head head;
    struct view *views[LIMIT_POLICY_VIEWS]; /* NULL: that number is free */
};

struct image_object *image_object_hold(struct image_object *o);
void image_object_drop(struct image_object *o); /* NULL is fine */
MUST_USE enum err image_objects_add(struct image_objects *list, struct image_object *o);
struct slice image_object_id(const struct image_object *o);
void image_thaw(struct frozen *f); /* forgets that version */

static inline bool entry_given(const struct entry *e, unsigned view)
{
    return (e->given[view / 64] >> view % 64 & 1) != 0;
}

/* ---- image_view.c; all locked ---- */

/* Queues e to be checked again. */
void entry_queue(struct catalogue *c, struct entry *e);
/* Remembers what e was, before its object or its place changes. */
void entry_touch(struct catalogue *c, struct entry *e);
/* Checks the queued entries, and those that follow from them, for the views first..last - 1. */
void catalogue_settle(struct catalogue *c, struct view *const *views, unsigned first,
                      unsigned last);
/* The view of that key, made where there is none. */
MUST_USE enum err image_find_view(struct image *im, const struct view_key *key, struct view **ret);
unsigned image_view_number(const struct image *im, const struct view *v);
void image_view_free(struct view *v); /* NULL is fine */
