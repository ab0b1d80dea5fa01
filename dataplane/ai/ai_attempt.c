/*
 * ai_attempt — the attempts of one call: the request to one target, its response, the next target.
 * What errors mean is in ai_attempt_error.c.
 */
#include "dataplane/ai/ai_attempt.h"

#include "common/base/clock.h"
#include "common/base/secret.h"
#include "common/request/forward_headers.h"
#include "common/upstream/trace_context.h"
#include "dataplane/ai/ai_assembly.h"
#include "dataplane/ai/ai_attempt_private.h"
#include "dataplane/ai/ai_cost.h"
#include "dataplane/ai/ai_stream.h"
#include "dataplane/ai/ai_token.h"
#include "dataplane/ai/dialect/body_shape.h"
#include "dataplane/ai/realtime.h"
#include "dataplane/ai/realtime_secret.h"

#define ERROR_BODY_MAX (64 * 1024) /* of an upstream's error */
#define ERROR_BODY_MS 2000         /* for its rest: a status alone says enough to go on */

#define STAINLESS_MAX 86400     /* seconds a client may say it waits */
#define STAINLESS_GRACE_MS 1000 /* the client hangs up first */

static void try_next(struct ai_call *c);
static void finish_estimated(struct ai_call *c);

void ai_attempt_close(struct ai_call *c, enum request_outcome end, struct slice code)
{
    timer_cancel(&c->patience);
    timer_cancel(&c->beat);
    exchange_close(&c->exchange, end, code);
    c->attempt = NULL;
}

static void drop_token(struct ai_call *c)
{
    access_token_cancel(&c->token_wait);
    access_token_drop(c->token);
    c->token = NULL;
}

/* What was gathered has been sent then: the next response of the same turn finds its memory. */
static void finish(struct ai_call *c, const struct request_end *end)
{
    drop_token(c);
    ai_call_move(c, AI_CALL_OVER);
    request_finish(c->rq, end);
    buf_shelf_give(&c->rq->env->shelf, &c->gathered);
}

/* ---- every target failed, or one that said so for all ---- */

static void give_up(struct ai_call *c)
{
    if (c->endpoint->kind == AI_COUNT) {
        finish_estimated(c);
        return;
    }
    request_refuse(c->rq, c->limited ? REFUSAL_UPSTREAM_BUSY : c->failure.refusal,
                   c->failure.detail);
    c->rq->refusal.retry_after_s = c->retry_after_s;
    finish(c, &(struct request_end){.outcome = OUTCOME_ERROR});
}

const struct candidate *ai_attempt_current(const struct ai_call *c)
{
    return &c->candidates[c->candidate_next - 1];
}

/* The next credential of the target that was not tried yet; NULL: there is none. */
static const struct policy_credential *other_credential(const struct ai_call *c)
{
    if (!c->candidate_next)
        return NULL;
    const struct policy_provider *p = ai_attempt_current(c)->provider;
    for (size_t i = 0; !c->stays && c->credentials_bad && i < p->credential_count && i < 64; i++)
        if (!(c->credentials_bad >> i & 1))
            return &p->credentials[i];
    return NULL;
}

bool ai_attempt_may_try_another(const struct ai_call *c)
{
    if (c->rq->record.attempt_count >= LIMIT_ATTEMPTS)
        return false;
    return c->candidate_next < c->candidate_count || other_credential(c);
}

/* Every attempt is paid for before it is sent: also where the one before it may have cost as much
 * as both. */
void ai_attempt_fall_back(struct ai_call *c)
{
    enum err e = ai_cost_reserve_unread(c);
    if (e == ERR_AGAIN)
        ai_call_move(c, AI_CALL_RESERVING);
    else if (e)
        give_up(c);
    else
        try_next(c);
}

void ai_attempt_fail(struct ai_call *c, enum refusal_id id, struct slice code, struct slice detail)
{
    ai_attempt_close(c, OUTCOME_ERROR, code);
    if (c->state != AI_CALL_IDLE)
        ai_call_move(c, AI_CALL_IDLE);
    c->failure = (struct ai_failure){.refusal = id, .code = code, .detail = detail};
    if (ai_attempt_may_try_another(c))
        ai_attempt_fall_back(c);
    else
        give_up(c);
}

static size_t passing_headers(const struct ai_call *c, bool own_body, struct http_header *out)
{
    const struct ai_dialect *d = c->endpoint->dialect;
    size_t n = 0;
    for (size_t i = 0; i < c->pass_count; i++)
        if (!own_body || !slice_eq(c->pass[i].name, SLICE("content-type")))
            out[n++] = c->pass[i];
    if (own_body)
        out[n++] =
            (struct http_header){SLICE("content-type"), ai_content_type(c->endpoint->dialect)};
    if (own_body && c->status != 200 && d->error_header)
        out[n++] = d->error_header(c->status);
    else if (c->native && c->error_word.len)
        out[n++] = (struct http_header){c->provider->error_header, c->error_word};
    if (c->notice.len)
        out[n++] = (struct http_header){SLICE("x-gatehouse-notice"), c->notice};
    return n;
}

void ai_attempt_finish_with(struct ai_call *c, enum request_outcome end, bool own_body,
                            struct slice body)
{
    struct http_header headers[ARRAY_LEN(c->pass) + 3];
    size_t n = passing_headers(c, own_body, headers);
    finish(c, &(struct request_end){.outcome = end,
                                    .status = c->status,
                                    .headers = headers,
                                    .header_count = n,
                                    .body = body});
}

void ai_attempt_mark_credential(struct ai_call *c, const struct policy_credential *used)
{
    const struct policy_provider *p = ai_attempt_current(c)->provider;
    size_t i = used ? (size_t)(used - p->credentials) : 64;
    if (i < 64)
        c->credentials_bad |= 1ull << i;
}

void ai_attempt_note_wait(struct ai_call *c, unsigned after)
{
    if (after && (!c->retry_after_s || after < c->retry_after_s))
        c->retry_after_s = after;
}

/* ---- a whole response ---- */

static void finish_whole(struct ai_call *c, bool own_body, struct slice body)
{
    ai_attempt_close(c, OUTCOME_OK, SLICE_NONE);
    ai_attempt_finish_with(c, OUTCOME_OK, own_body, body);
}

static enum err look_at_event(void *arg, const struct ai_event *e)
{
    struct ai_call *c = arg;
    if (e->kind == AI_USAGE)
        ai_usage_merge(&c->usage, &e->usage);
    if (e->kind >= AI_TEXT && e->kind <= AI_REFUSAL)
        ai_meter_add(&c->meter, e->text.len);
    c->failed_in = c->failed_in || e->kind == AI_ERROR;
    c->finished = c->finished || e->kind == AI_FINISH;
    return ERR_OK;
}

/* What glances find at once is put together from the events. */
static void read_observed(struct ai_call *c, struct slice body, struct ai_whole *ret)
{
    *ret = (struct ai_whole){0};
    c->decoder = ai_call_decoder(c);
    c->usage = AI_USAGE_NONE;
    c->meter = (struct ai_meter){0};
    c->failed_in = c->finished = false;
    enum err e = c->provider->decode_whole(&c->decoder, body, look_at_event, c);
    ret->fails = c->failed_in;
    ret->is_whole = !e && !c->failed_in && c->finished;
    ret->counted = ai_usage_count(&c->usage, &ret->tokens);
}

/* As it came, but for the marks of what the provider keeps. */
static void finish_marked(struct ai_call *c, struct slice body)
{
    const struct ai_dialect *d = c->endpoint->dialect;
    const struct ai_context to = ai_call_context(c);
    struct buf *out = &c->translated; /* the request is on its way */
    buf_clear(out);
    if (!d->mark_whole || d->mark_whole(&to, body, out))
        finish_whole(c, false, body);
    else
        finish_whole(c, false, buf_slice(out));
}

static void take_native(struct ai_call *c)
{
    struct ai_whole whole;
    struct slice body = buf_slice(&c->gathered);
    if (c->provider->read_whole)
        c->provider->read_whole(body, c->endpoint->kind, &whole);
    else
        read_observed(c, body, &whole);
    if (whole.fails) {
        ai_attempt_failed_by_body(c);
    } else if (!whole.is_whole) {
        ai_attempt_failed_by_form(c, SLICE("no_response"),
                                  SLICE("its response is none of a model"));
    } else if (c->request.stream) {
        if (whole.counted == AI_COUNTED_ALL)
            ai_cost_failed_counted(c, &whole.tokens);
        else
            ai_cost_failed(c);
        ai_attempt_no_response(c, SLICE("no_stream"),
                               SLICE("it answered a stream's request without one"));
    } else {
        if (whole.counted == AI_COUNTED_ALL)
            ai_cost_counted(c, &whole.tokens);
        else
            ai_cost_estimated(c);
        finish_marked(c, body);
    }
}

static enum err assemble(struct ai_call *c, struct ai_assembly *a)
{
    struct slice bytes = buf_slice(&c->gathered);
    struct ai_sealing s = {ai_assembly_add, a};
    ai_event_fn *fn = ai_call_seals(c) ? ai_event_seal : ai_assembly_add;
    void *arg = ai_call_seals(c) ? (void *)&s : a;
    if (c->gathers_events)
        return ai_stream_decode_all(c, bytes, fn, arg);
    c->decoder = ai_call_decoder(c);
    return c->provider->decode_whole(&c->decoder, bytes, fn, arg);
}

/* A response of embeddings that names no model or counts nothing. */
static enum err fill_embeddings(struct ai_call *c, struct ai_assembly *a)
{
    if (a->usage.prompt == AI_UNSAID)
        a->usage.prompt = ai_cost_so_far(c).input;
    return a->model.len ? ERR_OK : buf_append(&a->model, c->request.model);
}

static void finish_assembled(struct ai_call *c, struct ai_assembly *a)
{
    struct buf *out = &c->gathered; /* all of it was read */
    c->usage = a->usage;
    a->asked = c->chat;
    if (c->endpoint->kind == AI_EMBEDDINGS && fill_embeddings(c, a)) {
        ai_attempt_failed_by_form(c, SLICE("no_memory"),
                                  SLICE("its response could not be written"));
        return;
    }
    c->meter = (struct ai_meter){.bytes = a->bytes};
    a->to = ai_call_context(c);
    buf_clear(out);
    if (c->request.stream || c->endpoint->dialect->write_whole(a, out)) {
        ai_attempt_failed_by_form(c, SLICE("no_stream"),
                                  SLICE("it answered a stream's request without one"));
        return;
    }
    ai_cost_reported(c);
    finish_whole(c, true, buf_slice(out));
}

/* In another dialect than the client's, or as a stream. */
static void take_foreign(struct ai_call *c)
{
    struct ai_assembly *a = ai_assembly_new();
    enum err e = a ? assemble(c, a) : ERR_NOMEM;
    if (!e && ai_assembly_is_whole(a))
        finish_assembled(c, a);
    else if (a && a->failed && !c->gathers_events)
        ai_attempt_failed_by_body(c);
    else if (e == ERR_PROTOCOL && !c->gathers_events)
        ai_attempt_failed_by_form(c, SLICE("no_response"),
                                  SLICE("its response is none of a model"));
    else
        ai_attempt_failed_by_form(c, SLICE("incomplete"), SLICE("its response is not complete"));
    ai_assembly_free(a);
}

/* No target counts the prompt, so this gate does. */
static void finish_estimated(struct ai_call *c)
{
    struct buf *out = &c->rq->env->scratch;
    buf_clear(out);
    enum err e = c->endpoint->dialect->write_count(ai_cost_count_estimate(c), out);
    c->status = 200;
    c->pass_count = 0;
    c->notice = SLICE("the count is an estimate");
    ai_attempt_finish_with(c, e ? OUTCOME_ERROR : OUTCOME_OK, true,
                           arena_copy(c->rq->arena, buf_slice(out)));
}

/* How many tokens the prompt has, as the target says. */
static void take_count(struct ai_call *c)
{
    uint64_t tokens;
    if (c->provider->read_count(buf_slice(&c->gathered), &tokens))
        ai_attempt_no_response(c, SLICE("no_response"),
                               SLICE("its response is no count of tokens"));
    else
        finish_whole(c, false, buf_slice(&c->gathered));
}

/* The provider's client secret stays here; the client gets one of ours. */
static void take_secret(struct ai_call *c)
{
    struct buf *out = &c->translated; /* the request is on its way */
    const struct policy_key *key = c->rq->who.key;
    struct realtime_secret s = {
        .key_id = key->o.id, .key_digest = key->digest, .model = c->request.model};
    const struct candidate *t = ai_attempt_current(c);
    ai_account_of(t->provider->o.id, t->credential ? t->credential->id : SLICE_NONE, &s.account);
    buf_clear(out);
    enum err e = realtime_secret_replace(c->rq->policy, &s, buf_slice(&c->gathered), out);
    secret_wipe(&s, sizeof(s));
    if (e)
        ai_attempt_no_response(c, SLICE("no_secret"), SLICE("its response holds no client secret"));
    else
        finish_whole(c, false, buf_slice(out));
}

static void take_whole(struct ai_call *c)
{
    timer_cancel(&c->patience);
    if (c->status != 200)
        ai_attempt_take_error(c);
    else if (c->endpoint->kind == AI_COUNT)
        take_count(c);
    else if (c->endpoint->kind == AI_SECRET)
        take_secret(c);
    else if (c->native && !c->gathers_events)
        take_native(c);
    else
        take_foreign(c);
}

static void gather(struct ai_call *c, struct slice data)
{
    if (c->status != 200) { /* its beginning says what it is */
        enum err e = c->gathered.len < ERROR_BODY_MAX ? buf_append(&c->gathered, data) : ERR_OK;
        if (e || c->gathered.len >= ERROR_BODY_MAX)
            take_whole(c);
        return;
    }
    if (c->gathered.len + data.len <= LIMIT_AI_ANSWER && !buf_append(&c->gathered, data))
        return;
    ai_cost_unread(c);
    ai_attempt_close(c, OUTCOME_ERROR, SLICE("too_big"));
    request_refuse(c->rq, REFUSAL_UPSTREAM, SLICE("its response is larger than allowed here"));
    finish(c, &(struct request_end){.outcome = OUTCOME_ERROR});
}

/* ---- a stream ---- */

static void end_stream(struct ai_call *c, enum request_outcome end, struct slice code,
                       struct slice last)
{
    ai_attempt_close(c, end, code);
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
    ai_attempt_close(c, OUTCOME_ERROR, c->failure.code);
    request_refuse(c->rq, c->failure.refusal, c->failure.detail);
    finish(c, &(struct request_end){.outcome = OUTCOME_ERROR});
}

/* Nothing of it has reached the client. An error costs nothing unless its provider says so. */
static void fail_stream(struct ai_call *c)
{
    struct ai_failure f = c->failure;
    struct token_count tokens;
    if (ai_usage_count(&c->usage, &tokens) == AI_COUNTED_ALL)
        ai_cost_failed_counted(c, &tokens);
    else if (!slice_eq(f.code, SLICE("error_in_stream")))
        ai_cost_failed(c);
    exchange_log_lost(c->exchange, ERR_PROTOCOL);
    exchange_judge(c->exchange, ENDPOINT_FAILED);
    ai_attempt_fail(c, f.refusal, f.code, f.detail);
}

static void stop_at_length(struct ai_call *c)
{
    enum ai_stream_result r = ai_stream_stop_at_length(c);
    ai_cost_estimated(c);
    if (r != AI_STREAM_OVER)
        end_stream(c, OUTCOME_OK, SLICE("length"), c->endpoint->dialect->stream_end);
}

static void take_result(struct ai_call *c, enum ai_stream_result r)
{
    switch (r) {
    case AI_STREAM_ON:
    case AI_STREAM_OVER:
        break;
    case AI_STREAM_COMPLETE:
        complete_stream(c);
        break;
    case AI_STREAM_FAILED:
        fail_stream(c);
        break;
    case AI_STREAM_BROKEN:
        break_stream(c, false);
        break;
    case AI_STREAM_USED_UP:
        stop_at_length(c);
        break;
    case AI_STREAM_CLOSED:
        ai_cost_reported(c);
        ai_attempt_close(c, OUTCOME_CANCELLED, SLICE("client_closed"));
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
    else if (ai_call_streams(c) && c->exchange && !response_is_full(c->rq))
        exchange_release(c->exchange, EXCHANGE_HOLD_CLIENT);
}

void ai_attempt_on_beat(struct ai_call *c)
{
    if (c->state == AI_CALL_SESSION && !ai_call_is_over(c))
        realtime_on_idle(c);
    else if (!ai_call_is_over(c) && (c->state == AI_CALL_OPENING || ai_call_streams(c)))
        take_result(c, ai_stream_on_beat(c));
}

void ai_attempt_on_patience(struct ai_call *c)
{
    if (ai_call_is_over(c))
        return;
    if (c->state == AI_CALL_GATHERING)
        take_whole(c);
    else if (c->state == AI_CALL_LINGERING)
        complete_stream(c);
    else if (c->state == AI_CALL_STREAMING && response_is_full(c->rq))
        timer_start(&c->patience, ai_stream_grace_ms); /* what follows may not have been read */
    else if (c->state == AI_CALL_STREAMING && c->finished)
        take_result(c, ai_stream_end_for_it(c));
}

/* ---- from the upstream ---- */

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
        if (!value.len || !response_value_is_valid(passing[i], value) ||
            !exchange_may_pass(c->exchange, value))
            continue;
        value = arena_copy(c->rq->arena, value);
        if (value.ptr)
            c->pass[c->pass_count++] = (struct http_header){passing[i], value};
    }
}

static void note_request_id(struct ai_call *c, const struct http_head *head)
{
    static const struct slice names[] = {
        {"x-request-id", 12}, {"request-id", 10}, {"x-amzn-requestid", 16}};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct slice id = http_head_find(head, names[i]);
        if (!id.len || id.len > 128 || !exchange_may_pass(c->exchange, id))
            continue;
        c->attempt->upstream_request_id = arena_copy(c->rq->arena, id);
        return;
    }
}

static void note_error_word(struct ai_call *c, const struct http_head *head)
{
    struct slice name = c->provider->error_header;
    struct slice word = name.len ? http_head_find(head, name) : SLICE_NONE;
    bool says = c->status != 200 && word.len && word.len <= 128 &&
                response_value_is_valid(name, word) && exchange_may_pass(c->exchange, word);
    c->error_word = says ? arena_copy(c->rq->arena, word) : SLICE_NONE;
}

static bool is_event_stream(enum ai_framing framing, const struct http_head *head)
{
    static const struct slice kinds[] = {
        [AI_FRAMES_SSE] = {"text/event-stream", 17},
        [AI_FRAMES_AWS] = {"application/vnd.amazon.eventstream", 34},
        [AI_FRAMES_LINES] = {"application/x-ndjson", 20},
    };
    struct slice type = http_head_find(head, SLICE("content-type"));
    return slice_ieq(slice_first(type, kinds[framing].len), kinds[framing]);
}

static bool is_encoded(const struct http_head *head)
{
    struct slice coding = http_head_find(head, SLICE("content-encoding"));
    return coding.len && !slice_ieq(coding, SLICE("identity"));
}

static void start_gathering(struct ai_call *c)
{
    ai_call_move(c, AI_CALL_GATHERING);
    if (!c->gathered.cap)
        buf_shelf_take(&c->rq->env->shelf, &c->gathered);
    buf_clear(&c->gathered);
    if (c->status != 200)
        timer_start(&c->patience, ERROR_BODY_MS);
}

static void on_head(void *arg, const struct http_head *head)
{
    struct ai_call *c = arg;
    c->status = head->status;
    note_request_id(c, head);
    note_error_word(c, head);
    if (c->realtime && c->status == 101) {
        realtime_on_open(c, head);
        return;
    }
    enum ai_verdict verdict = ai_verdict_of_status(c->status);
    if (verdict != AI_OK && verdict != AI_FATAL) {
        ai_attempt_note_wait(c, exchange_retry_after_s(c->exchange));
        exchange_log_status(c->exchange);
    }
    if (is_encoded(head)) { /* what cannot be read can neither be billed nor looked through */
        if (verdict == AI_OK)
            ai_cost_unread(c);
        ai_attempt_fail(c, REFUSAL_UPSTREAM, SLICE("content_encoding"),
                        SLICE("its response is encoded, although plain text was requested"));
        return;
    }
    if (c->realtime && verdict == AI_OK) {
        ai_attempt_no_response(c, SLICE("no_upgrade"), SLICE("it did not open a WebSocket"));
        return;
    }
    gather_headers(c, head);
    c->gathers_events = verdict == AI_OK && is_event_stream(c->provider->framing, head);
    if (c->gathers_events && c->request.stream)
        ai_stream_open(c);
    else
        start_gathering(c);
}

static void on_body(void *arg, struct slice data)
{
    struct ai_call *c = arg;
    if (c->state == AI_CALL_SESSION)
        realtime_on_upstream(c, data);
    else if (c->state == AI_CALL_GATHERING)
        gather(c, data);
    else if (!ai_call_is_over(c))
        take_result(c, ai_stream_feed(c, data));
}

static void on_end(void *arg)
{
    struct ai_call *c = arg;
    if (c->state == AI_CALL_SESSION)
        realtime_on_lost(c, ERR_CLOSED);
    else if (c->state == AI_CALL_GATHERING)
        take_whole(c);
    else if (!ai_call_is_over(c))
        take_result(c, ai_stream_ended(c));
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
    ai_attempt_lost(c, f);
}

static void on_upstream_drain(void *arg)
{
    struct ai_call *c = arg;
    if (c->state == AI_CALL_SESSION)
        realtime_on_upstream_drain(c);
}

static const struct exchange_events events = {.on_head = on_head,
                                              .on_body = on_body,
                                              .on_end = on_end,
                                              .on_fail = on_fail,
                                              .on_drain = on_upstream_drain};

/* ---- the request to one target: the provider builds it, the exchange sends it ---- */

/* Why the request cannot be told a provider. */
struct ai_untold {
    const char *param;
    struct slice why; /* empty: it can */
};

/* OpenAI's SDKs say how long they will wait (dialects.md 1.8). */
static unsigned deadline_ms(const struct http_head *h)
{
    uint64_t seconds;
    struct slice said = http_head_find(h, SLICE("x-stainless-timeout"));
    if (!said.len || slice_u64(said, &seconds) || seconds == 0 || seconds > STAINLESS_MAX)
        return 0;
    return (unsigned)seconds * 1000 + STAINLESS_GRACE_MS;
}

static unsigned first_of(unsigned a, unsigned b)
{
    return a ? a : b;
}

static unsigned sooner(unsigned a, unsigned b)
{
    return !a || (b && b < a) ? b : a;
}

/* The model's own come before its provider's; the client's binds beside either. */
static void set_deadlines(const struct ai_call *c, const struct policy_provider *p,
                          struct http_call_spec *spec)
{
    const struct policy_timeouts *m = &c->model->timeouts, *own = &p->timeouts;
    spec->connect_ms = first_of(m->connect_ms, own->connect_ms);
    spec->first_byte_ms = first_of(m->first_byte_ms, own->first_byte_ms);
    spec->gap_ms = first_of(m->between_ms, own->between_ms);
    spec->total_ms = sooner(first_of(m->total_ms, own->total_ms), deadline_ms(c->rq->head));
    if (c->endpoint->kind != AI_REALTIME)
        return;
    spec->gap_ms = LIMIT_REALTIME_GAP_MS; /* pings are answered, whatever the two have to say */
    spec->total_ms = first_of(first_of(m->total_ms, own->total_ms), LIMIT_REALTIME_MS);
}

/* What the target knows us by; NULL: it wants nothing. */
static struct secret *secret_of(const struct ai_call *c, const struct candidate *target)
{
    if (c->ephemeral)
        return c->ephemeral;
    if (c->token)
        return c->token->secret;
    return target->credential ? target->credential->secret : NULL;
}

static enum err start_exchange(struct ai_call *c, const struct candidate *target,
                               const struct ai_outgoing *o)
{
    const struct policy_provider *p = target->provider;
    const struct policy_credential *credential = target->credential;
    struct exchange_spec spec = {
        .upstream = p->o.name,
        .target_id = p->o.id,
        .credential_id = credential ? credential->id : SLICE_NONE,
        .region = credential ? credential->region : SLICE_NONE,
        .revision = p->o.revision,
        .credential = secret_of(c, target),
        .log = &c->rq->log,
        .attempt = c->attempt,
        .waited_us = &c->rq->record.upstream_us,
        .call = {.method = c->endpoint->kind == AI_STORED || c->endpoint->kind == AI_REALTIME
                               ? c->endpoint->method
                               : SLICE("POST"),
                 .upgrade = c->endpoint->kind == AI_REALTIME,
                 .url = credential ? credential->url : p->url,
                 .path = o->path,
                 .headers = o->headers,
                 .header_count = o->header_count,
                 .rule = {p->allowed, p->allowed_count},
                 .tls = p->tls,
                 .proxy = p->proxy},
    };
    set_deadlines(c, p, &spec.call);
    memcpy(spec.call.body, o->pieces, sizeof(spec.call.body));
    return exchange_start(&c->rq->env->upstreams, &spec, &events, c, &c->exchange);
}

/* What the policy says of a header comes before what the provider's protocol says. */
static void add_own(struct ai_outgoing *o, const struct policy_header *h)
{
    for (size_t i = 0; i < o->header_count; i++) {
        if (slice_ieq(o->headers[i].name, h->name)) {
            o->headers[i].value = h->value;
            return;
        }
    }
    if (o->header_count < AI_SEND_HEADERS)
        ai_outgoing_add(o, h->name, h->value);
}

/* What an account made goes to it alone. */
static void tell_account(struct ai_call *c, const struct candidate *target, struct ai_outgoing *o)
{
    if (!c->marker.ready)
        ai_call_make_marker(c);
    ai_account_of(target->provider->o.id, target->credential ? target->credential->id : SLICE_NONE,
                  &o->maker);
    if (o->chat)
        ai_chat_show_made(c->chat, slice_of(o->maker.text, AI_ACCOUNT_LEN));
}

/* What the model's policy took out, and what it says in vain: a target that is sent the client's
 * own body is told nothing that its dialect has no word for. */
static void say_shape(const struct ai_call *c, struct ai_outgoing *o)
{
    const struct policy_parameters *forced = c->model->overrides;
    for (size_t i = 0; i < c->dropped_count; i++)
        ai_outgoing_leave_out(o, c->dropped[i]);
    bool is_untold = forced && !o->chat && c->endpoint->kind == AI_CHAT;
    for (unsigned i = 0; is_untold && i < POLICY_PARAMETERS; i++)
        if (forced->of[i].json.ptr &&
            !body_has_word(c->endpoint->dialect->words, (enum policy_parameter_id)i))
            ai_outgoing_leave_out(o, policy_parameter_name((enum policy_parameter_id)i));
}

/* Uses c->provider and c->attempt; sets c->exchange and c->notice. ERR_INVALID with *untold filled:
 * the provider has no words for the request. */
static enum err send_request(struct ai_call *c, const struct candidate *target,
                             struct ai_untold *untold)
{
    char trace[TRACE_HEADER_LEN + 1];
    struct ai_outgoing o UNINITIALIZED;
    if (!c->native) {
        enum err unread = ai_call_parse(c, &untold->why);
        if (unread) {
            untold->param = c->request.param;
            return unread;
        }
    }
    o.endpoint = c->endpoint;
    o.chat = c->native ? NULL : c->chat;
    o.request = &c->request;
    o.marker = &c->marker;
    if (c->endpoint->dialect->marks || c->request.prompt.files)
        tell_account(c, target, &o);
    o.body = buf_slice(&c->rq->body);
    o.client_head = c->rq->head;
    o.target = target->provider;
    o.account = target->credential;
    o.url = target->credential ? &target->credential->url : &target->provider->url;
    o.credential = secret_of(c, target);
    o.given = c->token;
    o.changes =
        (struct ai_changes){.model = target->model, .output_limit = ai_cost_output_limit(c)};
    o.traceparent = trace_header(c->rq->record.trace_id, c->attempt->span_id, trace);
    o.websocket_key = c->websocket_key;
    o.arena = c->rq->arena;
    o.translated = &c->translated;
    o.header_count = o.secret_len = 0;
    o.method = SLICE_NONE;
    o.notice = o.why = SLICE_NONE;
    o.param = NULL;
    enum err e = c->provider->build(&o);
    ai_outgoing_add(&o, SLICE("via"), forward_via(c->rq->head));
    say_shape(c, &o);
    for (size_t i = 0; i < o.target->header_count; i++)
        add_own(&o, &o.target->headers[i]);
    for (size_t i = 0; i < c->model->header_count; i++)
        add_own(&o, &c->model->headers[i]);
    if (!e)
        e = start_exchange(c, target, &o);
    secret_wipe(o.secret, o.secret_len);
    c->notice = o.notice;
    *untold = (struct ai_untold){o.param, o.why};
    return e;
}

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
    ai_attempt_mark_credential(c, ai_attempt_current(c)->credential);
    c->failure.code = SLICE("no_token");
    c->failure.detail = ai_token_why(c->rq, ai_attempt_current(c)->credential, e);
}

/* false: the target does not get the request. */
static bool send_to(struct ai_call *c, const struct candidate *target, enum err token)
{
    struct ai_untold untold = {0};
    enum err e = token ? token : send_request(c, target, &untold);
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

static void try_next(struct ai_call *c)
{
    while (ai_attempt_may_try_another(c)) {
        const struct candidate *target = next_target(c);
        note_attempt(c, target);
        enum err e = take_token(c, target);
        if (e == ERR_AGAIN) {
            ai_call_move(c, AI_CALL_AUTHORIZING);
            return;
        }
        if (send_to(c, target, e))
            return;
    }
    give_up(c);
}

static void on_token(struct access_token_wait *w, enum err e)
{
    struct ai_call *c = CONTAINER_OF(w, struct ai_call, token_wait);
    ai_call_move(c, AI_CALL_IDLE);
    if (!e)
        e = take_token(c, ai_attempt_current(c));
    if (e == ERR_AGAIN) { /* one that ends at once is of no use */
        drop_token(c);
        e = ERR_PROTOCOL;
    }
    if (!send_to(c, ai_attempt_current(c), e))
        try_next(c);
}

/* A session's end is its own to say. */
static void finish_session(struct ai_call *c, enum request_outcome end, struct slice code)
{
    ai_attempt_close(c, end, code);
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
            ai_attempt_fall_back(c);
    } else if (c->state == AI_CALL_STARVED) {
        take_result(c, e ? AI_STREAM_USED_UP : ai_stream_on_money(c));
    } else if (c->state == AI_CALL_SESSION) {
        realtime_on_reserved(c, e);
    }
}

/* The client is gone, or its right ended: the upstream is let go at once. */
void ai_attempt_cancel(struct ai_call *c)
{
    struct request *rq = c->rq;
    if (c->exchange) {
        if (c->state == AI_CALL_SESSION)
            realtime_on_cancel(c);
        else if (ai_call_streams(c) || c->state == AI_CALL_OPENING)
            ai_cost_reported(c);
        else if (exchange_is_sent(c->exchange) && (!c->status || c->status == 200))
            ai_cost_cancelled(c);
        ai_attempt_close(c, OUTCOME_CANCELLED, request_cut_code(rq));
    }
    if (c->state == AI_CALL_AUTHORIZING) {
        c->attempt->end = OUTCOME_CANCELLED;
        c->attempt->code = request_cut_code(rq);
    }
    finish(c, &(struct request_end){.outcome = OUTCOME_CANCELLED});
}
