/*
 * origin_list — origins of web pages that are let through (RFC 6454), as an operator wrote them.
 *
 * Owns     nothing; slices point into the text that was read.
 * Fails    ERR_INVALID on what is no origin, or more than LIMIT_ALLOWED_HOSTS.
 * Threads  any.
 */
#pragma once

#include "common/base/limits.h"
#include "common/base/slice.h"

struct origin_list {
    bool any; /* "*" */
    struct slice origins[LIMIT_ALLOWED_HOSTS];
    size_t count;
};

/* "https://app.example.com, http://localhost:3000", or "*"; an empty text is an empty list */
MUST_USE enum err origin_list_read(struct slice text, struct origin_list *ret);
/* Letter case does not count. "null" (a page without an origin) is in no list, "*" included. */
bool origin_list_has(const struct origin_list *l, struct slice origin);
