/*
 * tool_gate — MCP clients over Streamable HTTP, in the revisions of mcp-gateway/revision.h.
 *
 * `/mcp/{server}` is one granted server, every name untouched; `/mcp` is the same where exactly
 * one is granted. A client session has an upstream session of its own, opened with that client's
 * capabilities, so nothing one client says reaches another. Granted are tools: a list is cut to
 * them, a call of any other is unknown. Resources, prompts and completion belong to no tool: who
 * is granted all tools of a server (`*`) is granted these with them; for anybody else they are not
 * advertised, and unknown methods. Logging is everybody's, as it only turns the volume of the
 * client's own session.
 *
 * A session lives on the plane that opened it, on all its workers; another plane answers 404.
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
