/*
 * router — requests that are under way in a client session, in both directions, by ids of our own.
 *
 * A request of the client's goes upstream under a number: a client's id is a token of any size,
 * which a server may not be able to hold, and two requests under one id would cross. A request of
 * an upstream's goes to the client under an id that the gateway makes, so that a response can be
 * led to the upstream session that asked, and a response to a question that was never asked is
 * told from one that was.
 *
 * What was answered stays known for as long as there is space where its stream can be resumed:
 * a client may ask for the end of the stream again, as often as it likes (MCP, Resumability).
 *
 * Owns     its tables and texts.
 * Fails    ERR_NOMEM; ERR_EXISTS: a request of that id is under way.
 * Threads  under the lock of its client session.
 */
#pragma once

#include "common/base/arena.h"
#include "common/base/limits.h"
#include "common/base/slice.h"

enum pending_state {
    PENDING_LIVE,     /* a worker waits for its response */
    PENDING_DETACHED, /* the client left; the response may still be fetched */
    PENDING_ANSWERED, /* kept for clients that resume its stream */
};

/* A request of the client's that was sent upstream. */
struct pending_request {
    uint64_t number; /* its id upstream */
    char *id;        /* its id as the client wrote it */
    enum pending_state state;
    unsigned worker; /* slot of the worker that carries it */
    bool lists;      /* its response is a list of tools */
};

/* A request of an upstream's that was sent to the client. */
struct pending_question {
    char *id;            /* as the client sees it */
    char *original;      /* as the upstream wrote it */
    unsigned generation; /* of the upstream session that asked */
};

struct router {
    uint64_t last_number;
    struct pending_request *requests; /* oldest first */
    size_t request_count, request_capacity;
    struct pending_question *questions; /* oldest first */
    size_t question_count, question_capacity;
};

/* Numbers go on behind first. */
void router_init(struct router *r, uint64_t first);
void router_fini(struct router *r);

MUST_USE enum err router_add(struct router *r, struct slice id, unsigned worker, bool lists,
                             uint64_t *ret);
/* resumable: its stream may be asked for again. An unknown number is passed over. */
void router_answered(struct router *r, uint64_t number, bool resumable);
void router_detach(struct router *r, uint64_t number);
/* NULL: unknown. Valid until the next change. */
const struct pending_request *router_by_number(const struct router *r, uint64_t number);
const struct pending_request *router_by_id(const struct router *r, struct slice id);

MUST_USE enum err router_ask(struct router *r, struct slice id, struct slice original,
                             unsigned generation);
/* NULL: not known here, or answered. */
const struct pending_question *router_question(const struct router *r, struct slice id);
const struct pending_question *router_question_of(const struct router *r, struct slice original,
                                                  unsigned generation);
void router_question_done(struct router *r, const struct pending_question *q);
