/*
 * session — one client's MCP session and the upstream session that belongs to it alone.
 *
 * A client session has exactly one upstream session, opened with that client's capabilities, so
 * server requests, progress tokens and event ids need no mapping: nobody else's can be there.
 * Request ids are ours upstream, and mapped back: a client's id is a token of any size, which a
 * server may not be able to hold, and two in flight under one id would cross.
 *
 * Owns     its texts; counted, since requests on several workers may use it at once.
 * Fails    NULL or ERR_NOMEM.
 * Threads  any: what changes is under its lock, held for a few copies and never over I/O.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "common/base/arena.h"
#include "common/base/limits.h"
#include "common/base/list.h"
#include "mcp-gateway/ticket.h"

#define MCP_NAME_LEN 32 /* a server's, with its NUL (decisions.md) */

struct mcp_owner;
struct policy_server;

enum mcp_session_state {
    MCP_CLOSED,  /* never opened, or lost: the next to need it opens it */
    MCP_OPENING, /* somebody is at it */
    MCP_OPEN,
};

/* A request that was sent upstream and not answered yet. */
struct mcp_pending {
    uint64_t number; /* its id upstream */
    char *id;        /* its id as the client wrote it */
    bool live;       /* somebody waits on its own stream */
};

struct mcp_session {
    /* for good */
    uint8_t sid[MCP_SID_LEN];
    char *hello; /* params of initialize, as every upstream session is opened with */
    size_t hello_len;
    char *external_id;    /* the client's own label; NULL: none */
    const char *named_by; /* static text */
    /* the directory's */
    struct list link;
    uint64_t used_us;
    bool listed, ended;
    struct mcp_owner *owner; /* whom it counts for; NULL: nobody */
    atomic_uint refs;
    /* under the lock */
    pthread_mutex_t lock;
    enum mcp_session_state state;
    char *upstream_id; /* NULL: a server without sessions */
    char version[16];  /* what the upstream speaks */
    char server_name[MCP_NAME_LEN], org_id[MCP_TICKET_ID];
    uint64_t server_revision; /* of the policy object it was opened by */
    uint64_t generation;      /* counts openings */
    uint64_t last_number;
    struct mcp_pending *pending; /* oldest first */
    size_t pending_count, pending_capacity;
};

/* What a request needs of an open session; texts in the arena. */
struct mcp_upstream_ref {
    struct slice upstream_id, version;
    uint64_t generation;
    uint64_t server_revision;
    struct slice server_name, org_id;
};

MUST_USE struct mcp_session *mcp_session_new(struct slice hello, struct slice external_id,
                                             const char *named_by);
struct mcp_session *mcp_session_hold(struct mcp_session *s);
void mcp_session_drop(struct mcp_session *s); /* NULL is fine */

/* MCP_OPEN: *ret is filled. MCP_CLOSED: the caller has become the opener and must end that by
 * mcp_session_opened or mcp_session_lost. MCP_OPENING: ask again later. A session that was opened
 * by another revision of the server counts as closed: the id may belong to another host. */
MUST_USE enum err mcp_session_enter(struct mcp_session *s, uint64_t server_revision,
                                    struct arena *a, enum mcp_session_state *ret_state,
                                    struct mcp_upstream_ref *ret);
MUST_USE enum err mcp_session_opened(struct mcp_session *s, const struct policy_server *server,
                                     struct slice upstream_id, struct slice version);
/* false: not open; nobody becomes the opener */
bool mcp_session_peek(struct mcp_session *s, uint64_t server_revision, struct arena *a,
                      struct mcp_upstream_ref *ret);
/* The opener failed; or the upstream no longer knows the session of that generation. */
void mcp_session_lost(struct mcp_session *s, uint64_t generation);
void mcp_session_give_up(struct mcp_session *s);
/* For the one who ends it: no longer open, and *ret what to end. false: there is nothing. */
bool mcp_session_end(struct mcp_session *s, struct arena *a, struct mcp_upstream_ref *ret);

/* A number for a request of this id; ERR_EXISTS: one of that id is under way. */
MUST_USE enum err mcp_session_register(struct mcp_session *s, struct slice id, uint64_t *ret);
void mcp_session_complete(struct mcp_session *s, uint64_t number); /* answered, or failed */
/* The client no longer waits; the answer may still be fetched over the event stream. */
void mcp_session_detach(struct mcp_session *s, uint64_t number);
/* The client's id of a number; .ptr NULL: unknown. */
struct slice mcp_session_id_of(struct mcp_session *s, uint64_t number, struct arena *a);
bool mcp_session_number_of(struct mcp_session *s, struct slice id, uint64_t *ret);
