/*
 * tool_gate — MCP clients over Streamable HTTP, in the revisions of mcp-gateway/revision.h.
 *
 * `/mcp/{server}` is one granted server, every name untouched; `/mcp` is the same where exactly one
 * is granted. Granted are tools: a list is cut to them, a call of any other is unknown. Resources,
 * prompts, completion and methods that are not known here belong to no tool: a key that is granted
 * all tools of a server (`*`) is granted these with them; for any other key they are not
 * advertised, and unknown methods. Logging is every key's, as it only sets what the client's own
 * session hears.
 *
 * A session goes on at every worker of every plane (README.md).
 *
 * Threads  its worker's loop.
 */
#pragma once

#include "common/request/request.h"

extern const struct gate tool_gate;

/* Ends some of the sessions that expired, where it is time to; from the worker's own timer. */
void mcp_sweep(struct request_env *env, uint64_t now_us);
/* Gives back what the gate keeps per worker. No request is under way, the client is freed. */
void mcp_fini(struct request_env *env);
