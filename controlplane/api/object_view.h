/*
 * object_view — how a stored object looks to an administrator: names for ids, times as text,
 * no hidden members, and a list of what is not enforced yet.
 *
 * Threads  any, with a transaction of their own.
 */
#pragma once

#include "controlplane/store/store_object.h"

/* One new tree per object, in an array. */
MUST_USE enum err object_views(struct tx *tx, const struct noun *n, const struct object *rows,
                               size_t count, json_t **ret);
MUST_USE enum err object_view(struct tx *tx, const struct noun *n, const struct object *o,
                              json_t **ret);
/* Whether only the server sets the member ("id", "revision", "agent_id" …). */
bool object_view_is_server_member(const struct noun *n, const char *member);
