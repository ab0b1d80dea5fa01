/*
 * store_audit — the chain of records: appended by store_write, read and verified here.
 *
 * hash = SHA-256 over these parts, each preceded by its length as 8 bytes little-endian: prev
 * (32 bytes, zero for the first), org_id, seq, at (RFC 3339), actor, actor_role, source, action,
 * noun, object_id, object_name, version, before, after (compact JSON, members sorted; absent: "").
 * Numbers are decimal text. So a holder of the records can verify them without the gateway.
 *
 * Threads  any, with a transaction of their own.
 */
#pragma once

#include "common/base/digest.h"
#include "controlplane/store/store_write.h"

/* Records behind `after_seq`, oldest first, at most limit + 1, as trees for a response. */
MUST_USE enum err store_audit_page(struct tx *tx, int64_t after_seq, size_t limit,
                                   struct slice object_id, json_t **ret);
/* Walks an org's whole chain. *ret_broken: first seq that does not fit; 0: all do. */
MUST_USE enum err store_audit_verify(struct tx *tx, struct slice org_id, int64_t *ret_count,
                                     int64_t *ret_broken);
