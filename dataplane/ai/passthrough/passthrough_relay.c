/*
 * passthrough_relay — the provider's response as the client gets it: listed headers, the body as it
 * comes.
 */
#include "common/request/forward_headers.h"
#include "dataplane/ai/passthrough/passthrough_private.h"

/* Beside what any service may say. */
static const struct slice provider_names[] = {
    {"retry-after-ms", 14}, {"openai-processing-ms", 20}, {"openai-version", 14},
    {"x-should-retry", 14}, {"x-amzn-errortype", 16},     {"x-goog-upload-status", 20},
};

static bool passes(struct slice name)
{
    for (size_t i = 0; i < ARRAY_LEN(provider_names); i++)
        if (slice_ieq(provider_names[i], name))
            return true;
    return forward_response_header(name, false);
}

/* About the credential, which is the gateway's: a client would take it for its own. */
static bool is_about_credential(unsigned status)
{
    return status == 401 || status == 407;
}

/* A response that has begun cannot be taken back: it is cut. */
static void fail_with(struct passthrough_call *p, enum request_outcome end, struct slice code)
{
    struct request *rq = p->rq;
    passthrough_bill(p, end == OUTCOME_ERROR ? PASSTHROUGH_BROKEN : PASSTHROUGH_CANCELLED);
    exchange_close(&p->exchange, end, code);
    request_finish(rq, &(struct request_end){.outcome = end, .cut = rq->response_status != 0});
}

static void fail(struct passthrough_call *p, enum refusal_id id, struct slice detail,
                 struct slice code)
{
    if (!p->rq->response_status)
        request_refuse(p->rq, id, detail);
    fail_with(p, OUTCOME_ERROR, code);
}

/* true: the request is over */
static bool end_where_closed(struct passthrough_call *p, enum sink_result r)
{
    if (p->rq->stage != REQUEST_WORK)
        return true;
    if (r <= SINK_FULL)
        return false;
    if (r == SINK_REFUSED)
        fail_with(p, OUTCOME_REFUSED, SLICE("refused"));
    else
        fail(p, REFUSAL_NO_CAPACITY, SLICE_NONE, SLICE("client_closed"));
    return true;
}

static void note_request_id(struct passthrough_call *p, const struct http_head *head)
{
    static const struct slice names[] = {
        {"x-request-id", 12}, {"request-id", 10}, {"x-amzn-requestid", 16}};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct slice id = http_head_find(head, names[i]);
        if (!id.len || id.len > 128 || !exchange_may_pass(p->exchange, id))
            continue;
        p->attempt->upstream_request_id = arena_copy(p->rq->arena, id);
        return;
    }
}

static void on_head(void *arg, const struct http_head *head)
{
    struct passthrough_call *p = arg;
    struct http_header headers[LIMIT_HTTP_HEADERS] UNINITIALIZED;
    size_t n = 0;
    note_request_id(p, head);
    if (head->status >= 500 || is_about_credential(head->status))
        exchange_log_status(p->exchange);
    if (is_about_credential(head->status)) {
        exchange_judge(p->exchange, ENDPOINT_REFUSED);
        if (p->token)
            access_token_doubt(p->rq->env->upstreams.tokens, &p->account->token_key);
        fail(p, REFUSAL_UPSTREAM, SLICE("it refused the gateway's credential"),
             arena_printf(p->rq->arena, "status_%u", head->status));
        return;
    }
    for (size_t i = 0; i < head->header_count && n < ARRAY_LEN(headers); i++) {
        const struct http_header *h = &head->headers[i];
        if (passes(h->name) && response_value_is_valid(h->name, h->value) &&
            exchange_may_pass(p->exchange, h->value))
            headers[n++] = *h;
    }
    bool bodiless =
        slice_eq(p->rq->head->method, SLICE("HEAD")) || head->status == 204 || head->status == 304;
    p->has_length = head->has_length;
    p->left = bodiless ? 0 : head->length;
    passthrough_meter_open(p, head);
    end_where_closed(p, response_begin(p->rq, head->status, headers, n,
                                       head->has_length ? head->length : UINT64_MAX));
}

/* The last bytes of a response of known length complete it: they wait for the record. */
static struct slice keep_last(struct passthrough_call *p, struct slice piece)
{
    if (!p->has_length)
        return piece;
    p->left -= piece.len < p->left ? piece.len : p->left;
    if (p->left > 0 || piece.len == 0)
        return piece;
    p->last = arena_copy(p->rq->arena, piece);
    return p->last.ptr ? SLICE_NONE : piece;
}

static void on_body(void *arg, struct slice data)
{
    struct passthrough_call *p = arg;
    p->rq->record.api.bytes_out += data.len;
    passthrough_meter_feed(p, data);
    struct slice piece = keep_last(p, data);
    enum sink_result r = piece.len > 0 ? response_write(p->rq, piece) : SINK_OK;
    if (!end_where_closed(p, r) && r == SINK_FULL)
        exchange_hold(p->exchange, EXCHANGE_HOLD_CLIENT);
}

static void on_end(void *arg)
{
    struct passthrough_call *p = arg;
    struct request *rq = p->rq;
    enum request_outcome end = rq->response_status >= 500 ? OUTCOME_ERROR : OUTCOME_OK;
    passthrough_bill(p, PASSTHROUGH_WHOLE);
    exchange_close(&p->exchange, end, SLICE_NONE);
    request_finish(rq, &(struct request_end){.outcome = end, .body = p->last});
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
    struct passthrough_call *p = arg;
    if (!p->client_paused)
        return;
    p->client_paused = false;
    request_resume_body(p->rq);
}

void passthrough_drain(struct passthrough_call *p)
{
    if (p->exchange)
        exchange_release(p->exchange, EXCHANGE_HOLD_CLIENT);
}

const struct exchange_events passthrough_events = {
    .on_head = on_head,
    .on_body = on_body,
    .on_end = on_end,
    .on_fail = on_fail,
    .on_drain = on_drain,
};
