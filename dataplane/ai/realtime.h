/*
 * realtime — a session with a realtime model: one call, a WebSocket on either side.
 *
 *   client ⇄ listener/http_adapter ⇄ messages ⇄ realtime ⇄ net/websocket ⇄ exchange ⇄ upstream
 *
 * The client is let in as every call is, and the upstream is found as every target is (ai_attempt):
 * its 101 is what a status of 200 is elsewhere, and until then another target may take its place.
 * From then on each message is one event. What a session costs is charged response by response, as
 * the provider counts it, and each is reserved for before it can begin: `response.create` goes on
 * only where the budget holds it; where the provider begins responses by itself (it detects the
 * user's turns), one is always reserved for, and the session ends when there is no money for it.
 *
 * A session ends with the client's close, the upstream's (its code is passed on), the end of the
 * right it was let in by (an error event, then code 1008), a drain or silence (1001), or a loss or
 * its age (1011).
 *
 * Owns     the upstream's WebSocket, messages of the client that wait for money, and the
 *          descriptors that the clients' server lends it.
 * Threads  the request's loop.
 */
#pragma once

#include "dataplane/ai/ai_call.h"

struct realtime;

/* What a session tells those who find it an upstream. */
struct realtime_owner {
    void (*on_ready)(struct ai_call *c); /* c->websocket_key is known: targets may be asked */
    /* Ends the attempt under way, and the call. The session is gone afterwards. */
    void (*finish)(struct ai_call *c, enum request_outcome end, struct slice code);
};

/* One of the two follows, and not before it returns where it is on_ready. */
void realtime_start(struct ai_call *c, const struct realtime_owner *owner);
void realtime_free(struct realtime **r); /* NULL is fine */

/* from the upstream's exchange */
void realtime_on_open(struct ai_call *c, const struct http_head *head); /* 101 */
void realtime_on_upstream(struct ai_call *c, struct slice bytes);
void realtime_on_upstream_drain(struct ai_call *c);
void realtime_on_lost(struct ai_call *c, enum err why);
/* from the client */
void realtime_on_client(struct ai_call *c, struct slice message);
void realtime_on_client_end(struct ai_call *c);
void realtime_on_client_drain(struct ai_call *c);
/* from the gate: the call is called off, and its exchange closed behind this */
void realtime_on_cancel(struct ai_call *c);
void realtime_on_reserved(struct ai_call *c, enum err e);
void realtime_on_idle(struct ai_call *c);
