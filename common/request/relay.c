/*
 * relay — the client's body at the upstream's pace, the response at the client's.
 */
#include "common/request/relay.h"

#include "common/request/forward_headers.h"

static void end_with(struct relay *r, enum request_outcome end, struct slice code)
{
    struct request *rq = r->rq;
    if (r->hooks->over)
        r->hooks->over(r, end == OUTCOME_ERROR ? RELAY_BROKEN : RELAY_CANCELLED);
    exchange_close(&r->exchange, end, code);
    request_finish(rq, &(struct request_end){.outcome = end, .cut = rq->response_status != 0});
}

/* An error of the gateway cannot be written into a response that has begun: the response is cut. */
void relay_fail(struct relay *r, enum refusal_id id, struct slice detail, struct slice code)
{
    if (!r->rq->response_status)
        request_refuse(r->rq, id, detail);
    end_with(r, OUTCOME_ERROR, code);
}

void relay_cancel(struct relay *r)
{
    struct request *rq = r->rq;
    struct slice code = request_cut_code(rq);
    if (r->hooks->over)
        r->hooks->over(r, RELAY_CANCELLED);
    exchange_close(&r->exchange, OUTCOME_CANCELLED, code);
    request_finish_as(rq, rq->refusal.id ? OUTCOME_REFUSED : OUTCOME_CANCELLED);
}

/* ---- the client's body ---- */

bool relay_has_body(const struct http_head *h)
{
    return h->chunked || (h->has_length && h->length > 0);
}

bool relay_body(struct relay *r, struct slice piece)
{
    if (!r->exchange || r->body_ended)
        return false;
    enum err e = exchange_write(r->exchange, piece);
    if (e == ERR_TOO_BIG) /* more in one piece than a client is read ahead: none may be lost */
        relay_fail(r, REFUSAL_NO_CAPACITY, SLICE_NONE, SLICE("too_big"));
    if (e)
        return false; /* but for that, the exchange's own failure says why */
    if (!r->client_paused && exchange_is_full(r->exchange)) {
        r->client_paused = true;
        request_pause_body(r->rq);
    }
    return true;
}

void relay_body_end(struct relay *r)
{
    if (!r->exchange || r->body_ended)
        return;
    r->body_ended = true;
    exchange_write_end(r->exchange);
}

/* The upstream took what was waiting: the client may send on. */
static void on_drain(void *arg)
{
    struct relay *r = arg;
    if (!r->client_paused)
        return;
    r->client_paused = false;
    request_resume_body(r->rq);
}

/* ---- the response ---- */

void relay_drain(struct relay *r)
{
    if (r->exchange)
        exchange_release(r->exchange, EXCHANGE_HOLD_CLIENT);
}

/* true: the request is over */
static bool end_where_closed(struct relay *r, enum sink_result result)
{
    if (r->rq->stage != REQUEST_WORK)
        return true;
    if (result <= SINK_FULL)
        return false;
    if (result == SINK_REFUSED)
        end_with(r, OUTCOME_REFUSED, SLICE("refused"));
    else
        relay_fail(r, REFUSAL_NO_CAPACITY, SLICE_NONE, SLICE("client_closed"));
    return true;
}

static size_t pass_headers(struct relay *r, const struct http_head *head, struct http_header *out,
                           size_t max)
{
    size_t n = 0;
    for (size_t i = 0; i < head->header_count && n < max; i++) {
        const struct http_header *h = &head->headers[i];
        if (r->hooks->passes(r, h->name) && response_value_is_valid(h->name, h->value) &&
            exchange_may_pass(r->exchange, h->value))
            out[n++] = *h;
    }
    return n;
}

static void on_head(void *arg, const struct http_head *head)
{
    struct relay *r = arg;
    struct http_header headers[LIMIT_HTTP_HEADERS] UNINITIALIZED;
    if (!r->hooks->on_head(r, head))
        return;
    size_t n = pass_headers(r, head, headers, ARRAY_LEN(headers));
    bool bodiless =
        slice_eq(r->rq->head->method, SLICE("HEAD")) || head->status == 204 || head->status == 304;
    r->has_length = head->has_length && !r->edits;
    r->left = bodiless ? 0 : head->length;
    end_where_closed(r, response_begin(r->rq, head->status, headers, n,
                                       r->has_length ? head->length : UINT64_MAX));
}

/* The last bytes of a response of known length complete it: they wait for the record. */
static struct slice keep_last(struct relay *r, struct slice piece)
{
    if (!r->has_length)
        return piece;
    r->left -= piece.len < r->left ? piece.len : r->left;
    if (r->left > 0 || piece.len == 0)
        return piece;
    r->last = arena_copy(r->rq->arena, piece);
    return r->last.ptr ? SLICE_NONE : piece;
}

static void on_body(void *arg, struct slice data)
{
    struct relay *r = arg;
    if (r->hooks->on_data)
        data = r->hooks->on_data(r, data);
    if (r->rq->stage != REQUEST_WORK)
        return;
    struct slice piece = keep_last(r, data);
    enum sink_result result = piece.len > 0 ? response_write(r->rq, piece) : SINK_OK;
    if (!end_where_closed(r, result) && result == SINK_FULL)
        exchange_hold(r->exchange, EXCHANGE_HOLD_CLIENT);
}

static void on_end(void *arg)
{
    struct relay *r = arg;
    struct request *rq = r->rq;
    enum request_outcome end = rq->response_status >= 500 ? OUTCOME_ERROR : OUTCOME_OK;
    struct slice rest = r->hooks->rest ? r->hooks->rest(r) : SLICE_NONE;
    if (r->hooks->over)
        r->hooks->over(r, RELAY_WHOLE);
    exchange_close(&r->exchange, end, SLICE_NONE);
    request_finish(rq, &(struct request_end){.outcome = end, .body = rest.len ? rest : r->last});
}

static void on_fail(void *arg, const struct exchange_failure *f)
{
    enum refusal_id id = f->why == ERR_TIMEOUT     ? REFUSAL_UPSTREAM_TIMEOUT
                         : f->why == ERR_EXHAUSTED ? REFUSAL_NO_CAPACITY
                                                   : REFUSAL_UPSTREAM;
    relay_fail(arg, id, f->text, f->code);
}

const struct exchange_events relay_events = {
    .on_head = on_head,
    .on_body = on_body,
    .on_end = on_end,
    .on_fail = on_fail,
    .on_drain = on_drain,
};
