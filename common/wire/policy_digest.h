/*
 * policy_digest — one number for a whole policy, kept in O(delta): the sum modulo 2^256 of
 * SHA-256(kind, id, revision) over all live objects.
 *
 * Threads  any.
 */
#pragma once

#include "common/base/digest.h"

/* kind: ObjectKind's number */
void policy_digest_row(int kind, struct slice id, uint64_t revision, struct digest *ret);
