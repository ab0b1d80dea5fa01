/*
 * work — what the rooms of the API gate share about one request. Private to dataplane/api.
 *
 * Owns     the call under way and its buffers; born in the request's arena.
 * Threads  its worker's loop.
 */
#pragma once

#include "common/request/echo.h"
#include "common/request/request.h"
#include "dataplane/api/api_gate.h"

struct api_work {
    struct request *rq;
    const struct policy_service *service;
    struct slice rest; /* the path below the service: what is granted and forwarded */
    bool opaque;       /* it has no canonical spelling, and stands as it was sent */

    struct http_call *call;
    struct attempt *attempt;
    struct echo echo;
    struct buf piece; /* a piece of the answer on its way through */
    uint64_t attempt_us, waiting_us;
    bool client_paused;   /* the upstream does not keep up with the request's body */
    bool upstream_paused; /* the client does not keep up with the answer */
    bool body_ended;
    bool has_length;
    uint64_t left;     /* of an answer of known length */
    struct slice last; /* its end, kept until the record is written */
};

/* gates.c */
extern const struct filter api_filter_service; /* path → service, and is this route granted? */

/* forward.c */
void api_forward_start(struct api_work *w);
void api_forward_body(struct api_work *w, struct slice piece);
void api_forward_body_end(struct api_work *w);
void api_forward_drop(struct api_work *w); /* lets go of the call, at once */

/* relay.c */
extern const struct http_call_events api_relay_events;
void api_relay_drain(struct api_work *w);
/* Ends the attempt in the trace. */
void api_relay_end(struct api_work *w, enum request_outcome end, struct slice code);
