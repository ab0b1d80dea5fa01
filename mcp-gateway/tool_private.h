/*
 * work — what the rooms of the tool gate share about one request. Private to mcp-gateway.
 *
 * Owns     the legs under way, the session's count and its buffers; born in the request's arena,
 *          and given back when that is emptied.
 * Threads  its worker's loop.
 */
#pragma once

#include "common/request/request.h"
#include "mcp-gateway/directory.h"
#include "mcp-gateway/env.h"
#include "mcp-gateway/grant.h"
#include "mcp-gateway/mcp_message.h"
#include "mcp-gateway/mcp_response.h"
#include "mcp-gateway/upstream_leg.h"

struct tool_work {
    struct request *rq;
    struct mcp_env *env;

    /* what was asked; filled by the gates */
    bool is_post, is_get, is_delete;
    bool takes_json, takes_stream; /* what the client accepts */
    struct mcp_message message;    /* of a POST */
    struct slice id;               /* raw; empty: none to answer to */
    int fault_code;                /* JSON-RPC code of a body that was refused; 0: by the table */
    const struct policy_server *server;
    struct slice tool; /* unescaped */
    bool has_ticket;
    struct mcp_ticket ticket;
    size_t revision;             /* initialize: what we answer */
    struct mcp_session *session; /* held; NULL: none */
    bool one_shot;               /* the session is this call's alone */

    /* the way upstream */
    struct mcp_leg *leg; /* the one under way */
    struct mcp_upstream_ref upstream_ref;
    bool opener;            /* it is on us to say how the opening went */
    bool greeting;          /* the leg is an initialize that was not answered yet */
    bool unread;            /* something came that nobody could read */
    bool reopened;          /* once is enough */
    unsigned retry_after_s; /* what the refusal says of it; 0: nothing */
    struct timer look;      /* for the end of another's opening */
    uint64_t look_until_us;
    void (*opened)(struct tool_work *w);
    void (*not_opened)(struct tool_work *w, enum err why);
    struct slice hello_answer; /* the upstream's response to initialize; in the arena */
    uint64_t number;           /* the request's id upstream; 0: none */
    struct attempt *attempt;
    uint64_t waiting_us, opening_us;

    /* the way back */
    bool streaming;
    struct timer keepalive;
    struct buf out;   /* the answer, edited */
    struct buf event; /* the same as an event */
};

/* gates.c */
extern const struct filter tool_filter_origin;  /* from where, and how? */
extern const struct filter tool_filter_form;    /* in a form we read, and can answer? */
extern const struct filter tool_filter_message; /* what? */
/* gates_session.c */
extern const struct filter tool_filter_ticket; /* in which MCP session? */
extern const struct filter tool_filter_label;  /* the Gatehouse session that was sealed into it */
/* gates_grant.c */
extern const struct filter tool_filter_server; /* may they see this server? */
extern const struct filter tool_filter_tool;   /* and call this tool? */
extern const struct filter tool_filter_limit;  /* not so fast, where it is a call */

/* would this principal still see the server, and call the tool? */
bool tool_still_allowed(struct request *rq, const struct request_right *now);

void tool_subject_of(const struct tool_work *w, struct tool_subject *ret);
struct slice mcp_session_label(struct request *rq, const char **named_by);

/* error.c: the dialect of refusals */
enum err mcp_refusal_body(struct request *rq, struct buf *out, const char **content_type);
size_t mcp_refusal_headers(struct request *rq, struct http_header *out, size_t max);
/* {"jsonrpc":…,"id":…,"error":{…}} */
enum err mcp_write_error(struct buf *out, struct slice id, int code, struct slice text,
                         const char *word);
/* a tools/call that failed on its way: a result with isError */
enum err mcp_write_failure(struct buf *out, struct slice id, struct slice text);

/* open.c: an upstream session for w->session, then w->opened or w->not_opened */
void mcp_open(struct tool_work *w);
/* a message of this work's, in the upstream session that w->upstream_ref leads to */
struct mcp_leg_spec mcp_post_spec(const struct tool_work *w, const char *span_id,
                                  unsigned silence_ms);
/* w's part in an opening is over, whatever it was */
void mcp_open_leave(struct tool_work *w);
/* ends the upstream session that belongs to this one; nobody waits for it */
void mcp_close_upstream(struct mcp_env *env, const struct snapshot *policy,
                        struct mcp_session *session, struct arena *a);

/* the kinds of work */
void mcp_initialize(struct tool_work *w); /* initialize.c */
void mcp_call(struct tool_work *w);       /* call.c: a request that goes upstream */
void mcp_call_leave(struct tool_work *w); /* the client no longer waits */
void mcp_note(struct tool_work *w);       /* note.c: notifications and responses */
void mcp_listen(struct tool_work *w);     /* listen.c: GET */
void mcp_end(struct tool_work *w);        /* end.c: DELETE */

/* relay.c: what the client gets */
void mcp_keep_alive(struct tool_work *w);   /* from now on the client hears us every 15 s */
bool mcp_stream_begin(struct tool_work *w); /* false: it is over */
bool mcp_stream_send(struct tool_work *w, struct slice raw); /* false: it is over */
void mcp_stream_end(struct tool_work *w, enum request_outcome end, struct slice last);
void mcp_drain(struct tool_work *w);
/* Says a whole JSON-RPC message, as JSON or as the stream's last event, and ends the request. */
void mcp_response(struct tool_work *w, enum request_outcome end, struct slice message);

/* request.c */
bool mcp_is_over(const struct tool_work *w);
/* Legs dropped or let go, timers stopped: before every request_finish. */
void tool_leave(struct tool_work *w);
void mcp_refuse(struct tool_work *w, enum refusal_id id, struct slice detail,
                enum request_outcome end);
/* true: the record is opened; false: the request is over */
bool mcp_record(struct tool_work *w);
void mcp_attempt_begin(struct tool_work *w);
void mcp_attempt_end(struct tool_work *w, enum request_outcome end, struct slice code);
/* The row for a way to fail, and what to fill its sentence with. */
enum refusal_id mcp_refusal_of(enum err why, struct slice *detail);
/* The same for what the leg's status says; also notes how long it asks to wait. */
enum refusal_id mcp_refusal_by_status(struct tool_work *w, struct slice *detail);
/* 202 or 204: no body */
void mcp_response_empty(struct tool_work *w, unsigned status);
/* The response with the client's id in place of ours, a tool list cut to the grants, in w->out;
 * ERR_PROTOCOL: a list that is none. */
enum err mcp_make_response(struct tool_work *w, const struct mcp_response *a, struct slice id,
                           bool may_list);
