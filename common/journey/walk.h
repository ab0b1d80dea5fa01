/*
 * walk — what the files of this room share and nobody else needs.
 *
 * Threads  the journey's loop.
 */
#pragma once

#include "common/journey/journey.h"

/* The one function that changes a journey's stage; a step that is not in the table is a bug. */
void journey_move(struct journey *j, enum journey_stage to);

/* The refusal, as the answer's first and last word. */
void journey_say_refusal(struct journey *j);

/* What the client is still to get once the record is written. Where nothing was begun and there is
 * nothing whole, it is the refusal. */
struct parting {
    struct slice last; /* of an answer that was begun */
    bool whole;        /* or all of one that was not */
    bool cut;          /* or nothing but the end of the connection */
    unsigned status;
    const struct http_header *headers;
    size_t n;
    struct slice body;
};
void answer_part(struct journey *j, const struct parting *p);

/* Asks gate after gate until one waits or refuses, or the work begins. */
void gate_walk_on(struct journey *j);
/* A waiting gate forgets the journey. */
void gate_walk_abandon(struct journey *j);
/* Every gate that passed leaves, in reverse. */
void gate_walk_leave(struct journey *j);

/* pieces of a body that a gate gathers */
void gate_body_take(struct journey *j, struct slice piece);
void gate_body_whole(struct journey *j);

/* Gives the reservations back at the real cost. The lease desk may end a lease once its last
 * reservation is settled, so this comes after the record is in the journal, not in `leave`. */
void gate_budget_settle(struct journey *j);

/* Does this key still stand in that policy: known, valid, its principals given and not blocked?
 * *ret is written where the key is valid. */
bool principal_stands(const struct snapshot *policy, struct slice key_id, struct principal *ret);

/* traceparent (W3C Trace Context, level 2): trace id and parent from the client, or a new trace */
void trace_begin(struct journey *j);

/* The common headers of an answer. `room` holds their texts until the answer has begun. */
struct header_room {
    char text[1024];
    size_t used;
};
size_t headers_common(struct journey *j, struct http_header *out, size_t max,
                      struct header_room *room);
size_t headers_refusal(struct journey *j, struct http_header *out, size_t max,
                       struct header_room *room);

/* How long it took, or has taken so far; and how much of that was ours. The answer's header, the
 * record and the metrics tell the same. */
uint64_t journey_took_us(const struct journey *j);
uint64_t journey_overhead_us(const struct journey *j);

/* The journey as journal records. */
MUST_USE enum err record_open(struct journey *j);
void record_close(struct journey *j, unsigned status);
/* The packed forms, lent until the scratch of the env is used again; SLICE_NONE: no memory.
 * brief: what a short journal must still hold. */
struct slice record_pack_opened(struct journey *j);
struct slice record_pack_closed(struct journey *j, unsigned status, bool brief);
