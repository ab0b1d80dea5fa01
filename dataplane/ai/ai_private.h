/*
 * work — what the rooms of the AI gate share about one request. Private to dataplane/ai.
 *
 * Owns     its buffers, which are kept warm between requests, and the call under way.
 * Threads  its worker's loop.
 */
#pragma once

#include "common/net/sse.h"
#include "common/request/filter_budget.h"
#include "common/request/request.h"
#include "dataplane/ai/ai_gate.h"
#include "dataplane/ai/ai_request.h"
#include "dataplane/ai/candidates.h"
#include "dataplane/ai/usage.h"
#include "dataplane/ai/vocab.h"

/* What a call without any ceiling of its own is taken to write at most. Larger than what models
 * write unasked. Where a budget applies, a stream that nears it has as much set aside again, and
 * ends with finish_reason "length" where there is no more money. */
#define AI_OUTPUT_DEFAULT 16384

/* the longest credential a provider hands out is a JWT */
#define AI_CREDENTIAL_MAX 4096

struct ai_work {
    struct list link; /* in env->gate_spare */
    struct request *rq;
    const struct ai_endpoint *endpoint;
    struct ai_request request;
    const struct policy_model *model;

    size_t candidate_count, candidate_next;
    uint64_t output_step;     /* tokens set aside for the output of a call without a ceiling */
    uint64_t output_reserved; /* tokens a stream may write before it is ended; 0: any */
    uint64_t output_bound;    /* tokens set aside where there is a ceiling */

    /* the attempt under way */
    struct http_call *call;
    struct attempt *attempt; /* in the call record */
    struct secret *credential;
    uint64_t attempt_us; /* when it began */
    uint64_t waiting_us; /* since when the upstream's time runs */
    unsigned status;
    bool limited;           /* one of the targets said 429 */
    unsigned retry_after_s; /* the soonest that a target named; 0: none did */
    bool gathering;         /* a plain answer, or an error, is read whole */
    uint64_t gather_max;
    struct buf answer; /* gathered */
    const char *answer_type;
    struct http_header pass[8]; /* of the upstream's head, what the client gets */
    size_t pass_count;
    struct token_count spent; /* estimates of attempts that failed after they were sent */
    uint64_t unread_output;   /* of `spent`, what is not set aside yet beside what was before */
    bool next_waits;          /* for that, before the next target is asked */
    struct refusal last_said; /* then: what the client hears where there is no money for it */

    /* a stream */
    bool streaming;
    struct sse_reader sse;
    bool done;              /* [DONE] was seen; it is `last` */
    bool closed;            /* a finish_reason was seen */
    bool failed;            /* the upstream said an error inside the stream */
    bool short_of_money;    /* what was set aside is used up, and more was asked for */
    struct slice last;      /* [DONE]: it follows the record */
    size_t relayed;         /* bytes of the answer seen so far */
    struct usage_look look; /* has_usage: the provider has counted */
    struct usage_meter meter;
    struct slice chunk_id, chunk_model, chunk_created; /* raw, of the first chunk */
    struct timer linger; /* after [DONE], until the upstream's own end */

    struct candidate candidates[LIMIT_ATTEMPTS]; /* last, as it is not cleared */
};

struct ai_work *ai_work_take(struct request *rq); /* NULL: out of memory */
void ai_work_give(struct ai_work *w);             /* at the end of the turn */

/* gates of this gate */
extern const struct filter ai_filter_endpoint, ai_filter_request, ai_filter_grant,
    ai_filter_candidates;
enum err ai_worst_case(struct request *rq, money *ret);
/* Has output_step tokens more set aside. Not ERR_OK: not now, or never; the stream may go on as
 * far as output_reserved. */
MUST_USE enum err ai_extend_output(struct ai_work *w);
/* Has the output set aside that an attempt may have written unread, before the next one is sent.
 * ERR_AGAIN: attempt_reserved will be called; else not ERR_OK: there is no money for another. */
MUST_USE enum err ai_set_aside_unread(struct ai_work *w);
/* Prompt tokens that nobody counted, at no less than they may be; within the worst case. */
uint64_t ai_prompt_unread(const struct ai_work *w);
/* Tokens of output that the worst case of one attempt holds as it stands now. */
uint64_t ai_output_set_aside(const struct ai_work *w);
bool ai_may_use(const struct request *rq, struct slice model_name);

/* attempt.c */
void attempt_next(struct ai_work *w);
void attempt_reserved(struct ai_work *w, enum err e); /* while next_waits; ERR_OK: ask again */
/* Ends the attempt in the trace; what it cost was billed before. */
void attempt_end(struct ai_work *w, enum request_outcome end, struct slice code);
void attempt_drop(struct ai_work *w); /* lets go of the call, at once */

/* relay.c */
void relay_begin(struct ai_work *w, const struct http_head *head);
void relay_data(struct ai_work *w, struct slice data);
void relay_upstream_end(struct ai_work *w);
void relay_upstream_lost(struct ai_work *w, enum err why);
void relay_drain(struct ai_work *w);
void relay_reserved(struct ai_work *w, enum err e); /* ERR_OK: there is more money */

/* bill.c: tokens and cost into the trace; reported, else estimated */
void bill_reported(struct ai_work *w, const struct token_count *tokens);
void bill_estimated(struct ai_work *w);
/* What it has written by our count, and never more than was set aside for it. */
uint64_t bill_output(const struct ai_work *w);
/* It took the request, and no answer was read that would say what that cost. */
void bill_unread(struct ai_work *w);
/* It said that it failed. */
void bill_failed_attempt(struct ai_work *w);

/* outgoing.c: starts the call of one target */
MUST_USE enum err outgoing_send(struct ai_work *w, const struct candidate *c,
                                const struct http_call_events *events);

/* echo.c: our credential in what an upstream sends back */
bool ai_echo_in(const struct ai_work *w, struct slice text);
/* masks and raises the alarm; false: it was not there */
bool ai_echo_mask(struct ai_work *w, char *text, size_t len, const char *where);
void ai_echo_alarm(struct ai_work *w, const char *where);

/* models.c */
void models_answer(struct ai_work *w);

/* openai.c: this dialect's envelopes */
enum err openai_refusal_body(struct request *rq, struct buf *out, const char **content_type);
/* a refusal inside a stream that was begun */
enum err openai_refusal_event(struct request *rq, struct buf *out);
enum err openai_length_stop(struct ai_work *w, struct buf *out);
