/*
 * upstream_session — what one client session has open with one server.
 *
 *   CLOSED → OPENING → OPEN       a request needs it: initialize, then initialized
 *   CLOSED → OPENING → GREETED    the client's own initialize: `initialized` is the client's to say
 *   CLOSED → GREETED              it was opened through another plane
 *   GREETED → OPENING → OPEN      the client has said `initialized`
 *   any → CLOSED                       the server no longer knows it, or is another one now
 *
 * One worker opens it; requests on all workers wait for the end of that and are told
 * (upstream_opening.h).
 *
 * What a client set in it (log level, subscriptions) is kept, so that a session that is opened
 * again is as the lost one was.
 *
 * Owns     its texts; itself owned by its client session.
 * Fails    ERR_NOMEM.
 * Threads  any, by functions that take the client session's lock; server_id is constant.
 */
#pragma once

#include "mcp-gateway/client_session.h"
#include "mcp-gateway/mcp_worker.h"

struct policy_server;

#define MCP_NAME_LEN 32    /* a server's, with its NUL (decisions.md) */
#define MCP_VERSION_LEN 16 /* of a revision's name, with its NUL */

enum upstream_state { UPSTREAM_CLOSED, UPSTREAM_OPENING, UPSTREAM_GREETED, UPSTREAM_OPEN };

/* How the last opening failed. */
struct upstream_failure {
    enum err why;
    unsigned status; /* the server's; 0: none, or 200 */
    unsigned retry_after_s;
    char text[160]; /* what the server said, cut; may be empty */
};

struct upstream_session {
    struct list link; /* in client->upstreams */
    struct client_session *client;
    char server_id[MCP_POLICY_ID + 1];
    enum upstream_state state;
    unsigned generation; /* counts openings */
    char *id;            /* NULL: a server without sessions */
    char version[MCP_VERSION_LEN];
    char server_name[MCP_NAME_LEN], org_id[MCP_POLICY_ID + 1];
    uint64_t server_revision; /* of the policy object it was opened by */
    unsigned failures;
    struct upstream_failure failure;
    struct mcp_worker_set waiting; /* workers with requests that wait for the opening */
    char *level;                   /* JSON string; NULL: never set */
    char **subscriptions;          /* JSON strings: URIs */
    size_t subscription_count;
};

/* What a request needs of an open session; texts in the arena. */
struct upstream_ref {
    struct slice upstream_id, version;
    unsigned generation;
    uint64_t server_revision;
    struct slice server_name, org_id;
};

/* What to do about it. */
enum upstream_turn {
    UPSTREAM_USE,     /* *ref is filled */
    UPSTREAM_GREET,   /* the caller has become the opener: initialize, then initialized */
    UPSTREAM_CONFIRM, /* the caller has become the opener: `initialized`; *ref is filled */
    UPSTREAM_WAIT,    /* another opens it; the caller's worker will be told */
    UPSTREAM_FAIL,    /* an opening failed since `failures`; *failure says how */
    UPSTREAM_NOMEM,
};

/* Called under the client's lock, or before the session is shared. NULL: no memory. */
struct upstream_session *upstream_session_new(struct client_session *client,
                                              struct slice server_id);
void upstream_session_free(struct upstream_session *u);

struct upstream_need {
    uint64_t server_revision; /* opened by another one, it counts as closed: a changed server may be
                                 another host */
    unsigned worker;
    bool greeted_suffices; /* for all but the client's own `initialized` */
    unsigned *failures;    /* as of the beginning; UINT_MAX: this is the beginning */
    struct arena *arena;
};
enum upstream_turn upstream_session_enter(struct upstream_session *u,
                                          const struct upstream_need *need,
                                          struct upstream_ref *ref,
                                          struct upstream_failure *failure);
/* false: not open; *ref is not filled. Opens nothing. */
bool upstream_session_peek(struct upstream_session *u, uint64_t server_revision, struct arena *a,
                           struct upstream_ref *ref);

/* The opener's steps. greeted: initialize was answered, and `initialized` is left to the client. */
MUST_USE enum err upstream_session_opened(struct upstream_session *u,
                                          const struct policy_server *server,
                                          struct slice upstream_id, struct slice version);
/* Ends an opening; *waiting is told of it. failure NULL: it is open. retry: a GREETED session that
 * could not be confirmed now stays GREETED. */
void upstream_session_settle(struct upstream_session *u, bool greeted,
                             const struct upstream_failure *failure,
                             struct mcp_worker_set *waiting);

/* As a session id of another plane says it was opened there. */
MUST_USE enum err upstream_session_adopt(struct upstream_session *u,
                                         const struct policy_server *server,
                                         struct slice upstream_id, struct slice version);

/* The server no longer knows the session of that generation. true for the first to say so. */
bool upstream_session_lost(struct upstream_session *u, unsigned generation);
/* For the one that ends it: no longer open, and *ref what to end. false: nothing to end. */
bool upstream_session_end(struct upstream_session *u, struct arena *a, struct upstream_ref *ref);

/* What is restored. raw: JSON strings. */
void upstream_session_set_level(struct upstream_session *u, struct slice raw);
void upstream_session_subscribe(struct upstream_session *u, struct slice raw, bool on);
/* The step-th thing to restore as a request's method and params, in the arena; false: no more. */
bool upstream_session_restore(struct upstream_session *u, size_t step, struct arena *a,
                              const char **method, struct slice *params);
