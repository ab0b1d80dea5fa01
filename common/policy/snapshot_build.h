/*
 * snapshot_build — a new policy version made from an old one and a list of changes.
 *
 * Accounts and meters of objects that stay are carried over; those of new ones come from the
 * registry (common/scope/registry.h).
 *
 * Owns     the version being built, until snapshot_build_end.
 * Fails    ERR_NOMEM, ERR_INVALID for a change without kind or id: the version is given up. An
 *          object that this plane does not understand is refused alone (policy_object.h).
 * Threads  the main thread's.
 */
#pragma once

#include "common/policy/snapshot.h"

struct registry;
struct snapshot_build;

/* from NULL: an empty policy */
MUST_USE enum err snapshot_build_begin(const struct snapshot *from, struct registry *r,
                                       struct snapshot_build **ret);
/* Meters of keys that are in `from` too are carried over; held until the end. NULL is fine. */
void snapshot_build_inherit(struct snapshot_build *b, const struct snapshot *from);
/* object: const Gatehouse__PolicyObject * */
MUST_USE enum err snapshot_build_apply(struct snapshot_build *b, const void *object);
/* Consumes the build. */
struct snapshot *snapshot_build_end(struct snapshot_build **b, struct slice lineage,
                                    uint64_t version);
void snapshot_build_cancel(struct snapshot_build **b);
