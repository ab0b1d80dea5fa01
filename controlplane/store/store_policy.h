/*
 * store_policy — what a compiled policy is read from: the head, the change log, rows by noun.
 *
 * Fails    as tx.h.
 * Threads  any, with a transaction of their own.
 */
#pragma once

#include "controlplane/store/array.h"
#include "controlplane/store/tx.h"

#define POLICY_LINEAGE_MAX 40

/* For a connection that is no pool's: begins a transaction in which all statements see one state of
 * all orgs. store_policy_end ends it, and commits where e is ERR_OK. */
MUST_USE enum err store_policy_begin(struct tx *tx);
MUST_USE enum err store_policy_end(struct tx *tx, enum err e);

/* lineage may be NULL; else POLICY_LINEAGE_MAX bytes. ERR_NOT_FOUND: the database was never written
 * to. */
MUST_USE enum err store_policy_head(struct tx *tx, uint64_t *ret_version, char *lineage);
/* The first version that the change log still has; 0: it has none. */
MUST_USE enum err store_policy_oldest(struct tx *tx, uint64_t *ret);
/* Rows (kind, id, whether it lives, version) behind `from` up to `to`: each object once, with what
 * the log last said of it. */
MUST_USE enum err store_policy_changes(struct tx *tx, uint64_t from, uint64_t to,
                                       struct db_result **ret);
/* Every living row of a noun's table, or those of the ids: (id, org_id, name, revision, spec,
 * created_at in microseconds). */
MUST_USE enum err store_policy_rows(struct tx *tx, const char *table, struct array *ids,
                                    struct db_result **ret);
