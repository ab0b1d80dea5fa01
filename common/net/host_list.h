/*
 * host_list — names of hosts that are let through, as an operator wrote them.
 *
 * Owns     nothing; slices point into the text that was read.
 * Fails    ERR_INVALID on what is no name or address, a port, or more than LIMIT_ALLOWED_HOSTS.
 * Threads  any.
 */
#pragma once

#include "common/base/limits.h"
#include "common/base/slice.h"

struct host_list {
    struct slice names[LIMIT_ALLOWED_HOSTS];
    size_t count;
};

/* "mcp.example.com, 10.0.0.7"; an IPv6 address without brackets; an empty text is an empty list */
MUST_USE enum err host_list_read(struct slice text, struct host_list *ret);
/* host: without port and brackets; letter case does not count */
bool host_list_has(const struct host_list *l, struct slice host);
