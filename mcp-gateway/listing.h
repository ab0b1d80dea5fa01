/*
 * listing — one page of a server's tools, as its response to tools/list came.
 *
 * What is no object with one readable name that a grant could spell (visible ASCII, at most
 * LIMIT_LIST_NAME) is left out and counted. What is no list at all fails as a whole: half a list
 * would say that the other tools are gone.
 *
 * Owns     nothing.
 * Fails    ERR_PROTOCOL: no list of tools, or a cursor that is none; as tool_list_add.
 * Threads  any; pure.
 */
#pragma once

#include "common/policy/tool_list.h"
#include "mcp-gateway/mcp_response.h"

/* *ret_cursor: of the next page, as it stands with its quotes; SLICE_NONE: this was the last. */
MUST_USE enum err mcp_listing_page(const struct mcp_response *a, struct tool_list *into,
                                   struct slice *ret_cursor);
