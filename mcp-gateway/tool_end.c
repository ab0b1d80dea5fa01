/*
 * tool_end — client sessions end: by DELETE, or because they were not used for too long.
 *
 * A tombstone stays in the directory; the client is not made to wait for the upstream. Any worker
 * may end any session that expired: the directory gives each out once.
 */
#include "common/base/arena.h"
#include "mcp-gateway/tool_gate.h"
#include "mcp-gateway/tool_private.h"

#define ARENA_CHUNK 1024 /* an upstream's session id and a name */
#define ARENA_MAX (64 * 1024)
#define US_PER_MS 1000

/* What runs in the session ends with it, on whatever worker it is. */
void mcp_end(struct tool_work *w)
{
    if (session_directory_end(w->session)) {
        mcp_worker_tell(NULL, w->session, MCP_EVENT_ENDED, 0);
        upstream_opening_end_all(w->worker, w->rq->policy, w->session, w->rq->arena);
    }
    mcp_response_empty(w, 204);
}

/* Half of the exchanges that nothing waits for are left to the calls of clients that hung up. */
static bool has_space(const struct mcp_worker *m)
{
    return m->orphans < LIMIT_MCP_ORPHANS / 2;
}

static void sweep(struct mcp_worker *m, uint64_t now_us, struct arena *a)
{
    for (size_t i = 0; i < LIMIT_MCP_SWEEP && has_space(m); i++) {
        struct client_session *s = session_directory_expire(now_us);
        if (!s)
            return;
        if (a && m->env->policy) /* else the upstream forgets it in its own time */
            upstream_opening_end_all(m, m->env->policy, s, a);
        client_session_drop(s);
        if (a)
            arena_reset(a);
    }
}

void mcp_sweep(struct request_env *env, uint64_t now_us)
{
    struct mcp_worker *m = mcp_worker_find(env);
    if (!m || now_us - m->swept_us < LIMIT_MCP_SWEEP_MS * (uint64_t)US_PER_MS)
        return; /* or no call has come to this worker yet */
    m->swept_us = now_us;
    struct arena *a = session_directory_size() ? arena_new(ARENA_CHUNK, ARENA_MAX) : NULL;
    sweep(m, now_us, a);
    arena_free(a);
}
