/*
 * passthrough_private — what the files of passthrough share about one request. Private to
 * dataplane/ai/passthrough.
 *
 *   passthrough_gate → passthrough_send, passthrough_response → passthrough_meter
 *
 * Owns     its relay and the meter's buffers; lies in the request's arena.
 * Threads  its worker's loop.
 */
#pragma once

#include "common/request/filter_scopes.h"
#include "common/request/relay.h"
#include "common/upstream/access_token.h"
#include "dataplane/ai/dialect/dialect.h"
#include "dataplane/ai/provider/provider.h"

/* What is read of a response on its way, to bill it. */
enum meter_kind {
    METER_OFF,    /* nothing: the path is not modelled, or no more of it can be read */
    METER_EVENTS, /* a stream, event by event */
    METER_WHOLE,  /* a JSON document, gathered */
};

struct passthrough_call {
    struct request *rq;
    struct relay relay;
    const struct snapshot *policy; /* that the next four are of: the request's, or one it left */
    const struct policy_provider *provider;
    const struct ai_provider *protocol;      /* of its credential */
    const struct policy_credential *account; /* NULL: the provider wants none */
    struct slice rest;                       /* the path below the base URL: what is granted */
    bool unpriced_allowed;                   /* by the grant, also under a budget */
    bool gathers;                            /* the request's body is read before it is sent */
    const char *not_bounded;                 /* why no worst case is known */

    /* of a modelled path; endpoint NULL: it is none */
    const struct ai_endpoint *endpoint;
    struct slice path;                 /* as the AI gate has it */
    const struct ai_provider *speaker; /* decodes what its responses say */
    struct ai_request request;
    const struct price_sheet *price; /* NULL: not known */
    uint64_t output_bound;           /* tokens that are reserved for the output */

    struct access_token_wait token_wait;
    struct access_token *token; /* of an account that is exchanged for one; held */
    struct attempt *attempt;

    bool strips;      /* the gateway has asked for a stream's usage, and the client has not */
    struct buf shown; /* strips: of what came together, what the client gets */
    bool cut;         /* without memory for it the client would get a part: it is cut off */
    enum meter_kind meter;
    struct ai_decoder *decoder;
    struct sse_reader events;
    struct buf whole;
    struct ai_usage usage;
    struct ai_meter words; /* what the model wrote, by our own count */
    bool read;             /* all of a whole response was decoded: nothing is unknown of it */
    bool finished;         /* the model said why it stopped */
    bool failed;           /* the provider said an error inside the response */
};

/* passthrough_filters.c */
extern const struct filter passthrough_filter_route; /* provider, route, what the path is */
extern const struct filter passthrough_filter_call;  /* the body of a modelled path */
bool passthrough_still_allowed(struct request *rq, const struct request_right *now);
/* Streams, or is it gathered by filter_body? */
bool passthrough_streams_body(const struct request *rq);

/* passthrough_body.c: the body as it goes to the provider, where that is not as it came. The
 * request is read again then. ERR_INVALID: *why. */
enum err passthrough_rewrite(struct passthrough_call *p, struct ai_incoming *in, struct slice *why);
/* Does the policy's model lead to what the provider calls by this name? */
bool passthrough_leads_to(const struct policy_model *m, const struct policy_provider *p,
                          struct slice name, const struct request_right *right, bool *may_use);

/* passthrough_send.c */
void passthrough_start(struct passthrough_call *p);
struct slice passthrough_query_key(const struct request *rq);

/* passthrough_response.c */
extern const struct relay_hooks passthrough_relay_hooks;

/* passthrough_meter.c */
enum err passthrough_worst_case(struct request *rq, money *ret); /* as gate.worst_case */
/* A response begins: what of it is read. */
void passthrough_meter_open(struct passthrough_call *p, const struct http_head *head);
/* What the client gets of it: all, but for what the gateway alone has asked for. Lent until the
 * next call. */
struct slice passthrough_meter_feed(struct passthrough_call *p, struct slice data);
/* The end of a stream that is held back until its event is whole; in the arena, may be empty. */
struct slice passthrough_meter_rest(struct passthrough_call *p);
/* Puts what the call has cost into its record, before its exchange is closed. */
void passthrough_bill(struct passthrough_call *p, enum relay_end end);
