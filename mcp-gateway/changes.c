/* changes — a short list of server ids and a timer. */
#include "mcp-gateway/changes.h"

#include <stdio.h>

#include "common/base/id.h"
#include "common/base/mem.h"
#include "mcp-gateway/mcp_worker.h"

struct mcp_changes {
    char ids[LIMIT_LIST_CHANGED][ID_MAX];
    size_t count;
    struct timer tell;
    void (*changed)(void *arg, struct slice server_id);
    void *arg;
};

static void on_tell(struct timer *t)
{
    struct mcp_changes *c = CONTAINER_OF(t, struct mcp_changes, tell);
    for (size_t i = 0; i < c->count; i++)
        c->changed(c->arg, slice_str(c->ids[i]));
    c->count = 0;
}

enum err mcp_changes_tell(struct request_env *env,
                          void (*changed)(void *arg, struct slice server_id), void *arg)
{
    struct mcp_worker *m = mcp_worker_of(env);
    struct mcp_changes *c = m ? mem_zalloc(sizeof(*c)) : NULL;
    if (!c)
        return ERR_NOMEM;
    c->changed = changed;
    c->arg = arg;
    timer_init(&c->tell, env->loop, on_tell);
    MUST(!m->changes);
    m->changes = c;
    return ERR_OK;
}

void mcp_changes_look(struct mcp_worker *m, const struct policy_server *server,
                      const struct mcp_response *a)
{
    struct mcp_changes *c = m->changes;
    if (!c || a->kind != MCP_RESPONSE_NOTE ||
        !mcp_response_says(a, SLICE("notifications/tools/list_changed")))
        return;
    for (size_t i = 0; i < c->count; i++)
        if (slice_eq(slice_str(c->ids[i]), server->o.id))
            return;
    if (c->count == LIMIT_LIST_CHANGED || server->o.id.len >= ID_MAX)
        return;
    snprintf(c->ids[c->count++], ID_MAX, "%.*s", SLICE_ARG(server->o.id));
    if (!timer_is_running(&c->tell))
        timer_start(&c->tell, LIMIT_LIST_GATHER_MS);
}

void mcp_changes_stop(struct request_env *env)
{
    struct mcp_worker *m = mcp_worker_find(env);
    if (!m)
        return;
    mcp_worker_unlist(m);
    if (!m->changes)
        return;
    timer_cancel(&m->changes->tell);
    mem_free(m->changes);
    m->changes = NULL;
}
