/*
 * directory — the MCP sessions of this plane, found by any of its workers.
 *
 * The kernel spreads a client's connections over the workers, so the worker that opened a session
 * is seldom the one that is asked next. Sealing the upstream's session into the client's id would
 * need no memory, but could not know of its end or its renewal; handing requests from worker to
 * worker would cost every one of them two hops. So: one table of the process under one mutex,
 * touched once per request for a look-up of some 100 ns; what a session does afterwards is under
 * its own lock. Process-wide, because a plane is a process; born with the first worker that needs
 * it and gone with the last.
 *
 * Owns     a count of each session that is listed. An ended one stays as a tombstone until it
 *          would have expired, unless the room is needed.
 * Fails    ERR_EXHAUSTED above LIMIT_MCP_SESSIONS, ERR_DENIED above LIMIT_MCP_SESSIONS_EACH of one
 *          principal, ERR_NOMEM.
 * Threads  any.
 */
#pragma once

#include "mcp-gateway/mcp_session.h"

MUST_USE enum err mcp_directory_join(void); /* by each worker, once */
void mcp_directory_part(void);              /* the last one ends it */
/* the name of this life of this plane */
const uint8_t *mcp_directory_plane(void);

/* Counts it for a principal, before it is opened, until it ends or is given up. */
MUST_USE enum err mcp_directory_admit(struct mcp_session *s, struct slice principal);
void mcp_directory_leave(struct mcp_session *s); /* does not count any more; twice is fine */
/* Lists it, and holds it. */
MUST_USE enum err mcp_directory_put(struct mcp_session *s, uint64_t now_us);
/* Held for the caller, its idle time begins anew; NULL: unknown, ended or expired. */
struct mcp_session *mcp_directory_find(const uint8_t sid[MCP_SID_LEN], uint64_t now_us);
/* true for the one caller that ended it */
bool mcp_directory_end(struct mcp_session *s);
/* Takes one that was idle for too long off the list, for the caller to end upstream; its count
 * goes to the caller. NULL: none. */
struct mcp_session *mcp_directory_expire(uint64_t now_us);
size_t mcp_directory_size(void); /* those listed, and tombstones */
