/*
 * journey — the corridor of the tool gate.
 *
 *   door → who → form → what → in which session → on which task → server → tool → not so fast →
 *   upstream
 *
 * The body is read before the session is known, as only a message tells whether it needs one.
 */
#include "common/base/clock.h"
#include "common/journey/trace.h"
#include "common/journey/upstream_log.h"
#include "mcp-gateway/mcp.h"
#include "mcp-gateway/work.h"

static const struct gate *const mcp_gates[] = {
    &mcp_gate_door,    /* from where, and how? */
    &gate_authn,       /* who is asking? */
    &mcp_gate_form,    /* in a form we read? */
    &gate_body,        /* all of it */
    &mcp_gate_message, /* what? */
    &mcp_gate_ticket,  /* in which MCP session? */
    &gate_session,     /* in which conversation? */
    &gate_task,        /* on which task? */
    &mcp_gate_label,   /* or as it was when the session began */
    &mcp_gate_server,  /* may they see this server? */
    &mcp_gate_tool,    /* and call this tool? */
    &mcp_gate_limit,   /* not so fast */
    NULL,
};

bool mcp_is_over(const struct mcp_work *w)
{
    return w->j->stage != JOURNEY_WORK;
}

void mcp_leave(struct mcp_work *w)
{
    if (w->keepalive.loop)
        timer_cancel(&w->keepalive);
    mcp_open_leave(w);
    mcp_leg_drop(&w->leg);
    if (w->one_shot && w->session)
        mcp_close_upstream(w->env, w->j->policy, w->session, w->j->arena);
}

void mcp_refuse(struct mcp_work *w, enum refusal_id id, struct slice detail, enum journey_end end)
{
    mcp_leave(w);
    journey_refuse(w->j, id, detail);
    w->j->refusal.retry_after_s = w->retry_after_s;
    journey_finish(w->j, end);
}

bool mcp_record(struct mcp_work *w)
{
    if (!journey_open_record(w->j))
        return true;
    w->retry_after_s = 1;
    mcp_refuse(w, REFUSAL_NO_CAPACITY, SLICE_NONE, JOURNEY_REFUSED);
    return false;
}

void mcp_attempt_begin(struct mcp_work *w)
{
    struct journey_trace *t = &w->j->trace;
    MUST(t->attempt_count < LIMIT_ATTEMPTS);
    w->attempt = &t->attempts[t->attempt_count++];
    *w->attempt = (struct attempt){.server = w->server->o.name, .started_at_us = clock_wall_us()};
    trace_span_id(w->attempt->span_id);
    w->waiting_us = clock_mono_us();
}

void mcp_attempt_end(struct mcp_work *w, enum journey_end end, struct slice code)
{
    if (!w->attempt)
        return;
    uint64_t took = clock_mono_us() - w->waiting_us;
    w->j->trace.upstream_us += took;
    w->attempt->duration_us = took;
    w->attempt->end = end;
    w->attempt->code = code;
    w->attempt = NULL;
}

enum refusal_id mcp_refusal_of(enum err why, struct slice *detail)
{
    *detail = SLICE_NONE;
    switch (why) {
    case ERR_TIMEOUT:
        return REFUSAL_UPSTREAM_TIMEOUT;
    case ERR_PROTOCOL:
    case ERR_INVALID:
    case ERR_TOO_BIG:
        return REFUSAL_UPSTREAM_PROTOCOL;
    case ERR_NOMEM:
    case ERR_EXHAUSTED:
        return REFUSAL_NO_CAPACITY;
    case ERR_NOT_FOUND: /* open.c */
        *detail = SLICE("it opens no session for us");
        return REFUSAL_UPSTREAM;
    case ERR_AGAIN: /* open.c */
        *detail = SLICE("it opens no session for us now");
        return REFUSAL_UPSTREAM_BUSY;
    default:
        *detail = upstream_why(why);
        return REFUSAL_UPSTREAM;
    }
}

enum refusal_id mcp_refusal_by_status(struct mcp_work *w, struct slice *detail)
{
    w->retry_after_s = w->leg->retry_after_s;
    *detail = arena_printf(w->j->arena, "it answered with status %u", w->leg->status);
    return w->leg->status == 429 ? REFUSAL_UPSTREAM_BUSY : REFUSAL_UPSTREAM;
}

void mcp_answer_empty(struct mcp_work *w, unsigned status)
{
    mcp_leave(w);
    journey_finish_whole(w->j, JOURNEY_OK, status, NULL, 0, SLICE(""));
}

/* A ping asks us, not the upstream (MCP, Ping). */
static void answer_ping(struct mcp_work *w)
{
    buf_clear(&w->out);
    if (buf_printf(&w->out, "{\"jsonrpc\":\"2.0\",\"id\":%.*s,\"result\":{}}", SLICE_ARG(w->id)))
        mcp_refuse(w, REFUSAL_NO_CAPACITY, SLICE_NONE, JOURNEY_REFUSED);
    else
        mcp_answer(w, JOURNEY_OK, buf_slice(&w->out));
}

static void begin(struct journey *j)
{
    struct mcp_work *w = j->wing_state;
    if (w->is_get)
        mcp_listen(w);
    else if (w->is_delete)
        mcp_end(w);
    else if (w->message.kind != MCP_REQUEST)
        mcp_note(w);
    else if (w->message.method == MCP_INITIALIZE)
        mcp_initialize(w);
    else if (w->message.method == MCP_PING)
        answer_ping(w);
    else
        mcp_call(w);
}

static void on_drain(struct journey *j)
{
    mcp_drain(j->wing_state);
}

/* Some clients take a stream that is cut for one that ended: a request that was begun hears why,
 * where nothing of what it has to hear before is still waiting. */
static bool tell_revoked(struct mcp_work *w)
{
    const char *type;
    if (!w->j->revoked || !w->id.len || w->ending || w->held.len)
        return false;
    buf_clear(&w->out);
    buf_clear(&w->event);
    return !mcp_refusal_body(w->j, &w->out, &type) &&
           !sse_write(&w->event, SLICE("message"), SLICE_NONE, buf_slice(&w->out));
}

static void cancel(struct journey *j)
{
    struct mcp_work *w = j->wing_state;
    bool said = w->ending; /* only the client's reading was missing */
    mcp_call_leave(w);
    mcp_leave(w);
    mcp_attempt_end(w, JOURNEY_CANCELLED, journey_cut_code(j));
    enum journey_end end = j->refusal.id ? JOURNEY_REFUSED : JOURNEY_CANCELLED;
    if (said && w->end != JOURNEY_OK)
        end = w->end;
    if (w->streaming && tell_revoked(w))
        journey_finish_with(j, end, buf_slice(&w->event));
    else if (w->streaming)
        journey_finish_cut(j, end);
    else
        journey_finish(j, end);
}

const struct wing mcp_wing = {
    .name = "tool",
    .slot = WING_TOOL,
    .gates = mcp_gates,
    .body_max = LIMIT_MCP_BODY,
    .work = begin,
    .refusal_body = mcp_refusal_body,
    .refusal_headers = mcp_refusal_headers,
    .session_label = mcp_session_label,
    .on_drain = on_drain,
    .cancel = cancel,
};
