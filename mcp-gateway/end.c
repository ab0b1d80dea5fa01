/*
 * end — DELETE: the client's session and the upstream's are over.
 *
 * A tombstone stays in the directory; the client is not made to wait for the upstream.
 */
#include "mcp-gateway/work.h"

void mcp_end(struct mcp_work *w)
{
    if (mcp_directory_end(w->session))
        mcp_close_upstream(w->env, w->j->policy, w->session, w->j->arena);
    mcp_answer_empty(w, 204);
}
