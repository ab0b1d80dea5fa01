/*
 * end — DELETE: the client's session and the upstream's are over.
 *
 * A tombstone stays in the directory; the client is not made to wait for the upstream.
 */
#include "mcp-gateway/tool_private.h"

void mcp_end(struct tool_work *w)
{
    if (mcp_directory_end(w->session))
        mcp_close_upstream(w->env, w->rq->policy, w->session, w->rq->arena);
    mcp_response_empty(w, 204);
}
