/*
 * mcp_upstream — an MCP server in a test: responds by a table of rules, and keeps its requests.
 *
 * A rule is for a JSON-RPC method, for "response", or for an HTTP method without a message ("GET",
 * "DELETE"); the one that was added last wins. Without a rule: initialize opens session "up-<n>"
 * with tools and prompts, notifications and responses are 202, DELETE is 200, GET is 405, and
 * anything else is an empty result. `$ID` in a body stands for the request's id.
 *
 * Owns     its server and what it heard; close before the flow's end.
 * Threads  the flow's.
 */
#pragma once

#include "common/net/http_server.h"
#include "tests/kit/flow/flow.h"

#define MCP_RULES 16
#define MCP_HEARD 96

struct mcp_rule {
    const char *on;
    unsigned status;
    const char *type; /* content type; NULL: none */
    const char *body;
    const char *retry_after; /* NULL: no such header */
    bool hangs;
    bool once, spent; /* counts for the first time only */
};

struct mcp_heard {
    struct mcp_upstream *home;
    struct http_exchange *x; /* NULL: it is over */
    char what[64];           /* what a rule is for */
    char id[64];
    char session[64], version[32], secret[64], traceparent[64], authorization[64];
    char last_event_id[64];
    size_t session_len;
    struct buf body;
    bool answered, cut; /* cut: gone before it was answered */
};

struct mcp_upstream {
    struct flow *flow;
    struct http_server *server;
    uint16_t port;
    struct mcp_rule rules[MCP_RULES];
    size_t rule_count;
    struct mcp_heard heard[MCP_HEARD];
    size_t heard_count;
    unsigned sessions;
};

void mcp_upstream_open(struct flow *k, struct mcp_upstream *u);
/* The same, and a policy in which the agent of "alice" has all of it, as the server "tools". */
void mcp_upstream_for_alice(struct flow *k, struct mcp_upstream *u);
void mcp_upstream_close(struct mcp_upstream *u);
void mcp_upstream_on(struct mcp_upstream *u, const char *on, unsigned status, const char *type,
                     const char *body);
void mcp_upstream_once(struct mcp_upstream *u, const char *on, unsigned status, const char *type,
                       const char *body);
void mcp_upstream_hangs_on(struct mcp_upstream *u, const char *on);
/* how many such requests it got; *last (may be NULL) is the last time */
size_t mcp_upstream_count(const struct mcp_upstream *u, const char *what, struct mcp_heard **last);
/* into a response that is still open: opens an event stream, adds to it, ends it */
void mcp_upstream_begins(struct mcp_heard *h);
void mcp_upstream_tells(struct mcp_heard *h, const char *events);
void mcp_upstream_ends(struct mcp_heard *h);
