/*
 * ai_call — one call through the AI gate: what its files share. Private to dataplane/ai.
 *
 *   ai_gate → ai_exchange → ai_send, ai_cost (tokens and money), dialect, provider (what either
 *             end speaks)
 *
 *   IDLE ─▶ SENT ─▶ GATHERING ─────────────────────────────▶ OVER
 *    ▲ ▲      └───▶ STREAMING ─▶ LINGERING ────────────────▶ OVER
 *    │ └─ RESERVING ◀─┐   ▲ ▼
 *    └────────────────┘  STARVED
 *
 * IDLE: no attempt is under way. RESERVING: the next target waits for money. SENT: a target has the
 * request. GATHERING: a plain response, or an error, is read whole. STREAMING: events go to the
 * client as they come. STARVED: the stream waits for money, and its upstream with it. LINGERING:
 * the last event was seen, the upstream's own end is waited for. ENDING: the attempt is over, the
 * client takes what is left. ai_call_move is the one function that changes the state.
 *
 * Owns     its buffers, which are kept warm between requests, and the upstream call.
 * Threads  its worker's loop.
 */
#pragma once

#include "common/request/filter_budget.h"
#include "common/request/request.h"
#include "dataplane/ai/candidates.h"
#include "dataplane/ai/dialect/dialect.h"
#include "dataplane/ai/provider/provider.h"

enum ai_call_state {
    AI_CALL_IDLE,
    AI_CALL_RESERVING,
    AI_CALL_SENT,
    AI_CALL_GATHERING,
    AI_CALL_STREAMING,
    AI_CALL_STARVED,
    AI_CALL_LINGERING,
    AI_CALL_OVER,
    AI_CALL_STATES
};

struct ai_call {
    struct list link; /* in env->gate_spare */
    struct request *rq;
    enum ai_call_state state;
    const struct ai_endpoint *endpoint;
    struct ai_request request;
    const struct policy_model *model;
    size_t candidate_count, candidate_next;

    /* ai_cost */
    uint64_t output_step;      /* tokens reserved for the output of a call without a ceiling */
    uint64_t output_reserved;  /* tokens a stream may write before it is ended; 0: any */
    uint64_t output_bound;     /* tokens reserved where there is a ceiling */
    struct token_count failed; /* estimates of attempts that failed after they were sent */
    uint64_t unread_output;    /* of `failed`, what is not reserved yet beside what was before */
    struct ai_usage usage;     /* what the provider has reported of this attempt */
    bool has_usage;
    struct ai_meter meter;

    /* ai_exchange: the attempt under way */
    const struct ai_provider *provider;
    struct http_call *upstream;
    struct attempt *attempt; /* in the call record */
    struct secret *credential;
    uint64_t attempt_us; /* when it began */
    uint64_t waiting_us; /* since when the upstream's time runs */
    unsigned status;
    bool limited;           /* one of the targets said 429 */
    unsigned retry_after_s; /* the soonest that a target named; 0: none did */
    uint64_t gather_max;
    struct buf gathered;
    struct http_header pass[8]; /* of the upstream's head, what the client gets */
    size_t pass_count;
    struct refusal last_failure; /* RESERVING: what the client hears where there is no money */

    /* a stream */
    struct sse_reader sse;
    struct ai_writer writer;
    struct slice last; /* the last event: it follows the record */
    bool finished;     /* a choice has ended */
    bool failed_in;    /* the provider said an error inside the stream */
    size_t relayed;    /* bytes of the response seen so far */
    struct timer linger;

    struct candidate candidates[LIMIT_ATTEMPTS]; /* last, as it is not cleared */
};

/* A step that the table does not know is a bug. */
void ai_call_move(struct ai_call *c, enum ai_call_state to);

static inline bool ai_call_streams(const struct ai_call *c)
{
    return c->state >= AI_CALL_STREAMING && c->state <= AI_CALL_LINGERING;
}

static inline bool ai_call_is_over(const struct ai_call *c)
{
    return c->rq->stage != REQUEST_WORK;
}

/* filters of this gate */
extern const struct filter ai_filter_endpoint, ai_filter_request, ai_filter_grant,
    ai_filter_candidates;
bool ai_may_use(const struct request *rq, struct slice model_name);
bool ai_still_allowed(struct request *rq, const struct request_right *now);

struct ai_call *ai_call_take(struct request *rq); /* NULL: out of memory */
void ai_call_give(struct ai_call *c);             /* at the end of the turn */

/* models.c */
void models_answer(struct ai_call *c);
