/* exchange — the states of one attempt. Callbacks of the gate may close the exchange: `closed` is
 * looked at after each, and the memory goes at the end of the turn. */
#include "common/upstream/exchange.h"

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/base/mem.h"
#include "common/net/loop.h"
#include "common/upstream/access_token.h"
#include "common/upstream/echo.h"

#define MS_PER_S 1000u

struct exchange {
    struct upstreams *home;
    struct loop *loop;
    struct list link; /* among the spare ones */
    enum exchange_state state;
    bool closed;
    bool logged; /* that it failed */
    unsigned holds;
    struct exchange_events events;
    void *arg;

    struct http_call *call;
    struct endpoint *endpoint;
    struct endpoint_limits limits;
    enum endpoint_verdict verdict;
    struct secret *credential;
    struct echo echo;

    struct slice upstream, credential_id;
    struct url url;
    const struct log_ctx *log;
    struct attempt *attempt;
    uint64_t *waited_us;

    unsigned status, retry_after_ms;
    bool has_sent, is_sent; /* as they were when the call was let go */
    uint64_t started_us, sent_us, waiting_us;
    uint32_t model;               /* its number at the endpoint; 0: none */
    uint64_t headed_us, first_us; /* when the head came, and a stream's first content; 0: not yet */
};

/* ---- its state ---- */

#define TO(state) (1u << EXCHANGE_##state)
#define OVER (TO(FAILED) | TO(CANCELLED))
static const unsigned moves[] = {
    [EXCHANGE_RESOLVING] = TO(CONNECTING) | OVER,
    [EXCHANGE_CONNECTING] = TO(SENT) | OVER,
    [EXCHANGE_SENT] = TO(RESOLVING) | TO(HEAD) | OVER,
    [EXCHANGE_HEAD] = TO(BODY) | OVER,
    [EXCHANGE_BODY] = TO(DONE) | OVER,
};
#undef OVER
#undef TO

static void move(struct exchange *x, enum exchange_state to)
{
    MUST((size_t)x->state < ARRAY_LEN(moves) && moves[x->state] & 1u << to);
    x->state = to;
    if (to == EXCHANGE_SENT)
        x->sent_us = clock_mono_us();
}

static bool is_over(const struct exchange *x)
{
    return x->state >= EXCHANGE_DONE;
}

static enum exchange_state state_of_call(enum http_call_state s)
{
    static const enum exchange_state states[] = {
        [HTTP_CALL_RESOLVING] = EXCHANGE_RESOLVING, [HTTP_CALL_CONNECTING] = EXCHANGE_CONNECTING,
        [HTTP_CALL_SENT] = EXCHANGE_SENT,           [HTTP_CALL_HEAD] = EXCHANGE_HEAD,
        [HTTP_CALL_BODY] = EXCHANGE_BODY,           [HTTP_CALL_ENDED] = EXCHANGE_FAILED};
    return states[s];
}

enum exchange_state exchange_state(const struct exchange *x)
{
    return x->state;
}

/* ---- its clock and its record ---- */

static uint64_t count_waiting(struct exchange *x)
{
    uint64_t now = clock_mono_us();
    if (x->waited_us)
        *x->waited_us += now - x->waiting_us;
    x->waiting_us = now;
    return now;
}

static void begin_record(struct exchange *x)
{
    x->started_us = x->sent_us = x->waiting_us = clock_mono_us();
    if (x->attempt && !x->attempt->started_at_us)
        x->attempt->started_at_us = clock_wall_us();
}

static void end_record(struct exchange *x, enum request_outcome end, struct slice code)
{
    uint64_t now = count_waiting(x);
    x->waited_us = NULL;
    if (!x->attempt)
        return;
    x->attempt->http_status = x->status;
    x->attempt->end = end;
    x->attempt->code = code;
    x->attempt->duration_us = now - x->started_us;
    x->attempt = NULL;
}

/* ---- what is written and counted of it ---- */

static struct upstream_at upstream_of(const struct exchange *x)
{
    return (struct upstream_at){x->upstream, &x->url};
}

static void log_lost(struct exchange *x, enum err why, enum http_call_phase phase)
{
    if (!x->logged)
        upstream_log_lost(&x->home->log, x->log, upstream_of(x), why, phase);
    x->logged = true;
}

void exchange_log_status(struct exchange *x)
{
    if (!x->logged)
        upstream_log_status(&x->home->log, x->log, upstream_of(x), x->status);
    x->logged = true;
}

void exchange_log_lost(struct exchange *x, enum err why)
{
    log_lost(x, why, HTTP_PHASE_BODY);
}

bool exchange_may_pass(struct exchange *x, struct slice value)
{
    if (!echo_is_in(&x->echo, value))
        return true;
    upstream_log_echo(&x->home->log, x->log, upstream_of(x), "header");
    return false;
}

void exchange_judge(struct exchange *x, enum endpoint_verdict verdict)
{
    x->verdict = verdict;
}

void exchange_first(struct exchange *x)
{
    if (!x->endpoint || !x->model || x->first_us)
        return;
    x->first_us = clock_mono_us();
    endpoint_first(x->endpoint, x->model, x->first_us - x->sent_us, x->first_us);
}

void exchange_used(struct exchange *x, const struct token_count *tokens)
{
    if (!x->endpoint || !x->model || !x->headed_us)
        return;
    uint64_t now = clock_mono_us();
    if (!x->first_us)
        endpoint_whole(x->endpoint, x->model, x->headed_us - x->sent_us, now);
    endpoint_used(
        x->endpoint, x->model,
        &(struct endpoint_use){.input = tokens->input,
                               .cache_read = tokens->cache_read,
                               .output = tokens->output,
                               .wrote_us = now - (x->first_us ? x->first_us : x->sent_us)},
        now);
}

static enum endpoint_verdict verdict_by_status(const struct exchange *x)
{
    if (x->status >= 500)
        return ENDPOINT_FAILED;
    if (x->status == 429)
        return ENDPOINT_LIMITED;
    return x->credential && x->status == 401 ? ENDPOINT_REFUSED : ENDPOINT_OK;
}

static void leave_endpoint(struct exchange *x)
{
    if (!x->endpoint)
        return;
    uint64_t now = clock_mono_us();
    if (x->verdict == ENDPOINT_REFUSED && !endpoint_is_refused(x->endpoint, now))
        upstream_log_refused(&x->home->log, x->log, upstream_of(x), x->credential_id, x->status);
    endpoint_end(x->endpoint, &x->limits, x->verdict, x->retry_after_ms, now);
    endpoint_drop(&x->home->endpoints, &x->endpoint);
}

/* ---- from the call ---- */

/* The call's own facts outlast it, as they decide what the attempt costs. */
static void drop_call(struct exchange *x)
{
    if (!x->call)
        return;
    x->has_sent = http_call_has_sent(x->call);
    x->is_sent = http_call_is_sent(x->call);
    http_call_close(&x->call);
}

static void fail(struct exchange *x, const struct exchange_failure *f)
{
    move(x, EXCHANGE_FAILED);
    log_lost(x, f->why, f->phase);
    if (f->why != ERR_CANCELLED && x->verdict == ENDPOINT_UNKNOWN)
        x->verdict = ENDPOINT_FAILED;
    drop_call(x);
    x->events.on_fail(x->arg, f);
}

static void fail_by(struct exchange *x, enum err why, enum http_call_phase phase)
{
    fail(x, &(struct exchange_failure){.why = why,
                                       .phase = phase,
                                       .code = slice_str(err_name(why)),
                                       .text = upstream_why(why)});
}

static void on_state(void *arg, enum http_call_state state)
{
    move(arg, state_of_call(state));
}

static bool is_encoded(const struct http_head *head)
{
    struct slice coding = http_head_find(head, SLICE("content-encoding"));
    return coding.len && !slice_ieq(coding, SLICE("identity"));
}

static void on_head(void *arg, const struct http_head *head)
{
    struct exchange *x = arg;
    uint64_t now = count_waiting(x);
    x->status = head->status;
    x->headed_us = now;
    x->retry_after_ms = http_retry_after_ms(head);
    if (x->attempt) {
        x->attempt->http_status = head->status;
        x->attempt->head_us = now - x->sent_us;
    }
    endpoint_latency(x->endpoint, now - x->sent_us, now);
    x->verdict = verdict_by_status(x);
    if (x->credential && is_encoded(head)) {
        fail(x, &(struct exchange_failure){
                    .why = ERR_PROTOCOL,
                    .phase = HTTP_PHASE_BODY,
                    .code = SLICE("content_encoding"),
                    .text = SLICE("its response is encoded, although plain text was requested")});
        return;
    }
    x->events.on_head(x->arg, head);
}

static void on_body(void *arg, struct slice data)
{
    struct exchange *x = arg;
    struct slice clean;
    if (echo_pass(&x->echo, data, &clean)) {
        fail_by(x, ERR_NOMEM, HTTP_PHASE_BODY);
        return;
    }
    if (clean.len)
        x->events.on_body(x->arg, clean);
}

static void on_end(void *arg)
{
    struct exchange *x = arg;
    struct slice rest = echo_end(&x->echo);
    if (rest.len)
        x->events.on_body(x->arg, rest);
    if (x->closed)
        return;
    move(x, EXCHANGE_DONE);
    drop_call(x);
    x->events.on_end(x->arg);
}

static void on_error(void *arg, enum err why, enum http_call_phase phase)
{
    struct exchange *x = arg;
    if (phase == HTTP_PHASE_BODY) /* it broke off */
        x->verdict = ENDPOINT_UNKNOWN;
    fail_by(x, why, phase);
}

static void on_drain(void *arg)
{
    struct exchange *x = arg;
    if (x->events.on_drain)
        x->events.on_drain(x->arg);
}

static const struct http_call_events call_events = {
    .on_head = on_head,
    .on_body = on_body,
    .on_end = on_end,
    .on_error = on_error,
    .on_drain = on_drain,
    .on_state = on_state,
};

/* ---- its life ---- */

void upstreams_init(struct upstreams *u)
{
    *u = (struct upstreams){0};
    endpoint_table_init(&u->endpoints);
    list_init(&u->spare);
}

static void free_exchange(struct exchange *x)
{
    echo_fini(&x->echo);
    mem_free(x);
}

void upstreams_fini(struct upstreams *u)
{
    access_tokens_free(u->tokens);
    u->tokens = NULL;
    struct list *first;
    while ((first = list_take_first(&u->spare)))
        free_exchange(LIST_ITEM(first, struct exchange, link));
    u->spare_count = 0;
    endpoint_table_fini(&u->endpoints);
}

static struct exchange *take_spare(struct upstreams *u)
{
    struct list *first = list_take_first(&u->spare);
    if (first) {
        u->spare_count--;
        return LIST_ITEM(first, struct exchange, link);
    }
    struct exchange *x = mem_zalloc(sizeof(*x));
    if (!x)
        return NULL;
    x->home = u;
    list_init(&x->link);
    echo_init(&x->echo);
    return x;
}

static void give_spare(void *arg)
{
    struct exchange *x = arg;
    struct upstreams *u = x->home;
    if (u->spare_count >= LIMIT_EXCHANGE_SPARE) {
        free_exchange(x);
        return;
    }
    if (x->echo.held.cap + x->echo.piece.cap > ECHO_LOOKED_AT) /* kept unless large */
        echo_fini(&x->echo);
    u->spare_count++;
    list_push_first(&u->spare, &x->link);
}

static void reset(struct exchange *x, const struct exchange_spec *spec,
                  const struct exchange_events *events, void *arg)
{
    x->loop = http_client_loop(x->home->client);
    x->state = EXCHANGE_RESOLVING;
    x->closed = x->logged = x->has_sent = x->is_sent = false;
    x->holds = x->status = x->retry_after_ms = 0;
    x->events = *events;
    x->arg = arg;
    x->call = NULL;
    x->endpoint = NULL;
    x->limits = spec->limits;
    x->verdict = ENDPOINT_UNKNOWN;
    x->credential = spec->credential ? secret_hold(spec->credential) : NULL;
    x->upstream = spec->upstream;
    x->credential_id = spec->credential_id;
    x->url = spec->call.url;
    x->log = spec->log;
    x->attempt = spec->attempt;
    x->waited_us = spec->waited_us;
    x->model = spec->model.len ? endpoint_model(spec->model) : 0;
    x->headed_us = x->first_us = 0;
    echo_begin(&x->echo, x->credential ? secret_reveal(x->credential) : SLICE_NONE);
}

static enum err enter_endpoint(struct exchange *x, const struct exchange_spec *spec)
{
    const struct endpoint_key key = {.target = spec->target_id,
                                     .credential = spec->credential_id,
                                     .region = spec->region,
                                     .url = &spec->call.url,
                                     .revision = spec->revision};
    struct endpoint *e;
    enum err err = endpoint_hold(&x->home->endpoints, &key, &e);
    if (err)
        return err;
    /* Waits bind the picker, which may have nothing better; ceilings and the breaker bind all. */
    if (spec->limits.parallel || spec->limits.failures)
        err = endpoint_admits(e, &spec->limits, x->started_us);
    if (err == ERR_AGAIN && spec->insists)
        err = ERR_OK;
    if (err) {
        endpoint_drop(&x->home->endpoints, &e);
        return err;
    }
    endpoint_begin(e, x->started_us);
    x->endpoint = e;
    return ERR_OK;
}

enum err exchange_start(struct upstreams *u, const struct exchange_spec *spec,
                        const struct exchange_events *events, void *arg, struct exchange **ret)
{
    struct exchange *x = take_spare(u);
    if (!x)
        return ERR_NOMEM;
    reset(x, spec, events, arg);
    begin_record(x);
    enum err e = enter_endpoint(x, spec);
    if (!e)
        e = http_call_start(u->client, &spec->call, &call_events, x, &x->call);
    if (e) {
        log_lost(x, e, HTTP_PHASE_CONNECT);
        exchange_close(&x, OUTCOME_ERROR, slice_str(err_name(e)));
        return e;
    }
    x->state = state_of_call(http_call_state(x->call)); /* a kept connection begins at SENT */
    *ret = x;
    return ERR_OK;
}

void exchange_close(struct exchange **at, enum request_outcome end, struct slice code)
{
    struct exchange *x = *at;
    *at = NULL;
    if (!x)
        return;
    x->closed = true;
    if (!is_over(x))
        move(x, EXCHANGE_CANCELLED);
    if (x->echo.found)
        upstream_log_echo(&x->home->log, x->log, upstream_of(x), "body");
    end_record(x, end, code);
    drop_call(x);
    leave_endpoint(x);
    secret_drop(x->credential);
    x->credential = NULL;
    x->log = NULL;
    loop_retire(x->loop, give_spare, x);
}

void exchange_disown(struct exchange *x, const struct log_ctx *log)
{
    x->attempt = NULL;
    x->waited_us = NULL;
    x->log = log;
}

/* ---- what the gate asks of it ---- */

enum err exchange_write(struct exchange *x, struct slice data)
{
    return x->call ? http_call_write(x->call, data) : ERR_CLOSED;
}

void exchange_write_end(struct exchange *x)
{
    if (x->call)
        http_call_write_end(x->call);
}

bool exchange_is_full(const struct exchange *x)
{
    return x->call && http_call_is_full(x->call);
}

void exchange_hold(struct exchange *x, enum exchange_hold why)
{
    if (!x->holds && x->call)
        http_call_pause(x->call);
    x->holds |= why;
}

void exchange_release(struct exchange *x, enum exchange_hold why)
{
    unsigned before = x->holds;
    x->holds &= ~(unsigned)why;
    if (before && !x->holds && x->call)
        http_call_resume(x->call);
}

bool exchange_has_sent(const struct exchange *x)
{
    return x->call ? http_call_has_sent(x->call) : x->has_sent;
}

bool exchange_is_sent(const struct exchange *x)
{
    return x->call ? http_call_is_sent(x->call) : x->is_sent;
}

unsigned exchange_status(const struct exchange *x)
{
    return x->status;
}

unsigned exchange_retry_after_s(const struct exchange *x)
{
    return (x->retry_after_ms + MS_PER_S - 1) / MS_PER_S;
}

unsigned exchange_retry_after_ms(const struct exchange *x)
{
    return x->retry_after_ms;
}
