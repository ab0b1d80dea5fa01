/*
 * ai_attempt — the attempts of one call.
 */
#include "dataplane/ai/ai_attempt.h"

#include "common/base/clock.h"
#include "common/base/secret.h"
#include "common/request/forward_headers.h"
#include "common/upstream/trace_context.h"
#include "dataplane/ai/ai_assembly.h"
#include "dataplane/ai/ai_cost.h"
#include "dataplane/ai/ai_send.h"
#include "dataplane/ai/ai_stream.h"
#include "dataplane/ai/ai_token.h"
#include "dataplane/ai/realtime.h"
#include "dataplane/ai/realtime_secret.h"

#define ERROR_BODY_MAX (64 * 1024) /* of an upstream's error */
#define ERROR_BODY_MS 2000         /* for its rest: a status alone says enough to go on */

static void try_next(struct ai_call *c);
static void finish_estimated(struct ai_call *c);

static void close_exchange(struct ai_call *c, enum request_outcome end, struct slice code)
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

static const struct candidate *current(const struct ai_call *c)
{
    return &c->candidates[c->candidate_next - 1];
}

/* The next credential of the target that was not tried yet; NULL: there is none. */
static const struct policy_credential *other_credential(const struct ai_call *c)
{
    if (!c->candidate_next)
        return NULL;
    const struct policy_provider *p = current(c)->provider;
    for (size_t i = 0; !c->stays && c->credentials_bad && i < p->credential_count && i < 64; i++)
        if (!(c->credentials_bad >> i & 1))
            return &p->credentials[i];
    return NULL;
}

static bool may_try_another(const struct ai_call *c)
{
    if (c->rq->record.attempt_count >= LIMIT_ATTEMPTS)
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

static void fail(struct ai_call *c, enum refusal_id id, struct slice code, struct slice detail)
{
    close_exchange(c, OUTCOME_ERROR, code);
    if (c->state != AI_CALL_IDLE)
        ai_call_move(c, AI_CALL_IDLE);
    c->failure = (struct ai_failure){.refusal = id, .code = code, .detail = detail};
    if (may_try_another(c))
        fall_back(c);
    else
        give_up(c);
}

/* ---- what an error's status and body mean ---- */

static enum refusal_id refusal_for(unsigned status)
{
    switch (status) {
    case 503:
    case 529: /* Anthropic: overloaded */
        return REFUSAL_NO_TARGET;
    case 408:
    case 504:
        return REFUSAL_UPSTREAM_TIMEOUT;
    default:
        return REFUSAL_UPSTREAM;
    }
}

static struct slice detail_of(struct ai_call *c, const struct ai_fault *f)
{
    struct arena *a = c->rq->arena;
    const char *colon = f->text.len ? ": " : "";
    if (f->verdict == AI_CREDENTIAL_BAD)
        return arena_printf(a, "it refused the gateway's credential%s%.*s", colon,
                            SLICE_ARG(f->text));
    return arena_printf(a, "it answered with status %u%s%.*s", c->status, colon,
                        SLICE_ARG(f->text));
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

static void finish_with(struct ai_call *c, enum request_outcome end, bool own_body,
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

/* An upstream's refusal of the request itself, which no other target would take either. */
static void finish_refused(struct ai_call *c, const struct ai_fault *f)
{
    const struct ai_dialect *d = c->endpoint->dialect;
    struct slice body = buf_slice(&c->gathered);
    bool passes = c->native && d->is_error(body);
    close_exchange(c, OUTCOME_ERROR, arena_printf(c->rq->arena, "status_%u", c->status));
    if (!passes) {
        struct buf *out = &c->rq->env->scratch;
        struct ai_error e = {
            .status = c->status,
            .message = f->text.len
                           ? f->text
                           : arena_printf(c->rq->arena, "The upstream answered with status %u.",
                                          c->status),
            .code = f->verdict == AI_TOO_LONG ? SLICE("context_length_exceeded") : f->code,
            .request_id = ai_call_id(c),
        };
        buf_clear(out);
        body = d->write_error(out, &e) ? SLICE_NONE : arena_copy(c->rq->arena, buf_slice(out));
    }
    finish_with(c, OUTCOME_ERROR, !passes, body);
}

/* The last target's 429 is told as it is, where the client can read it. */
static bool is_told_as_it_is(const struct ai_call *c, const struct ai_fault *f)
{
    return f->verdict == AI_LIMITED && !may_try_another(c) && c->native &&
           c->endpoint->dialect->is_error(buf_slice(&c->gathered));
}

static void mark_credential(struct ai_call *c, const struct policy_credential *used)
{
    const struct policy_provider *p = current(c)->provider;
    size_t i = used ? (size_t)(used - p->credentials) : 64;
    if (i < 64)
        c->credentials_bad |= 1ull << i;
}

static bool is_another_credentials(enum ai_verdict v)
{
    return v == AI_CREDENTIAL_BAD || v == AI_LIMITED;
}

static void note_wait(struct ai_call *c, unsigned after)
{
    if (after && (!c->retry_after_s || after < c->retry_after_s))
        c->retry_after_s = after;
}

/* The target has no such path, and is told the same in another way. */
static bool is_missing(struct ai_call *c)
{
    bool may_be = c->status == 404 || c->status == 405 || c->status == 501;
    return may_be && c->provider->note_missing && c->rq->record.attempt_count < LIMIT_ATTEMPTS &&
           c->provider->note_missing(current(c)->provider, buf_slice(&c->gathered));
}

static void tell_otherwise(struct ai_call *c)
{
    close_exchange(c, OUTCOME_ERROR, SLICE("no_such_path"));
    ai_call_move(c, AI_CALL_IDLE);
    c->path_missing = true;
    c->candidate_next--;
    fall_back(c);
}

/* The body of a status other than 200 has come, or as much of it as was waited for. */
static void take_error(struct ai_call *c)
{
    struct ai_fault f;
    struct token_count tokens;
    if (is_missing(c)) {
        tell_otherwise(c);
        return;
    }
    c->provider->read_error(c->status, buf_slice(&c->gathered), c->rq->arena, &f);
    if (c->error_word.len)
        c->provider->read_error_word(c->error_word, &f);
    if (ai_usage_count(&f.usage, &tokens) == AI_COUNTED_ALL)
        ai_cost_failed_counted(c, &tokens);
    c->limited = c->limited || f.verdict == AI_LIMITED;
    note_wait(c, f.retry_after_s);
    if (f.verdict == AI_CREDENTIAL_BAD && c->exchange)
        exchange_judge(c->exchange, ENDPOINT_REFUSED);
    if (f.verdict == AI_CREDENTIAL_BAD && c->token)
        access_token_doubt(c->rq->env->upstreams.tokens, &current(c)->credential->token_key);
    if (is_another_credentials(f.verdict))
        mark_credential(c, current(c)->credential);
    bool fatal = f.verdict == AI_FATAL || f.verdict == AI_TOO_LONG || f.verdict == AI_CONTENT;
    if (fatal || is_told_as_it_is(c, &f))
        finish_refused(c, &f);
    else
        fail(c, refusal_for(c->status), arena_printf(c->rq->arena, "status_%u", c->status),
             detail_of(c, &f));
}

/* ---- a whole response ---- */

static void fail_no_response(struct ai_call *c, struct slice code, struct slice detail)
{
    exchange_log_lost(c->exchange, ERR_PROTOCOL);
    exchange_judge(c->exchange, ENDPOINT_FAILED);
    fail(c, REFUSAL_UPSTREAM, code, detail);
}

/* 200, and an error inside (dialects.md 2.10, 26): it costs nothing, unless it reports usage. */
static void fail_by_body(struct ai_call *c)
{
    struct ai_fault f;
    struct token_count tokens;
    c->provider->read_error(500, buf_slice(&c->gathered), c->rq->arena, &f);
    if (ai_usage_count(&f.usage, &tokens) == AI_COUNTED_ALL)
        ai_cost_failed_counted(c, &tokens);
    c->limited = c->limited || f.verdict == AI_LIMITED;
    fail_no_response(c, SLICE("error_in_answer"),
                     f.text.len ? f.text : SLICE("it answered with an error"));
}

/* A body that is no response of a model: the prompt may have been read. */
static void fail_by_form(struct ai_call *c, struct slice code, struct slice detail)
{
    ai_cost_failed(c);
    fail_no_response(c, code, detail);
}

static void finish_whole(struct ai_call *c, bool own_body, struct slice body)
{
    close_exchange(c, OUTCOME_OK, SLICE_NONE);
    finish_with(c, OUTCOME_OK, own_body, body);
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
        fail_by_body(c);
    } else if (!whole.is_whole) {
        fail_by_form(c, SLICE("no_response"), SLICE("its response is none of a model"));
    } else if (c->request.stream) {
        if (whole.counted == AI_COUNTED_ALL)
            ai_cost_failed_counted(c, &whole.tokens);
        else
            ai_cost_failed(c);
        fail_no_response(c, SLICE("no_stream"),
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
        fail_by_form(c, SLICE("no_memory"), SLICE("its response could not be written"));
        return;
    }
    c->meter = (struct ai_meter){.bytes = a->bytes};
    a->to = ai_call_context(c);
    buf_clear(out);
    if (c->request.stream || c->endpoint->dialect->write_whole(a, out)) {
        fail_by_form(c, SLICE("no_stream"), SLICE("it answered a stream's request without one"));
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
        fail_by_body(c);
    else if (e == ERR_PROTOCOL && !c->gathers_events)
        fail_by_form(c, SLICE("no_response"), SLICE("its response is none of a model"));
    else
        fail_by_form(c, SLICE("incomplete"), SLICE("its response is not complete"));
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
    finish_with(c, e ? OUTCOME_ERROR : OUTCOME_OK, true, arena_copy(c->rq->arena, buf_slice(out)));
}

/* How many tokens the prompt has, as the target says. */
static void take_count(struct ai_call *c)
{
    uint64_t tokens;
    if (c->provider->read_count(buf_slice(&c->gathered), &tokens))
        fail_no_response(c, SLICE("no_response"), SLICE("its response is no count of tokens"));
    else
        finish_whole(c, false, buf_slice(&c->gathered));
}

/* The provider's client secret stays here; the client gets one of ours. */
static void take_secret(struct ai_call *c)
{
    struct buf *out = &c->translated; /* the request is on its way */
    struct realtime_secret s = {.key_id = c->rq->who.key->o.id, .model = c->request.model};
    const struct candidate *t = current(c);
    ai_account_of(t->provider->o.id, t->credential ? t->credential->id : SLICE_NONE, &s.account);
    buf_clear(out);
    enum err e = realtime_secret_replace(c->rq->policy, &s, buf_slice(&c->gathered), out);
    secret_wipe(&s, sizeof(s));
    if (e)
        fail_no_response(c, SLICE("no_secret"), SLICE("its response holds no client secret"));
    else
        finish_whole(c, false, buf_slice(out));
}

static void take_whole(struct ai_call *c)
{
    timer_cancel(&c->patience);
    if (c->status != 200)
        take_error(c);
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
    close_exchange(c, OUTCOME_ERROR, SLICE("too_big"));
    request_refuse(c->rq, REFUSAL_UPSTREAM, SLICE("its response is larger than allowed here"));
    finish(c, &(struct request_end){.outcome = OUTCOME_ERROR});
}

/* ---- a stream ---- */

static void end_stream(struct ai_call *c, enum request_outcome end, struct slice code,
                       struct slice last)
{
    close_exchange(c, end, code);
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
    close_exchange(c, OUTCOME_ERROR, c->failure.code);
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
    fail(c, f.refusal, f.code, f.detail);
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
        close_exchange(c, OUTCOME_CANCELLED, SLICE("client_closed"));
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
        note_wait(c, exchange_retry_after_s(c->exchange));
        exchange_log_status(c->exchange);
    }
    if (is_encoded(head)) { /* what cannot be read can neither be billed nor looked through */
        if (verdict == AI_OK)
            ai_cost_unread(c);
        fail(c, REFUSAL_UPSTREAM, SLICE("content_encoding"),
             SLICE("its response is encoded, although plain text was requested"));
        return;
    }
    if (c->realtime && verdict == AI_OK) {
        fail_no_response(c, SLICE("no_upgrade"), SLICE("it did not open a WebSocket"));
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

static enum refusal_id refusal_for_loss(enum err why)
{
    if (why == ERR_EXHAUSTED)
        return REFUSAL_NO_CAPACITY;
    return why == ERR_TIMEOUT ? REFUSAL_UPSTREAM_TIMEOUT : REFUSAL_UPSTREAM;
}

/* It took the request. One that hung up without a word has failed; where a response had begun and
 * broke off it may have done all the work; where we gave up, we took the request back. */
static void bill_lost(struct ai_call *c, const struct exchange_failure *f)
{
    bool begun = c->status != 0;
    if (f->phase < HTTP_PHASE_FIRST_BYTE || (begun && c->status != 200))
        return;
    if (f->why == ERR_TIMEOUT)
        ai_cost_cancelled(c);
    else if (begun && c->state != AI_CALL_OPENING)
        ai_cost_unread(c);
    else
        ai_cost_failed(c);
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
    c->status = exchange_status(c->exchange);
    bill_lost(c, f);
    fail(c, refusal_for_loss(f->why), f->code, f->text);
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
    mark_credential(c, current(c)->credential);
    c->failure.code = SLICE("no_token");
    c->failure.detail = ai_token_why(c->rq, current(c)->credential, e);
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

static void try_next(struct ai_call *c)
{
    while (may_try_another(c)) {
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
        e = take_token(c, current(c));
    if (e == ERR_AGAIN) { /* one that ends at once is of no use */
        drop_token(c);
        e = ERR_PROTOCOL;
    }
    if (!send_to(c, current(c), e))
        try_next(c);
}

/* A session's end is its own to say. */
static void finish_session(struct ai_call *c, enum request_outcome end, struct slice code)
{
    close_exchange(c, end, code);
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
        close_exchange(c, OUTCOME_CANCELLED, request_cut_code(rq));
    }
    if (c->state == AI_CALL_AUTHORIZING) {
        c->attempt->end = OUTCOME_CANCELLED;
        c->attempt->code = request_cut_code(rq);
    }
    finish(c, &(struct request_end){.outcome = OUTCOME_CANCELLED});
}
