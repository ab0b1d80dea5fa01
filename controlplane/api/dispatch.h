/*
 * dispatch — checks a request and calls its handler, in two steps.
 *
 * At the head: path, method, caller, role, media type, announced length; nothing of the body
 * has been read then. With the body: JSON, the handler, and its failure turned into a problem.
 *
 * Owns     nothing beyond the call.
 * Threads  job threads.
 */
#pragma once

#include "controlplane/api/admin_auth.h"
#include "controlplane/api/admin_routes.h"

/* What the listener read. Texts live as long as the call. */
struct dispatch_head {
    struct slice method;
    struct slice target; /* as sent: path and query, still encoded */
    struct slice authorization;
    struct slice content_type;
    struct slice content_encoding;
    struct slice if_match;
    struct slice idempotency_key;
    const char *doubled; /* the name of one of these that came twice; NULL: none */
    bool has_body;
};

/* false: the response is set, and the body is not read. */
bool dispatch_head(struct call *c, struct admin_auth *auth, const struct dispatch_head *h);
void dispatch_body(struct call *c, struct slice body);
/* Whether the response waits for data planes (a write with ?wait=applied that made a version). */
bool dispatch_holds(const struct call *c);
/* Waits at most `ms`, then adds x-gatehouse-applied. */
void dispatch_hold(struct call *c, unsigned ms);
