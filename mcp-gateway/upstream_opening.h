/*
 * upstream_opening — opens an upstream session for the requests that need it: initialize with what
 * the client declared, then `initialized`, then what a lost session had (log level, subscriptions).
 *
 *   GREETING → CONFIRMING → RESTORING → settled
 *   GREETING → settled      for the client's own initialize, which says `initialized` itself
 *   CONFIRMING → settled    for a session that was greeted before, when the client says it
 *
 * One opening at a time: the request that finds the session closed begins it, the others wait, on
 * whatever worker they are, and are told of its end. An opening is no part of the request that
 * began it: it goes on when that one's client leaves. A session that nothing holds when it is open
 * is ended at once.
 *
 * Owns     itself; holds the client session and the policy it was begun under.
 * Fails    every waiter hears of the failure of the opening that it waited for.
 * Threads  its worker's loop.
 */
#pragma once

#include "mcp-gateway/upstream_session.h"

struct policy_server;

/* A request's need of an open upstream session. The owner fills the first part. */
struct upstream_waiter {
    struct mcp_worker *worker;
    struct client_session *session; /* held by the owner */
    const struct policy_server *server;
    const struct snapshot *policy; /* that the server is of */
    const struct log_ctx *log;
    const char *trace_id, *span_id;
    struct slice via;
    struct arena *arena;
    bool greets;   /* for the client's own initialize */
    bool confirms; /* for the client's own `initialized` */
    void (*done)(struct upstream_waiter *w, enum err e);

    /* On ERR_OK: */
    struct upstream_session *upstream;
    struct upstream_ref ref;
    struct slice greeting; /* greets: the server's response to initialize */
    /* On another: */
    struct upstream_failure failure;

    struct list link; /* in the worker's; NULL: never waited */
    struct timer deadline;
    unsigned failures;
};

/* ERR_OK: w->ref is filled. ERR_AGAIN: done will be called, once, unless it is cancelled first.
 * Another: w->failure is filled, and is what is returned. Never calls back before it returns. */
MUST_USE enum err upstream_waiter_start(struct upstream_waiter *w);
void upstream_waiter_cancel(struct upstream_waiter *w); /* harmless where it does not wait */
/* An opening of this session's has ended somewhere: the waiters of this worker look again. */
void upstream_opening_settled(struct mcp_worker *m, struct client_session *session);

/* The server has lost the session that ref names: the next request that needs it opens it again. */
void upstream_opening_lost(struct upstream_waiter *w);
/* Ends what the client session has open; nothing waits for that. */
void upstream_opening_end_all(struct mcp_worker *m, const struct snapshot *policy,
                              struct client_session *session, struct arena *a);
/* Copies what a server said in a body that is no message we can use, cut to the size. */
void upstream_said(struct slice body, char *out, size_t size);
