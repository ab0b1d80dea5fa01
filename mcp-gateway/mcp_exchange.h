/*
 * mcp_exchange — one message to an upstream MCP server, and what comes back, as JSON or as an event
 * stream, message by message.
 *
 * The head is built here and nowhere else: nothing of the client's goes upstream but the message.
 * How an exchange travels is its transport's; over HTTP it is an exchange of common/upstream, which
 * masks the gateway's credential in what comes back.
 *
 * An exchange outlives its owner where the protocol wants it: a client that hangs up has not
 * cancelled its call (MCP, Transports: disconnection is not cancellation), so the exchange is
 * released and read to its end. The same serves messages whose end nothing waits for, such as the
 * end of an upstream session.
 *
 * Owns     its message, its call and what is being read; holds the policy it was begun under.
 * Fails    on_fail exactly once instead of on_end; or start's error.
 * Threads  its worker's loop.
 */
#pragma once

#include "common/base/buf.h"
#include "common/net/sse.h"
#include "common/request/request.h"
#include "common/upstream/exchange.h"

struct mcp_worker;
struct mcp_exchange;

/* What came: a message, or a piece of a stream without one (a comment, a priming event). */
struct mcp_piece {
    struct slice message;          /* .ptr NULL: none */
    const struct sse_event *event; /* NULL: the response was JSON */
};

/* The owner may drop or release the exchange inside any of these. */
struct mcp_exchange_events {
    void (*on_head)(void *arg);
    void (*on_piece)(void *arg, const struct mcp_piece *p);
    void (*on_end)(void *arg);
    void (*on_fail)(void *arg, enum err why, enum http_call_phase phase);
};

struct mcp_exchange_spec {
    const struct policy_server *server;
    const struct snapshot *policy; /* that the server is of */
    struct slice method;
    struct slice upstream_id, version, last_event_id; /* empty: no such header */
    const char *trace_id, *span_id;                   /* NULL: no traceparent */
    struct slice via;                                 /* empty: this gateway alone */
    unsigned silence_ms;                              /* before and within the response */
    const struct log_ctx *log; /* of the request that owns it; NULL: none does */
};

/* A way to reach a server. `start` begins as mcp_exchange_start says; the others are called while
 * the exchange is under way. */
struct mcp_transport {
    const char *name; /* as the policy names it */
    enum err (*start)(struct mcp_exchange *x, const struct mcp_exchange_spec *spec);
    void (*pause)(struct mcp_exchange *x);
    void (*resume)(struct mcp_exchange *x);
    void (*close)(struct mcp_exchange *x);
};

struct mcp_exchange {
    const struct mcp_transport *transport;
    struct list link; /* in the worker's */
    struct mcp_worker *worker;
    const struct snapshot *policy;
    const struct mcp_exchange_events *events; /* NULL: it has no owner */
    const struct log_ctx *log;                /* lent by the owner, else the gate's own */
    void *arg;
    struct exchange *call; /* NULL: not under way */
    struct buf message;    /* as it goes up; filled by the owner before the start */
    struct buf response;
    struct sse_reader reader;
    const struct policy_server *server; /* in the policy */
    bool is_stream, is_json, dropped;
    /* from the head */
    unsigned status, retry_after_s;
    bool ids_seen;     /* the stream can be resumed */
    char *upstream_id; /* NULL: none */
    /* without an owner: the upstream session that ends with it */
    bool ends_session;
    char version[16];
};

/* NULL: out of memory. The owner fills `message`. */
MUST_USE struct mcp_exchange *mcp_exchange_new(struct mcp_worker *worker);
/* Never calls back before it returns. events NULL: it has no owner. On failure the exchange is
 * dropped and *x is NULL. */
MUST_USE enum err mcp_exchange_start(struct mcp_exchange **x, const struct mcp_exchange_spec *spec,
                                     const struct mcp_exchange_events *events, void *arg);
/* Says in the log that it failed, once, however often it is called. */
void mcp_exchange_failed(struct mcp_exchange *x, enum err why);
void mcp_exchange_refused(struct mcp_exchange *x); /* by its status */
void mcp_exchange_pause(struct mcp_exchange *x);
void mcp_exchange_resume(struct mcp_exchange *x);
void mcp_exchange_drop(struct mcp_exchange **x);    /* at once; NULL is fine */
void mcp_exchange_release(struct mcp_exchange **x); /* reads on without an owner; NULL is fine */
/* The same, and at its end the upstream session is ended; upstream_id empty: the one it opens. */
void mcp_exchange_release_and_end(struct mcp_exchange **x, struct slice upstream_id,
                                  struct slice version);
/* Ends an upstream session; its end is not waited for. */
void mcp_exchange_end_session(struct mcp_worker *worker, const struct snapshot *policy,
                              const struct policy_server *server, struct slice upstream_id,
                              struct slice version);
