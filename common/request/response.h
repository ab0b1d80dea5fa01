/*
 * response — the way of a response from the gate's work to the client: a chain of sinks.
 *
 *   gate → sink of the filter pushed last → … → sink of the filter pushed first → tail → client
 *
 * A filter pushes its sink when its request side has passed (filter.h, on_response), so that
 * responses pass the filters in reverse. Plain responses, refusals and streams take the same way:
 * `head`, then `data` or `event`, then `end`; or `abort` instead of `end`. An operation that a sink
 * leaves NULL goes on to the next one. Events of the AI gate (struct ai_event) must become data
 * before the tail: its dialect's writer is pushed first.
 *
 * The tail adds the headers that every response has. What reaches it once the request is finishing
 * (a whole response, or the last part of one that was begun) is kept until the record is in the
 * journal, so that a client never sees the end of a call that a kill would lose.
 *
 * Back-pressure: a result of SINK_FULL asks the source to write no more until `drain`, which goes
 * from the client towards the gate. A sink that holds data back returns SINK_OK; one that returns
 * SINK_FULL on its own calls sink_drained when it can take data again.
 *
 * Owns     nothing; a sink lies in its filter's state, and is not called after its on_finish.
 * Threads  the request's loop.
 */
#pragma once

#include "common/base/buf.h"
#include "common/net/http1.h"

struct ai_event;
struct request;
struct response_sink;

struct response_head {
    unsigned status;
    const struct http_header *headers; /* lent for the call */
    size_t header_count;
    uint64_t length; /* of the body; UINT64_MAX: not known. A sink that changes data says so here */
};

enum sink_result {
    SINK_OK,
    SINK_FULL,   /* taken; write no more until drain */
    SINK_CLOSED, /* not taken: the client is gone, or memory is short. The request may be over;
                  * where it is not, it must be finished as cut. */
    SINK_REFUSED /* not taken: a filter refused (request_refuse says why); finish the request */
};

struct response_ops {
    enum sink_result (*head)(struct response_sink *s, const struct response_head *h);
    enum sink_result (*data)(struct response_sink *s, struct slice data);
    enum sink_result (*event)(struct response_sink *s, const struct ai_event *e);
    /* The response is complete: a sink passes on what it holds, or refuses, which a client whose
     * response was begun hears as the dialect's in-band error. */
    enum sink_result (*end)(struct response_sink *s);
    void (*abort)(struct response_sink *s); /* it will not be completed: drop what is held */
    void (*drain)(struct response_sink *s); /* the next sink takes data again */
};

struct response_sink {
    const struct response_ops *ops;
    struct response_sink *next, *prev; /* towards the client; towards the gate */
    struct request *rq;
};

/* From a sink to those below it: `s` is the next one. */
enum sink_result sink_head(struct response_sink *s, const struct response_head *h);
enum sink_result sink_data(struct response_sink *s, struct slice data);
enum sink_result sink_event(struct response_sink *s, const struct ai_event *e);
enum sink_result sink_end(struct response_sink *s);
void sink_abort(struct response_sink *s);
/* From a sink to those above it, and to the gate: `s` takes data again. */
void sink_drained(struct response_sink *s);

/* ---- the client: what dataplane/listener implements over HTTP ---- */

struct client;

struct client_ops {
    /* head, data and end at once; cuts the client off where that fails */
    void (*whole)(struct client *c, const struct response_head *h, struct slice body);
    void (*read_body)(struct client *c, uint64_t max); /* pieces come to request_on_body */
    void (*pause_body)(struct client *c);
    void (*resume_body)(struct client *c);
};

/* The last sink. It takes what is written and sends it as the client reads, and cuts the client off
 * where that is too much. After `whole`, `end` or `abort` the request does not touch it. */
struct client {
    struct response_sink sink; /* head, data, end, abort */
    const struct client_ops *ops;
    /* What `end` says where the response is a WebSocket. */
    unsigned close_code; /* 0: 1000 */
    const char *close_reason;
};

/* ---- for gates ---- */

/* Begins a response. length: UINT64_MAX where it is not known. */
enum sink_result response_begin(struct request *rq, unsigned status,
                                const struct http_header *headers, size_t n, uint64_t length);
enum sink_result response_write(struct request *rq, struct slice data);
enum sink_result response_event(struct request *rq, const struct ai_event *e);
/* What the gate's own sink held back of the events that it was given, for the sinks below it. */
enum sink_result response_write_below(struct request *rq, struct response_sink *own,
                                      struct slice data);
/* A response of status 101 is a WebSocket: each piece of data is one whole message, the client's
 * messages come as pieces of its body, and its close as the end of it. This is what its end says.
 */
void response_close_with(struct request *rq, unsigned code, const char *reason);
/* The last write returned SINK_FULL and no drain came since. */
bool response_is_full(const struct request *rq);
/* Some filter's sink lies above this one (NULL: above the tail), and gets what is written. */
bool response_is_heard(const struct request *rq, const struct response_sink *own);

/* The client's body: read, pause, go on. */
void request_read_body(struct request *rq, uint64_t max);
void request_pause_body(struct request *rq);
void request_resume_body(struct request *rq);

/* ---- the request's part ---- */

struct response {
    struct response_sink tail;
    struct response_sink *first; /* where the gate writes */
    struct client *client;       /* NULL: the client has its response, or is gone */
    bool full;
    bool finishing; /* what comes to the tail is kept until the record is written */
    bool refused;   /* a sink refused while finishing: the refusal takes the place of the rest */
    bool broken;    /* the chain could not be completed: the client is cut off */
    struct response_head head; /* kept; status 0: none */
    struct buf kept;           /* kept data */
};
