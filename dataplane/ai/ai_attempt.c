/*
 * ai_attempt — which target is tried next, and what follows from how an attempt went. What is sent
 * is in ai_send.c, what a response means in ai_response.c and ai_stream.c.
 */
#include "dataplane/ai/ai_attempt.h"

#include "common/base/clock.h"
#include "common/base/digest.h"
#include "common/base/limits.h"
#include "common/upstream/trace_context.h"
#include "dataplane/ai/ai_cost.h"
#include "dataplane/ai/ai_hedge.h"
#include "dataplane/ai/ai_pace.h"
#include "dataplane/ai/ai_response.h"
#include "dataplane/ai/ai_retry.h"
#include "dataplane/ai/ai_send.h"
#include "dataplane/ai/ai_stream.h"
#include "dataplane/ai/ai_token.h"
#include "dataplane/ai/ai_upload.h"
#include "dataplane/ai/fault_injection.h"
#include "dataplane/ai/realtime.h"

#define US_PER_MS 1000u
#define USEFUL_MS 10 /* of a call's time: in less no upstream responds */

static void take_step(struct ai_call *c, enum ai_step step);
static void end_wait(struct ai_call *c);

static void close_attempt(struct ai_call *c, enum request_outcome end, struct slice code)
{
    timer_cancel(&c->patience);
    timer_cancel(&c->beat);
    timer_cancel(&c->late);
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

/* "tried provider/model (code), …", behind what the last one said. */
static struct slice say_tried(struct ai_call *c, struct slice said)
{
    const struct call_record *t = &c->rq->record;
    struct arena *a = c->rq->arena;
    const char *joint = said.len ? "; tried" : "tried";
    struct slice all = said;
    for (size_t i = 0; i < t->attempt_count; i++) {
        const struct attempt *one = &t->attempts[i];
        all = arena_printf(a, "%.*s%s %.*s/%.*s (%.*s)", SLICE_ARG(all), i ? "," : joint,
                           SLICE_ARG(one->provider), SLICE_ARG(one->model), SLICE_ARG(one->code));
    }
    return all.len ? all : said;
}

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
    enum refusal_id id = busy ? REFUSAL_UPSTREAM_BUSY : c->failure.refusal;
    struct slice said = id == REFUSAL_UPSTREAM_TIMEOUT ? SLICE_NONE : c->failure.detail;
    bool several = c->rq->record.attempt_count > 1 && id != REFUSAL_UNSUPPORTED;
    request_refuse(c->rq, id, several ? say_tried(c, said) : said);
    c->rq->refusal.retry_after_s = c->retry_after_s;
    finish(c, &(struct request_end){.outcome = OUTCOME_ERROR});
}

/* A credential of the target that was not tried yet, one that is well before the others; those only
 * where no other target is left. NULL: there is none. */
static const struct policy_credential *other_credential(const struct ai_call *c)
{
    if (!c->candidate_next || c->stays || !c->credentials_bad)
        return NULL;
    struct candidate t = *ai_call_target(c);
    const struct policy_credential *unwell = NULL;
    for (size_t i = 0; i < t.provider->credential_count && i < CANDIDATE_CREDENTIALS; i++) {
        if (!(t.credentials & ~c->credentials_bad & 1ull << i))
            continue;
        t.credential = &t.provider->credentials[i];
        if (ai_send_may(c, &t))
            return t.credential;
        unwell = unwell ? unwell : t.credential;
    }
    return c->candidate_next < c->candidate_count ? NULL : unwell;
}

static void mark_credential(struct ai_call *c)
{
    const struct candidate *t = ai_call_target(c);
    size_t i =
        t->credential ? (size_t)(t->credential - t->provider->credentials) : CANDIDATE_CREDENTIALS;
    if (i < CANDIDATE_CREDENTIALS)
        c->credentials_bad |= 1ull << i;
}

/* ---- what is tried next ---- */

/* Milliseconds; 0: the call's time is over. */
static uint64_t time_left(const struct ai_call *c)
{
    uint64_t now = clock_mono_us();
    if (c->deadline_us == UINT64_MAX)
        return UINT64_MAX;
    return now < c->deadline_us ? (c->deadline_us - now) / US_PER_MS : 0;
}

static bool may_try_more(const struct ai_call *c)
{
    bool is_lost = c->upload && ai_upload_is_lost(c);
    return c->rq->record.attempt_count < LIMIT_ATTEMPTS && !is_lost && time_left(c) > USEFUL_MS;
}

/* A prompt that was too long for one target goes to those alone that take a longer one, as far as
 * is known. */
static void leave_out_smaller(struct ai_call *c)
{
    uint64_t had = ai_call_target(c)->context_tokens;
    size_t kept = c->candidate_next;
    for (size_t i = kept; i < c->candidate_count; i++) {
        uint64_t has = c->candidates[i].context_tokens;
        if (!had || !has || has > had)
            c->candidates[kept++] = c->candidates[i];
    }
    c->candidate_count = kept;
}

/* The first that is well comes before the others; where none is, the order stands. */
static void prefer_well(struct ai_call *c)
{
    struct candidate *list = c->candidates;
    size_t at = c->candidate_next;
    while (at < c->candidate_count && !ai_send_may(c, &list[at]))
        at++;
    if (at >= c->candidate_count || at == c->candidate_next)
        return;
    struct candidate well = list[at];
    memmove(&list[c->candidate_next + 1], &list[c->candidate_next],
            (at - c->candidate_next) * sizeof(list[0]));
    list[c->candidate_next] = well;
}

static enum ai_step another_target(struct ai_call *c)
{
    if (c->failure.class == FAILURE_CONTEXT_TOO_LONG)
        leave_out_smaller(c);
    if (c->candidate_next && c->candidate_next + 1 < c->candidate_count)
        prefer_well(c); /* the list was in order when it was made */
    return c->candidate_next < c->candidate_count ? AI_STEP_TARGET : AI_STEP_NONE;
}

static bool is_tried_again(struct ai_call *c)
{
    const struct policy_provider *p = ai_call_target(c)->provider;
    uint32_t dice;
    if (!c->model->retry_attempts || c->endpoint->kind == AI_REALTIME)
        return false;
    digest_random(&dice, sizeof(dice));
    const struct ai_retry r = {
        .model = c->model,
        .failure = &c->failure,
        .tries = c->tries,
        .left_ms = time_left(c),
        .dice = dice,
        .now_us = clock_mono_us(),
        .budget = retry_budget_of(&c->rq->env->upstreams.retries, p->o.id),
    };
    return ai_retry_again(&r, &c->wait_ms);
}

/* After an attempt that failed as c->failure says. */
static enum ai_step step_after(struct ai_call *c)
{
    if (c->failure.is_final || !may_try_more(c))
        return AI_STEP_NONE;
    if (c->failure.of_credential && other_credential(c))
        return AI_STEP_CREDENTIAL;
    if (is_tried_again(c))
        return AI_STEP_AGAIN;
    return ai_retry_elsewhere(c->model, &c->failure) ? another_target(c) : AI_STEP_NONE;
}

/* After one that could not be sent. */
static enum ai_step step_unsent(struct ai_call *c)
{
    if (!may_try_more(c))
        return AI_STEP_NONE;
    return other_credential(c) ? AI_STEP_CREDENTIAL : another_target(c);
}

static void wait_for(struct ai_call *c, enum ai_wait what, unsigned ms)
{
    c->waits_for = what;
    ai_call_move(c, AI_CALL_WAITING);
    timer_start(&c->patience, ms);
}

static void go_on(struct ai_call *c)
{
    if (c->step == AI_STEP_AGAIN && c->wait_ms) {
        wait_for(c, AI_WAIT_AGAIN, c->wait_ms);
    } else {
        take_step(c, c->step);
    }
}

/* Every attempt is paid for before it is sent: also where the one before it may have cost as much
 * as both. */
static void fall_back(struct ai_call *c, enum ai_step step)
{
    c->step = step;
    enum err e = ai_cost_reserve_unread(c);
    if (e == ERR_AGAIN)
        ai_call_move(c, AI_CALL_RESERVING);
    else if (e)
        give_up(c);
    else
        go_on(c);
}

/* As c->failure says. */
static void fail_attempt(struct ai_call *c)
{
    close_attempt(c, OUTCOME_ERROR, c->failure.code);
    if (c->state != AI_CALL_IDLE)
        ai_call_move(c, AI_CALL_IDLE);
    if (c->failure.of_credential)
        mark_credential(c);
    enum ai_step step = step_after(c);
    if (step == AI_STEP_NONE) {
        give_up(c);
        return;
    }
    c->failure.is_told = false; /* whatever ends the call now, it is not these words */
    if (step != AI_STEP_TARGET)
        ai_cost_again(c);
    fall_back(c, step);
}

static void tell_otherwise(struct ai_call *c)
{
    close_attempt(c, OUTCOME_ERROR, SLICE("no_such_path"));
    ai_call_move(c, AI_CALL_IDLE);
    c->path_missing = true;
    c->wait_ms = 0;
    fall_back(c, AI_STEP_AGAIN);
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
    if (c->state == AI_CALL_WAITING)
        end_wait(c);
    else if (c->state == AI_CALL_GATHERING)
        take_response(c, ai_response_end(c));
    else if (c->state == AI_CALL_LINGERING)
        complete_stream(c);
    else if (c->state == AI_CALL_STREAMING && response_is_full(c->rq))
        timer_start(&c->patience, ai_stream_grace_ms); /* what follows may not have been read */
    else if (c->state == AI_CALL_STREAMING && c->finished)
        take_stream(c, ai_stream_end_for_it(c));
}

/* ---- two attempts at once ---- */

static void on_rival_head(void *arg, const struct http_head *head);
static void on_rival_fail(void *arg, const struct exchange_failure *f);

/* The rival's attempt is the call's now, and the first one's is let go. */
static void prefer_rival(struct ai_call *c, enum request_outcome end, struct slice code)
{
    ai_hedge_swap(c);
    ai_hedge_drop(c, end, code);
    c->rq->record.ai.provider = ai_call_target(c)->provider->o.name;
}

/* The first one's head came before the rival's. false: it is none, and the rival is waited for. */
static bool head_decides(struct ai_call *c, unsigned status)
{
    timer_cancel(&c->late);
    if (!ai_hedge_is_on(c))
        return true;
    bool ok = ai_verdict_of_status(status) == AI_OK;
    if (ok) {
        ai_hedge_drop(c, OUTCOME_CANCELLED, SLICE("hedged"));
    } else {
        exchange_log_status(c->exchange);
        prefer_rival(c, OUTCOME_ERROR, arena_printf(c->rq->arena, "status_%u", status));
    }
    return ok;
}

/* ---- from the upstream ---- */

static void on_head(void *arg, const struct http_head *head)
{
    struct ai_call *c = arg;
    ai_pace_head(c, head);
    if (c->realtime && head->status == 101)
        realtime_on_open(c, head);
    else if (head_decides(c, head->status))
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
    if (ai_hedge_is_on(c))
        prefer_rival(c, OUTCOME_ERROR, f->code);
    else
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

/* The same of a rival, which is one until the first attempt is gone. */
static const struct exchange_events rival_events = {.on_head = on_rival_head,
                                                    .on_body = on_body,
                                                    .on_end = on_end,
                                                    .on_fail = on_rival_fail,
                                                    .on_drain = on_upstream_drain};

static void on_rival_head(void *arg, const struct http_head *head)
{
    struct ai_call *c = arg;
    if (!ai_hedge_is_on(c)) {
        on_head(c, head);
    } else if (ai_verdict_of_status(head->status) == AI_OK) {
        prefer_rival(c, OUTCOME_CANCELLED, SLICE("hedged"));
        on_head(c, head);
    } else {
        ai_hedge_swap(c);
        ai_pace_head(c, head);
        exchange_log_status(c->exchange);
        ai_hedge_swap(c);
        ai_hedge_drop(c, OUTCOME_ERROR, arena_printf(c->rq->arena, "status_%u", head->status));
    }
}

static void on_rival_fail(void *arg, const struct exchange_failure *f)
{
    struct ai_call *c = arg;
    if (!ai_hedge_is_on(c)) {
        on_fail(c, f);
        return;
    }
    ai_hedge_swap(c);
    ai_response_lost(c, f); /* what it cost */
    ai_hedge_swap(c);
    ai_hedge_drop(c, OUTCOME_ERROR, f->code);
}

void ai_attempt_on_late(struct ai_call *c)
{
    if (c->state == AI_CALL_SENT && !ai_call_is_over(c))
        ai_hedge_begin(c, &rival_events);
}

/* ---- one target after the other ---- */

static void begin_at(struct ai_call *c, enum ai_step step)
{
    if (step == AI_STEP_TARGET) {
        c->credentials_bad = 0;
        c->tries = 0;
        c->candidate_next++;
    }
    struct candidate *t = &c->candidates[c->candidate_next - 1];
    if (step == AI_STEP_CREDENTIAL)
        t->credential = other_credential(c);
    if (c->tries++ == 0)
        retry_budget_earn(retry_budget_of(&c->rq->env->upstreams.retries, t->provider->o.id),
                          t->provider->retry_budget_permille);
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

/* ERR_AGAIN: on_token follows. ERR_CONFLICT: ai_send_is_forbidden. */
static enum err take_token(struct ai_call *c, const struct candidate *target)
{
    drop_token(c);
    if (ai_send_is_forbidden(c, target))
        return ERR_CONFLICT;
    c->token_wait.fn = on_token;
    return ai_token_take(c->rq, c->provider, target->provider, target->credential, &c->token_wait,
                         &c->token);
}

static void note_forbidden(struct ai_call *c)
{
    mark_credential(c);
    c->failure =
        (struct ai_failure){.refusal = REFUSAL_NO_TARGET,
                            .code = SLICE("policy_changed"),
                            .detail = SLICE("the policy has changed while the call waited")};
}

static void note_no_token(struct ai_call *c, enum err e)
{
    if (e == ERR_CONFLICT) {
        note_forbidden(c);
        return;
    }
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
        unsigned late_ms = ai_hedge_after(c);
        ai_call_move(c, AI_CALL_SENT);
        if (late_ms)
            timer_start(&c->late, late_ms);
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

/* false: the target does not get the request. */
static bool call_target(struct ai_call *c)
{
    const struct candidate *target = ai_call_target(c);
    enum err e = take_token(c, target);
    if (e == ERR_AGAIN) {
        ai_call_move(c, AI_CALL_AUTHORIZING);
        return true;
    }
    return send_to(c, target, e);
}

/* ---- faults that are injected ---- */

static uint32_t roll(void *arg)
{
    uint32_t n;
    (void)arg;
    digest_random(&n, sizeof(n));
    return n;
}

static void end_injected(struct ai_call *c, uint64_t took_us)
{
    c->attempt->end = OUTCOME_ERROR;
    c->attempt->code = c->failure.code;
    c->attempt->http_status = c->status;
    c->attempt->duration_us = took_us;
    fail_attempt(c);
}

static void end_hang(struct ai_call *c)
{
    c->failure = (struct ai_failure){.refusal = REFUSAL_UPSTREAM_TIMEOUT,
                                     .class = FAILURE_TIMEOUT,
                                     .code = SLICE("injected_timeout"),
                                     .detail = upstream_why(ERR_TIMEOUT)};
    end_injected(c, (uint64_t)c->wait_ms * US_PER_MS);
}

/* true: the attempt meets a fault in the target's place. */
static bool meets_fault(struct ai_call *c)
{
    const struct policy_provider *p = ai_call_target(c)->provider;
    const struct policy_fault *f = fault_injected(&(struct fault_query){
        .policy = c->rq->policy, .who = &c->rq->who, .provider = p, .dice = roll});
    if (!f)
        return false;
    if (f->status) {
        ai_response_injected(c, f->status);
        end_injected(c, 0);
        return true;
    }
    c->wait_ms = f->hangs ? ai_send_first_byte_ms(c, p) : f->latency_ms;
    wait_for(c, f->hangs ? AI_WAIT_HANG : AI_WAIT_LATE, c->wait_ms);
    return true;
}

static void end_wait(struct ai_call *c)
{
    ai_call_move(c, AI_CALL_IDLE);
    if (c->waits_for == AI_WAIT_AGAIN)
        take_step(c, c->step);
    else if (c->waits_for == AI_WAIT_HANG)
        end_hang(c);
    else if (!call_target(c))
        take_step(c, step_unsent(c));
}

/* It has room for the call. false: the target does not get the request. */
static bool go_to_target(struct ai_call *c)
{
    ai_send_begin(c, ai_call_target(c));
    return meets_fault(c) || call_target(c);
}

static void on_paced(struct ai_call *c, enum err e)
{
    ai_call_move(c, AI_CALL_IDLE);
    if (e || !go_to_target(c))
        take_step(c, step_unsent(c));
}

static void take_step(struct ai_call *c, enum ai_step step)
{
    for (; step != AI_STEP_NONE; step = step_unsent(c)) {
        begin_at(c, step);
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
        take_step(c, step_unsent(c));
}

/* A session's end is its own to say. */
static void finish_session(struct ai_call *c, enum request_outcome end, struct slice code)
{
    close_attempt(c, end, code);
    finish(c, &(struct request_end){.outcome = end});
}

static void try_first(struct ai_call *c)
{
    c->failure = (struct ai_failure){0};
    take_step(c, step_unsent(c));
}

static const struct realtime_owner session_owner = {.on_ready = try_first,
                                                    .finish = finish_session};

void ai_attempt_start(struct ai_call *c)
{
    c->deadline_us = ai_send_deadline(c);
    if (c->endpoint->kind == AI_REALTIME)
        realtime_start(c, &session_owner);
    else
        try_first(c);
}

void ai_attempt_on_reserved(struct ai_call *c, enum err e)
{
    if (c->state == AI_CALL_RESERVING) {
        ai_call_move(c, AI_CALL_IDLE);
        if (e)
            give_up(c);
        else
            fall_back(c, c->step);
    } else if (c->state == AI_CALL_STARVED) {
        take_stream(c, e ? AI_STREAM_USED_UP : ai_stream_on_money(c));
    } else if (c->state == AI_CALL_SENT) { /* for a rival; without it the first one goes on */
        if (!e && ai_hedge_after(c))
            ai_hedge_begin(c, &rival_events);
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
    ai_hedge_drop(c, OUTCOME_CANCELLED, request_cut_code(rq));
    if (c->exchange) {
        if (c->state == AI_CALL_SESSION)
            realtime_on_cancel(c);
        else
            bill_taken_back(c);
        close_attempt(c, OUTCOME_CANCELLED, request_cut_code(rq));
    }
    timer_cancel(&c->patience);
    if (c->attempt) { /* its target was not called yet */
        c->attempt->end = OUTCOME_CANCELLED;
        c->attempt->code = request_cut_code(rq);
    }
    finish(c, &(struct request_end){.outcome = OUTCOME_CANCELLED});
}
