/*
 * image — the compiled policy as planes hear it: every object's packed bytes, the version they
 * stand at, and the digest over all of them.
 *
 * One follower changes it, a delta at a time; many channel threads read it. A snapshot is
 * frozen when its first chunk is asked for, so that later chunks belong to the same version
 * whatever is written meanwhile; planes that begin at the same version share it.
 *
 * Owns     its objects (counted: deltas and frozen snapshots hold them too). Bytes contain
 *          secrets and are wiped when dropped.
 * Fails    ERR_NOMEM, and the image is as it was.
 * Threads  any; image_apply from one at a time.
 */
#pragma once

#include "common/base/buf.h"
#include "common/base/digest.h"
#include "common/base/id.h"
#include "proto/policy.pb-c.h"

struct image;
struct image_object;

#define IMAGE_LINEAGE_MAX 64

struct image_head {
    char lineage[IMAGE_LINEAGE_MAX]; /* "": nothing loaded yet */
    uint64_t version;
    struct digest digest;
};

/* What lies between two versions. Objects that are gone are among them, marked deleted. */
struct image_delta {
    char lineage[IMAGE_LINEAGE_MAX];
    uint64_t from, to;
    struct image_object **objects;
    size_t count, cap;
    bool whole; /* replaces everything: the first load, or another lineage */
};

MUST_USE struct image *image_new(void);
void image_free(struct image *im); /* NULL is fine */
void image_head(struct image *im, struct image_head *ret);

void image_delta_fini(struct image_delta *d);
/* Packs the message behind the objects there. ERR_TOO_BIG: above LIMIT_POLICY_OBJECT. */
MUST_USE enum err image_delta_add(struct image_delta *d, const Gatehouse__PolicyObject *message);
/* Makes it the image's newest version. d keeps its objects, for publishing. */
MUST_USE enum err image_apply(struct image *im, const struct image_delta *d);
/* Field 5 of a Push or SnapshotReply, once per object, as it lies on the wire. */
size_t image_delta_size(const struct image_delta *d);
MUST_USE enum err image_delta_write(const struct image_delta *d, struct buf *out);

/* Chunk `chunk` of `version` (0: the newest). Appends a whole packed SnapshotReply; `gone` in it
 * when that version is not held or the chunk does not exist. ERR_AGAIN: nothing is loaded yet. */
MUST_USE enum err image_chunk(struct image *im, uint64_t version, uint32_t chunk, int64_t now_us,
                              struct buf *out);
