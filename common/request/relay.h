/*
 * relay — a call whose two bodies pass as they come, between its client and one upstream.
 *
 * A gate keeps a struct relay in its state, starts `exchange` with relay_events and the relay as
 * their argument, and hands on what it hears of the client:
 *
 *   exchange_start(&env->upstreams, &spec, &relay_events, &w->relay, &w->relay.exchange)
 *   gate.on_body → relay_body, on_body_end → relay_body_end, on_drain → relay_drain,
 *   cancel → relay_cancel
 *
 * The client is read no faster than the upstream takes its body, and the upstream no faster than
 * the client takes the response. A response that has begun cannot become a refusal: it is cut. What
 * a gate adds (which headers pass, what is metered and billed) are its hooks.
 *
 * Owns     the exchange. Each call ends in one request_finish, before which `over` is called.
 * Threads  the request's loop.
 */
#pragma once

#include "common/request/request.h"
#include "common/upstream/exchange.h"

struct relay;

/* How far a response came. */
enum relay_end {
    RELAY_WHOLE,
    RELAY_BROKEN,    /* by its upstream, or the client does not take it */
    RELAY_CANCELLED, /* by its client, by a filter, or as its right ended */
};

struct relay_hooks {
    /* May this header of the response pass? Its value is looked at by the relay. */
    bool (*passes)(const struct relay *r, struct slice name);
    /* The response begins. false: the hook ended the request, by relay_fail. */
    bool (*on_head)(struct relay *r, const struct http_head *head);
    /* Of the response: what the client gets of it, lent until the next call; the hook may end the
     * request. NULL: all of it. */
    struct slice (*on_data)(struct relay *r, struct slice data);
    /* What on_data held back, when the response has ended; in the arena. NULL: nothing. */
    struct slice (*rest)(struct relay *r);
    void (*over)(struct relay *r, enum relay_end how_far); /* before the exchange is closed; NULL */
};

struct relay {
    const struct relay_hooks *hooks;
    struct request *rq;
    struct exchange *exchange;
    bool client_paused; /* the upstream does not keep up with the request's body */
    bool body_ended;
    bool edits; /* set by on_head: what the client gets is of another length */
    bool has_length;
    uint64_t left;     /* of a response of known length */
    struct slice last; /* its end, kept until the record is written */
};

extern const struct exchange_events relay_events;

/* Has the request a body to stream? */
bool relay_has_body(const struct http_head *h);
/* true: the piece is on its way. */
bool relay_body(struct relay *r, struct slice piece);
void relay_body_end(struct relay *r);
void relay_drain(struct relay *r);
/* Refuses, or cuts what has begun, and finishes the request. `code` as the trace says it. */
void relay_fail(struct relay *r, enum refusal_id id, struct slice detail, struct slice code);
void relay_cancel(struct relay *r); /* as gate.cancel */
