/*
 * api_gate_private — what the files of the API gate share about one request. Private to
 * dataplane/api.
 *
 * Owns     its relay; lies in the request's arena.
 * Threads  its worker's loop.
 */
#pragma once

#include "common/request/relay.h"
#include "dataplane/api/api_gate.h"

struct api_work {
    struct request *rq;
    struct relay relay;
    const struct policy_service *service;
    struct slice rest; /* the path below the service: what is granted and forwarded */
    bool opaque;       /* it has no canonical spelling, and stands as it was sent */
};

/* api_filters.c */
extern const struct filter api_filter_service; /* path → service, and is this route granted? */

/* would this principal still be let through to the service? */
bool api_still_allowed(struct request *rq, const struct request_right *now);

/* forward.c */
void api_forward_start(struct api_work *w);

/* service_response.c */
extern const struct relay_hooks api_relay_hooks;
