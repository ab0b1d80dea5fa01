/*
 * lister — lists the tools of one server for the control plane, in an upstream session of its own:
 * initialize, initialized, tools/list page by page, and the session's end.
 *
 * The server is reached as any call reaches it: through the egress door, with its credential. It
 * declares no capabilities, so it sees what every client sees. Whatever the server does, it ends
 * within LIMIT_LIST_MS; a list that cannot be read whole is an error and no list.
 *
 * Owns     its leg and the list until `done`; holds the policy it was begun under.
 * Fails    by the list's error. Start: ERR_NOT_FOUND (no such server here), ERR_NOMEM and what
 *          http_client says; the list stays the caller's then.
 * Threads  its worker's loop.
 */
#pragma once

#include "common/policy/tool_list.h"
#include "common/request/request.h"

/* done comes once, never before this returns; also when the worker ends. Consumes *list. */
MUST_USE enum err mcp_lister_start(struct request_env *env, struct tool_list **list,
                                   void (*done)(void *arg, struct tool_list **list), void *arg);
