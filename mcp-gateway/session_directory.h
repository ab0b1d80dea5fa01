/*
 * session_directory — the client sessions of this plane, found by any of its workers.
 *
 * The kernel spreads a client's connections over the workers, so the worker that opened a session
 * is seldom the one that gets its next request. Handing requests from worker to worker would cost
 * each of them two hops. So the directory is of the process, in shards by session id, each with a
 * lock of its own that a request takes once for a look-up of some 100 ns; what a session does
 * afterwards is under its own lock. Nothing walks a shard: the longest unused and the ended stand
 * first in lists of their own.
 *
 * Other planes find a session by its sealed id alone (session_id.h) and list it here too.
 *
 * Owns     a count of each session that is listed. One that its client ended, or that was idle for
 *          too long, stays as a tombstone for as long as its id could be opened, unless the space
 *          is needed.
 * Fails    ERR_EXHAUSTED above LIMIT_MCP_SESSIONS, ERR_DENIED above LIMIT_MCP_SESSIONS_EACH of one
 *          principal, ERR_EXISTS, ERR_NOMEM.
 * Threads  any.
 */
#pragma once

#include "mcp-gateway/client_session.h"

MUST_USE enum err session_directory_join(void); /* by each worker, once */
void session_directory_part(void);              /* the last one ends it */

/* Counts it for a principal, before it is opened, until it ends or is given up. */
MUST_USE enum err session_directory_count(struct client_session *s, struct slice principal);
void session_directory_discount(struct client_session *s); /* twice is fine */
/* Counts an event stream of this session; ERR_DENIED above LIMIT_MCP_STREAMS of the session, or
 * `most` of its principal. *ret is to be given back. */
MUST_USE enum err session_directory_stream_opened(struct client_session *s, unsigned most,
                                                  struct directory_owner **ret);
void session_directory_stream_closed(struct client_session *s, struct directory_owner **o);
/* Lists it, and holds it. ERR_EXISTS: another is listed under its id, or was and has ended. */
MUST_USE enum err session_directory_put(struct client_session *s, uint64_t now_us);
/* Held for the caller, its idle time begins anew; NULL: unknown, ended or expired. *ret_known:
 * ended or expired here, so that it is not to be adopted. */
struct client_session *session_directory_find(const uint8_t sid[MCP_SID_LEN], uint64_t now_us,
                                              bool *ret_known);
/* Did its client end it, or was it idle for too long? */
bool session_directory_is_ended(const struct client_session *s);
/* true for the one caller that ended it */
bool session_directory_end(struct client_session *s);
/* One that was idle for too long and has become a tombstone by that, held for the caller, which
 * ends it upstream. NULL: none. */
struct client_session *session_directory_expire(uint64_t now_us);
size_t session_directory_size(void);       /* without tombstones */
size_t session_directory_remembered(void); /* with them */
