/*
 * request_private — what the files of common/request share, and tests of single ones.
 *
 * Threads  the request's loop.
 */
#pragma once

#include "common/request/request.h"

/* The one function that changes a request's stage; a step that is not in the table is a bug. */
void request_move(struct request *rq, enum request_stage to);

/* The chain of sinks (response.h): made with the request; a filter's sink goes on top. */
void response_init(struct request *rq, struct client *client);
void response_push(struct request *rq, struct response_sink *s);
/* The refusal, as all of the response. */
void response_refuse(struct request *rq);
/* What is left of the response passes the sinks, and is kept; it may be refused there. */
void response_finish(struct request *rq, const struct request_end *end);
/* The status the client has got or will get; 0: none. */
unsigned response_final_status(const struct request *rq, const struct request_end *end);
/* Once the record is written. */
void response_send(struct request *rq, const struct request_end *end);
void response_fini(struct request *rq);

/* What waits forgets the request; the work is called off. */
bool request_can_be_stopped(const struct request *rq);
void request_stop(struct request *rq);

/* Does this key still stand in that policy: known, with the same secret, valid, its principals
 * given and not blocked? *ret is written where the key is valid. */
bool principal_stands(const struct snapshot *policy, const struct policy_key *was,
                      struct principal *ret);

/* A request that waited before any filter looked at the policy goes on under the newest one. false:
 * it is refused. */
bool request_renew(struct request *rq);
/* Where the policy changed while the filters waited: is the request still let in? false: it is
 * refused. */
bool request_still_stands(struct request *rq);
/* A key that expires ends what is under way with it at that moment. */
void request_watch_expiry(struct request *rq);

/* How long it took, or has taken so far; and how much of that was ours. The response's header, the
 * record and the metrics tell the same. */
uint64_t request_took_us(const struct request *rq);
uint64_t request_overhead_us(const struct request *rq);

/* The request as journal records. */
MUST_USE enum err record_open(struct request *rq);
void record_close(struct request *rq, unsigned status);
/* The packed forms, lent until the scratch of the env is used again; SLICE_NONE: no memory.
 * brief: what a short journal must still hold. */
struct slice record_pack_opened(struct request *rq);
struct slice record_pack_closed(struct request *rq, unsigned status, bool brief);
