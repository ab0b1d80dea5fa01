/*
 * ticket — what an `Mcp-Session-Id` says, sealed so that only we can read or make one.
 *
 * Principal and path are also the seal's associated data: presented by another principal, or on
 * another path, an id is as unknown as one that was never given. It holds identity only; what the
 * session is doing lies in the directory of the plane that opened it.
 *
 * Text     base64url of the sealed bytes: visible ASCII, at most LIMIT_SEALED_ID.
 * Fails    ERR_INVALID for anything that is not ours, for whatever reason; ERR_TOO_BIG where the
 *          ids do not fit.
 * Threads  any; pure.
 */
#pragma once

#include "common/base/limits.h"
#include "common/base/seal.h"

#define MCP_SID_LEN 16   /* random: the session's name in the directory */
#define MCP_PLANE_LEN 8  /* random: one life of one plane */
#define MCP_CAPS_LEN 16  /* of the client's capabilities, a truncated SHA-256 */
#define MCP_TICKET_ID 64 /* a policy id */
#define MCP_LABEL_LEN 24 /* the Gatehouse session's id */

/* who presents it, and where */
struct mcp_bearer {
    struct slice org_id, key_id, agent_id, path;
};

struct mcp_ticket {
    uint8_t sid[MCP_SID_LEN];
    uint8_t plane[MCP_PLANE_LEN];
    uint8_t caps[MCP_CAPS_LEN];
    uint8_t revision;       /* index in mcp_revisions */
    int64_t born_s, ends_s; /* seconds since 1970 */
    char label[MCP_LABEL_LEN];
    /* policy ids; taken apart they point into `room` */
    struct slice key_id, agent_id, server_id, task_id;
    char room[LIMIT_SEALED_ID];
};

/* out holds LIMIT_SEALED_ID + 1 bytes */
MUST_USE enum err mcp_ticket_seal(const struct seal *s, const struct mcp_bearer *who,
                                  const struct mcp_ticket *t, char *out, struct slice *ret);
/* `ret` must stay where it is: its ids point into it. */
MUST_USE enum err mcp_ticket_open(const struct seal *s, const struct mcp_bearer *who,
                                  struct slice text, int64_t now_s, struct mcp_ticket *ret);
