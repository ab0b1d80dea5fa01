/*
 * etag — a resource's revision as an entity tag (RFC 9110 section 13.1.1).
 */
#pragma once

#include "common/base/slice.h"

/* true where nothing was asked, for "*", and when one of the listed strong tags is the revision */
bool etag_matches(struct slice if_match, uint64_t revision);
