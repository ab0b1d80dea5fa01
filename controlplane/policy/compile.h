/*
 * compile — turns rows into the messages that data planes understand, secrets opened.
 *
 * Runs inside one repeatable-read transaction, so that version, log and rows belong together.
 * An object that cannot be built (its secret does not open under this master key) is withheld,
 * and withheld means denied: it is logged, and passed on as deleted.
 *
 * Owns     nothing. Opened secrets are wiped once packed.
 * Fails    as db.h. ret is the caller's to fini in any case.
 * Threads  the follower's.
 */
#pragma once

#include "common/base/seal.h"
#include "controlplane/domain/noun.h"
#include "controlplane/policy/image.h"
#include "controlplane/store/tx.h"

/* Everything, with the version it stands at. */
MUST_USE enum err compile_whole(struct tx *tx, const struct seal *seal, struct image_delta *ret);
/* What changed after `from`; `ret->to` is the newest version. ERR_CONFLICT: another lineage, a
 * version ahead of the database, or a log that no longer reaches back: compile the whole. */
MUST_USE enum err compile_since(struct tx *tx, const struct seal *seal, const char *lineage,
                                uint64_t from, struct image_delta *ret);
/* How many bytes the row takes as an object, secrets opened; 0: planes have none of it. Sizes
 * depend on nothing but the row and its secrets, so what fits at its write fits for good. Fails
 * as building it does: ERR_INVALID and ERR_NOT_FOUND where it would be withheld for that. */
MUST_USE enum err compile_measure(struct tx *tx, const struct seal *seal, const struct noun *n,
                                  struct slice id, size_t *ret);
