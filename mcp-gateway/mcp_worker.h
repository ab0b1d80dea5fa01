/*
 * mcp_worker — what the tool gate keeps for one worker, and how workers tell each other of a
 * session that requests on several of them share.
 *
 * A worker has a slot in a table of the process. What is told goes through the mailbox of its loop
 * to every member there that stands for the session.
 *
 * Made when a worker first needs it; mcp_fini ends it.
 *
 * Threads  its worker's; mcp_worker_tell may be called by any.
 */
#pragma once

#include "common/base/digest.h"
#include "common/base/seal.h"
#include "common/request/request.h"

#define MCP_WORKERS 256 /* the most a plane has (dataplane_settings.c) */

struct client_session;
struct mcp_changes;

/* A set of workers, by slot. */
struct mcp_worker_set {
    uint64_t bits[MCP_WORKERS / 64];
};

struct mcp_worker {
    struct list link; /* in env->gate_spare[GATE_TOOL] */
    struct request_env *env;
    unsigned slot;
    struct list exchanges;
    size_t orphans;       /* exchanges that nothing waits for */
    struct list openings; /* of upstream sessions, under way here */
    struct list waiting;  /* struct upstream_waiter */
    struct list members;
    unsigned call_ms; /* LIMIT_MCP_CALL_MS; tests set less */
    uint64_t swept_us;
    struct mcp_changes *changes; /* NULL: list changes are told nowhere */
    struct seal *seal;
    struct digest master; /* of what the seal was made from */
};

/* NULL: out of memory */
struct mcp_worker *mcp_worker_of(struct request_env *env);
/* The same, where it is there already; NULL: not yet. */
struct mcp_worker *mcp_worker_find(struct request_env *env);
/* NULL: the policy has no master yet, or no memory */
const struct seal *mcp_worker_seal(struct mcp_worker *m, const struct snapshot *policy);
/* Is told nothing any more; before its loop ends, and once more by mcp_fini. */
void mcp_worker_unlist(struct mcp_worker *m);

enum mcp_event {
    MCP_EVENT_SETTLED,   /* an upstream session was opened, or could not be */
    MCP_EVENT_REOPENED,  /* a lost upstream session is there again */
    MCP_EVENT_CANCELLED, /* the client cancelled the request of this number */
    MCP_EVENT_RESUMED,   /* a stream is resumed once more, by the request of this number */
    MCP_EVENT_ENDED,     /* the client session has ended */
};

/* A request that belongs to a session and hears of its events. */
struct session_member {
    struct list link; /* in the worker's */
    struct client_session *session;
    void (*on_event)(struct session_member *m, enum mcp_event event, uint64_t number);
};

void session_member_join(struct mcp_worker *m, struct session_member *member,
                         struct client_session *session);
void session_member_leave(struct session_member *member); /* harmless where it never joined */

void mcp_worker_set_add(struct mcp_worker_set *set, unsigned slot);
/* Later, on each worker of the set; on all of them where set is NULL. What a stopped worker or a
 * full mailbox loses, the deadline of each request ends. */
void mcp_worker_tell(const struct mcp_worker_set *set, struct client_session *session,
                     enum mcp_event event, uint64_t number);
void mcp_worker_tell_one(unsigned slot, struct client_session *session, enum mcp_event event,
                         uint64_t number);
