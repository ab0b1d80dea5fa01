/*
 * api_servers — what tool servers have beyond a document: how the discovery of their tools went,
 * and asking for it anew.
 */
#pragma once

#include "controlplane/api/change.h"

/* POST /mcp-servers/{id}/refresh */
enum err api_servers_refresh(struct call *c);
/* Adds `discovery` to shown servers. */
MUST_USE enum err api_servers_show(struct tx *tx, json_t *views);
/* A deleted server's tools go with it. */
MUST_USE enum err api_servers_forget(struct change *x);
