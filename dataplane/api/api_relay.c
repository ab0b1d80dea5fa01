/*
 * relay — the service's answer as the client gets it: listed headers, the body as it comes, our
 * credential cut from both.
 */
#include "common/base/clock.h"
#include "common/request/forward_headers.h"
#include "common/request/request_metrics.h"
#include "common/request/upstream_log.h"
#include "dataplane/api/api_private.h"

/* What was waited for the upstream so far is not our overhead. */
static uint64_t count_waiting(struct api_work *w)
{
    uint64_t now = clock_mono_us();
    if (w->waiting_us)
        w->rq->record.upstream_us += now - w->waiting_us;
    w->waiting_us = now;
    return now;
}

void api_relay_end(struct api_work *w, enum request_outcome end, struct slice code)
{
    uint64_t now = count_waiting(w);
    w->waiting_us = 0;
    if (!w->attempt)
        return;
    w->attempt->end = end;
    w->attempt->code = code;
    w->attempt->duration_us = now - w->attempt_us;
    w->attempt = NULL;
}

static void alarm_echo(struct api_work *w, const char *where)
{
    count_add(w->rq->env, COUNT_ECHOES, 0, 1);
    log_error(&w->rq->log, "credential_echoed", "where=%s service=%.*s", where,
              SLICE_ARG(w->service->o.name));
}

static struct upstream_at upstream_of(const struct api_work *w)
{
    return (struct upstream_at){w->service->o.name, &w->service->url};
}

/* It is asked of the next hop, and that is us: a client would take us for its own proxy. */
#define PROXY_CREDENTIAL_ASKED 407

/* 403 is how a service speaks of what was asked; the others of who asks, and that is us. */
static bool is_failure(const struct api_work *w, unsigned status)
{
    return status >= 500 || status == PROXY_CREDENTIAL_ASKED ||
           (w->service->credential && status == 401);
}

/* A response of this gate has no place for an error of ours: once begun it is cut. */
static void fail_with(struct api_work *w, enum request_outcome end, struct slice code)
{
    struct request *rq = w->rq;
    api_forward_drop(w);
    api_relay_end(w, end, code);
    request_finish(rq, &(struct request_end){.outcome = end, .cut = rq->response_status != 0});
}

static void fail(struct api_work *w, enum refusal_id id, struct slice detail, struct slice code)
{
    if (!w->rq->response_status)
        request_refuse(w->rq, id, detail);
    fail_with(w, OUTCOME_ERROR, code);
}

static size_t pass_headers(struct api_work *w, const struct http_head *head,
                           struct http_header *out, size_t max)
{
    size_t n = 0;
    for (size_t i = 0; i < head->header_count && n < max; i++) {
        const struct http_header *h = &head->headers[i];
        if (!forward_response_header(h->name, w->service->set_cookie) ||
            !response_value_is_valid(h->name, h->value))
            continue;
        if (echo_is_in(&w->echo, h->value))
            alarm_echo(w, "header");
        else
            out[n++] = *h;
    }
    return n;
}

/* true: the request is over */
static bool end_where_closed(struct api_work *w, enum sink_result r)
{
    if (w->rq->stage != REQUEST_WORK)
        return true;
    if (r <= SINK_FULL)
        return false;
    if (r == SINK_REFUSED)
        fail_with(w, OUTCOME_REFUSED, SLICE("refused"));
    else
        fail(w, REFUSAL_NO_CAPACITY, SLICE_NONE, SLICE("client_closed"));
    return true;
}

static void on_head(void *arg, const struct http_head *head)
{
    struct api_work *w = arg;
    struct http_header headers[LIMIT_HTTP_HEADERS];
    w->attempt->http_status = head->status;
    count_waiting(w);
    if (is_failure(w, head->status))
        upstream_log_status(w->rq->env, &w->rq->log, upstream_of(w), head->status);
    if (head->status == PROXY_CREDENTIAL_ASKED) {
        fail(w, REFUSAL_UPSTREAM, SLICE("it asks for a proxy's credential"), SLICE("status_407"));
        return;
    }
    size_t n = pass_headers(w, head, headers, ARRAY_LEN(headers));
    bool bodiless =
        slice_eq(w->rq->head->method, SLICE("HEAD")) || head->status == 204 || head->status == 304;
    w->has_length = head->has_length;
    w->left = bodiless ? 0 : head->length;
    end_where_closed(w, response_begin(w->rq, head->status, headers, n,
                                       head->has_length ? head->length : UINT64_MAX));
}

/* The end of an answer of known length is what makes it whole: it waits for the record. */
static struct slice keep_last(struct api_work *w, struct slice piece)
{
    if (!w->has_length)
        return piece;
    w->left -= piece.len < w->left ? piece.len : w->left;
    if (w->left > 0 || piece.len == 0)
        return piece;
    w->last = arena_copy(w->rq->arena, piece);
    return w->last.ptr ? SLICE_NONE : piece;
}

/* Sends what is in w->piece. */
static void send_piece(struct api_work *w)
{
    struct slice piece = keep_last(w, buf_slice(&w->piece));
    enum sink_result r = piece.len > 0 ? response_write(w->rq, piece) : SINK_OK;
    buf_clear(&w->piece);
    if (end_where_closed(w, r))
        return;
    if (r == SINK_FULL && !w->upstream_paused) {
        w->upstream_paused = true;
        http_call_pause(w->call);
    }
}

static void on_body(void *arg, struct slice data)
{
    struct api_work *w = arg;
    if (echo_pass(&w->echo, data, &w->piece) != ERR_OK) {
        fail(w, REFUSAL_NO_CAPACITY, SLICE_NONE, SLICE("too_big"));
        return;
    }
    send_piece(w);
}

static void on_end(void *arg)
{
    struct api_work *w = arg;
    struct request *rq = w->rq;
    /* what the echo held back was not counted as sent, so nothing else was kept before it */
    if (echo_end(&w->echo, &w->piece) == ERR_OK && w->piece.len > 0)
        w->last = arena_copy(rq->arena, buf_slice(&w->piece));
    if (w->echo.found)
        alarm_echo(w, "body");
    enum request_outcome end = rq->response_status >= 500 ? OUTCOME_ERROR : OUTCOME_OK;
    struct slice last = w->last;
    api_forward_drop(w);
    api_relay_end(w, end, SLICE_NONE);
    request_finish(rq, &(struct request_end){.outcome = end, .body = last});
}

static void on_error(void *arg, enum err why, enum http_call_phase phase)
{
    struct api_work *w = arg;
    enum refusal_id id = why == ERR_TIMEOUT     ? REFUSAL_UPSTREAM_TIMEOUT
                         : why == ERR_EXHAUSTED ? REFUSAL_NO_CAPACITY
                                                : REFUSAL_UPSTREAM;
    upstream_log_lost(w->rq->env, &w->rq->log, upstream_of(w), why, phase);
    fail(w, id, upstream_why(why), slice_str(err_name(why)));
}

/* The upstream took what was waiting: the client may send on. */
static void on_drain(void *arg)
{
    struct api_work *w = arg;
    if (!w->client_paused)
        return;
    w->client_paused = false;
    request_resume_body(w->rq);
}

void api_relay_drain(struct api_work *w)
{
    if (!w->upstream_paused || !w->call)
        return;
    w->upstream_paused = false;
    http_call_resume(w->call);
}

const struct http_call_events api_relay_events = {
    .on_head = on_head,
    .on_body = on_body,
    .on_end = on_end,
    .on_error = on_error,
    .on_drain = on_drain,
};
