/* grant — a walk over the grants of agent and team. */
#include "mcp-gateway/grant.h"

struct search {
    struct slice tool; /* .ptr NULL: any */
    bool found;
};

static bool names_tool(const struct policy_grant *g, struct slice tool)
{
    for (size_t i = 0; i < g->tool_count; i++)
        if (slice_eq(g->tools[i], tool) || slice_eq(g->tools[i], SLICE("*")))
            return true;
    return false;
}

struct walk {
    const struct tool_subject *subject;
    bool (*fn)(void *arg, const struct policy_grant *g);
    void *arg;
    bool stopped;
};

static bool visit(void *arg, const struct policy_grant *g)
{
    struct walk *w = arg;
    const struct policy_task *task = w->subject->task;
    if (!g->server_id.len || !slice_eq(g->server_id, w->subject->server_id))
        return true;
    if (g->task_id.len && !(task && slice_eq(g->task_id, task->o.id)))
        return true;
    w->stopped = !w->fn(w->arg, g);
    return !w->stopped;
}

void mcp_each_grant(const struct tool_subject *a,
                    bool (*fn)(void *arg, const struct policy_grant *g), void *arg)
{
    struct walk w = {.subject = a, .fn = fn, .arg = arg};
    if (a->who->agent)
        snapshot_each_grant(a->policy, a->who->agent->o.id, visit, &w);
    if (!w.stopped && a->who->team)
        snapshot_each_grant(a->policy, a->who->team->o.id, visit, &w);
}

static bool look_at(void *arg, const struct policy_grant *g)
{
    struct search *s = arg;
    s->found = s->tool.ptr ? names_tool(g, s->tool) : g->tool_count > 0;
    return !s->found;
}

static bool search(const struct tool_subject *a, struct slice tool)
{
    struct search s = {.tool = tool};
    mcp_each_grant(a, look_at, &s);
    return s.found;
}

bool mcp_may_see(const struct tool_subject *a)
{
    return search(a, SLICE_NONE);
}

bool mcp_may_use_whole(const struct tool_subject *a)
{
    return search(a, SLICE("*")); /* no other entry is equal to it */
}

bool mcp_may_call(const struct tool_subject *a, struct slice tool)
{
    return tool.len > 0 && search(a, tool);
}
