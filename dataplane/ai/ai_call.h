/*
 * ai_call — one call through the AI gate: what its files share. Private to dataplane/ai.
 *
 *   ai_gate → ai_attempt → ai_send → dialect, provider (what either end speaks) → ai_event
 *                        → ai_response → ai_stream → ai_cost (tokens and money)
 *
 *   IDLE ─▶ SENT ─▶ GATHERING ─────────────────────────────▶ OVER
 *    ▲ ▲      └───▶ OPENING ─▶ STREAMING ─▶ LINGERING ─────▶ OVER
 *    │ └─ RESERVING, WAITING ◀─┐  ▲ ▼
 *    └─────────────────────────┘ STARVED
 *
 *   SENT ─▶ SESSION ─▶ OVER
 *
 * IDLE: no attempt is under way. RESERVING: the next target waits for money. PACED: it waits for
 * its credential's ceiling (ai_pace.h). WAITING: the same target is tried again in a moment, or an
 * injected fault takes its time (fault_injection.h).
 * AUTHORIZING: the target under way waits for a token of its account. SENT: a target has the
 * request. GATHERING: a plain response, or an error, is read whole. OPENING: a stream has begun,
 * and nothing of it has reached the client, so that another target may still take its place.
 * STREAMING: events go to the client as they come. STARVED: the stream waits for money, and its
 * upstream with it. SESSION: a WebSocket stands on either side (realtime.h). LINGERING: the last
 * event was seen, the upstream's own end is waited for. From OPENING, GATHERING and SENT a failed
 * attempt goes back to IDLE. ai_call_move is the one function that changes the state.
 *
 * Owns     its buffers, which are kept warm between requests, and the exchange.
 * Threads  its worker's loop.
 */
#pragma once

#include "common/base/failure_class.h"
#include "common/request/filter_scopes.h"
#include "common/request/request.h"
#include "common/upstream/access_token.h"
#include "common/upstream/exchange.h"
#include "dataplane/ai/ai_likeness.h"
#include "dataplane/ai/candidates.h"
#include "dataplane/ai/dialect/dialect.h"
#include "dataplane/ai/provider/provider.h"

#define AI_PASS_HEADERS 8 /* of an upstream's head */

struct ai_frame;

enum ai_call_state {
    AI_CALL_IDLE,
    AI_CALL_RESERVING,
    AI_CALL_PACED,
    AI_CALL_WAITING,
    AI_CALL_AUTHORIZING,
    AI_CALL_SENT,
    AI_CALL_GATHERING,
    AI_CALL_OPENING,
    AI_CALL_STREAMING,
    AI_CALL_STARVED,
    AI_CALL_LINGERING,
    AI_CALL_SESSION,
    AI_CALL_OVER,
    AI_CALL_STATES
};

struct ai_call;

/* What an attempt failed with. Texts are the arena's, or constant. */
struct ai_failure {
    enum refusal_id refusal; /* as the client is told it where no other target responds */
    enum failure_class class;
    unsigned status;         /* 0: it is not of a status */
    unsigned retry_after_ms; /* as the target named it; 0: it did not */
    struct slice code;       /* of the attempt in the trace */
    struct slice detail;     /* of the refusal */
    bool of_request;         /* by default no other target is taken to do better */
    bool of_credential;      /* another of the same provider may be taken */
    bool is_final;           /* whatever the policy says, nothing else is tried */
    bool is_told;            /* by its status and in these words, where it is the last */
    struct slice text, error_code;
};

/* What is waited for in WAITING. */
enum ai_wait {
    AI_WAIT_AGAIN, /* the same target is tried once more */
    AI_WAIT_HANG,  /* an injected fault: it says nothing */
    AI_WAIT_LATE,  /* an injected fault: it is called later */
};

/* What is tried next. */
enum ai_step { AI_STEP_NONE, AI_STEP_CREDENTIAL, AI_STEP_AGAIN, AI_STEP_TARGET };

/* What the client gets: the upstream's body, or one of our own in the client's dialect. */
struct ai_answer {
    bool own;
    struct slice body;
};

struct ai_upload;

/* Its way through the ceiling of a credential. */
struct ai_pace {
    struct pace_wait wait;
    void (*go_on)(struct ai_call *c, enum err e);
    uint64_t since_us;     /* it waits; 0: it does not */
    uint64_t waits_at;     /* a bit for each credential that counts it as waiting */
    uint64_t tokens;       /* that it may come to, as far as that is known before */
    struct ceiling *taken; /* the attempt's; NULL: none. Lent: the request holds its policy. */
    struct ceiling_permit permit;
};

/* The second of two attempts at once (ai_hedge.h). */
struct ai_rival {
    struct exchange *exchange; /* NULL: there is none */
    struct attempt *attempt;
    const struct ai_provider *provider;
    struct access_token *token;
    struct slice notice;
    struct buf translated; /* the body is lent to its exchange */
    struct ceiling *taken; /* as in ai_pace */
    struct ceiling_permit permit;
    bool native, observed;
};

struct ai_call {
    struct list link; /* in env->gate_spare */
    struct request *rq;
    enum ai_call_state state;
    const struct ai_endpoint *endpoint;
    struct slice deployment; /* that a client of Azure named in the path; .ptr NULL: none */
    struct ai_request request;
    struct ai_upload *upload; /* the body streams, rq->body is its front; NULL: it is all there */
    struct ai_chat *chat;     /* the body in the normal form; NULL until it is needed */
    struct ai_marker marker;  /* of dialects that mark what is kept */
    bool path_missing;        /* of the last attempt: the next one is told otherwise */
    bool stays;               /* one credential alone may serve it */
    const struct policy_model *model;
    struct slice reached; /* the model's name: what was asked for, or what its alias leads to */
    struct slice wild;    /* what the star of a wildcard model stands for; SLICE_NONE: it is none */
    size_t candidate_count, candidate_next;
    unsigned tries;          /* at the current one */
    uint64_t deadline_us;    /* monotonic, of the whole call; UINT64_MAX: it has none of its own */
    uint64_t output_default; /* tokens, of a body that names none: the model's policy; 0: none */
    const char *const *dropped; /* members that the model's policy took from the body */
    size_t dropped_count;

    /* ai_cost */
    bool is_need_known; /* `need` says what the call needs of its target */
    struct route_need need;
    bool measured;             /* request.prompt says how large the prompt is */
    uint64_t output_step;      /* tokens reserved for the output of a call without a ceiling */
    uint64_t output_reserved;  /* tokens a stream may write before it is ended; 0: any */
    uint64_t output_bound;     /* tokens reserved where there is a ceiling */
    struct price_list dearest; /* of the candidates, for a prompt as long as this one may be */
    struct token_count failed; /* what attempts that failed have cost */
    money failed_cost;         /* the same in money, each at its target's price */
    bool failed_unpriced;      /* one of them had a target whose price is not known */
    bool failed_estimated;     /* not all of it was counted by a provider */
    uint64_t prompt_tokens;    /* of its text, by our own count; 0: not counted yet */
    uint64_t prompt_reserved;  /* tokens: of each candidate, for one attempt there */
    uint64_t unread_input;     /* of attempts at one candidate beyond the first that was billed */
    uint64_t failed_input;     /* of `failed`, what such attempts have been reserved for */
    uint64_t unread_output;    /* of `failed`, what is not reserved yet beside what was before */
    struct ai_usage usage;     /* what the provider has reported of this attempt */
    struct ai_meter meter;
    const char *not_bounded; /* why no worst case is known; NULL: one is, or no price */

    /* ai_attempt */
    const struct ai_provider *provider;
    struct access_token_wait token_wait;
    struct access_token
        *token; /* what the target's account was given, where it is exchanged for one; held */
    struct ai_pace pace;
    struct exchange *exchange;
    struct attempt *attempt; /* in the call record */
    uint64_t
        credentials_bad; /* a bit for each credential of the candidate that was tried in vain */
    unsigned status;
    struct slice error_word; /* of an error: what the provider's error_header says */
    bool native;             /* the provider speaks the client's dialect */
    bool observed; /* and its bytes are decoded, to be accounted for, and go on as they came */
    bool limited;  /* one of the targets said 429 */
    unsigned retry_after_s; /* the soonest that a target named; 0: none did */
    uint64_t gather_max;
    bool gathers_events;   /* an event stream came where a plain response was requested */
    struct buf translated; /* the body for a target that speaks another dialect */
    struct buf gathered;   /* a plain response, or an error; not a stream's */
    size_t pass_count;
    struct slice notice;       /* what of the request the target does not get; in the arena */
    struct ai_failure failure; /* of the last attempt */
    struct ai_answer answer;
    struct ai_rival rival;
    struct timer late; /* SENT: how long one attempt is waited for alone */
    enum ai_wait waits_for;
    enum ai_step step;     /* that follows it, */
    unsigned wait_ms;      /* after so long */
    struct timer patience; /* for the rest of an error's body, for a stream's own end, and before
                              the same target is tried again */

    unsigned notes;             /* of things that providers keep, in the record */
    struct ai_list *list;       /* of AI_LIST; NULL until its work begins */
    struct realtime *realtime;  /* of AI_REALTIME; NULL until its work begins */
    struct secret *ephemeral;   /* the provider's client secret, in the account's place; held */
    struct slice secret_model;  /* that it is for, by the client's name */
    struct slice websocket_key; /* that its targets are asked for an upgrade with; the arena's */

    /* ai_stream */
    struct sse_reader sse;
    struct slice fed;   /* the bytes being read, for as long as they are; they may be overwritten */
    struct slice run;   /* in them: what goes on as it came, moved together, not written yet */
    struct buf written; /* events in the client's dialect that were not sent yet; of one read */
    struct buf opening; /* bytes of a stream that has not begun for the client */
    struct buf unread;  /* STARVED: what came behind the event that money is awaited for */
    struct response_sink sink; /* events become the dialect's bytes here */
    struct slice last;         /* the last event: it follows the record */
    bool decoded;              /* events are decoded, and written anew */
    struct ai_frame *frame;    /* of what was written for the last; NULL: there is no memory */
    struct ai_assembly *whole; /* of a stream whose dialect keeps_whole */
    bool finished;             /* a choice has ended */
    bool failed_in;            /* the provider said an error inside the stream */
    bool started;              /* its first event came, of which nothing is the model's yet */
    bool headed;               /* the client has a head, and comments that keep it waiting */
    uint64_t events, events_at_beat;
    struct timer beat; /* a silent stream is kept alive by comments */

    /* From here on it is not cleared: a plain call touches little of it. */
    struct candidate candidates[LIMIT_ATTEMPTS];
    struct http_header pass[AI_PASS_HEADERS]; /* of the upstream's head, what the client gets */
    struct ai_likeness likeness;              /* set where a stream begins, as the next */
    struct ai_writer writer;
    struct ai_decoder decoder; /* set where a stream or a response is decoded */
};

/* The target under way, or tried last. */
static inline const struct candidate *ai_call_target(const struct ai_call *c)
{
    return &c->candidates[c->candidate_next - 1];
}

/* A step that the table does not know is a bug. */
void ai_call_move(struct ai_call *c, enum ai_call_state to);

static inline bool ai_call_streams(const struct ai_call *c)
{
    return c->state >= AI_CALL_STREAMING && c->state <= AI_CALL_LINGERING;
}

/* Of the request, as dialects say it in errors. */
static inline struct slice ai_call_id(const struct ai_call *c)
{
    return slice_of(c->rq->request_id, sizeof(c->rq->request_id) - 1);
}

/* Are signatures of calls told before them? */
static inline bool ai_call_seals(const struct ai_call *c)
{
    return c->endpoint->dialect->seals_calls && !c->native;
}

/* As each response begins. */
static inline struct ai_decoder ai_call_decoder(const struct ai_call *c)
{
    return (struct ai_decoder){.arena = c->rq->arena,
                               .chat = c->native ? NULL : c->chat,
                               .model = c->attempt ? c->attempt->model : SLICE_NONE};
}

static inline bool ai_call_is_over(const struct ai_call *c)
{
    return c->rq->stage != REQUEST_WORK;
}

/* filters of this gate */
extern const struct filter ai_filter_endpoint, ai_filter_request, ai_filter_grant, ai_filter_shape,
    ai_filter_candidates;
bool ai_may_use(const struct request *rq, struct slice model_name);
/* The alias that this name is for the principal: the key's own, else the agent's, the team's, the
 * org's. NULL: it is none. */
const struct policy_alias *ai_alias_of(const struct request *rq, struct slice name);
/* The model that a client's name leads to, if the principal may use it. *reached: the name that
 * the model was found by; lent. NULL: there is none. */
const struct policy_model *ai_model_asked(const struct request *rq, struct slice asked,
                                          struct slice *reached, struct slice *wild);
bool ai_right_allows(const struct request_right *r, struct slice model_name);
bool ai_still_allowed(struct request *rq, const struct request_right *now);

/* Reads the body into c->chat, unless it has been; one that is no conversation stays NULL.
 * ERR_INVALID: c->request.param and *why say what is wrong with it. */
MUST_USE enum err ai_call_parse(struct ai_call *c, struct slice *why);

/* Sets c->marker, for its principal. */
void ai_call_make_marker(struct ai_call *c);

/* The client and the account that the response of the current target is written for. */
struct ai_context ai_call_context(struct ai_call *c);

struct ai_call *ai_call_take(struct request *rq); /* NULL: out of memory */
void ai_call_give(struct ai_call *c);             /* at the end of the turn */

/* ai_objects.c: the one candidate of a call of AI_STORED. ERR_NOT_FOUND: no account that the
 * principal may use has it. */
MUST_USE enum err ai_objects_find(struct ai_call *c);
/* What a response to a call of AI_STORED says of files and batches is noted in the call's record:
 * they are the principal's. */
void ai_objects_note(struct ai_call *c, const struct ai_account *account, struct slice body,
                     bool known); /* known: but for the thing itself */
void ai_objects_note_gone(struct ai_call *c, const char *kind, const struct ai_account *account,
                          struct slice id);
/* The owner of what is kept: the agent, or the key. */
struct slice ai_objects_owner(const struct request *rq);
/* The lines of a batch: models are granted, and named as the provider does. ERR_INVALID: *why. */
MUST_USE enum err ai_objects_check(struct ai_call *c, struct slice *why);

/* ai_models.c */
void ai_models_finish(struct ai_call *c);
