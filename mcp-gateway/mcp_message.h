/*
 * message — one JSON-RPC message as a client sent it, read where it stands.
 *
 * MCP 2025-06-18 and 2025-11-25, Base Protocol: a request has a method and an id that is a string
 * or an integer, a notification a method and no id, a response an id and one of result and error.
 * Batches are gone since 2025-06-18. Ids are kept as the token they are: 9007199254740993 must
 * come back as it went.
 *
 * Owns     nothing; slices point into the body.
 * Fails    ERR_INVALID with *fault: not JSON (RPC_PARSE_ERROR) or no message
 *          (RPC_INVALID_REQUEST).
 * Threads  any; pure.
 */
#pragma once

#include "common/base/json_scan.h"

/* JSON-RPC 2.0, 5.1. -32001 is what the SDKs say of an unknown session; the rest of what is ours is
 * -32000, as later revisions of MCP reserve what lies around it. */
enum rpc_code {
    RPC_PARSE_ERROR = -32700,
    RPC_INVALID_REQUEST = -32600,
    RPC_METHOD_NOT_FOUND = -32601,
    RPC_INVALID_PARAMS = -32602,
    RPC_INTERNAL_ERROR = -32603,
    RPC_SERVER_ERROR = -32000,
    RPC_SESSION_NOT_FOUND = -32001,
};

enum mcp_kind { MCP_REQUEST, MCP_NOTIFICATION, MCP_RESPONSE };

enum mcp_method {
    MCP_OTHER,
    MCP_INITIALIZE,
    MCP_PING,
    MCP_TOOLS_LIST,
    MCP_TOOLS_CALL,
    MCP_SET_LEVEL,
    MCP_CONTENT,   /* resources, prompts, completion: what belongs to no tool */
    MCP_TASK,      /* tasks/get, tasks/result, tasks/cancel: of one task */
    MCP_TASK_LIST, /* tasks/list */
    MCP_INITIALIZED,
    MCP_CANCELLED,
    MCP_PROGRESS,
    MCP_ROOTS_CHANGED,
};

/* What the gate reads of a message; a row each, so that json_scan refuses its doubles. */
#define MCP_MESSAGE_MEMBERS(X)                                                                     \
    X(JSONRPC, "jsonrpc")                                                                          \
    X(ID, "id")                                                                                    \
    X(METHOD, "method")                                                                            \
    X(PARAMS, "params")                                                                            \
    X(RESULT, "result")                                                                            \
    X(ERROR, "error")                                                                              \
    X(NAME, "params.name")                                                                         \
    X(ARGUMENTS, "params.arguments")                                                               \
    X(CURSOR, "params.cursor")                                                                     \
    X(VERSION, "params.protocolVersion")                                                           \
    X(CAPABILITIES, "params.capabilities")                                                         \
    X(CLIENT, "params.clientInfo")                                                                 \
    X(LEVEL, "params.level")                                                                       \
    X(URI, "params.uri")                                                                           \
    X(TASK_ID, "params.taskId")                                                                    \
    X(REQUEST_ID, "params.requestId")                                                              \
    X(META, "params._meta")                                                                        \
    X(PROGRESS_TOKEN, "params._meta.progressToken")                                                \
    X(TRACEPARENT, "params._meta.traceparent")

enum mcp_member {
#define MCP_MEMBER_ENUM(name, path) MCP_AT_##name,
    MCP_MESSAGE_MEMBERS(MCP_MEMBER_ENUM) MCP_MEMBER_COUNT
#undef MCP_MEMBER_ENUM
};

struct mcp_message {
    enum mcp_kind kind;
    enum mcp_method method;
    struct slice text;        /* all of it */
    struct slice id;          /* raw token; empty for notifications */
    struct slice method_name; /* as it stands, without quotes; empty for responses */
    struct json_hit at[MCP_MEMBER_COUNT];
};

struct mcp_fault {
    int code;        /* JSON-RPC */
    struct slice id; /* raw, where one could be read; empty otherwise */
    char text[192];
};

MUST_USE enum err mcp_message_read(struct slice body, struct mcp_message *ret,
                                   struct mcp_fault *fault);
/* Has it this method? */
bool mcp_message_says(const struct mcp_message *m, struct slice method);
