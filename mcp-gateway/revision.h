/*
 * revision — the revisions of MCP, one row each.
 *
 * A row says which side may use a revision and what differs in it. A further revision is a further
 * row; code that behaves differently by revision reads the row, and compares no names.
 *
 * Threads  any; constants.
 */
#pragma once

#include <stdbool.h>

#include "common/base/slice.h"

struct mcp_revision {
    struct slice name;
    bool to_clients;   /* offered to clients by initialize */
    bool to_upstreams; /* taken where an upstream chooses it in its response to initialize */
};

#define MCP_REVISION_NONE SIZE_MAX

/* The row of a name; MCP_REVISION_NONE: there is none. */
size_t mcp_revision_find(struct slice name);
/* MUST be a row. */
const struct mcp_revision *mcp_revision_get(size_t row);
/* What initialize is answered with: the client's own, where it is offered, else the newest. */
size_t mcp_revision_negotiate(struct slice wanted);
/* May a request name it in MCP-Protocol-Version? */
bool mcp_revision_is_served(struct slice name);
/* May an upstream choose it? */
bool mcp_revision_has_handshake(struct slice name);
/* Names of the offered rows, newest first: "2025-11-25, 2025-06-18". */
struct slice mcp_revision_names(void);
/* The newest offered row. */
size_t mcp_revision_newest(void);
/* Where the name stands in the params of an initialize that was written here; SLICE_NONE: nowhere.
 */
struct slice mcp_revision_of_hello(struct slice hello);
/* The newest row for upstreams that a text names, other than `but`; SLICE_NONE: none. */
struct slice mcp_revision_named_in(struct slice text, struct slice but);
