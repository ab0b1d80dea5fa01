/*
 * sweep — sessions that nobody used for too long end here, and at their upstream, whether new ones
 * are opened or not.
 *
 * Any worker may end any session: the directory gives each out once.
 */
#include "common/base/arena.h"
#include "mcp-gateway/tool_gate.h"
#include "mcp-gateway/tool_private.h"

#define ARENA_CHUNK 1024 /* an upstream's session id and a name */
#define ARENA_MAX (64 * 1024)
#define US_PER_MS 1000

static void end_one(struct mcp_env *m, struct mcp_session *s, struct arena *a)
{
    if (m->env->policy)
        mcp_close_upstream(m, m->env->policy, s, a);
    mcp_session_drop(s);
    arena_reset(a);
}

/* Half of the room for legs nobody waits for is left to the calls of clients that hung up. */
static bool has_room(const struct mcp_env *m)
{
    return m->orphans < LIMIT_MCP_ORPHANS / 2;
}

void mcp_sweep(struct request_env *env, uint64_t now_us)
{
    if (list_empty(&env->gate_spare[GATE_TOOL]))
        return; /* no call has come to this worker yet */
    struct mcp_env *m = mcp_env_of(env);
    if (!m || now_us - m->swept_us < LIMIT_MCP_SWEEP_MS * (uint64_t)US_PER_MS)
        return;
    m->swept_us = now_us;
    struct arena *a = NULL;
    for (size_t i = 0; i < LIMIT_MCP_SWEEP && has_room(m); i++) {
        struct mcp_session *s = mcp_directory_expire(now_us);
        if (!s)
            break;
        if (!a)
            a = arena_new(ARENA_CHUNK, ARENA_MAX);
        if (a)
            end_one(m, s, a);
        else
            mcp_session_drop(s); /* out of memory: the upstream forgets it in its own time */
    }
    arena_free(a);
}
