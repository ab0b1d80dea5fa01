/*
 * grant — may this principal, on this task, see this server, and call this tool of it?
 *
 * One decision for lists and for calls. Deny by default; names are compared exactly, case
 * included; `*` in a grant is every tool, and with them the server whole: what belongs to no tool
 * (resources, prompts, completion) no narrower grant can name.
 *
 * Threads  any; pure.
 */
#pragma once

#include "common/request/request.h"

struct tool_subject {
    const struct snapshot *policy;
    const struct principal *who;
    const struct policy_task *task; /* NULL: none */
    struct slice server_id;
};

/* Every grant that applies to the subject. fn false: stops. */
void mcp_each_grant(const struct tool_subject *a,
                    bool (*fn)(void *arg, const struct policy_grant *g), void *arg);
bool mcp_may_see(const struct tool_subject *a);
bool mcp_may_use_whole(const struct tool_subject *a);
bool mcp_may_call(const struct tool_subject *a, struct slice tool);
