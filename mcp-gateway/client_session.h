/*
 * client_session — one client's MCP session, and the upstream sessions that belong to it alone.
 *
 * A client session has one upstream session per server, opened with that client's capabilities, so
 * that nothing one client says reaches another, and progress tokens and event ids need no mapping.
 * Request ids are mapped in both directions by its router.
 *
 * A session that was opened on another data plane is *adopted*: it is made from what its sealed id
 * says, and numbers its requests from a random start, as both planes may use one upstream session.
 *
 * Owns     its texts, its router, its upstream sessions; counted, since requests on several workers
 *          use it at once.
 * Fails    NULL or ERR_NOMEM.
 * Threads  any: what changes is under its lock, which is held for a few copies and never over I/O.
 *          Where a lock of the directory is held too, that one was taken first.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/limits.h"
#include "common/base/list.h"
#include "mcp-gateway/router.h"
#include "mcp-gateway/session_id.h"

struct directory_owner;
struct upstream_session;

/* What a client can be asked for, from its capabilities. */
enum client_declares {
    DECLARES_SAMPLING = 1,
    DECLARES_ROOTS = 2,
    DECLARES_ROOTS_CHANGES = 4,
    DECLARES_ELICITATION = 8, /* by a form */
    DECLARES_ELICITATION_URL = 16,
    DECLARES_TASKS = 32,
};

enum client_session_state {
    SESSION_UNLISTED, /* being opened, or a lone call's */
    SESSION_LISTED,
    SESSION_ENDED,  /* by its client, or idle for too long; a tombstone */
    SESSION_DROPPED /* taken from the directory */
};

struct client_session {
    /* constant */
    uint8_t sid[MCP_SID_LEN];
    char *hello; /* params of initialize, as every upstream session is opened with */
    size_t hello_len;
    uint32_t declared;    /* bits of client_declares */
    char *external_id;    /* the client's own label; NULL: none */
    const char *named_by; /* static text */
    /* under the lock of its shard of the directory */
    struct list link;
    uint64_t listed_us, used_us;
    enum client_session_state state;
    /* under the lock of the directory's owners */
    struct directory_owner *owner; /* the principal it counts for; NULL: none */
    unsigned streams;              /* event streams that are open */

    atomic_uint refs;
    pthread_mutex_t lock;
    /* under the lock */
    struct list upstreams; /* struct upstream_session */
    struct router router;
};

struct client_session_spec {
    struct slice hello;
    uint32_t declared;
    struct slice external_id; /* empty: none */
    const char *named_by;
    const uint8_t *sid; /* of an adopted session; NULL: a new one */
};

MUST_USE struct client_session *client_session_new(const struct client_session_spec *spec);
struct client_session *client_session_hold(struct client_session *s);
void client_session_drop(struct client_session *s); /* NULL is fine */

/* The upstream session with this server; made, closed, where there is none. NULL: no memory. */
struct upstream_session *client_session_upstream(struct client_session *s, struct slice server_id);

/* All of them, up to max, which is never too few: LIMIT_MCP_UPSTREAMS. They live as long as s. */
size_t client_session_upstreams(struct client_session *s, struct upstream_session **out,
                                size_t max);

/* The bits of a `capabilities` object; 0 where it cannot be read. */
uint32_t client_declared(struct slice capabilities);
/* A `capabilities` object for these bits, for a client whose own words are not at hand. */
MUST_USE enum err client_declared_write(uint32_t declared, struct buf *out);

/* The router's functions, under the lock. */
MUST_USE enum err client_session_add(struct client_session *s, struct slice id, unsigned worker,
                                     bool lists, uint64_t *ret);
/* A number for a request of the gateway's own. */
uint64_t client_session_number(struct client_session *s);
void client_session_answered(struct client_session *s, uint64_t number, bool resumable);
void client_session_detach(struct client_session *s, uint64_t number);
/* false: unknown; *id is a copy in the arena */
bool client_session_by_number(struct client_session *s, uint64_t number, struct arena *a,
                              struct slice *id, bool *lists);
/* false: unknown, or answered */
bool client_session_by_id(struct client_session *s, struct slice id, uint64_t *number,
                          unsigned *worker);
/* The other direction. */
MUST_USE enum err client_session_ask(struct client_session *s, struct slice id,
                                     struct slice original, unsigned generation);
/* true for the first response to a question that was asked through this plane */
bool client_session_take_question(struct client_session *s, struct slice id);
/* The client's id of a question, in the arena; SLICE_NONE: unknown here, or answered. */
struct slice client_session_question(struct client_session *s, struct slice original,
                                     unsigned generation, struct arena *a);
