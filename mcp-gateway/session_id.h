/*
 * session_id — what an `Mcp-Session-Id` says, sealed so that only a data plane of this installation
 * can read or make one.
 *
 * Principal and path are the seal's associated data: presented by another principal, or on another
 * path, an id is as unknown as one that was never given. It holds identity only. With the master
 * key every data plane reads it, so a session that was opened on one plane goes on at another: the
 * id says which upstream session belongs to it and what the client declared, as far as both fit.
 *
 * Text     base64url of the sealed bytes: visible ASCII, at most LIMIT_SEALED_ID.
 * Fails    ERR_INVALID for anything that was not sealed here, for whatever reason; ERR_TOO_BIG
 *          where the policy ids do not fit.
 * Threads  any; pure.
 */
#pragma once

#include "common/base/limits.h"
#include "common/base/seal.h"

#define MCP_SID_LEN 16   /* random: the session's name in every directory */
#define MCP_POLICY_ID 64 /* a policy id */
#define MCP_NO_UPSTREAM UINT8_MAX
#define MCP_LABEL_LEN 24 /* the Gatehouse session's id */

/* the principal that presents it, and the path */
struct mcp_bearer {
    struct slice org_id, key_id, agent_id, path;
};

struct mcp_session_id {
    uint8_t sid[MCP_SID_LEN];
    uint8_t revision;       /* row of revision.h */
    uint32_t declared;      /* bits of client_session.h */
    int64_t born_s, ends_s; /* seconds since 1970 */
    char label[MCP_LABEL_LEN];
    struct slice server_id, task_id;
    /* The upstream session that was opened first, with server_id as of that revision of it, and the
     * row of the revision of MCP that it speaks; MCP_NO_UPSTREAM where it does not fit. */
    uint64_t server_revision;
    uint8_t upstream_revision;
    struct slice upstream_id; /* empty: a server without sessions */
    /* JSON objects of the client's initialize; empty where they do not fit */
    struct slice capabilities, client_info;
    char storage[LIMIT_SEALED_ID]; /* of an opened id; the slices point into it */
};

/* out holds LIMIT_SEALED_ID + 1 bytes */
MUST_USE enum err mcp_session_id_seal(const struct seal *s, const struct mcp_bearer *bearer,
                                      const struct mcp_session_id *id, char *out,
                                      struct slice *ret);
/* `ret` must stay where it is: its slices point into it. */
MUST_USE enum err mcp_session_id_open(const struct seal *s, const struct mcp_bearer *bearer,
                                      struct slice text, int64_t now_s, struct mcp_session_id *ret);
