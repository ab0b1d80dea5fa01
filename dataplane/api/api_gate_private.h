/*
 * api_gate_private — what the files of the API gate share about one request. Private to dataplane/api.
 *
 * Owns     the exchange under way; lies in the request's arena.
 * Threads  its worker's loop.
 */
#pragma once

#include "common/request/request.h"
#include "common/upstream/exchange.h"
#include "dataplane/api/api_gate.h"

struct api_work {
    struct request *rq;
    const struct policy_service *service;
    struct slice rest; /* the path below the service: what is granted and forwarded */
    bool opaque;       /* it has no canonical spelling, and stands as it was sent */

    struct exchange *exchange;
    bool client_paused; /* the upstream does not keep up with the request's body */
    bool body_ended;
    bool has_length;
    uint64_t left;     /* of a response of known length */
    struct slice last; /* its end, kept until the record is written */
};

/* api_filters.c */
extern const struct filter api_filter_service; /* path → service, and is this route granted? */

/* would this principal still be let through to the service? */
bool api_still_allowed(struct request *rq, const struct request_right *now);

/* forward.c */
void api_forward_start(struct api_work *w);
void api_forward_body(struct api_work *w, struct slice piece);
void api_forward_body_end(struct api_work *w);

/* api_relay.c */
extern const struct exchange_events api_relay_events;
void api_relay_drain(struct api_work *w);
