/*
 * ai_stream — a stream on its way from the upstream to the client.
 *
 * Where both speak one dialect and no filter listens, events go on as they came, byte for byte, and
 * are only glanced at; else they are decoded, pass the filters, and are written anew. Nothing
 * reaches the client before the first event that holds something of the model's: until then the
 * attempt may fail and another target take its place. A silent stream is kept alive by comments.
 *
 * The functions say what happened and leave to ai_attempt what follows from it.
 *
 * Threads  the request's loop.
 */
#pragma once

#include "dataplane/ai/ai_call.h"

/* Between two looks whether the client has heard anything; half as long as what common proxies and
 * clients take for dead. A variable for tests. */
extern unsigned ai_stream_beat_ms;
/* How long a stream whose model has finished may go on without its last event. */
extern unsigned ai_stream_grace_ms;

enum ai_stream_result {
    AI_STREAM_ON,
    AI_STREAM_COMPLETE, /* the last event was seen; call ai_stream_complete where the rest is due */
    AI_STREAM_FAILED,   /* c->failure says why; nothing of it has reached the client */
    AI_STREAM_BROKEN,   /* the same, but the client has seen a part */
    AI_STREAM_USED_UP,  /* it wrote as much as is reserved: ai_stream_stop_at_length */
    AI_STREAM_CLOSED,   /* the client is gone */
    AI_STREAM_REFUSED,  /* a filter refused it */
    AI_STREAM_OVER,     /* the request has ended meanwhile */
};

/* The head of a 200 came. */
void ai_stream_open(struct ai_call *c);
/* data may be overwritten */
MUST_USE enum ai_stream_result ai_stream_feed(struct ai_call *c, struct slice data);
/* The upstream's stream has ended. COMPLETE, FAILED or BROKEN, or what the client's end says. */
MUST_USE enum ai_stream_result ai_stream_ended(struct ai_call *c);
/* The model has finished, and the last event does not come: it is told in the provider's place. */
MUST_USE enum ai_stream_result ai_stream_end_for_it(struct ai_call *c);
/* The dialect's events for a stream that ends at its reservation. */
MUST_USE enum ai_stream_result ai_stream_stop_at_length(struct ai_call *c);
/* More was reserved, or will not be. */
MUST_USE enum ai_stream_result ai_stream_on_money(struct ai_call *c);
MUST_USE enum ai_stream_result ai_stream_on_beat(struct ai_call *c);
/* A whole response that came as an event stream, gathered in c->gathered, as events. */
MUST_USE enum err ai_stream_decode_all(struct ai_call *c, struct slice bytes, ai_event_fn *fn,
                                       void *arg);

extern const struct response_ops ai_stream_sink; /* of c->sink */
