/*
 * image — the compiled policy: every object's packed bytes and what it depends on, the version
 * they stand at, and the views of it that data planes are given.
 *
 * One follower changes it, a delta at a time; many channel threads read it. An object is kept once,
 * whatever the number of views; each view has a running digest and knows what it is given by one
 * bit per object. A delta costs each view the objects it names and those whose presence in the view
 * depends on them, never the whole.
 *
 * An object is in a view where all of this holds:
 *   its organisation is the view's, it is not switched off, and it names no pools or the view's;
 *   the view has the features that it needs;
 *   each object it refers to is in the view too, as far as the field's row asks for that
 *   (FIELD_NARROWS, FIELD_ONE_OF and FIELD_RESTRICTS of domain/field.h say otherwise);
 *   no object that restricts it is withheld for a feature.
 * So an object that would permit more without a withheld one is withheld too: withheld means
 * denied.
 *
 * A snapshot is frozen when its first chunk is fetched, so that later chunks belong to the same
 * version whatever is written meanwhile; planes that begin at the same version share it.
 *
 * Owns     its objects (counted: deltas and frozen snapshots hold them too). Bytes contain
 *          secrets and are wiped when dropped.
 * Fails    ERR_NOMEM: the image has forgotten its version, and the next load is of the whole;
 *          ERR_EXHAUSTED above LIMIT_POLICY_VIEWS views in use.
 * Threads  any; image_apply and image_take_delta from one at a time.
 */
#pragma once

#include "common/base/buf.h"
#include "common/base/digest.h"
#include "controlplane/policy/view.h"
#include "proto/policy.pb-c.h"

struct image;
struct image_object;

#define IMAGE_LINEAGE_MAX 64

struct image_head {
    char lineage[IMAGE_LINEAGE_MAX]; /* "": nothing loaded yet */
    uint64_t version;
    struct digest digest;
};

/* What an object is given for, beside its bytes. */
enum image_effect {
    IMAGE_NEEDS,     /* it is withheld without the other */
    IMAGE_ONE_OF,    /* it is given with any of those it refers to in this way */
    IMAGE_NARROWS,   /* it is given without the other, and permits less */
    IMAGE_RESTRICTS, /* it restricts the other */
};

struct image_ref {
    int kind;
    char id[ID_MAX];
    enum image_effect effect;
};

struct image_traits {
    const char *org; /* "": of the installation, in every view */
    bool off;        /* in no view */
    feature_set needs;
    bool has_pools;
    char (*pools)[ID_MAX];
    size_t pool_count;
    struct image_ref *refs;
    size_t ref_count;
};

/* Objects as they lie on the wire, each held. */
struct image_objects {
    struct image_object **rows;
    size_t count, cap;
};

/* The difference between two versions. Objects that are gone are among them, marked deleted. */
struct image_delta {
    char lineage[IMAGE_LINEAGE_MAX];
    uint64_t from, to;
    struct image_objects objects;
    bool whole; /* replaces everything: the first load, or another lineage */
};

MUST_USE struct image *image_new(void);
void image_free(struct image *im); /* NULL is fine */
/* Of all objects of every view. */
void image_head(struct image *im, struct image_head *ret);

void image_delta_fini(struct image_delta *d);
/* Packs the message behind the objects there; copies the traits (NULL: of the installation, in
 * every view). ERR_TOO_BIG: above LIMIT_POLICY_OBJECT. */
MUST_USE enum err image_delta_add(struct image_delta *d, const Gatehouse__PolicyObject *message,
                                  const struct image_traits *traits);
/* Makes it the image's newest version, in every view. */
MUST_USE enum err image_apply(struct image *im, const struct image_delta *d);

/* ---- views; each function makes the view where there is none ---- */

MUST_USE enum err image_view_head(struct image *im, const struct view_key *key,
                                  struct image_head *ret);
/* What the last image_apply changed in this view: its objects become the caller's, once.
 * *ret_from is the version they start from; where that is the head's own, or there are no objects,
 * the planes fetch. */
MUST_USE enum err image_take_delta(struct image *im, const struct view_key *key,
                                   struct image_head *ret_head, uint64_t *ret_from,
                                   struct image_objects *ret);
void image_objects_fini(struct image_objects *o);
/* Field 5 of a Push or SnapshotReply, once per object, as it lies on the wire. */
size_t image_objects_size(const struct image_objects *o);
MUST_USE enum err image_objects_write(const struct image_objects *o, struct buf *out);

/* Chunk `chunk` of `version` (0: the newest). Appends a whole packed SnapshotReply; `gone` in it
 * when that version is not held or the chunk does not exist. ERR_AGAIN: nothing is loaded yet. */
MUST_USE enum err image_chunk(struct image *im, const struct view_key *key, uint64_t version,
                              uint32_t chunk, int64_t now_us, struct buf *out);

/* Objects of the view's pool that it is not given for want of features, and the features. */
struct image_withheld {
    size_t objects; /* the ones that need a feature, and those that depend on them */
    feature_set features;
};
MUST_USE enum err image_withheld(struct image *im, const struct view_key *key,
                                 struct image_withheld *ret);
