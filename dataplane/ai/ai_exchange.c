/*
 * ai_exchange — the attempts of one call, and the response that one of them gets.
 */
#include "dataplane/ai/ai_exchange.h"

#include "common/base/clock.h"
#include "common/request/forward_headers.h"
#include "common/upstream/echo.h"
#include "common/upstream/trace_context.h"
#include "common/upstream/upstream_log.h"
#include "dataplane/ai/ai_cost.h"
#include "dataplane/ai/ai_echo.h"
#include "dataplane/ai/ai_send.h"

#define ERROR_BODY_MAX (64 * 1024) /* of an upstream's error */
#define LINGER_MS 100 /* the upstream's own end follows the last event at once, or never */

static void try_next(struct ai_call *c);

void ai_exchange_drop(struct ai_call *c)
{
    if (c->upstream)
        http_call_close(&c->upstream);
}

/* The upstream's time runs while we wait for it; the rest of a call is our overhead. */
static void stop_waiting(struct ai_call *c, uint64_t now)
{
    if (c->waiting_us)
        c->rq->record.upstream_us += now - c->waiting_us;
    c->waiting_us = 0;
}

/* Ends the attempt in the record; what it cost was billed before. */
static void end_attempt(struct ai_call *c, enum request_outcome end, struct slice code)
{
    uint64_t now = clock_mono_us();
    stop_waiting(c, now);
    c->attempt->end = end;
    c->attempt->code = code;
    c->attempt->duration_us = now - c->attempt_us;
    c->attempt = NULL;
    c->credential = NULL;
}

static void finish(struct ai_call *c, enum request_outcome end)
{
    ai_call_move(c, AI_CALL_OVER);
    request_finish_as(c->rq, end);
}

/* ---- what the client hears when no target responded ---- */

/* The client has had its last word: what the call cost was all that was still to be known. */
static void finish_detached(struct ai_call *c)
{
    ai_exchange_drop(c);
    if (c->attempt)
        end_attempt(c, OUTCOME_CANCELLED, request_cut_code(c->rq));
    finish(c, OUTCOME_CANCELLED);
}

/* Every target failed. */
static void give_up(struct ai_call *c, enum refusal_id id, struct slice detail)
{
    request_refuse(c->rq, c->limited ? REFUSAL_UPSTREAM_BUSY : id, detail);
    c->rq->refusal.retry_after_s = c->retry_after_s;
    finish(c, OUTCOME_ERROR);
}

/* Every attempt is paid for before it is sent: also where the one before it may have cost as much
 * as both. */
static void fall_back(struct ai_call *c, const struct refusal *said)
{
    enum err e = ai_cost_reserve_unread(c);
    if (e == ERR_AGAIN) {
        ai_call_move(c, AI_CALL_RESERVING);
        c->last_failure = *said;
    } else if (e) {
        give_up(c, said->id, said->detail);
    } else {
        try_next(c);
    }
}

static void fail(struct ai_call *c, enum refusal_id id, struct slice detail, struct slice code)
{
    if (c->rq->detached) {
        finish_detached(c);
        return;
    }
    ai_exchange_drop(c);
    end_attempt(c, OUTCOME_ERROR, code);
    if (c->state != AI_CALL_IDLE)
        ai_call_move(c, AI_CALL_IDLE);
    if (c->candidate_next < c->candidate_count)
        fall_back(c, &(struct refusal){.id = id, .detail = detail});
    else
        give_up(c, id, detail);
}

/* the one that try_next chose last */
static struct upstream_at upstream_of(const struct ai_call *c)
{
    const struct policy_provider *p = c->candidates[c->candidate_next - 1].provider;
    return (struct upstream_at){p->o.name, &p->url};
}

/* ---- a whole response ---- */

static void mask_echo(struct ai_call *c)
{
    const size_t looked_at = ECHO_LOOKED_AT + AI_CREDENTIAL_MAX; /* security.md: the first 16 KiB */
    size_t len = c->gathered.len < looked_at ? c->gathered.len : looked_at;
    if (len > 0)
        ai_echo_mask(c, c->gathered.data + c->gathered.off, len, "body");
}

static void finish_whole(struct ai_call *c, enum request_outcome end, struct slice code)
{
    if (c->rq->detached) {
        finish_detached(c);
        return;
    }
    mask_echo(c);
    ai_exchange_drop(c);
    end_attempt(c, end, code);
    ai_call_move(c, AI_CALL_OVER);
    request_finish(c->rq, &(struct request_end){.outcome = end,
                                                .status = c->status,
                                                .headers = c->pass,
                                                .header_count = c->pass_count,
                                                .body = buf_slice(&c->gathered)});
}

static void gather(struct ai_call *c, struct slice data)
{
    if (c->gathered.len + data.len <= c->gather_max && !buf_append(&c->gathered, data))
        return;
    ai_exchange_drop(c);
    if (c->status < 300)
        ai_cost_unread(c);
    if (c->rq->detached) {
        finish_detached(c);
        return;
    }
    end_attempt(c, OUTCOME_ERROR, SLICE("too_big"));
    request_refuse(c->rq, REFUSAL_UPSTREAM, SLICE("its answer is larger than allowed here"));
    finish(c, OUTCOME_ERROR);
}

static void gathered_all(struct ai_call *c)
{
    struct ai_whole whole;
    if (c->status >= 300) {
        finish_whole(c, OUTCOME_ERROR, arena_printf(c->rq->arena, "status_%u", c->status));
        return;
    }
    c->provider->read_whole(buf_slice(&c->gathered), c->endpoint->kind, &whole);
    if (whole.counted == AI_COUNTED_ALL)
        ai_cost_counted(c, &whole.tokens);
    else
        ai_cost_estimated(c);
    finish_whole(c, whole.fails ? OUTCOME_ERROR : OUTCOME_OK,
                 whole.fails ? SLICE("error_in_answer") : SLICE_NONE);
}

/* ---- a stream ---- */

static void end_stream(struct ai_call *c, enum request_outcome end, struct slice last)
{
    timer_cancel(&c->linger);
    ai_call_move(c, AI_CALL_OVER);
    request_finish(c->rq, &(struct request_end){.outcome = end, .body = last});
}

/* The response can take nothing more: the client is gone, or a filter refused what was written. */
static void stop_by(struct ai_call *c, enum sink_result why)
{
    bool refused = why == SINK_REFUSED;
    enum request_outcome end = refused ? OUTCOME_REFUSED : OUTCOME_CANCELLED;
    timer_cancel(&c->linger);
    ai_exchange_drop(c);
    if (c->attempt) {
        ai_cost_reported(c);
        end_attempt(c, end, refused ? SLICE("refused") : SLICE("client_closed"));
    }
    ai_call_move(c, AI_CALL_OVER);
    request_finish(c->rq, &(struct request_end){.outcome = end, .cut = !refused});
}

static void take_result(struct ai_call *c, enum sink_result r)
{
    if (c->rq->stage != REQUEST_WORK)
        return;
    if (r == SINK_FULL && c->upstream)
        http_call_pause(c->upstream);
    if (r > SINK_FULL)
        stop_by(c, r);
}

static void forward(struct ai_call *c, struct slice bytes)
{
    take_result(c, response_write(c->rq, bytes));
}

/* The upstream is read on where nothing holds it back: neither the client nor the money. */
static void resume(struct ai_call *c)
{
    if (c->upstream && c->state != AI_CALL_STARVED && !response_is_full(c->rq))
        http_call_resume(c->upstream);
}

void ai_exchange_on_drain(struct ai_call *c)
{
    if (ai_call_streams(c))
        resume(c);
}

/* What is reserved is used up: the stream ends as a model ends at its own ceiling. */
static void stop_at_length(struct ai_call *c)
{
    const struct ai_dialect *d = c->endpoint->dialect;
    struct token_count so_far = ai_cost_so_far(c);
    struct buf *out = &c->rq->env->scratch;
    ai_exchange_drop(c);
    ai_cost_estimated(c);
    end_attempt(c, OUTCOME_OK, SLICE("length"));
    buf_clear(out);
    if (!d->write_length_stop(&c->writer, &so_far, out))
        forward(c, buf_slice(out));
    if (!ai_call_is_over(c))
        end_stream(c, OUTCOME_OK, d->stream_end);
}

/* While the lease server's word is awaited, the stream waits, and so does its upstream. */
static bool has_reached_its_end(struct ai_call *c)
{
    bool waits;
    bool used_up = ai_cost_is_used_up(c, &waits);
    if (c->state == AI_CALL_STARVED && !waits)
        ai_call_move(c, AI_CALL_STREAMING);
    if (!waits)
        return used_up;
    if (c->state == AI_CALL_STREAMING)
        ai_call_move(c, AI_CALL_STARVED);
    http_call_pause(c->upstream);
    return false;
}

/* A credential that comes back inside the first 16 KiB is masked; the event keeps its length. */
static struct slice without_echo(struct ai_call *c, struct slice raw)
{
    bool early = c->relayed < ECHO_LOOKED_AT;
    c->relayed += raw.len;
    if (!early || !ai_echo_in(c, raw))
        return raw;
    struct slice copy = arena_copy(c->rq->arena, raw);
    if (!copy.ptr)
        return SLICE("\n\n");
    ai_echo_mask(c, (char *)(uintptr_t)copy.ptr, copy.len, "stream");
    return copy;
}

/* Providers put `"usage":null` into every chunk once usage is asked for. A client that did not ask
 * gets the chunk without it. In an event of several data lines the member may stand across them:
 * such an event, which no provider sends, stays as it is. */
static bool has_unasked(const struct sse_event *e, const struct ai_glance *g)
{
    const char *from = e->raw.ptr, *to = from + e->raw.len;
    return g->unasked.ptr && e->data.ptr >= from && e->data.ptr < to;
}

static void forward_event(struct ai_call *c, const struct sse_event *e, const struct ai_glance *g)
{
    struct slice raw = without_echo(c, e->raw);
    if (raw.len != e->raw.len || !has_unasked(e, g)) {
        forward(c, raw);
        return;
    }
    size_t at = (size_t)(g->unasked.ptr - e->raw.ptr);
    struct slice front = slice_first(raw, at), rest = slice_from(raw, at + g->unasked.len);
    struct buf *out = &c->rq->env->scratch;
    buf_clear(out);
    if (!buf_append(out, front) && !buf_append(out, rest)) {
        forward(c, buf_slice(out));
        return;
    }
    forward(c, front); /* larger than the scratch */
    if (!ai_call_is_over(c))
        forward(c, rest);
}

static void note(struct ai_call *c, const struct sse_event *e, const struct ai_glance *g)
{
    if (g->has_usage) {
        ai_usage_merge(&c->usage, &g->usage);
        c->has_usage = true;
    }
    c->failed_in = c->failed_in || g->fails;
    c->finished = c->finished || g->finishes;
    ai_meter_add(&c->meter, g->words);
    if (ai_cost_is_limited(c))
        c->provider->identify(e->data, c->rq->arena, &c->writer);
}

static bool on_event(void *arg, const struct sse_event *e)
{
    struct ai_call *c = arg;
    struct ai_glance g = {0};
    if (ai_call_is_over(c))
        return false;
    if (c->state == AI_CALL_LINGERING)
        return true; /* nothing belongs behind the last event */
    if (e->has_data)
        c->provider->glance(e->data, c->request.wants_usage, &g);
    if (g.ends) {
        ai_call_move(c, AI_CALL_LINGERING);
        c->last = arena_copy(c->rq->arena, e->raw);
        timer_start(&c->linger, LINGER_MS);
        return true;
    }
    note(c, e, &g);
    if (g.usage_alone && !c->request.wants_usage)
        return true;
    forward_event(c, e, &g);
    if (ai_call_is_over(c))
        return false;
    if (has_reached_its_end(c)) {
        stop_at_length(c);
        return false;
    }
    return true;
}

static void begin_stream(struct ai_call *c)
{
    struct http_header headers[ARRAY_LEN(c->pass) + 1];
    memcpy(headers, c->pass, c->pass_count * sizeof(headers[0]));
    headers[c->pass_count] = (struct http_header){SLICE("cache-control"), SLICE("no-cache")};
    ai_call_move(c, AI_CALL_STREAMING);
    c->usage = AI_USAGE_NONE;
    c->writer.choices = c->request.choices;
    c->writer.wants_usage = c->request.wants_usage;
    take_result(c, response_begin(c->rq, c->status, headers, c->pass_count + 1, UINT64_MAX));
}

/* The status is long gone, so the client hears it as an event, which SDKs raise. */
static void stream_lost(struct ai_call *c, enum err why)
{
    if (ai_call_is_over(c))
        return;
    bool whole = c->state == AI_CALL_LINGERING; /* all was said; only the connection broke */
    if (!whole)
        log_warn(&c->rq->log, "upstream_lost", "provider=%.*s why=%s",
                 SLICE_ARG(c->attempt->provider), err_name(why));
    ai_exchange_drop(c);
    ai_cost_reported(c);
    end_attempt(c, whole ? OUTCOME_OK : OUTCOME_ERROR,
                whole ? SLICE_NONE : slice_str(err_name(why)));
    if (!whole)
        request_refuse(c->rq, why == ERR_TIMEOUT ? REFUSAL_UPSTREAM_TIMEOUT : REFUSAL_UPSTREAM,
                       SLICE("it broke off in mid-stream"));
    end_stream(c, whole ? OUTCOME_OK : OUTCOME_ERROR, whole ? c->last : SLICE_NONE);
}

static void stream_ended(struct ai_call *c)
{
    if (ai_call_is_over(c))
        return;
    bool last_seen = c->state == AI_CALL_LINGERING;
    if (!last_seen && !c->finished && !c->failed_in && !c->has_usage) {
        stream_lost(c, ERR_CLOSED); /* it ended in the middle of a sentence */
        return;
    }
    struct slice rest = sse_reader_rest(&c->sse);
    if (rest.len && !last_seen)
        forward(c, rest);
    if (ai_call_is_over(c))
        return;
    ai_exchange_drop(c);
    ai_cost_reported(c);
    enum request_outcome end = c->failed_in ? OUTCOME_ERROR : OUTCOME_OK;
    end_attempt(c, end, c->failed_in ? SLICE("error_in_stream") : SLICE_NONE);
    end_stream(c, end, c->last);
}

void ai_exchange_on_linger(struct ai_call *c)
{
    stream_ended(c);
}

static void relay(struct ai_call *c, struct slice data)
{
    if (ai_call_is_over(c))
        return;
    enum err e = sse_reader_feed(&c->sse, data, on_event, c);
    if (!e || e == ERR_CANCELLED || ai_call_is_over(c))
        return;
    stream_lost(c, ERR_PROTOCOL); /* an event that never ends */
}

/* ---- from the upstream ---- */

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
static void fail_by_status(struct ai_call *c, enum ai_verdict verdict)
{
    unsigned status = c->status;
    struct slice detail = verdict == AI_CREDENTIAL_BAD
                              ? SLICE("it refused the gateway's credential")
                              : arena_printf(c->rq->arena, "it answered with status %u", status);
    if (status >= 500)
        ai_cost_failed(c);
    fail(c, refusal_for(status), detail, arena_printf(c->rq->arena, "status_%u", status));
}

/* what passes from an upstream's head; everything else stays here */
static const struct slice passing[] = {
    {"content-type", 12},         {"retry-after", 11},    {"retry-after-ms", 14},
    {"openai-processing-ms", 20}, {"openai-version", 14}, {"x-should-retry", 14},
};

static void gather_headers(struct ai_call *c, const struct http_head *head)
{
    c->pass_count = 0;
    for (size_t i = 0; i < ARRAY_LEN(passing) && c->pass_count < ARRAY_LEN(c->pass); i++) {
        struct slice value = http_head_find(head, passing[i]);
        if (!value.len || !response_value_is_valid(passing[i], value))
            continue;
        if (ai_echo_in(c, value)) {
            ai_echo_alarm(c, "header");
            continue;
        }
        value = arena_copy(c->rq->arena, value);
        if (value.ptr)
            c->pass[c->pass_count++] = (struct http_header){passing[i], value};
    }
}

static void note_request_id(struct ai_call *c, const struct http_head *head)
{
    struct slice id = http_head_find(head, SLICE("x-request-id"));
    if (id.len && id.len <= 128 && !ai_echo_in(c, id))
        c->attempt->upstream_request_id = arena_copy(c->rq->arena, id);
}

static bool is_event_stream(const struct http_head *head)
{
    struct slice type = http_head_find(head, SLICE("content-type"));
    struct slice kind = SLICE("text/event-stream");
    return slice_ieq(slice_first(type, kind.len), kind);
}

static void note_wait(struct ai_call *c, const struct http_head *head)
{
    unsigned after = http_retry_after(head);
    c->limited = c->limited || head->status == 429;
    if (after && (!c->retry_after_s || after < c->retry_after_s))
        c->retry_after_s = after;
}

static bool is_encoded(const struct http_head *head)
{
    struct slice coding = http_head_find(head, SLICE("content-encoding"));
    return coding.len && !slice_ieq(coding, SLICE("identity"));
}

/* It was asked for the plain text: what we cannot read we can neither bill nor look through. */
static void fail_encoded(struct ai_call *c, bool good)
{
    if (good)
        ai_cost_unread(c);
    fail(c, REFUSAL_UPSTREAM, SLICE("its answer is encoded, although plain text was asked for"),
         SLICE("content_encoding"));
}

static void on_head(void *arg, const struct http_head *head)
{
    struct ai_call *c = arg;
    stop_waiting(c, clock_mono_us());
    c->status = head->status;
    c->attempt->http_status = head->status;
    note_request_id(c, head);
    enum ai_verdict verdict = c->provider->classify(head->status);
    bool another = verdict == AI_RETRY || verdict == AI_LIMITED || verdict == AI_CREDENTIAL_BAD;
    bool last = c->candidate_next == c->candidate_count;
    if (another) {
        note_wait(c, head);
        upstream_log_status(&c->rq->env->upstreams.log, &c->rq->log, upstream_of(c), head->status);
    }
    /* The last target's 429 is told as it is; whatever else is worth another try is our 50x. */
    if (another && !(last && verdict == AI_LIMITED)) {
        fail_by_status(c, verdict);
        return;
    }
    if (is_encoded(head)) {
        fail_encoded(c, verdict == AI_OK);
        return;
    }
    gather_headers(c, head);
    c->waiting_us = clock_mono_us();
    if (verdict == AI_OK && c->request.stream && is_event_stream(head)) {
        begin_stream(c);
        return;
    }
    ai_call_move(c, AI_CALL_GATHERING);
    c->gather_max = verdict == AI_OK ? LIMIT_AI_ANSWER : ERROR_BODY_MAX;
    buf_shelf_take(&c->rq->env->shelf, &c->gathered);
    buf_clear(&c->gathered);
}

static void on_body(void *arg, struct slice data)
{
    struct ai_call *c = arg;
    if (c->state == AI_CALL_GATHERING)
        gather(c, data);
    else
        relay(c, data);
}

static void on_end(void *arg)
{
    struct ai_call *c = arg;
    if (c->state == AI_CALL_GATHERING)
        gathered_all(c);
    else
        stream_ended(c);
}

static enum refusal_id refusal_for_loss(enum err why)
{
    if (why == ERR_EXHAUSTED)
        return REFUSAL_NO_CAPACITY;
    return why == ERR_TIMEOUT ? REFUSAL_UPSTREAM_TIMEOUT : REFUSAL_UPSTREAM;
}

/* It took the request. Where we gave up, or a response had begun, it may have done all the work;
 * one that hung up without a word has failed. Behind a client that went, it may be us who end. */
static void bill_lost(struct ai_call *c, enum err why)
{
    unsigned status = c->attempt->http_status;
    bool hung_up = status == 0 && why != ERR_TIMEOUT && !c->rq->detached;
    if (hung_up)
        ai_cost_failed(c);
    else if (status < 300)
        ai_cost_unread(c);
}

static void on_error(void *arg, enum err why, enum http_call_phase phase)
{
    struct ai_call *c = arg;
    if (c->state >= AI_CALL_STREAMING) {
        stream_lost(c, why);
        return;
    }
    if (phase >= HTTP_PHASE_FIRST_BYTE)
        bill_lost(c, why);
    upstream_log_lost(&c->rq->env->upstreams.log, &c->rq->log, upstream_of(c), why, phase);
    fail(c, refusal_for_loss(why), upstream_why(why), slice_str(err_name(why)));
}

static const struct http_call_events call_events = {
    .on_head = on_head, .on_body = on_body, .on_end = on_end, .on_error = on_error};

/* ---- one target after the other ---- */

static void note_attempt(struct ai_call *c, const struct candidate *target)
{
    struct call_record *t = &c->rq->record;
    c->attempt = &t->attempts[t->attempt_count++];
    *c->attempt = (struct attempt){.provider = target->provider->o.name, .model = target->model};
    trace_span_id(c->attempt->span_id);
    c->attempt_us = clock_mono_us();
    /* by the call's own clock: a step of the wall clock in between does not show */
    c->attempt->started_at_us = c->rq->started_at_us + (int64_t)(c->attempt_us - c->rq->started_us);
    c->waiting_us = c->attempt_us;
    c->credential = target->credential ? target->credential->secret : NULL;
    c->provider = ai_provider_named(target->provider->dialect);
    t->provider = target->provider->o.name;
}

static void try_next(struct ai_call *c)
{
    enum err e = ERR_NOT_FOUND;
    while (c->candidate_next < c->candidate_count) {
        const struct candidate *target = &c->candidates[c->candidate_next++];
        note_attempt(c, target);
        e = ai_send(c, target, &call_events);
        if (!e) {
            ai_call_move(c, AI_CALL_SENT);
            return;
        }
        end_attempt(c, OUTCOME_ERROR, slice_str(err_name(e)));
        upstream_log_lost(&c->rq->env->upstreams.log, &c->rq->log, upstream_of(c), e,
                          HTTP_PHASE_CONNECT);
    }
    give_up(c, e == ERR_NOMEM || e == ERR_EXHAUSTED ? REFUSAL_NO_CAPACITY : REFUSAL_UPSTREAM,
            upstream_why(e));
}

void ai_exchange_start(struct ai_call *c)
{
    try_next(c);
}

void ai_exchange_on_reserved(struct ai_call *c, enum err e)
{
    struct refusal said = c->last_failure;
    if (c->state == AI_CALL_RESERVING) {
        ai_call_move(c, AI_CALL_IDLE);
        if (e)
            give_up(c, said.id, said.detail);
        else
            fall_back(c, &said);
    } else if (c->state == AI_CALL_STARVED) {
        if (e || has_reached_its_end(c))
            stop_at_length(c);
        else
            resume(c);
    }
}

/* A plain call once it was sent: its provider goes on to the end whether its response is read or
 * not, and only that says what it cost. The client's own deadline went with it; ours bound it. */
static bool is_worth_its_end(const struct ai_call *c)
{
    return c->upstream && !c->request.stream && http_call_is_sent(c->upstream);
}

void ai_exchange_cancel(struct ai_call *c)
{
    struct request *rq = c->rq;
    bool unanswered = is_worth_its_end(c);
    if (unanswered && !rq->env->stopping && !request_detach(rq)) {
        http_call_outlast(c->upstream);
        return;
    }
    ai_exchange_drop(c);
    if (c->attempt) {
        if (unanswered)
            ai_cost_unread(c);
        else
            ai_cost_reported(c);
        end_attempt(c, OUTCOME_CANCELLED, request_cut_code(rq));
    }
    finish(c, OUTCOME_CANCELLED);
}
