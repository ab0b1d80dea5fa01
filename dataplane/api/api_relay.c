/*
 * api_relay — the service's response as the client gets it: listed headers, the body as it comes.
 */
#include "common/request/forward_headers.h"
#include "dataplane/api/api_gate_private.h"

/* 407 requests a credential for the next hop. For the service that is the gateway; a client would
 * take it for its own proxy. */
#define PROXY_CREDENTIAL_REQUIRED 407

/* 403 is about what was requested; the others are about the credential, which is the gateway's. */
static bool is_failure(const struct api_work *w, unsigned status)
{
    return status >= 500 || status == PROXY_CREDENTIAL_REQUIRED ||
           (w->service->credential && status == 401);
}

/* An error of the gateway cannot be written into a response that has begun: the response is cut. */
static void fail_with(struct api_work *w, enum request_outcome end, struct slice code)
{
    struct request *rq = w->rq;
    exchange_close(&w->exchange, end, code);
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
        if (forward_response_header(h->name, w->service->set_cookie) &&
            response_value_is_valid(h->name, h->value) && exchange_may_pass(w->exchange, h->value))
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
    struct http_header headers[LIMIT_HTTP_HEADERS] UNINITIALIZED;
    if (is_failure(w, head->status))
        exchange_log_status(w->exchange);
    if (head->status == PROXY_CREDENTIAL_REQUIRED) {
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

/* The last bytes of a response of known length complete it: they wait for the record. */
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

static void on_body(void *arg, struct slice data)
{
    struct api_work *w = arg;
    struct slice piece = keep_last(w, data);
    enum sink_result r = piece.len > 0 ? response_write(w->rq, piece) : SINK_OK;
    if (!end_where_closed(w, r) && r == SINK_FULL)
        exchange_hold(w->exchange, EXCHANGE_HOLD_CLIENT);
}

static void on_end(void *arg)
{
    struct api_work *w = arg;
    struct request *rq = w->rq;
    enum request_outcome end = rq->response_status >= 500 ? OUTCOME_ERROR : OUTCOME_OK;
    exchange_close(&w->exchange, end, SLICE_NONE);
    request_finish(rq, &(struct request_end){.outcome = end, .body = w->last});
}

static void on_fail(void *arg, const struct exchange_failure *f)
{
    enum refusal_id id = f->why == ERR_TIMEOUT     ? REFUSAL_UPSTREAM_TIMEOUT
                         : f->why == ERR_EXHAUSTED ? REFUSAL_NO_CAPACITY
                                                   : REFUSAL_UPSTREAM;
    fail(arg, id, f->text, f->code);
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
    if (w->exchange)
        exchange_release(w->exchange, EXCHANGE_HOLD_CLIENT);
}

const struct exchange_events api_relay_events = {
    .on_head = on_head,
    .on_body = on_body,
    .on_end = on_end,
    .on_fail = on_fail,
    .on_drain = on_drain,
};
