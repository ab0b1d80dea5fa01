/*
 * ai_response — heads, whole responses and errors, read for what they mean.
 */
#include "dataplane/ai/ai_response.h"

#include "common/base/clock.h"
#include "common/base/secret.h"
#include "common/request/forward_headers.h"
#include "dataplane/ai/ai_assembly.h"
#include "dataplane/ai/ai_cost.h"
#include "dataplane/ai/ai_pace.h"
#include "dataplane/ai/ai_retry.h"
#include "dataplane/ai/ai_stream.h"
#include "dataplane/ai/realtime_secret.h"

#define ERROR_BODY_MAX (64 * 1024) /* of an upstream's error */
#define MS_PER_S 1000u
#define ERROR_BODY_MS 2000 /* for its rest: a status alone says enough to go on */

static enum ai_response_result failed(struct ai_call *c, enum refusal_id id, struct slice code,
                                      struct slice detail)
{
    c->failure =
        (struct ai_failure){.refusal = id, .class = FAILURE_5XX, .code = code, .detail = detail};
    return AI_RESPONSE_FAILED;
}

static enum ai_response_result answered(struct ai_call *c, bool own, struct slice body)
{
    c->answer = (struct ai_answer){.own = own, .body = body};
    return AI_RESPONSE_WHOLE;
}

static void note_wait(struct ai_call *c, unsigned after_s)
{
    if (after_s && (!c->retry_after_s || after_s < c->retry_after_s))
        c->retry_after_s = after_s;
}

/* ---- a body that is no response ---- */

static enum ai_response_result no_response(struct ai_call *c, struct slice code,
                                           struct slice detail)
{
    exchange_log_lost(c->exchange, ERR_PROTOCOL);
    exchange_judge(c->exchange, ENDPOINT_FAILED);
    return failed(c, REFUSAL_UPSTREAM, code, detail);
}

/* The prompt may have been read. */
static enum ai_response_result failed_by_form(struct ai_call *c, struct slice code,
                                              struct slice detail)
{
    ai_cost_failed(c);
    return no_response(c, code, detail);
}

/* 200, and an error inside (dialects.md 2.10, 26): it costs nothing, unless it reports usage. */
static enum ai_response_result failed_by_body(struct ai_call *c)
{
    struct ai_fault f;
    struct token_count tokens;
    c->provider->read_error(500, buf_slice(&c->gathered), c->rq->arena, &f);
    if (ai_usage_count(&f.usage, &tokens) == AI_COUNTED_ALL)
        ai_cost_failed_counted(c, &tokens);
    c->limited = c->limited || f.verdict == AI_LIMITED;
    no_response(c, SLICE("error_in_answer"),
                f.text.len ? f.text : SLICE("it answered with an error"));
    c->failure.class = ai_failure_class(f.verdict, 500);
    return AI_RESPONSE_FAILED;
}

/* ---- a status other than 200 ---- */

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

/* The target has no such path, and is told the same in another way. */
static bool is_missing(struct ai_call *c)
{
    bool may_be = c->status == 404 || c->status == 405 || c->status == 501;
    return may_be && c->provider->note_missing && c->rq->record.attempt_count < LIMIT_ATTEMPTS &&
           c->provider->note_missing(ai_call_target(c)->provider, buf_slice(&c->gathered));
}

static bool is_said_in_dialect(const struct ai_call *c)
{
    return c->native && c->endpoint->dialect->is_error(buf_slice(&c->gathered));
}

static void judge_error(struct ai_call *c, const struct ai_fault *f)
{
    struct ai_failure *to = &c->failure;
    to->class = ai_failure_class(f->verdict, c->status);
    to->status = c->status;
    to->retry_after_ms = f->retry_after_s || !c->exchange ? f->retry_after_s * MS_PER_S
                                                          : exchange_retry_after_ms(c->exchange);
    to->of_credential = f->verdict == AI_CREDENTIAL_BAD || f->verdict == AI_LIMITED;
    to->of_request =
        f->verdict == AI_FATAL || f->verdict == AI_TOO_LONG || f->verdict == AI_CONTENT;
    to->is_told = to->of_request || (f->verdict == AI_LIMITED && is_said_in_dialect(c));
    to->text = f->text;
    to->error_code = f->verdict == AI_TOO_LONG ? SLICE("context_length_exceeded") : f->code;
}

/* As much of the body has come as was waited for. */
static enum ai_response_result take_error(struct ai_call *c)
{
    struct ai_fault f;
    struct token_count tokens;
    if (is_missing(c))
        return AI_RESPONSE_NO_PATH;
    c->provider->read_error(c->status, buf_slice(&c->gathered), c->rq->arena, &f);
    if (c->error_word.len)
        c->provider->read_error_word(c->error_word, &f);
    if (ai_usage_count(&f.usage, &tokens) == AI_COUNTED_ALL)
        ai_cost_failed_counted(c, &tokens);
    c->limited = c->limited || f.verdict == AI_LIMITED;
    note_wait(c, f.retry_after_s);
    if (f.verdict == AI_LIMITED && (f.retry_after_s || c->status != 429)) /* its head said else */
        ai_pace_limited(c, f.retry_after_s);
    if (f.verdict == AI_CREDENTIAL_BAD && c->exchange)
        exchange_judge(c->exchange, ENDPOINT_REFUSED);
    if (f.verdict == AI_CREDENTIAL_BAD && c->token)
        access_token_doubt(c->rq->env->upstreams.tokens, &ai_call_target(c)->credential->token_key);
    failed(c, refusal_for(c->status), arena_printf(c->rq->arena, "status_%u", c->status),
           detail_of(c, &f));
    judge_error(c, &f);
    return AI_RESPONSE_FAILED;
}

void ai_response_injected(struct ai_call *c, unsigned status)
{
    struct ai_fault f;
    c->status = status;
    c->pass_count = 0;
    c->error_word = SLICE_NONE;
    buf_clear(&c->gathered);
    c->provider->read_error(status, SLICE_NONE, c->rq->arena, &f);
    c->limited = c->limited || f.verdict == AI_LIMITED;
    failed(c, refusal_for(status), arena_printf(c->rq->arena, "injected_status_%u", status),
           detail_of(c, &f));
    judge_error(c, &f);
}

void ai_response_tell_error(struct ai_call *c)
{
    const struct ai_failure *f = &c->failure;
    if (is_said_in_dialect(c)) {
        answered(c, false, buf_slice(&c->gathered));
        return;
    }
    struct buf *out = &c->rq->env->scratch;
    struct ai_error e = {
        .status = c->status,
        .message = f->text.len ? f->text
                               : arena_printf(c->rq->arena, "The upstream answered with status %u.",
                                              c->status),
        .code = f->error_code,
        .request_id = ai_call_id(c),
    };
    buf_clear(out);
    bool written = !c->endpoint->dialect->write_error(out, &e);
    answered(c, true, written ? arena_copy(c->rq->arena, buf_slice(out)) : SLICE_NONE);
}

/* ---- a whole response ---- */

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
static enum ai_response_result take_marked(struct ai_call *c, struct slice body)
{
    const struct ai_dialect *d = c->endpoint->dialect;
    const struct ai_context to = ai_call_context(c);
    struct buf *out = &c->translated; /* the request is on its way */
    if (c->endpoint->kind == AI_STORED)
        ai_objects_note(c, &to.account, body, false);
    buf_clear(out);
    if (!d->mark_whole || d->mark_whole(&to, body, out))
        return answered(c, false, body);
    return answered(c, false, buf_slice(out));
}

static enum ai_response_result no_stream(struct ai_call *c, const struct ai_whole *w)
{
    if (w->counted == AI_COUNTED_ALL)
        ai_cost_failed_counted(c, &w->tokens);
    else
        ai_cost_failed(c);
    return no_response(c, SLICE("no_stream"), SLICE("it answered a stream's request without one"));
}

static enum ai_response_result take_native(struct ai_call *c)
{
    struct ai_whole whole;
    struct slice body = buf_slice(&c->gathered);
    if (c->provider->read_whole)
        c->provider->read_whole(body, c->endpoint->kind, &whole);
    else
        read_observed(c, body, &whole);
    if (whole.fails)
        return failed_by_body(c);
    if (!whole.is_whole)
        return failed_by_form(c, SLICE("no_response"), SLICE("its response is none of a model"));
    if (c->request.stream)
        return no_stream(c, &whole);
    if (whole.counted == AI_COUNTED_ALL)
        ai_cost_counted(c, &whole.tokens);
    else
        ai_cost_estimated(c);
    return take_marked(c, body);
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

static enum ai_response_result take_assembled(struct ai_call *c, struct ai_assembly *a)
{
    struct buf *out = &c->gathered; /* all of it was read */
    c->usage = a->usage;
    a->asked = c->chat;
    if (c->endpoint->kind == AI_EMBEDDINGS && fill_embeddings(c, a))
        return failed_by_form(c, SLICE("no_memory"), SLICE("its response could not be written"));
    c->meter = (struct ai_meter){.bytes = a->bytes};
    a->to = ai_call_context(c);
    buf_clear(out);
    if (c->request.stream || c->endpoint->dialect->write_whole(a, out))
        return failed_by_form(c, SLICE("no_stream"),
                              SLICE("it answered a stream's request without one"));
    ai_cost_reported(c);
    return answered(c, true, buf_slice(out));
}

/* In another dialect than the client's, or as a stream. */
static enum ai_response_result take_foreign(struct ai_call *c)
{
    struct ai_assembly *a = ai_assembly_new();
    enum ai_response_result r;
    enum err e = a ? assemble(c, a) : ERR_NOMEM;
    if (!e && ai_assembly_is_whole(a))
        r = take_assembled(c, a);
    else if (a && a->failed && !c->gathers_events)
        r = failed_by_body(c);
    else if (e == ERR_PROTOCOL && !c->gathers_events)
        r = failed_by_form(c, SLICE("no_response"), SLICE("its response is none of a model"));
    else
        r = failed_by_form(c, SLICE("incomplete"), SLICE("its response is not complete"));
    ai_assembly_free(a);
    return r;
}

enum err ai_response_estimate_count(struct ai_call *c)
{
    struct buf *out = &c->rq->env->scratch;
    buf_clear(out);
    enum err e = c->endpoint->dialect->write_count(ai_cost_count_estimate(c), out);
    c->status = 200;
    c->pass_count = 0;
    c->notice = SLICE("the count is an estimate");
    answered(c, true, arena_copy(c->rq->arena, buf_slice(out)));
    return e;
}

/* How many tokens the prompt has, as the target says. */
static enum ai_response_result take_count(struct ai_call *c)
{
    uint64_t tokens;
    if (c->provider->read_count(buf_slice(&c->gathered), &tokens))
        return no_response(c, SLICE("no_response"), SLICE("its response is no count of tokens"));
    return answered(c, false, buf_slice(&c->gathered));
}

/* The provider's client secret stays here; the client gets one of ours. */
static enum ai_response_result take_secret(struct ai_call *c)
{
    struct buf *out = &c->translated; /* the request is on its way */
    const struct policy_key *key = c->rq->who.key;
    struct realtime_secret s = {
        .key_id = key->o.id, .key_digest = key->digest, .model = c->request.model};
    const struct candidate *t = ai_call_target(c);
    ai_account_of(t->provider->o.id, t->credential ? t->credential->id : SLICE_NONE, &s.account);
    buf_clear(out);
    enum err e = realtime_secret_replace(c->rq->policy, &s, buf_slice(&c->gathered), out);
    secret_wipe(&s, sizeof(s));
    if (e)
        return no_response(c, SLICE("no_secret"), SLICE("its response holds no client secret"));
    return answered(c, false, buf_slice(out));
}

enum ai_response_result ai_response_end(struct ai_call *c)
{
    timer_cancel(&c->patience);
    if (c->status != 200)
        return take_error(c);
    if (c->endpoint->kind == AI_COUNT)
        return take_count(c);
    if (c->endpoint->kind == AI_SECRET)
        return take_secret(c);
    return c->native && !c->gathers_events ? take_native(c) : take_foreign(c);
}

enum ai_response_result ai_response_body(struct ai_call *c, struct slice data)
{
    if (c->status != 200) { /* its beginning says what it is */
        enum err e = c->gathered.len < ERROR_BODY_MAX ? buf_append(&c->gathered, data) : ERR_OK;
        return e || c->gathered.len >= ERROR_BODY_MAX ? ai_response_end(c) : AI_RESPONSE_ON;
    }
    if (c->gathered.len + data.len <= LIMIT_AI_ANSWER && !buf_append(&c->gathered, data))
        return AI_RESPONSE_ON;
    ai_cost_unread(c);
    failed(c, REFUSAL_UPSTREAM, SLICE("too_big"),
           SLICE("its response is larger than allowed here"));
    c->failure.is_final = true;
    return AI_RESPONSE_FAILED;
}

/* ---- the head ---- */

/* what passes of it; everything else stays here */
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

enum ai_response_result ai_response_head(struct ai_call *c, const struct http_head *head)
{
    c->status = head->status;
    note_request_id(c, head);
    note_error_word(c, head);
    enum ai_verdict verdict = ai_verdict_of_status(c->status);
    if (verdict != AI_OK && verdict != AI_FATAL) {
        note_wait(c, exchange_retry_after_s(c->exchange));
        exchange_log_status(c->exchange);
    }
    if (is_encoded(head)) { /* what cannot be read can neither be billed nor looked through */
        if (verdict == AI_OK)
            ai_cost_unread(c);
        return failed(c, REFUSAL_UPSTREAM, SLICE("content_encoding"),
                      SLICE("its response is encoded, although plain text was requested"));
    }
    if (c->realtime && verdict == AI_OK)
        return no_response(c, SLICE("no_upgrade"), SLICE("it did not open a WebSocket"));
    gather_headers(c, head);
    c->gathers_events = verdict == AI_OK && is_event_stream(c->provider->framing, head);
    if (c->gathers_events && c->request.stream)
        return AI_RESPONSE_STREAM;
    start_gathering(c);
    return AI_RESPONSE_ON;
}

size_t ai_response_headers(const struct ai_call *c, struct http_header *ret)
{
    const struct ai_dialect *d = c->endpoint->dialect;
    bool own = c->answer.own;
    size_t n = 0;
    for (size_t i = 0; i < c->pass_count; i++)
        if (!own || !slice_eq(c->pass[i].name, SLICE("content-type")))
            ret[n++] = c->pass[i];
    if (own)
        ret[n++] = (struct http_header){SLICE("content-type"), ai_content_type(d)};
    if (own && c->status != 200 && d->error_header)
        ret[n++] = d->error_header(c->status);
    else if (c->native && c->error_word.len)
        ret[n++] = (struct http_header){c->provider->error_header, c->error_word};
    if (c->notice.len)
        ret[n++] = (struct http_header){SLICE("x-gatehouse-notice"), c->notice};
    return n;
}

/* ---- what broke off ---- */

static enum refusal_id refusal_for_loss(enum err why)
{
    if (why == ERR_EXHAUSTED)
        return REFUSAL_NO_CAPACITY;
    return why == ERR_TIMEOUT ? REFUSAL_UPSTREAM_TIMEOUT : REFUSAL_UPSTREAM;
}

static enum failure_class class_of_loss(const struct exchange_failure *f)
{
    if (f->why == ERR_TIMEOUT)
        return FAILURE_TIMEOUT;
    return f->why == ERR_PROTOCOL ? FAILURE_5XX : FAILURE_CONNECT;
}

static bool is_out_of_time(const struct ai_call *c)
{
    const uint64_t turn_us = 2000; /* an attempt's time was rounded down to a millisecond */
    return c->deadline_us != UINT64_MAX && clock_mono_us() + turn_us >= c->deadline_us;
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

void ai_response_lost(struct ai_call *c, const struct exchange_failure *f)
{
    c->status = exchange_status(c->exchange);
    bill_lost(c, f);
    failed(c, refusal_for_loss(f->why), f->code, f->text);
    c->failure.class = class_of_loss(f);
    if (is_out_of_time(c)) /* the client's deadline says nothing of the upstream */
        exchange_judge(c->exchange, ENDPOINT_UNKNOWN);
}

/* An error costs nothing unless its provider says so. */
void ai_response_stream_failed(struct ai_call *c)
{
    struct token_count tokens;
    if (ai_usage_count(&c->usage, &tokens) == AI_COUNTED_ALL)
        ai_cost_failed_counted(c, &tokens);
    else if (!slice_eq(c->failure.code, SLICE("error_in_stream")))
        ai_cost_failed(c);
    exchange_log_lost(c->exchange, ERR_PROTOCOL);
    exchange_judge(c->exchange, ENDPOINT_FAILED);
}
