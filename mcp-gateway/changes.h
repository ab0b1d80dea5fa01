/*
 * changes — the servers that said that their tools changed, gathered for a moment and reported.
 *
 * A server may say so in every session that is open, and as often as it likes; within
 * LIMIT_LIST_GATHER_MS each is reported once.
 *
 * Owns     the ids that were not told yet; beyond LIMIT_LIST_CHANGED they are dropped, as every
 *          list is read anew in its time.
 * Threads  its worker's loop.
 */
#pragma once

#include "common/request/request.h"
#include "mcp-gateway/mcp_response.h"

struct mcp_worker;

/* From now on changed(arg, …) is told, on this worker's thread. ERR_NOMEM. */
MUST_USE enum err mcp_changes_tell(struct request_env *env,
                                   void (*changed)(void *arg, struct slice server_id), void *arg);
/* A message that a server sent, of whatever kind. */
void mcp_changes_look(struct mcp_worker *m, const struct policy_server *server,
                      const struct mcp_response *a);
/* Nothing is reported any more, and no other worker tells this one of a session; before the loop
 * ends. */
void mcp_changes_stop(struct request_env *env);
