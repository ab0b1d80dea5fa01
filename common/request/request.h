/*
 * request — one client call in a gate, from its head to its record.
 *
 * The listener makes it, a gate's filters are called in their order, then the gate works;
 * request_finish ends it once. See README.md for the way of a request and its invariants.
 *
 *   HEAD → FILTERS ⇄ WAITING → WORK → LEAVING → DONE
 *
 * After the first byte has reached the client no other upstream is tried. A refusal or a client
 * that hangs up leads straight to LEAVING.
 *
 * Owns     everything below by its arena; the client is lent by the listener.
 * Threads  its worker's loop.
 */
#pragma once

#include <stdatomic.h>

#include "common/base/arena.h"
#include "common/base/buf_shelf.h"
#include "common/base/list.h"
#include "common/base/log.h"
#include "common/base/money.h"
#include "common/journal/journal.h"
#include "common/net/http1.h"
#include "common/net/http_client.h"
#include "common/policy/snapshot.h"
#include "common/request/filter.h"
#include "common/request/principal.h"
#include "common/request/refusal.h"
#include "common/request/response.h"
#include "common/scope/pacer.h"
#include "common/scope/scope.h"
#include "common/upstream/attempt.h"
#include "common/upstream/upstreams.h"

struct host_list;
struct kept_list;
struct websockets;
struct http_server;
struct origin_list;
struct request;
struct metric_set;

/* An array that is written before it is read: the release build would zero it for each request. */
#define UNINITIALIZED __attribute__((uninitialized))

enum gate_slot { GATE_AI, GATE_API, GATE_TOOL, GATE_SLOTS };

/* What a worker lends to all its requests. */
struct request_env {
    struct loop *loop;
    struct upstreams upstreams;
    struct pacer pacer;            /* where calls wait for ceilings of providers */
    const struct snapshot *policy; /* NULL: none yet; requests hold their own */
    struct journal *journal;       /* NULL: nothing is recorded (tests of a gate alone) */
    struct metric_set *metrics;    /* rows of common/request/request_metrics.h; NULL: not counted */
    struct list requests;          /* all under way, for cutting blocked ones */
    size_t request_count;
    unsigned worker;
    bool draining;
    bool stopping;                             /* what is still under way is being cut */
    const atomic_bool *shedding;               /* new work is turned away; NULL: never */
    uint64_t body_max[GATE_SLOTS];             /* bytes of a body; 0: the gate's own ceiling */
    uint64_t upload_max;                       /* of a form that streams; 0: LIMIT_AI_UPLOAD */
    const struct origin_list *allowed_origins; /* of web pages, at all gates; NULL: none */
    const struct host_list *allowed_hosts;     /* of /mcp, beside the loopback's; NULL: no others */
    /* Kept warm, so that a request costs no heap: ended requests, and each gate's own things. */
    struct list spare;
    size_t spare_count;
    struct list gate_spare[GATE_SLOTS];
    size_t gate_spare_count[GATE_SLOTS];
    struct buf scratch;     /* for what is written and sent within one call */
    struct buf_shelf shelf; /* memory for buffers of a call that are not needed all of its time */
    struct websockets
        *websockets;             /* of this loop; made when first needed, gone with the listener */
    struct http_server *clients; /* of the listener, whose descriptors it lends; NULL: none is up */
    struct session_memo *sessions; /* ids derived lately; made when first needed */
    struct key_memo *keys;         /* principals authenticated lately; made when first needed */
    /* Asks for a page of what an owner keeps (common/policy/kept_list.h). NULL: none can be. */
    void (*ask_kept)(void *arg, struct kept_list *list);
    void *ask_kept_arg;
    uint64_t unrecorded;         /* calls that the journal did not take, not yet logged */
    uint64_t unrecorded_told_us; /* when that was last logged */
    struct timer expiry;         /* for the first key under way that expires */
    int64_t expiry_at_us;        /* wall clock; 0: none does */
};

/* loop, upstreams.client, journal, metrics, worker are the caller's to set afterwards */
void request_env_init(struct request_env *env);
/* No request is under way and every gate took its spares back. Lets the policy go. */
void request_env_fini(struct request_env *env);
/* Later requests see this policy; holds it and lets the old one go. NULL: none. What is under way
 * and loses its right by what changed is cut (request_cut.c); returns how many. */
size_t request_env_take_policy(struct request_env *env, const struct snapshot *policy);

/* What the WebSockets of this worker share; NULL: no memory. */
struct websockets *request_env_websockets(struct request_env *env);
/* No WebSocket is open any more. */
void request_env_end_websockets(struct request_env *env);

/* What gives a request its right: a policy, the principal in it, and the task. */
struct request_right {
    const struct snapshot *policy;
    struct principal who;
    const struct policy_task *task; /* NULL: none */
};

/* What a dialect calls some of the headers that responses have. */
struct header_names {
    const char *id;                        /* of the request; NULL: it has no name of its own */
    const char *limit, *remaining, *reset; /* of the requests a minute */
    bool reset_is_time;                    /* RFC 3339; else a span of time in OpenAI's form */
};

/* One of the three gates, and its dialect. */
struct gate {
    const char *name; /* "ai", "tool", "api": the span's gate; NULL: not recorded */
    enum gate_slot slot;
    /* NULL, or returns NULL: OpenAI's names of the rate, and none of the id */
    const struct header_names *(*header_names)(const struct request *rq);
    const struct filter *const *filters;
    uint64_t body_max;
    /* A credential in the query, for clients that send it there; empty: none. It is never logged,
     * recorded or sent on. NULL: this gate takes none. */
    struct slice (*query_credential)(const struct request *rq);
    /* Of a credential that is no key: the key that this gate itself gave it out for; NULL: it did
     * not. NULL: this gate gives none out. */
    const struct policy_key *(*own_key)(struct request *rq, struct slice credential);
    /* All filters have passed: do the work. Ends by request_finish, sooner or later. */
    void (*work)(struct request *rq);
    /* A refusal in the dialect of the path: status and headers are the request's; the gate appends
     * the body and says its content type. */
    enum err (*refusal_body)(struct request *rq, struct buf *out, const char **content_type);
    /* The status it is sent in; NULL: its row's. */
    unsigned (*refusal_status)(const struct request *rq);
    /* The same inside a response that was begun: the bytes of the dialect's in-band error. Fails
     * where the response has no place for one: then the client is cut off. NULL: it never has. */
    enum err (*stream_error)(struct request *rq, struct buf *out);
    /* More headers of a refusal ("allow", "www-authenticate"); at most max; NULL: none. */
    size_t (*refusal_headers)(struct request *rq, struct http_header *out, size_t max);
    /* The session's label in the body, which has been read; empty where there is none. *named_by:
     * the member's name. NULL: this gate's bodies hold none. */
    struct slice (*session_label)(struct request *rq, const char **named_by);
    /* A piece of a streamed body, or one whole message of a WebSocket; NULL: filter_body */
    void (*on_body)(struct request *rq, struct slice piece);
    void (*on_body_end)(struct request *rq);
    /* Of a gate with both kinds: do the two above get this one's body, or does filter_body gather
     * it? NULL: they do where they are set. */
    bool (*streams_body)(const struct request *rq);
    /* Of a body that filter_body gathers: how large it may be if only its front is gathered and the
     * rest streams; 0: all of it is. NULL: none streams so. */
    uint64_t (*front_max)(const struct request *rq);
    /* The front is there, LIMIT_BODY_FRONT of it or a little more: is it enough? Then the client is
     * paused, and streams_body says true from now on. */
    bool (*front_is_enough)(struct request *rq);
    void (*on_drain)(struct request *rq); /* the client took what was pending; may be NULL */
    /* The client hung up, or the principal was blocked: stop the work at once. request_finish
     * must follow before it returns. */
    void (*cancel)(struct request *rq);
    /* Would this request, which is at its work, be let in by `now`? Else it refuses the request
     * (request_refuse) and returns false. The principal and the session were looked at before.
     * NULL: nothing else gives a right here. */
    bool (*still_allowed)(struct request *rq, const struct request_right *now);
    /* What the budget filter reserves. ERR_NOT_FOUND: no price known, nothing to reserve;
     * ERR_INVALID: cannot be bounded. NULL: this gate's calls are free. */
    enum err (*worst_case)(struct request *rq, money *ret);
    /* Why worst_case said ERR_INVALID, for the client. NULL, where worst_case never does. */
    const char *(*not_bounded)(const struct request *rq);
    /* How a budget_reserve_up_to that said ERR_AGAIN ended. ERR_OK: the amount is reserved, unless
     * another request took it first; else there is no more, or the control plane is away.
     * May be NULL. */
    void (*on_reserved)(struct request *rq, enum err e);
};

enum request_stage {
    REQUEST_HEAD,
    REQUEST_FILTERS, /* a filter is being called */
    REQUEST_WAITING, /* a filter waits */
    REQUEST_WORK,
    REQUEST_LEAVING,
    REQUEST_DONE
};

#define SESSION_ID_LEN 24 /* "s_" + 22 */

struct request_session {
    char id[SESSION_ID_LEN + 1];
    struct slice external_id;
    const char *named_by;
    bool known;
};

/* A file or a batch at a provider that the call made, saw or deleted. Texts as the record's. */
struct kept_note {
    const struct kept_note *next;
    const char *kind;
    struct slice owner, account, id;
    bool gone;
};

/* What the call's record will say; gates fill what applies, each its own part: the others' are
 * empty. Texts live in the arena or in the policy. */
struct call_record {
    char trace_id[33];
    char span_id[17];
    char parent_id[17]; /* "" where none */
    struct slice name;  /* "chat", "tools/call echo", "GET /customers/1" */
    struct {
        struct slice model, provider;
        const char *cache;      /* NULL, "bypass", … */
        struct slice requested; /* what the client called it; empty: so */
        struct slice model_row; /* the policy's name for it: a pattern, of a wildcard model */
        bool nested;            /* it leads to other models */
        struct slice rival;     /* the provider that is asked beside `provider` */
    } ai;
    struct {
        struct slice server, name;
    } tool;
    struct {
        struct slice service, path;
        struct slice route, account; /* of passthrough */
        uint64_t bytes_in, bytes_out;
    } api;
    struct token_count tokens;
    bool has_tokens;
    const char *usage_source; /* NULL: none; "provider"; "estimate": some of it is */
    bool cost_known;
    money cost;
    size_t attempt_count;
    const struct kept_note *kept; /* NULL: none */
    uint64_t upstream_us;         /* time spent waiting for upstreams; overhead is the rest */
    uint64_t queued_us; /* of it, the wait for a provider's ceiling, before anything was sent */
    size_t event_count;
    /* last, as those beyond the counts are not cleared */
    struct attempt attempts[LIMIT_ATTEMPTS];
    struct call_event {
        int64_t at_us;
        const char *name;
        struct slice detail;
    } events[LIMIT_CALL_EVENTS];
};

struct request {
    struct list link; /* in env->requests */
    struct request_env *env;
    struct arena *arena;
    struct log_ctx log;
    const struct gate *gate;
    void *gate_state;

    struct response response;

    /* what the client sent; valid until the end of the response */
    const struct http_head *head;
    struct slice path; /* canonical */
    struct slice query;
    struct slice peer;
    struct buf body;

    const struct snapshot *policy; /* held */
    struct principal who;
    struct slice credential_header; /* name of the header that named the principal */
    struct request_session session;
    const struct policy_task *task; /* NULL: none */
    char request_id[33];
    uint8_t call_id[JOURNAL_CALL_ID]; /* what request_id spells */

    enum request_stage stage;
    size_t filter_at;                  /* the one that is called, or waits */
    size_t filters_entered;            /* how many have their on_finish to come */
    void *filter_states[FILTER_SLOTS]; /* in the arena */
    struct refusal refusal;
    enum request_outcome end;
    unsigned response_status; /* 0: nothing was sent */
    bool client_gone;
    bool revoked;    /* cut: its right ended, or the plane ends or was removed */
    bool unrecorded; /* upkeep of a transport, no call: leaves no span */

    struct journal_entry entry;
    uint64_t started_us; /* monotonic */
    uint64_t ended_us;   /* when leaving began; 0: it has not */
    int64_t started_at_us;
    struct call_record record; /* last, as not all of it is cleared */
};

/* Made by the listener when a head has come; gate chosen, path canonical. NULL: out of memory. */
MUST_USE struct request *request_new(struct request_env *env, const struct gate *gate,
                                     struct client *client, const struct http_head *head,
                                     struct slice peer);
void request_start(struct request *rq); /* calls the filters; the request may be over on return */

/* from the listener */
void request_on_body(struct request *rq, struct slice piece);
void request_on_body_end(struct request *rq);
void request_on_drain(struct request *rq);
void request_on_gone(struct request *rq); /* the client hung up; the request frees itself */

/* from filters and gates */
void request_go_on(struct request *rq,
                   enum filter_result a); /* a waiting filter passes or refuses */
/* detail may be NULL-slice; it is copied */
void request_refuse(struct request *rq, enum refusal_id id, struct slice detail);

/* Something that happened, for the span: detail is lent until the request's end, and holds no
 * prompt, no argument and no secret. The first LIMIT_CALL_EVENTS are kept. */
void request_note(struct request *rq, const char *name, struct slice detail);

/* How a request ends, and what its client still gets. */
struct request_end {
    enum request_outcome outcome;
    unsigned status; /* 0: the response was begun, or it is the refusal */
    const struct http_header *headers;
    size_t header_count;
    struct slice body; /* all of it, or the last piece of a response that was begun; not in the
                        * worker's scratch, where the record is packed before it is sent */
    bool cut; /* a response that was begun cannot be completed: the connection is cut, so that
               * half is not taken for whole */
};
/*
 * The one end of every request: the filters finish in reverse, the record is written, the client
 * gets the end of its response, the request is retired.
 *
 * A request that was refused (request_refuse) and whose response was not begun gets the refusal;
 * where it was begun and `body` is empty, the client gets the dialect's in-band error. Where
 * nothing was said at all it is an internal error.
 */
void request_finish(struct request *rq, const struct request_end *end);
/* Without a last word of its own. */
static inline void request_finish_as(struct request *rq, enum request_outcome outcome)
{
    request_finish(rq, &(const struct request_end){.outcome = outcome});
}
/* Writes the opened record, once, before the first byte goes upstream. ERR_EXHAUSTED: the journal
 * is full. */
MUST_USE enum err request_open_record(struct request *rq);

/* how many headers every response has, in front of the gate's own */
#define REQUEST_HEADERS 40

/* Cut all that is under way, as the plane was removed from its control plane, or ends: a client
 * gets a refusal, or its dialect's in-band error. They return how many. */
size_t request_cut_removed(struct request_env *env);
size_t request_cut_drained(struct request_env *env);
/* The right under which the request was let in. */
struct request_right request_right_of(const struct request *rq);
/* The same by the newest policy of the worker; lent until a newer one is there. false: the key does
 * not stand in it, and the request is about to be cut. */
bool request_right_now(const struct request *rq, struct request_right *ret);
/* Why a gate's cancel was called, as the trace says it: "revoked", "removed" (this data plane was),
 * "drained" or "client_gone". */
struct slice request_cut_code(const struct request *rq);
