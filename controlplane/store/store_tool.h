/*
 * store_tool — the tools of servers, as their lists said last.
 *
 * Fails    as tx.h.
 * Threads  any, with a transaction of their own.
 */
#pragma once

#include "common/base/digest.h"
#include "common/base/id.h"
#include "controlplane/store/array.h"
#include "controlplane/store/tx.h"

struct stored_tool {
    char id[ID_MAX];
    char digest[DIGEST_HEX_MAX];
    bool absent; /* a later list did not name it */
};

/* Locks it. ERR_NOT_FOUND: the server has no such tool. */
MUST_USE enum err store_tool_lock(struct tx *tx, struct slice server, struct slice name,
                                  struct stored_tool *ret);
MUST_USE enum err store_tool_add(struct tx *tx, struct slice org, struct slice name,
                                 struct slice spec);
/* Tags, which people set, stay; the rest of the spec is written over. */
MUST_USE enum err store_tool_change(struct tx *tx, struct slice id, struct slice spec);
MUST_USE enum err store_tool_found_again(struct tx *tx, struct slice id);
/* Those of the server that are not among the names are absent since `at` (as text). */
MUST_USE enum err store_tools_absent(struct tx *tx, struct slice server, struct array *names,
                                     struct slice at);
/* The server is deleted. */
MUST_USE enum err store_tools_drop(struct tx *tx, struct slice server);
/* Of the grants in a JSON array of ids: (grant's id, place, name) of each tool that is not among
 * its server's tools. A server whose tools were never listed has no rows. */
MUST_USE enum err store_tools_missing(struct tx *tx, struct slice grants, struct db_result **ret);
