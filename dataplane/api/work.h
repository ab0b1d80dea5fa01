/*
 * work — what the rooms of the API wing share about one journey. Private to dataplane/api.
 *
 * Owns     the call under way and its buffers; born in the journey's arena.
 * Threads  its worker's loop.
 */
#pragma once

#include "common/journey/echo.h"
#include "common/journey/journey.h"
#include "dataplane/api/api.h"

struct api_work {
    struct journey *j;
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
extern const struct gate api_gate_service; /* path → service, and is this route granted? */

/* forward.c */
void api_forward_start(struct api_work *w);
void api_forward_body(struct api_work *w, struct slice piece);
void api_forward_body_end(struct api_work *w);
void api_forward_drop(struct api_work *w); /* lets go of the call, at once */

/* relay.c */
extern const struct http_call_events api_relay_events;
void api_relay_drain(struct api_work *w);
/* Ends the attempt in the trace. */
void api_relay_end(struct api_work *w, enum journey_end end, struct slice code);
