/*
 * ai_attempt — which target is tried next, and what follows from how an attempt went. What is sent
 * is in ai_send.c, what a response means in ai_response.c and ai_stream.c.
 */
#include "dataplane/ai/ai_attempt.h"

#include "common/base/clock.h"
#include "common/upstream/trace_context.h"
#include "dataplane/ai/ai_cost.h"
#include "dataplane/ai/ai_pace.h"
#include "dataplane/ai/ai_response.h"
#include "dataplane/ai/ai_send.h"
#include "dataplane/ai/ai_stream.h"
#include "dataplane/ai/ai_token.h"
#include "dataplane/ai/ai_upload.h"
#include "dataplane/ai/realtime.h"

static void try_next(struct ai_call *c);

static void close_attempt(struct ai_call *c, enum request_outcome end, struct slice code)
{
    timer_cancel(&c->patience);
    timer_cancel(&c->beat);
    if (end == OUTCOME_OK && c->exchange && c->attempt)
        exchange_used(c->exchange, &c->attempt->tokens);
    ai_pace_close(c);
    exchange_close(&c->exchange, end, code);
    if (c->upload)
        ai_upload_hold(c);
    c->attempt = NULL;
}

static void drop_token(struct ai_call *c)
{
    access_token_cancel(&c->token_wait);
    access_token_drop(c->token);
    c->token = NULL;
}

/* What was gathered or written has been sent then: the next response of the same turn finds its
 * memory. */
static void finish(struct ai_call *c, const struct request_end *end)
{
    drop_token(c);
    ai_pace_close(c);
    ai_call_move(c, AI_CALL_OVER);
    request_finish(c->rq, end);
    buf_shelf_give(&c->rq->env->shelf, &c->gathered);
    buf_shelf_give(&c->rq->env->shelf, &c->written);
}

static void finish_answered(struct ai_call *c, enum request_outcome end)
{
    struct http_header headers[AI_RESPONSE_HEADERS];
    size_t n = ai_response_headers(c, headers);
    finish(c, &(struct request_end){.outcome = end,
                                    .status = c->status,
                                    .headers = headers,
                                    .header_count = n,
                                    .body = c->answer.body});
}

/* ---- an attempt failed: another one, or the end ---- */

/* Every target failed, or one that said so for all. */
static void give_up(struct ai_call *c)
{
    if (c->failure.is_told && !c->headed) {
        ai_response_tell_error(c);
        finish_answered(c, OUTCOME_ERROR);
        return;
    }
    if (c->endpoint->kind == AI_COUNT) {
        enum err e = ai_response_estimate_count(c);
        finish_answered(c, e ? OUTCOME_ERROR : OUTCOME_OK);
        return;
    }
    bool busy = c->limited && !c->failure.of_request;
    request_refuse(c->rq, busy ? REFUSAL_UPSTREAM_BUSY : c->failure.refusal, c->failure.detail);
    c->rq->refusal.retry_after_s = c->retry_after_s;
    finish(c, &(struct request_end){.outcome = OUTCOME_ERROR});
}

/* The next credential of the target that was not tried yet; NULL: there is none. */
static const struct policy_credential *other_credential(const struct ai_call *c)
{
    if (!c->candidate_next)
        return NULL;
    const struct policy_provider *p = ai_call_target(c)->provider;
    for (size_t i = 0; !c->stays && c->credentials_bad && i < p->credential_count && i < 64; i++)
        if (ai_call_target(c)->credentials & ~c->credentials_bad & 1ull << i)
            return &p->credentials[i];
    return NULL;
}

static void mark_credential(struct ai_call *c)
{
    const struct candidate *t = ai_call_target(c);
    size_t i = t->credential ? (size_t)(t->credential - t->provider->credentials) : 64;
    if (i < 64)
        c->credentials_bad |= 1ull << i;
}

static bool may_try_another(const struct ai_call *c)
{
    if (c->rq->record.attempt_count >= LIMIT_ATTEMPTS || (c->upload && ai_upload_is_lost(c)))
        return false;
    return c->candidate_next < c->candidate_count || other_credential(c);
}

/* Every attempt is paid for before it is sent: also where the one before it may have cost as much
 * as both. */
static void fall_back(struct ai_call *c)
{
    enum err e = ai_cost_reserve_unread(c);
    if (e == ERR_AGAIN)
        ai_call_move(c, AI_CALL_RESERVING);
    else if (e)
        give_up(c);
    else
        try_next(c);
}

/* As c->failure says. */
static void fail_attempt(struct ai_call *c)
{
    close_attempt(c, OUTCOME_ERROR, c->failure.code);
    if (c->state != AI_CALL_IDLE)
        ai_call_move(c, AI_CALL_IDLE);
    if (c->failure.of_credential)
        mark_credential(c);
    if (!c->failure.of_request && may_try_another(c)) {
        c->failure.is_told = false; /* whatever ends the call now, it is not these words */
        fall_back(c);
    } else {
        give_up(c);
    }
}

static void tell_otherwise(struct ai_call *c)
{
    close_attempt(c, OUTCOME_ERROR, SLICE("no_such_path"));
    ai_call_move(c, AI_CALL_IDLE);
    c->path_missing = true;
    c->candidate_next--;
    fall_back(c);
}

static void take_response(struct ai_call *c, enum ai_response_result r)
{
    switch (r) {
    case AI_RESPONSE_ON:
        break;
    case AI_RESPONSE_STREAM:
        ai_stream_open(c);
        break;
    case AI_RESPONSE_WHOLE:
        close_attempt(c, OUTCOME_OK, SLICE_NONE);
        finish_answered(c, OUTCOME_OK);
        break;
    case AI_RESPONSE_NO_PATH:
        tell_otherwise(c);
        break;
    case AI_RESPONSE_FAILED:
        fail_attempt(c);
        break;
    }
}

/* ---- a stream ---- */

static void end_stream(struct ai_call *c, enum request_outcome end, struct slice code,
                       struct slice last)
{
    close_attempt(c, end, code);
    finish(c, &(struct request_end){.outcome = end, .body = last});
}

static void complete_stream(struct ai_call *c)
{
    ai_cost_reported(c);
    end_stream(c, c->failed_in ? OUTCOME_ERROR : OUTCOME_OK,
               c->failed_in ? SLICE("error_in_stream") : SLICE_NONE, c->last);
}

/* The status is long gone, so the client hears it as an event, which SDKs raise. */
static void break_stream(struct ai_call *c, bool timed_out)
{
    ai_cost_reported(c);
    exchange_log_lost(c->exchange, timed_out ? ERR_TIMEOUT : ERR_CLOSED);
    close_attempt(c, OUTCOME_ERROR, c->failure.code);
    request_refuse(c->rq, c->failure.refusal, c->failure.detail);
    finish(c, &(struct request_end){.outcome = OUTCOME_ERROR});
}

static void stop_at_length(struct ai_call *c)
{
    enum ai_stream_result r = ai_stream_stop_at_length(c);
    ai_cost_estimated(c);
    if (r != AI_STREAM_OVER)
        end_stream(c, OUTCOME_OK, SLICE("length"), c->endpoint->dialect->stream_end);
}

static void take_stream(struct ai_call *c, enum ai_stream_result r)
{
    switch (r) {
    case AI_STREAM_ON:
    case AI_STREAM_OVER:
        break;
    case AI_STREAM_COMPLETE:
        complete_stream(c);
        break;
    case AI_STREAM_FAILED:
        ai_response_stream_failed(c);
        fail_attempt(c);
        break;
    case AI_STREAM_BROKEN:
        break_stream(c, false);
        break;
    case AI_STREAM_USED_UP:
        stop_at_length(c);
        break;
    case AI_STREAM_CLOSED:
        ai_cost_reported(c);
        close_attempt(c, OUTCOME_CANCELLED, SLICE("client_closed"));
        finish(c, &(struct request_end){.outcome = OUTCOME_CANCELLED, .cut = true});
        break;
    case AI_STREAM_REFUSED:
        ai_cost_reported(c);
        end_stream(c, OUTCOME_REFUSED, SLICE("refused"), SLICE_NONE);
        break;
    }
}

void ai_attempt_on_drain(struct ai_call *c)
{
    if (c->state == AI_CALL_SESSION)
        realtime_on_client_drain(c);
    else if (c->headed && c->exchange && !response_is_full(c->rq))
        exchange_release(c->exchange, EXCHANGE_HOLD_CLIENT);
}

void ai_attempt_on_beat(struct ai_call *c)
{
    if (c->state == AI_CALL_SESSION && !ai_call_is_over(c))
        realtime_on_idle(c);
    else if (!ai_call_is_over(c) && (c->state == AI_CALL_OPENING || ai_call_streams(c)))
        take_stream(c, ai_stream_on_beat(c));
}

void ai_attempt_on_patience(struct ai_call *c)
{
    if (ai_call_is_over(c))
        return;
    if (c->state == AI_CALL_GATHERING)
        take_response(c, ai_response_end(c));
    else if (c->state == AI_CALL_LINGERING)
        complete_stream(c);
    else if (c->state == AI_CALL_STREAMING && response_is_full(c->rq))
        timer_start(&c->patience, ai_stream_grace_ms); /* what follows may not have been read */
    else if (c->state == AI_CALL_STREAMING && c->finished)
        take_stream(c, ai_stream_end_for_it(c));
}

/* ---- from the upstream ---- */

static void on_head(void *arg, const struct http_head *head)
{
    struct ai_call *c = arg;
    ai_pace_head(c, head);
    if (c->realtime && head->status == 101)
        realtime_on_open(c, head);
    else
        take_response(c, ai_response_head(c, head));
}

static void on_body(void *arg, struct slice data)
{
    struct ai_call *c = arg;
    if (c->state == AI_CALL_SESSION)
        realtime_on_upstream(c, data);
    else if (c->state == AI_CALL_GATHERING)
        take_response(c, ai_response_body(c, data));
    else if (!ai_call_is_over(c))
        take_stream(c, ai_stream_feed(c, data));
}

static void on_end(void *arg)
{
    struct ai_call *c = arg;
    if (c->state == AI_CALL_SESSION)
        realtime_on_lost(c, ERR_CLOSED);
    else if (c->state == AI_CALL_GATHERING)
        take_response(c, ai_response_end(c));
    else if (!ai_call_is_over(c))
        take_stream(c, ai_stream_ended(c));
}

static void lose_stream(struct ai_call *c, const struct exchange_failure *f)
{
    bool timed_out = f->why == ERR_TIMEOUT;
    if (c->state == AI_CALL_LINGERING) { /* all was said; only the connection broke */
        complete_stream(c);
        return;
    }
    c->failure = (struct ai_failure){
        .refusal = timed_out ? REFUSAL_UPSTREAM_TIMEOUT : REFUSAL_UPSTREAM,
        .code = f->code,
        .detail = SLICE("it broke off in mid-stream"),
    };
    break_stream(c, timed_out);
}

static void on_fail(void *arg, const struct exchange_failure *f)
{
    struct ai_call *c = arg;
    if (ai_call_is_over(c))
        return;
    if (c->state == AI_CALL_SESSION) {
        realtime_on_lost(c, f->why);
        return;
    }
    if (ai_call_streams(c)) {
        lose_stream(c, f);
        return;
    }
    ai_response_lost(c, f);
    fail_attempt(c);
}

static void on_upstream_drain(void *arg)
{
    struct ai_call *c = arg;
    if (c->state == AI_CALL_SESSION)
        realtime_on_upstream_drain(c);
    else if (c->upload)
        ai_upload_go_on(c);
}

static const struct exchange_events events = {.on_head = on_head,
                                              .on_body = on_body,
                                              .on_end = on_end,
                                              .on_fail = on_fail,
                                              .on_drain = on_upstream_drain};

/* ---- one target after the other ---- */

static void note_attempt(struct ai_call *c, const struct candidate *target)
{
    struct call_record *t = &c->rq->record;
    c->attempt = &t->attempts[t->attempt_count++];
    *c->attempt = (struct attempt){.provider = target->provider->o.name, .model = target->model};
    trace_span_id(c->attempt->span_id);
    /* by the call's own clock: a step of the wall clock in between does not show */
    c->attempt->started_at_us =
        c->rq->started_at_us + (int64_t)(clock_mono_us() - c->rq->started_us);
    c->provider = c->path_missing ? ai_provider_named(target->provider->dialect)
                                  : ai_provider_for(target->provider, c->endpoint, target->model);
    c->path_missing = false;
    c->native = c->provider->speaks(c->endpoint);
    c->observed = c->native && !c->provider->glance;
    c->status = 0;
    c->usage = AI_USAGE_NONE;
    c->notice = SLICE_NONE;
    t->ai.provider = target->provider->o.name;
}

/* Another credential of the same target where one was refused, else the next target. */
static struct candidate *next_target(struct ai_call *c)
{
    const struct policy_credential *other = c->candidate_next ? other_credential(c) : NULL;
    if (other) {
        c->candidates[c->candidate_next - 1].credential = other;
        return &c->candidates[c->candidate_next - 1];
    }
    c->credentials_bad = 0;
    return &c->candidates[c->candidate_next++];
}

/* The request cannot be told this provider. Where no other target is left, that is the
 * client's to mend. */
static void note_untold(struct ai_call *c, const struct ai_untold *u)
{
    if (c->rq->record.attempt_count > 1 && c->failure.detail.len)
        return;
    c->request.param = u->param;
    c->failure = (struct ai_failure){
        .refusal = REFUSAL_UNSUPPORTED, .code = SLICE("unsupported"), .detail = u->why};
}

static void note_unsent(struct ai_call *c, enum err e)
{
    bool short_of = e == ERR_NOMEM || e == ERR_EXHAUSTED;
    c->failure = (struct ai_failure){.refusal = short_of ? REFUSAL_NO_CAPACITY : REFUSAL_UPSTREAM,
                                     .code = slice_str(err_name(e)),
                                     .detail = upstream_why(e)};
}

/* ---- a token of the target's account, where its provider wants one ---- */

static void on_token(struct access_token_wait *w, enum err e);

/* ERR_AGAIN: on_token follows. */
static enum err take_token(struct ai_call *c, const struct candidate *target)
{
    drop_token(c);
    c->token_wait.fn = on_token;
    return ai_token_take(c->rq, c->provider, target->provider, target->credential, &c->token_wait,
                         &c->token);
}

static void note_no_token(struct ai_call *c, enum err e)
{
    note_unsent(c, e);
    mark_credential(c);
    c->failure.code = SLICE("no_token");
    c->failure.detail = ai_token_why(c->rq, ai_call_target(c)->credential, e);
}

/* false: the target does not get the request. */
static bool send_to(struct ai_call *c, const struct candidate *target, enum err token)
{
    struct ai_untold untold = {0};
    enum err e = token ? token : ai_send(c, target, &events, &untold);
    if (!e) {
        ai_call_move(c, AI_CALL_SENT);
        return true;
    }
    if (token)
        note_no_token(c, token);
    else if (untold.why.len)
        note_untold(c, &untold);
    else
        note_unsent(c, e);
    c->attempt->end = OUTCOME_ERROR;
    c->attempt->code = token            ? c->failure.code
                       : untold.why.len ? SLICE("unsupported")
                                        : slice_str(err_name(e));
    c->attempt = NULL;
    return false;
}

/* The current target gets the request, or its account's token first. false: it gets neither. */
static bool go_to_target(struct ai_call *c)
{
    const struct candidate *target = ai_call_target(c);
    note_attempt(c, target);
    enum err e = take_token(c, target);
    if (e != ERR_AGAIN)
        return send_to(c, target, e);
    ai_call_move(c, AI_CALL_AUTHORIZING);
    return true;
}

static void on_paced(struct ai_call *c, enum err e)
{
    ai_call_move(c, AI_CALL_IDLE);
    if (e || !go_to_target(c))
        try_next(c);
}

static void try_next(struct ai_call *c)
{
    while (may_try_another(c)) {
        next_target(c);
        enum err e = ai_pace_enter(c, on_paced);
        if (e == ERR_AGAIN) {
            ai_call_move(c, AI_CALL_PACED);
            return;
        }
        if (!e && go_to_target(c))
            return;
    }
    give_up(c);
}

static void on_token(struct access_token_wait *w, enum err e)
{
    struct ai_call *c = CONTAINER_OF(w, struct ai_call, token_wait);
    ai_call_move(c, AI_CALL_IDLE);
    if (!e)
        e = take_token(c, ai_call_target(c));
    if (e == ERR_AGAIN) { /* one that ends at once is of no use */
        drop_token(c);
        e = ERR_PROTOCOL;
    }
    if (!send_to(c, ai_call_target(c), e))
        try_next(c);
}

/* A session's end is its own to say. */
static void finish_session(struct ai_call *c, enum request_outcome end, struct slice code)
{
    close_attempt(c, end, code);
    finish(c, &(struct request_end){.outcome = end});
}

static const struct realtime_owner session_owner = {.on_ready = try_next, .finish = finish_session};

void ai_attempt_start(struct ai_call *c)
{
    if (c->endpoint->kind == AI_REALTIME)
        realtime_start(c, &session_owner);
    else
        try_next(c);
}

void ai_attempt_on_reserved(struct ai_call *c, enum err e)
{
    if (c->state == AI_CALL_RESERVING) {
        ai_call_move(c, AI_CALL_IDLE);
        if (e)
            give_up(c);
        else
            fall_back(c);
    } else if (c->state == AI_CALL_STARVED) {
        take_stream(c, e ? AI_STREAM_USED_UP : ai_stream_on_money(c));
    } else if (c->state == AI_CALL_SESSION) {
        realtime_on_reserved(c, e);
    }
}

static void bill_taken_back(struct ai_call *c)
{
    if (ai_call_streams(c) || c->state == AI_CALL_OPENING)
        ai_cost_reported(c);
    else if (exchange_is_sent(c->exchange) && (!c->status || c->status == 200))
        ai_cost_cancelled(c);
}

/* Its target never has all of the form, and so does nothing that is paid for. */
void ai_attempt_on_upload(struct ai_call *c, enum ai_upload_result r)
{
    if (r == AI_UPLOAD_ON)
        return;
    bill_taken_back(c);
    close_attempt(c, OUTCOME_CANCELLED, SLICE("bad_form"));
    finish(c, &(struct request_end){.outcome = OUTCOME_REFUSED});
}

/* The client is gone, or its right ended: the upstream is let go at once. */
void ai_attempt_cancel(struct ai_call *c)
{
    struct request *rq = c->rq;
    if (c->exchange) {
        if (c->state == AI_CALL_SESSION)
            realtime_on_cancel(c);
        else
            bill_taken_back(c);
        close_attempt(c, OUTCOME_CANCELLED, request_cut_code(rq));
    }
    if (c->state == AI_CALL_AUTHORIZING) {
        c->attempt->end = OUTCOME_CANCELLED;
        c->attempt->code = request_cut_code(rq);
    }
    finish(c, &(struct request_end){.outcome = OUTCOME_CANCELLED});
}
