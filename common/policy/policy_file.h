/*
 * policy_file — the last good policy on this plane's disk, sealed, so that it starts without the
 * control plane.
 *
 * A base (the whole policy) and behind it every delta since, in the order they were applied; the
 * base is written anew when the deltas outgrow it. A delta is on disk before it is applied, so
 * no start goes back behind a policy that was applied. Without a sealing key nothing is kept.
 *
 * Beside the key, outside the folder, lies a mark: the newest version that was applied, sealed. A
 * file that holds an older one, as a copy put back would, is not loaded; nor is any where the mark
 * cannot be opened. Where there is no mark (a first start, an older build, a place that cannot be
 * written) the file is accepted, and policy_file_has_mark says so.
 *
 * Owns     the open file. Where it cannot be written (a full disk), it is removed: an old policy
 *          must not be applied at the next start.
 * Fails    ERR_NOT_FOUND: no usable base (first start, other key, torn base).
 * Threads  the main thread's.
 */
#pragma once

#include "common/base/seal.h"
#include "common/policy/snapshot.h"
#include "common/scope/registry.h"

struct policy_file;

/* seal: lent. mark_path: of a file of its own; NULL: no mark is kept. */
MUST_USE enum err policy_file_open(const char *state_dir, const struct seal *seal,
                                   const char *mark_path, struct policy_file **ret);
void policy_file_close(struct policy_file *f);
MUST_USE enum err policy_file_load(struct policy_file *f, struct registry *r,
                                   struct snapshot **ret);
/* push: a packed Gatehouse__Push with changes */
MUST_USE enum err policy_file_append(struct policy_file *f, struct slice push);
MUST_USE enum err policy_file_rewrite(struct policy_file *f, const struct snapshot *s);
/* This version is in the file, and is about to be applied; the control plane said at that time that
 * it is its newest. */
void policy_file_mark(struct policy_file *f, const struct snapshot *s, int64_t confirmed_at_us);
bool policy_file_has_mark(const struct policy_file *f);
/* When the loaded policy was last known to be the newest, by the mark; 0: not known. */
int64_t policy_file_confirmed_at_us(const struct policy_file *f);
bool policy_file_is_long(const struct policy_file *f); /* time for a rewrite */
