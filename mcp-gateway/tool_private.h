/*
 * tool_private — one request of the tool gate, shared by the files that carry it.
 *
 *   NEW → OPENING → SENT → LEFT
 *
 * OPENING waits for the upstream session, SENT for what the upstream responds. A request whose
 * upstream session was lost, and an event stream that attaches anew, go back to OPENING. LEFT holds
 * nothing upstream any more; the request finishes in the same turn.
 *
 * Owns     the exchange under way, the session's count and its buffers; made in the request's
 *          arena, and given back when that is emptied.
 * Threads  its worker's loop.
 */
#pragma once

#include "common/request/request.h"
#include "mcp-gateway/grant.h"
#include "mcp-gateway/mcp_exchange.h"
#include "mcp-gateway/mcp_message.h"
#include "mcp-gateway/mcp_response.h"
#include "mcp-gateway/mcp_worker.h"
#include "mcp-gateway/session_directory.h"
#include "mcp-gateway/upstream_opening.h"

enum tool_state { TOOL_NEW, TOOL_OPENING, TOOL_SENT, TOOL_LEFT };

struct tool_work;

/* What carries one kind of request through OPENING and SENT. */
struct tool_carrier {
    void (*opened)(struct tool_work *w);     /* w->waiter.ref is to be used */
    void (*not_opened)(struct tool_work *w); /* w->waiter.failure says why */
    void (*on_event)(struct tool_work *w, enum mcp_event event, uint64_t number);
};

struct tool_work {
    struct request *rq;
    struct mcp_worker *worker;
    enum tool_state state;

    /* filled by the filters */
    bool is_post, is_get, is_delete;
    bool takes_json, takes_stream; /* what the client accepts */
    struct mcp_message message;    /* of a POST */
    struct slice id;               /* raw; empty: no request to respond to */
    int fault_code;                /* JSON-RPC code of a body that was refused; 0: by the table */
    const struct policy_server *server;
    struct slice tool; /* unescaped */
    bool has_session_id;
    struct mcp_session_id session_id;
    size_t revision;                /* initialize: the row that it is answered in */
    struct client_session *session; /* held; NULL: none */
    bool adopts;                    /* this request made it known to this plane */
    bool one_shot;                  /* the session is this call's alone */
    bool over_limit;                /* a notification that goes no further */

    /* the grants, as of the newest policy that the worker has taken */
    const struct snapshot *policy; /* held; NULL: the request's own */
    struct principal who;
    const struct policy_task *task;

    /* the way upstream */
    const struct tool_carrier *carrier;
    struct session_member member;
    struct upstream_waiter waiter;
    struct mcp_exchange *exchange;
    bool unread;            /* something came that could not be read */
    bool resent;            /* once is enough */
    unsigned retry_after_s; /* what the refusal says of it; 0: nothing */
    uint64_t number;        /* the request's id upstream; 0: none */
    struct timer deadline;  /* for the next message */
    uint64_t until_us;      /* and for the response */
    struct attempt *attempt;
    uint64_t waiting_us, opening_us;

    /* the way back */
    bool streaming;
    struct timer keepalive;
    struct buf out;   /* the response, edited */
    struct buf event; /* the same as an event */

    /* an event stream's */
    struct directory_owner *stream_of; /* the principal it counts for */
    struct buf last_event_id;
    unsigned detached; /* attempts to attach it again */
    uint64_t grants;   /* a sum of what is granted */
};

/* ---- filters ---- */
extern const struct filter tool_filter_origin;  /* by Origin and Host; the path's form */
extern const struct filter tool_filter_form;    /* content type, Accept, revision */
extern const struct filter tool_filter_message; /* one JSON-RPC message */
extern const struct filter tool_filter_session; /* the MCP session */
extern const struct filter tool_filter_label;   /* the Gatehouse session and task sealed into it */
extern const struct filter tool_filter_server;  /* a server that is granted */
extern const struct filter tool_filter_tool;    /* a tool, or a method, that is granted */
extern const struct filter tool_filter_limit;   /* rates and parallel calls */

/* by the newest policy */
void tool_subject_of(const struct tool_work *w, struct tool_subject *ret);
/* Would the newest policy let this principal see the server, and call the tool? */
bool tool_still_allowed(struct request *rq, const struct request_right *now);
struct slice tool_principal(const struct tool_work *w); /* an agent's id, or a key's */
bool tool_may_see_task(const struct tool_work *w, struct slice task_id);
bool tool_is_whole(const struct tool_work *w); /* granted whole */
struct slice mcp_session_label(struct request *rq, const char **named_by);
struct mcp_bearer tool_bearer(const struct request *rq);

/* ---- tool_error.c: refusals in the dialect ---- */
enum err mcp_refusal_body(struct request *rq, struct buf *out, const char **content_type);
size_t mcp_refusal_headers(struct request *rq, struct http_header *out, size_t max);
unsigned mcp_refusal_status(const struct request *rq);
/* {"jsonrpc":…,"id":…,"error":{…}}; retry_after_s 0: not said */
enum err mcp_write_error(struct buf *out, struct slice id, int code, struct slice text,
                         const char *word, unsigned retry_after_s);
/* a tools/call that failed on its way: a result with isError */
enum err mcp_write_failure(struct buf *out, struct slice id, struct slice text);
/* The row for a way to fail, and what to fill its sentence with. */
enum refusal_id mcp_refusal_of(enum err why, struct slice *detail);
/* The same for what the exchange's status says, and for an opening; they note how long it asks to
 * wait. */
enum refusal_id mcp_refusal_by_status(struct tool_work *w, struct slice *detail);
enum refusal_id mcp_refusal_of_opening(struct tool_work *w, struct slice *detail);

/* ---- tool_upstream.c: the way to the upstream session, for every carrier ---- */
/* The one function that changes the state. */
void tool_move(struct tool_work *w, enum tool_state to);
/* Calls the carrier, at once or later. */
void tool_open(struct tool_work *w);
/* From here on the carrier hears of the session's events. */
void tool_join(struct tool_work *w);
/* Exchange dropped or released, timers stopped: before every request_finish. */
void tool_leave(struct tool_work *w);
struct mcp_exchange_spec tool_post_spec(const struct tool_work *w, const char *span_id,
                                        unsigned silence_ms);
/* A message to the upstream session whose response is not waited for. */
void tool_tell_upstream(struct tool_work *w, struct slice message);
/* notifications/cancelled for this request */
void tool_cancel_upstream(struct tool_work *w, const char *reason);

/* ---- tool_inbound.c ---- */
/* What a server sends beside a response: the event that the client shall get, valid until the next
 * call; SLICE_NONE: it was answered here, or is not for this client. */
struct slice tool_inbound(struct tool_work *w, const struct mcp_response *a,
                          const struct sse_event *e);
/* The id of the upstream's request that a client's response answers; false: no such request was
 * sent to this session. *upstream_id: of the upstream session that asked. */
bool tool_question_of(struct tool_work *w, struct slice id, struct slice *original,
                      struct slice *upstream_id, bool *first);

/* ---- the kinds of request ---- */
void mcp_initialize(struct tool_work *w);
void mcp_call(struct tool_work *w);           /* a request that goes upstream */
void mcp_call_leave(struct tool_work *w);     /* the client no longer waits */
void mcp_notify(struct tool_work *w);         /* notifications and responses */
void mcp_listen(struct tool_work *w);         /* GET */
void mcp_listen_regrant(struct tool_work *w); /* the policy has changed */
void mcp_end(struct tool_work *w);            /* DELETE */

/* ---- tool_relay.c: what the client gets ---- */
void mcp_keep_alive(struct tool_work *w);   /* from now on the client hears us every 15 s */
bool mcp_stream_begin(struct tool_work *w); /* false: it is over */
bool mcp_stream_send(struct tool_work *w, struct slice raw); /* false: it is over */
void mcp_stream_end(struct tool_work *w, enum request_outcome end, struct slice last);
void mcp_drain(struct tool_work *w);
/* Says a whole JSON-RPC message, as JSON or as the stream's last event, and ends the request.
 * event_id: of that event; empty: none. */
void mcp_response(struct tool_work *w, enum request_outcome end, struct slice message,
                  struct slice event_id);
/* Ends a request that its client cancelled: without a response, as the protocol wants it. */
void mcp_response_cancelled(struct tool_work *w);
/* 202 or 204: no body */
void mcp_response_empty(struct tool_work *w, unsigned status);
/* The response with the client's id in place of ours, a tool list cut to the grants, in w->out;
 * ERR_PROTOCOL: a list that is none. */
enum err mcp_make_response(struct tool_work *w, const struct mcp_response *a, struct slice id,
                           bool lists);

/* ---- tool_gate.c ---- */
bool mcp_is_over(const struct tool_work *w);
void mcp_refuse(struct tool_work *w, enum refusal_id id, struct slice detail,
                enum request_outcome end);
/* true: the record is opened; false: the request is over */
bool mcp_record(struct tool_work *w);
void mcp_attempt_begin(struct tool_work *w);
void mcp_attempt_end(struct tool_work *w, enum request_outcome end, struct slice code);
