/*
 * store_plane — data planes: their last reports, their enrolment, and the list of them.
 *
 * Fails    as tx.h.
 * Threads  any, with a transaction of their own.
 */
#pragma once

#include "common/base/digest.h"
#include "common/base/id.h"
#include "common/wire/feature.h"
#include "controlplane/store/tx.h"

struct plane_note {
    const char *id, *org, *lineage, *build;
    feature_set features;
    uint64_t version;
    int64_t heard_at;
};

#define PLANE_NAME_MAX 64

/* An older report is ignored: another control plane may have stored a later one. */
MUST_USE enum err store_plane_note(struct tx *tx, const struct plane_note *note);

/* ---- enrolment; ERR_NOT_FOUND: no such plane ---- */

MUST_USE enum err store_plane_set_token(struct tx *tx, struct slice id, const struct digest *token,
                                        int64_t expires);
/* Uses the token up. The row's lock lets one of two attempts at the same time succeed.
 * ERR_NOT_FOUND: no plane has it, or it has expired. */
MUST_USE enum err store_plane_use_token(struct tx *tx, const struct digest *token, int64_t now,
                                        char id[static ID_MAX], char name[static PLANE_NAME_MAX]);
MUST_USE enum err store_plane_set_certificate(struct tx *tx, struct slice id, int64_t not_after);
MUST_USE enum err store_plane_lock(struct tx *tx, struct slice id);

/* ---- all of them ---- */

/* Those that are not deleted: (id, name, pool's name, last heard at, pool's id). */
MUST_USE enum err store_planes_living(struct tx *tx, struct db_result **ret);
/* The same, and of those that were deleted in as many days the last `most`, deleted ones first:
 * (id, org, name, pool, deleted, lineage, version, heard at, pool's name, features). */
MUST_USE enum err store_planes_all(struct tx *tx, unsigned days, unsigned most,
                                   struct db_result **ret);
