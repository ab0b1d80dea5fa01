/*
 * store_plane — the last report of a data plane.
 *
 * Fails    as tx.h.
 * Threads  any, with a transaction of their own.
 */
#pragma once

#include "common/wire/feature.h"
#include "controlplane/store/tx.h"

struct plane_note {
    const char *id, *org, *lineage, *build;
    feature_set features;
    uint64_t version;
    int64_t heard_at;
};

/* An older report is ignored: another control plane may have stored a later one. */
MUST_USE enum err store_plane_note(struct tx *tx, const struct plane_note *note);
