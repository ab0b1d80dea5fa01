/*
 * response — the chain of sinks and its tail: an end that waits for the record, the headers that
 * every response has (product.md, Answer headers), and those of a refusal that say when to try
 * again.
 *
 * Without a filter's sink the response of a finishing request is not copied: it is sent from where
 * it lies, after the record. Headers are written by hand: they are for each request, and printf
 * would cost more than the gates.
 */
#include "common/request/response.h"

#include "common/base/clock.h"
#include "common/net/origin_list.h"
#include "common/request/request_private.h"
#include "common/scope/meter.h"

/* Holds the values of headers until they were sent. */
struct header_texts {
    char text[1024];
    size_t used;
};
static size_t headers_common(struct request *rq, struct http_header *out, size_t max,
                             struct header_texts *texts);
static size_t headers_refusal(struct request *rq, struct http_header *out, size_t max,
                              struct header_texts *texts);

/* ---- from sink to sink ---- */

enum sink_result sink_head(struct response_sink *s, const struct response_head *h)
{
    while (!s->ops->head)
        s = s->next;
    return s->ops->head(s, h);
}

enum sink_result sink_data(struct response_sink *s, struct slice data)
{
    while (!s->ops->data)
        s = s->next;
    return s->ops->data(s, data);
}

enum sink_result sink_event(struct response_sink *s, const struct ai_event *e)
{
    while (!s->ops->event)
        s = s->next;
    return s->ops->event(s, e);
}

enum sink_result sink_end(struct response_sink *s)
{
    while (!s->ops->end)
        s = s->next;
    return s->ops->end(s);
}

void sink_abort(struct response_sink *s)
{
    while (!s->ops->abort)
        s = s->next;
    s->ops->abort(s);
}

void sink_drained(struct response_sink *s)
{
    struct request *rq = s->rq;
    while ((s = s->prev))
        if (s->ops->drain) {
            s->ops->drain(s);
            return;
        }
    rq->response.full = false;
    if (rq->stage == REQUEST_WORK && rq->gate->on_drain)
        rq->gate->on_drain(rq);
}

/* ---- the tail ---- */

static struct request *request_of(struct response_sink *tail)
{
    return tail->rq;
}

static size_t join_headers(struct request *rq, const struct response_head *h,
                           struct http_header *all, size_t max, struct header_texts *texts)
{
    size_t count = headers_common(rq, all, REQUEST_HEADERS, texts);
    for (size_t i = 0; i < h->header_count && count < max; i++)
        all[count++] = h->headers[i];
    return count;
}

#define HEADERS_MAX (REQUEST_HEADERS + LIMIT_HTTP_HEADERS)

static enum sink_result send_head(struct request *rq, const struct response_head *h)
{
    struct http_header all[HEADERS_MAX] UNINITIALIZED;
    struct header_texts texts UNINITIALIZED;
    struct response_sink *to = &rq->response.client->sink;
    const struct response_head joined = {.status = h->status,
                                         .headers = all,
                                         .header_count =
                                             join_headers(rq, h, all, HEADERS_MAX, &texts),
                                         .length = h->length};
    enum sink_result r = to->ops->head(to, &joined);
    if (r == SINK_OK || r == SINK_FULL)
        rq->response_status = h->status;
    return r;
}

static void send_whole(struct request *rq, const struct response_head *h, struct slice body)
{
    struct http_header all[HEADERS_MAX] UNINITIALIZED;
    struct header_texts texts UNINITIALIZED;
    struct client *c = rq->response.client;
    const struct response_head joined = {.status = h->status,
                                         .headers = all,
                                         .header_count =
                                             join_headers(rq, h, all, HEADERS_MAX, &texts),
                                         .length = body.len};
    c->ops->whole(c, &joined, body);
}

static enum sink_result keep_head(struct request *rq, const struct response_head *h)
{
    struct http_header *copy = arena_alloc(rq->arena, (h->header_count + 1) * sizeof(*copy));
    if (!copy)
        return SINK_CLOSED;
    for (size_t i = 0; i < h->header_count; i++) {
        copy[i].name = arena_copy(rq->arena, h->headers[i].name);
        copy[i].value = arena_copy(rq->arena, h->headers[i].value);
        if (!copy[i].name.ptr || !copy[i].value.ptr)
            return SINK_CLOSED;
    }
    rq->response.head = *h;
    rq->response.head.headers = copy;
    return SINK_OK;
}

static enum sink_result tail_head(struct response_sink *s, const struct response_head *h)
{
    struct request *rq = request_of(s);
    MUST(!rq->response_status && !rq->response.head.status);
    if (rq->client_gone || !rq->response.client)
        return SINK_CLOSED;
    return rq->response.finishing ? keep_head(rq, h) : send_head(rq, h);
}

static enum sink_result tail_data(struct response_sink *s, struct slice data)
{
    struct request *rq = request_of(s);
    struct response *r = &rq->response;
    if (rq->client_gone || !r->client)
        return SINK_CLOSED;
    if (r->finishing)
        return buf_append(&r->kept, data) ? SINK_CLOSED : SINK_OK;
    return r->client->sink.ops->data(&r->client->sink, data);
}

/* The writer of the gate's dialect lies above the tail and makes data of every event. */
static enum sink_result tail_event(struct response_sink *s, const struct ai_event *e)
{
    (void)s;
    (void)e;
    MUST(false && "an event has no writer");
    return SINK_CLOSED;
}

static enum sink_result tail_end(struct response_sink *s)
{
    MUST(request_of(s)->response.finishing);
    return SINK_OK;
}

static void tail_abort(struct response_sink *s)
{
    MUST(request_of(s)->response.finishing);
}

static const struct response_ops tail_ops = {
    .head = tail_head,
    .data = tail_data,
    .event = tail_event,
    .end = tail_end,
    .abort = tail_abort,
};

void response_init(struct request *rq, struct client *client)
{
    struct response *r = &rq->response;
    r->tail = (struct response_sink){.ops = &tail_ops, .rq = rq};
    r->first = &r->tail;
    r->client = client;
    buf_init(&r->kept, LIMIT_RESPONSE_KEPT);
}

void response_push(struct request *rq, struct response_sink *s)
{
    s->rq = rq;
    s->prev = NULL;
    s->next = rq->response.first;
    s->next->prev = s;
    rq->response.first = s;
}

/* ---- for gates ---- */

static enum sink_result note(struct request *rq, enum sink_result r)
{
    rq->response.full = rq->response.full || r == SINK_FULL;
    return r;
}

enum sink_result response_begin(struct request *rq, unsigned status,
                                const struct http_header *headers, size_t n, uint64_t length)
{
    const struct response_head h = {status, headers, n, length};
    return note(rq, sink_head(rq->response.first, &h));
}

enum sink_result response_write(struct request *rq, struct slice data)
{
    return note(rq, sink_data(rq->response.first, data));
}

enum sink_result response_event(struct request *rq, const struct ai_event *e)
{
    return note(rq, sink_event(rq->response.first, e));
}

enum sink_result response_write_below(struct request *rq, struct response_sink *own,
                                      struct slice data)
{
    return note(rq, sink_data(own->next, data));
}

void response_close_with(struct request *rq, unsigned code, const char *reason)
{
    if (!rq->response.client)
        return;
    rq->response.client->close_code = code;
    rq->response.client->close_reason = reason;
}

bool response_is_full(const struct request *rq)
{
    return rq->response.full;
}

bool response_is_heard(const struct request *rq, const struct response_sink *own)
{
    return rq->response.first != (own ? own : &rq->response.tail);
}

void request_read_body(struct request *rq, uint64_t max)
{
    if (rq->response.client)
        rq->response.client->ops->read_body(rq->response.client, max);
}

void request_pause_body(struct request *rq)
{
    if (rq->response.client)
        rq->response.client->ops->pause_body(rq->response.client);
}

void request_resume_body(struct request *rq)
{
    if (rq->response.client)
        rq->response.client->ops->resume_body(rq->response.client);
}

void request_on_drain(struct request *rq)
{
    sink_drained(&rq->response.tail);
}

/* ---- the end ---- */

/* Does some sink take part in how a response ends? One that only writes events, as a dialect's
 * does, passes head, data and end by: nothing has to be kept for it. */
static bool has_filters(const struct request *rq)
{
    const struct response_sink *s = rq->response.first;
    for (; s != &rq->response.tail; s = s->next)
        if (s->ops->head || s->ops->data || s->ops->end || s->ops->abort)
            return true;
    return false;
}

/* What is left to say to a client whose response was begun. */
enum last_word { LAST_END, LAST_ERROR, LAST_CUT };

static enum last_word last_word(const struct request *rq, const struct request_end *end)
{
    if (end->cut || rq->response.broken)
        return LAST_CUT;
    if (rq->response.refused || (rq->refusal.id && !end->body.len))
        return LAST_ERROR;
    return rq->end == OUTCOME_CANCELLED && !end->body.len ? LAST_CUT : LAST_END;
}

static unsigned refusal_status(const struct request *rq)
{
    return rq->gate->refusal_status ? rq->gate->refusal_status(rq)
                                    : refusal_row(rq->refusal.id)->status;
}

struct refusal_head {
    struct http_header headers[REQUEST_HEADERS];
    struct header_texts texts;
    struct response_head head;
};

/* The body lies in the worker's scratch. */
static struct slice make_refusal(struct request *rq, struct refusal_head *ret)
{
    const char *type = "application/json";
    struct buf *out = &rq->env->scratch;
    buf_clear(out);
    if (rq->gate->refusal_body(rq, out, &type))
        buf_clear(out); /* the status still says it */
    ret->texts.used = 0;
    size_t n = headers_refusal(rq, ret->headers, REQUEST_HEADERS - 1, &ret->texts);
    ret->headers[n++] = (struct http_header){SLICE("content-type"), slice_str(type)};
    ret->head = (struct response_head){refusal_status(rq), ret->headers, n, buf_slice(out).len};
    return buf_slice(out);
}

void response_refuse(struct request *rq)
{
    struct refusal_head refusal UNINITIALIZED;
    struct slice body = make_refusal(rq, &refusal);
    send_whole(rq, &refusal.head, body);
}

static enum sink_result pass_whole(struct request *rq, const struct response_head *h,
                                   struct slice body)
{
    struct response_sink *first = rq->response.first;
    enum sink_result r = sink_head(first, h);
    if (r <= SINK_FULL && body.len)
        r = sink_data(first, body);
    return r <= SINK_FULL ? sink_end(first) : r;
}

static enum sink_result pass_refusal(struct request *rq)
{
    struct refusal_head refusal UNINITIALIZED;
    struct slice body = make_refusal(rq, &refusal);
    return pass_whole(rq, &refusal.head, body);
}

static enum sink_result pass_last(struct request *rq, const struct request_end *end)
{
    struct response_sink *first = rq->response.first;
    if (last_word(rq, end) != LAST_END) {
        sink_abort(first);
        return SINK_OK;
    }
    enum sink_result r = end->body.len ? sink_data(first, end->body) : SINK_OK;
    return r <= SINK_FULL ? sink_end(first) : r;
}

void response_finish(struct request *rq, const struct request_end *end)
{
    struct response *r = &rq->response;
    enum sink_result result;
    r->finishing = true;
    if (!has_filters(rq))
        return;
    if (!r->client || rq->client_gone) {
        sink_abort(r->first);
        return;
    }
    buf_shelf_take(&rq->env->shelf, &r->kept);
    if (end->status)
        result = pass_whole(
            rq,
            &(struct response_head){end->status, end->headers, end->header_count, end->body.len},
            end->body);
    else if (!rq->response_status)
        result = pass_refusal(rq);
    else
        result = pass_last(rq, end);
    r->refused = result == SINK_REFUSED;
    r->broken = result == SINK_CLOSED;
    if (r->refused)
        rq->end = OUTCOME_REFUSED;
    if (r->refused || r->broken)
        sink_abort(r->first);
}

unsigned response_final_status(const struct request *rq, const struct request_end *end)
{
    const struct response *r = &rq->response;
    if (rq->response_status)
        return rq->response_status;
    if (rq->client_gone)
        return 0;
    if (r->head.status && !r->refused)
        return r->head.status;
    return end->status && !r->refused ? end->status : refusal_status(rq);
}

static void send_in_band_error(struct request *rq, struct response_sink *to)
{
    struct buf *out = &rq->env->scratch;
    buf_clear(out);
    if (!rq->gate->stream_error || rq->gate->stream_error(rq, out) ||
        to->ops->data(to, buf_slice(out)) > SINK_FULL)
        to->ops->abort(to);
    else
        to->ops->end(to);
}

static void send_last(struct request *rq, const struct request_end *end)
{
    struct response_sink *to = &rq->response.client->sink;
    struct slice body = has_filters(rq) ? buf_slice(&rq->response.kept) : end->body;
    switch (last_word(rq, end)) {
    case LAST_CUT:
        to->ops->abort(to);
        return;
    case LAST_ERROR:
        send_in_band_error(rq, to);
        return;
    case LAST_END:
        if (body.len && to->ops->data(to, body) > SINK_FULL)
            to->ops->abort(to);
        else
            to->ops->end(to);
    }
}

static void send_first_and_last(struct request *rq, const struct request_end *end)
{
    struct response *r = &rq->response;
    if (r->broken)
        r->client->sink.ops->abort(&r->client->sink);
    else if (r->head.status && !r->refused)
        send_whole(rq, &r->head, buf_slice(&r->kept));
    else if (end->status && !r->refused)
        send_whole(rq, &(struct response_head){end->status, end->headers, end->header_count, 0},
                   end->body);
    else
        response_refuse(rq);
}

void response_send(struct request *rq, const struct request_end *end)
{
    struct response *r = &rq->response;
    if (!r->client)
        return;
    if (rq->client_gone)
        r->client->sink.ops->end(&r->client->sink);
    else if (rq->response_status)
        send_last(rq, end);
    else
        send_first_and_last(rq, end);
    r->client = NULL;
}

void response_fini(struct request *rq)
{
    buf_shelf_give(&rq->env->shelf, &rq->response.kept);
}

/* ---- headers ---- */

struct adding {
    struct http_header *out;
    size_t max, n;
    struct header_texts *texts;
};

static void add(struct adding *a, struct slice name, struct slice value)
{
    if (value.len && a->n < a->max)
        a->out[a->n++] = (struct http_header){name, value};
}

static struct slice keep(struct header_texts *texts, const char *text, size_t len)
{
    if (len > sizeof(texts->text) - texts->used)
        return SLICE_NONE;
    char *at = texts->text + texts->used;
    memcpy(at, text, len);
    texts->used += len;
    return slice_of(at, len);
}

static struct slice number(struct header_texts *texts, uint64_t n)
{
    char text[SLICE_U64_MAX];
    size_t len = slice_write_u64(text + sizeof(text), n);
    return keep(texts, text + sizeof(text) - len, len);
}

/* OpenAI's form: "6ms", "12s", "1m30s" (dialects.md 1.9) */
static struct slice span_of_time(struct header_texts *texts, uint64_t us)
{
    char text[3 * SLICE_U64_MAX];
    char *p = text + sizeof(text);
    uint64_t ms = (us + 999) / 1000;
    if (ms < 1000) {
        *--p = 's';
        *--p = 'm';
        p -= slice_write_u64(p, ms);
    } else {
        uint64_t s = (ms + 999) / 1000;
        *--p = 's';
        p -= slice_write_u64(p, s % 60);
        if (s >= 60) {
            *--p = 'm';
            p -= slice_write_u64(p, s / 60);
        }
    }
    return keep(texts, p, (size_t)(text + sizeof(text) - p));
}

/* Anthropic's form: a moment, to the second */
static struct slice moment(struct header_texts *texts, int64_t wall_us)
{
    char text[CLOCK_TEXT_MAX], *end = text + sizeof("2026-11-22T17:29:15") - 1;
    clock_format(wall_us + 999999, text);
    *end++ = 'Z';
    return keep(texts, text, (size_t)(end - text));
}

static void add_rates(struct adding *a, struct request *rq, const struct header_names *names,
                      uint64_t took_us)
{
    const struct policy_key *key = rq->who.key;
    if (!key || !rq->session.known || key->scope.limits.rpm == 0)
        return;
    struct meter_state s;
    meter_look(key->scope.meter, key->scope.limits.rpm, rq->started_us + took_us, &s);
    add(a, slice_str(names->limit), number(a->texts, s.limit));
    add(a, slice_str(names->remaining), number(a->texts, s.remaining));
    add(a, slice_str(names->reset),
        names->reset_is_time ? moment(a->texts, rq->started_at_us + (int64_t)(took_us + s.reset_us))
                             : span_of_time(a->texts, s.reset_us));
}

static void add_cost(struct adding *a, const struct request *rq)
{
    char text[MONEY_TEXT_MAX];
    /* while a response only begins, what earlier targets cost is not all */
    if (!rq->ended_us || !rq->record.has_tokens || !rq->record.cost_known)
        return;
    struct slice cost = money_format(rq->record.cost, text);
    add(a, SLICE("x-gatehouse-cost-usd"), keep(a->texts, cost.ptr, cost.len));
}

/* What a web page may read: Fetch Standard, CORS protocol. */
static void add_cors(struct adding *a, const struct request *rq)
{
    if (!rq->env->allowed_origins)
        return;
    struct slice origin = http_head_find(rq->head, SLICE("origin"));
    if (!origin.len || !origin_list_has(rq->env->allowed_origins, origin))
        return;
    add(a, SLICE("access-control-allow-origin"), origin);
    add(a, SLICE("access-control-expose-headers"), SLICE("*"));
    add(a, SLICE("vary"), SLICE("origin"));
}

static const struct header_names *names_of(const struct request *rq)
{
    static const struct header_names usual = {.limit = "x-ratelimit-limit-requests",
                                              .remaining = "x-ratelimit-remaining-requests",
                                              .reset = "x-ratelimit-reset-requests"};
    const struct header_names *own = rq->gate->header_names ? rq->gate->header_names(rq) : NULL;
    return own ? own : &usual;
}

static size_t headers_common(struct request *rq, struct http_header *out, size_t max,
                             struct header_texts *texts)
{
    struct adding a = {.out = out, .max = max, .texts = texts};
    const struct call_record *t = &rq->record;
    const struct header_names *names = names_of(rq);
    texts->used = 0;

    struct slice id = slice_of(rq->request_id, sizeof(rq->request_id) - 1);
    add(&a, SLICE("x-gatehouse-request-id"), id);
    if (names->id)
        add(&a, slice_str(names->id), id);
    if (rq->session.known)
        add(&a, SLICE("x-gatehouse-session"), slice_of(rq->session.id, SESSION_ID_LEN));
    add(&a, SLICE("x-gatehouse-model"), t->ai.model);
    add(&a, SLICE("x-gatehouse-provider"), t->ai.provider);
    if (t->attempt_count)
        add(&a, SLICE("x-gatehouse-attempts"), number(texts, t->attempt_count));
    if (t->ai.cache)
        add(&a, SLICE("x-gatehouse-cache"), slice_str(t->ai.cache));
    add_cost(&a, rq);
    add(&a, SLICE("x-gatehouse-overhead-us"), number(texts, request_overhead_us(rq)));
    add_rates(&a, rq, names, request_took_us(rq));
    add_cors(&a, rq);
    return a.n;
}

/* retry-after-ms beside it, because that is what the SDKs look at first (dialects.md 1.8) */
static size_t headers_refusal(struct request *rq, struct http_header *out, size_t max,
                              struct header_texts *texts)
{
    struct adding a = {.out = out, .max = max, .texts = texts};
    unsigned after = rq->refusal.retry_after_s;
    if (after) {
        add(&a, SLICE("retry-after"), number(texts, after));
        add(&a, SLICE("retry-after-ms"), number(texts, (uint64_t)after * 1000));
    }
    if (rq->refusal.no_retry)
        add(&a, SLICE("x-should-retry"), SLICE("false"));
    if (rq->gate->refusal_headers)
        a.n += rq->gate->refusal_headers(rq, out + a.n, max - a.n);
    return a.n;
}
