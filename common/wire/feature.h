/*
 * feature — what a data plane must understand beyond protocol revision 1 before it may be given
 * certain policy objects.
 *
 * A plane names all of its features in Hello. The control plane withholds an object that needs a
 * feature which the plane did not name, together with what depends on it: withheld means denied,
 * never an absent restriction. The data planes of revision 1 (commit 1910481) name none, and know
 * the kinds of object up to KIND_BLOCK.
 *
 * To add one: a row here, and the field row, word or noun in controlplane/domain that needs it.
 * A row is never renamed, and goes only when no supported plane lacks it.
 *
 * Threads  any; pure.
 */
#pragma once

#include "common/base/slice.h"

/* Revisions of the channel: 1 is commit 1910481, 2 negotiates features. A control plane of
 * revision 1 takes nothing but a Hello whose `protocol` is 1. */
#define CHANNEL_PROTOCOL_OLDEST 1
#define CHANNEL_PROTOCOL_NEWEST 2

#define FEATURE_TABLE(ROW)                                                                         \
    ROW(PROVIDER_ANTHROPIC, "provider.anthropic") /* a provider that speaks Anthropic's messages   \
                                                   */

enum feature {
#define FEATURE_ROW(name, text) FEATURE_##name,
    FEATURE_TABLE(FEATURE_ROW)
#undef FEATURE_ROW
        FEATURES /* how many; at most 64 */
};

/* A set of features: bit n is feature n. */
typedef uint64_t feature_set;
#define FEATURES_NONE ((feature_set)0) /* a plane of revision 1 */
#define FEATURES_ALL ((feature_set)(FEATURES == 64 ? UINT64_MAX : (UINT64_C(1) << FEATURES) - 1))
#define FEATURE_BIT(f) ((feature_set)1 << (f))

/* NULL for a number that is no feature. */
const char *feature_name(unsigned f);
/* Unknown names count for nothing: the other end may be newer. */
feature_set feature_parse(struct slice name);
