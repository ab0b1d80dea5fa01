/*
 * mcp_response — one JSON-RPC message as an upstream sent it, and the same with only the named
 * places changed.
 *
 * Whatever a server says travels as the bytes it is, unknown fields included: a response is never
 * decoded and encoded again, it is cut and spliced.
 *
 * Owns     nothing; slices point into the text.
 * Fails    ERR_INVALID: no message, or one with doubles in what we read. ERR_NOMEM, ERR_TOO_BIG
 *          from the buffer, whose content is then void.
 * Threads  any; pure.
 */
#pragma once

#include "common/base/buf.h"
#include "common/base/json_scan.h"

enum mcp_response_kind {
    MCP_RESPONSE_RESULT,
    MCP_RESPONSE_ERROR,
    MCP_RESPONSE_REQUEST,
    MCP_RESPONSE_NOTE
};

struct mcp_response {
    enum mcp_response_kind kind;
    struct slice text;
    struct json_hit id;
    struct json_hit result, error, code, error_message;
    struct json_hit method;                           /* of what is no response */
    struct json_hit tools;                            /* result.tools */
    struct json_hit cursor;                           /* result.nextCursor */
    struct json_hit tasks, task_id;                   /* result.tasks, result.task.taskId */
    struct json_hit is_error;                         /* result.isError */
    struct json_hit version, capabilities, cap_tools; /* of initialize */
};

MUST_USE enum err mcp_response_read(struct slice text, struct mcp_response *ret);
/* The number of the request that it responds to. Servers that make a string of a number are
 * understood. false: it is no response, or has another id. */
bool mcp_response_number(const struct mcp_response *a, uint64_t *ret);
/* Is it the response to the request that was sent under this number? */
bool mcp_response_is_to(const struct mcp_response *a, uint64_t number);

/* Has it this method? */
bool mcp_response_says(const struct mcp_response *a, struct slice method);

/* A place in a text, and what shall stand there. */
struct mcp_edit {
    struct slice old; /* inside the text; empty with a pointer: an insertion */
    struct slice now;
};

/* Appends text with all edits made; they may come in any order and must not overlap. An edit whose
 * old.ptr is NULL is skipped. */
MUST_USE enum err mcp_edit(struct slice text, struct mcp_edit *edits, size_t n, struct buf *out);

/* Appends an array (raw, validated) with only the items whose `member` may be seen, each as it
 * stands. What is no object with one readable name is left out: no decision on it is possible. Of
 * several with one name the first stays: a later one would pass itself off as it. */
MUST_USE enum err mcp_filter_items(struct slice items, const char *member,
                                   bool (*may)(void *arg, struct slice name), void *arg,
                                   struct buf *out);
/* Appends the capabilities of an initialize result. whole: as they are; else those of tools, and
 * what belongs to no part of the server. Tools are said to change. ERR_PROTOCOL: not readable. */
MUST_USE enum err mcp_narrow(const struct mcp_response *a, bool whole, struct buf *out);
