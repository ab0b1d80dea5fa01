/*
 * attempt — one target after the other, until one answers.
 *
 * Falls back only while the client has not seen a byte: on connect errors, timeouts, 429, 5xx
 * and where our own credential was refused. What the last target says is what the client hears;
 * but where one of them only asked to wait, that is told, as it is what a client can act on.
 */
#include "common/base/clock.h"
#include "common/request/forward_headers.h"
#include "common/upstream/trace_context.h"
#include "common/upstream/upstream_log.h"
#include "dataplane/ai/ai_private.h"

#define ERROR_BODY_MAX (64 * 1024) /* of an upstream's error that is relayed */

void attempt_drop(struct ai_work *w)
{
    if (w->call)
        http_call_close(&w->call);
}

/* The upstream's time runs while we wait for it; the rest of a call is our overhead. */
static void stop_waiting(struct ai_work *w, uint64_t now)
{
    if (w->waiting_us)
        w->rq->record.upstream_us += now - w->waiting_us;
    w->waiting_us = 0;
}

void attempt_end(struct ai_work *w, enum request_outcome end, struct slice code)
{
    uint64_t now = clock_mono_us();
    stop_waiting(w, now);
    w->attempt->end = end;
    w->attempt->code = code;
    w->attempt->duration_us = now - w->attempt_us;
    w->attempt = NULL;
    w->credential = NULL;
}

/* ---- what the client hears when nobody answered ---- */

/* Nobody is told any more: what it cost was all that was still to be known. */
static void finish_detached(struct ai_work *w)
{
    attempt_drop(w);
    if (w->attempt)
        attempt_end(w, OUTCOME_CANCELLED, request_cut_code(w->rq));
    request_finish_as(w->rq, OUTCOME_CANCELLED);
}

static void refuse(struct ai_work *w, enum refusal_id id, struct slice detail)
{
    if (w->rq->detached) {
        finish_detached(w);
        return;
    }
    request_refuse(w->rq, id, detail);
    request_finish_as(w->rq, OUTCOME_ERROR);
}

/* Every target failed. */
static void give_up(struct ai_work *w, enum refusal_id id, struct slice detail)
{
    request_refuse(w->rq, w->limited ? REFUSAL_UPSTREAM_BUSY : id, detail);
    w->rq->refusal.retry_after_s = w->retry_after_s;
    request_finish_as(w->rq, OUTCOME_ERROR);
}

/* Every attempt is paid for before it is sent: also where the one before it may have cost as much
 * as both. */
static void fall_back(struct ai_work *w, const struct refusal *said)
{
    enum err e = ai_set_aside_unread(w);
    w->next_waits = e == ERR_AGAIN;
    if (w->next_waits)
        w->last_said = *said;
    else if (e)
        give_up(w, said->id, said->detail);
    else
        attempt_next(w);
}

void attempt_reserved(struct ai_work *w, enum err e)
{
    struct refusal said = w->last_said;
    w->next_waits = false;
    if (e)
        give_up(w, said.id, said.detail);
    else
        fall_back(w, &said);
}

static void fail(struct ai_work *w, enum refusal_id id, struct slice detail, struct slice code)
{
    if (w->rq->detached) {
        finish_detached(w);
        return;
    }
    attempt_drop(w);
    attempt_end(w, OUTCOME_ERROR, code);
    if (w->candidate_next < w->candidate_count)
        fall_back(w, &(struct refusal){.id = id, .detail = detail});
    else
        give_up(w, id, detail);
}

/* the one that attempt_next chose last */
static struct upstream_at upstream_of(const struct ai_work *w)
{
    const struct policy_provider *p = w->candidates[w->candidate_next - 1].provider;
    return (struct upstream_at){p->o.name, &p->url};
}

/* ---- the answer ---- */

static bool is_worth_another(unsigned status)
{
    return status == 408 || status == 429 || status >= 500 || status < 200 ||
           (status >= 300 && status < 400) || upstream_refused_us(status);
}

static enum refusal_id refusal_for(unsigned status)
{
    switch (status) {
    case 503:
        return REFUSAL_NO_TARGET;
    case 408:
    case 504:
        return REFUSAL_UPSTREAM_TIMEOUT;
    default:
        return REFUSAL_UPSTREAM;
    }
}

/* 5xx: the upstream may have worked before it failed; 4xx and 3xx: it did not. */
static void fail_by_status(struct ai_work *w)
{
    unsigned status = w->status;
    struct slice detail = upstream_refused_us(status)
                              ? SLICE("it refused the gateway's credential")
                              : arena_printf(w->rq->arena, "it answered with status %u", status);
    if (status >= 500)
        bill_failed_attempt(w);
    fail(w, refusal_for(status), detail, arena_printf(w->rq->arena, "status_%u", status));
}

/* what passes from an upstream's head; everything else stays here */
static const struct slice passing[] = {
    {"content-type", 12},         {"retry-after", 11},    {"retry-after-ms", 14},
    {"openai-processing-ms", 20}, {"openai-version", 14}, {"x-should-retry", 14},
};

static void gather_headers(struct ai_work *w, const struct http_head *head)
{
    w->pass_count = 0;
    for (size_t i = 0; i < ARRAY_LEN(passing) && w->pass_count < ARRAY_LEN(w->pass); i++) {
        struct slice value = http_head_find(head, passing[i]);
        if (!value.len || !response_value_is_valid(passing[i], value))
            continue;
        if (ai_echo_in(w, value)) {
            ai_echo_alarm(w, "header");
            continue;
        }
        value = arena_copy(w->rq->arena, value);
        if (value.ptr)
            w->pass[w->pass_count++] = (struct http_header){passing[i], value};
    }
}

static void note_request_id(struct ai_work *w, const struct http_head *head)
{
    struct slice id = http_head_find(head, SLICE("x-request-id"));
    if (id.len && id.len <= 128 && !ai_echo_in(w, id))
        w->attempt->upstream_request_id = arena_copy(w->rq->arena, id);
}

static bool is_event_stream(const struct http_head *head)
{
    struct slice type = http_head_find(head, SLICE("content-type"));
    struct slice kind = SLICE("text/event-stream");
    return slice_ieq(slice_first(type, kind.len), kind);
}

static void note_wait(struct ai_work *w, const struct http_head *head)
{
    unsigned after = http_retry_after(head);
    w->limited = w->limited || head->status == 429;
    if (after && (!w->retry_after_s || after < w->retry_after_s))
        w->retry_after_s = after;
}

static bool is_encoded(const struct http_head *head)
{
    struct slice coding = http_head_find(head, SLICE("content-encoding"));
    return coding.len && !slice_ieq(coding, SLICE("identity"));
}

/* It was asked for the plain text: what we cannot read we can neither bill nor look through. */
static void fail_encoded(struct ai_work *w, bool good)
{
    if (good)
        bill_unread(w);
    fail(w, REFUSAL_UPSTREAM, SLICE("its answer is encoded, although plain text was asked for"),
         SLICE("content_encoding"));
}

static void on_head(void *arg, const struct http_head *head)
{
    struct ai_work *w = arg;
    stop_waiting(w, clock_mono_us());
    w->status = head->status;
    w->attempt->http_status = head->status;
    note_request_id(w, head);
    bool good = head->status >= 200 && head->status < 300;
    bool last = w->candidate_next == w->candidate_count;
    if (is_worth_another(head->status)) {
        note_wait(w, head);
        upstream_log_status(&w->rq->env->upstreams.log, &w->rq->log, upstream_of(w), head->status);
    }
    /* The last target's 429 is told as it is; whatever else is worth another try is our 50x. */
    if (is_worth_another(head->status) && !(last && head->status == 429)) {
        fail_by_status(w);
        return;
    }
    if (is_encoded(head)) {
        fail_encoded(w, good);
        return;
    }
    gather_headers(w, head);
    w->waiting_us = clock_mono_us();
    if (good && w->request.stream && is_event_stream(head)) {
        relay_begin(w, head);
        return;
    }
    w->gathering = true;
    w->gather_max = good ? LIMIT_AI_ANSWER : ERROR_BODY_MAX;
    buf_shelf_take(&w->rq->env->shelf, &w->answer);
}

static void on_body(void *arg, struct slice data)
{
    struct ai_work *w = arg;
    if (w->streaming) {
        relay_data(w, data);
        return;
    }
    if (w->answer.len + data.len <= w->gather_max && !buf_append(&w->answer, data))
        return;
    attempt_drop(w);
    if (w->status < 300)
        bill_unread(w);
    attempt_end(w, OUTCOME_ERROR, SLICE("too_big"));
    refuse(w, REFUSAL_UPSTREAM, SLICE("its answer is larger than allowed here"));
}

static void cut_echo(struct ai_work *w)
{
    const size_t looked_at = 16 * 1024 + AI_CREDENTIAL_MAX; /* security.md: the first 16 KiB */
    size_t len = w->answer.len < looked_at ? w->answer.len : looked_at;
    if (len > 0)
        ai_echo_mask(w, w->answer.data + w->answer.off, len, "body");
}

static void finish_whole(struct ai_work *w, enum request_outcome end, struct slice code)
{
    if (w->rq->detached) {
        finish_detached(w);
        return;
    }
    cut_echo(w);
    attempt_drop(w);
    attempt_end(w, end, code);
    request_finish(w->rq, &(struct request_end){.outcome = end,
                                                .status = w->status,
                                                .headers = w->pass,
                                                .header_count = w->pass_count,
                                                .body = buf_slice(&w->answer)});
}

static void on_end(void *arg)
{
    struct ai_work *w = arg;
    struct usage_look look = {0};
    if (w->streaming) {
        relay_upstream_end(w);
        return;
    }
    if (w->status >= 300) {
        finish_whole(w, OUTCOME_ERROR, arena_printf(w->rq->arena, "status_%u", w->status));
        return;
    }
    bool counted = !usage_read_response(buf_slice(&w->answer), &look) &&
                   (look.has_usage || (look.has_prompt && w->endpoint->kind == AI_EMBEDDINGS));
    if (counted)
        bill_reported(w, &look.tokens);
    else
        bill_estimated(w);
    /* Some servers answer 200 with an error inside (dialects.md 2.10, 26). */
    bool failed = look.has_error && !counted;
    finish_whole(w, failed ? OUTCOME_ERROR : OUTCOME_OK,
                 failed ? SLICE("error_in_answer") : SLICE_NONE);
}

static enum refusal_id refusal_for_loss(enum err why)
{
    if (why == ERR_EXHAUSTED)
        return REFUSAL_NO_CAPACITY;
    return why == ERR_TIMEOUT ? REFUSAL_UPSTREAM_TIMEOUT : REFUSAL_UPSTREAM;
}

/* It took the request. Where we gave up, or an answer had begun, it may have done all the work; one
 * that hung up without a word has failed. Behind a client that went, it may be us who end. */
static void bill_lost(struct ai_work *w, enum err why)
{
    unsigned status = w->attempt->http_status;
    bool hung_up = status == 0 && why != ERR_TIMEOUT && !w->rq->detached;
    if (hung_up)
        bill_failed_attempt(w);
    else if (status < 300)
        bill_unread(w);
}

static void on_error(void *arg, enum err why, enum http_call_phase phase)
{
    struct ai_work *w = arg;
    if (w->streaming) {
        relay_upstream_lost(w, why);
        return;
    }
    if (phase >= HTTP_PHASE_FIRST_BYTE)
        bill_lost(w, why);
    upstream_log_lost(&w->rq->env->upstreams.log, &w->rq->log, upstream_of(w), why, phase);
    fail(w, refusal_for_loss(why), upstream_why(why), slice_str(err_name(why)));
}

static const struct http_call_events call_events = {
    .on_head = on_head, .on_body = on_body, .on_end = on_end, .on_error = on_error};

/* ---- one target after the other ---- */

static void note_attempt(struct ai_work *w, const struct candidate *c)
{
    struct call_record *t = &w->rq->record;
    w->attempt = &t->attempts[t->attempt_count++];
    *w->attempt = (struct attempt){.provider = c->provider->o.name, .model = c->model};
    trace_span_id(w->attempt->span_id);
    w->attempt_us = clock_mono_us();
    /* by the call's own clock: a step of the wall clock in between does not show */
    w->attempt->started_at_us = w->rq->started_at_us + (int64_t)(w->attempt_us - w->rq->started_us);
    w->waiting_us = w->attempt_us;
    w->credential = c->credential ? c->credential->secret : NULL;
    t->provider = c->provider->o.name;
}

void attempt_next(struct ai_work *w)
{
    enum err e = ERR_NOT_FOUND;
    w->gathering = false;
    while (w->candidate_next < w->candidate_count) {
        const struct candidate *c = &w->candidates[w->candidate_next++];
        note_attempt(w, c);
        e = outgoing_send(w, c, &call_events);
        if (!e)
            return;
        attempt_end(w, OUTCOME_ERROR, slice_str(err_name(e)));
        upstream_log_lost(&w->rq->env->upstreams.log, &w->rq->log, upstream_of(w), e,
                          HTTP_PHASE_CONNECT);
    }
    give_up(w, e == ERR_NOMEM || e == ERR_EXHAUSTED ? REFUSAL_NO_CAPACITY : REFUSAL_UPSTREAM,
            upstream_why(e));
}
