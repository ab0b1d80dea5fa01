/*
 * http_adapter — client_ops and the last response_ops, over an http_exchange.
 */
#include "dataplane/listener/http_adapter.h"

#include "common/base/mem.h"

#define SPARE_MAX 1024
#define SPARE_HELD (16 * 1024) /* a larger buffer's memory goes back to the heap */

static void destroy(struct http_adapter *a)
{
    buf_fini(&a->held);
    mem_free(a);
}

void http_adapters_init(struct http_adapters *a)
{
    list_init(&a->spare);
    a->spare_count = 0;
}

void http_adapters_fini(struct http_adapters *a)
{
    struct list *it;
    while ((it = list_take_first(&a->spare)))
        destroy(LIST_ITEM(it, struct http_adapter, link));
    a->spare_count = 0;
}

static void release(struct http_adapter *a)
{
    struct http_adapters *home = a->home;
    if (home->spare_count >= SPARE_MAX) {
        destroy(a);
        return;
    }
    if (a->held.cap > SPARE_HELD)
        buf_fini(&a->held);
    buf_clear(&a->held);
    list_push_first(&home->spare, &a->link);
    home->spare_count++;
}

/* ---- from the exchange ---- */

static void on_body(void *user, struct slice piece)
{
    struct http_adapter *a = user;
    if (a->rq)
        request_on_body(a->rq, piece);
}

static void on_body_end(void *user)
{
    struct http_adapter *a = user;
    if (a->rq)
        request_on_body_end(a->rq);
}

/* false: the connection takes no more now, or is gone; `a` may be gone with it */
static bool send_held(struct http_adapter *a)
{
    bool gone = false;
    a->gone = &gone;
    while (a->held.len) {
        struct slice piece = slice_first(buf_slice(&a->held), LIMIT_STREAM_HIGH);
        enum err e = http_response_write(a->x, piece);
        if (gone)
            return false;
        if (e)
            break;
        buf_eat(&a->held, piece.len);
        if (http_response_pending(a->x) > LIMIT_STREAM_HIGH)
            break;
    }
    a->gone = NULL;
    return a->held.len == 0;
}

static void on_drain(void *user)
{
    struct http_adapter *a = user;
    if (!send_held(a))
        return;
    if (a->ending)
        http_response_end(a->x);
    else if (a->rq && http_response_pending(a->x) <= LIMIT_STREAM_HIGH)
        request_on_drain(a->rq);
}

static void on_gone(void *user, enum err why)
{
    struct http_adapter *a = user;
    (void)why;
    a->x = NULL;
    if (a->gone)
        *a->gone = true;
    if (a->rq)
        request_on_gone(a->rq); /* its end releases the adapter */
    else
        release(a);
}

static const struct http_exchange_events exchange_events = {
    .on_body = on_body, .on_body_end = on_body_end, .on_drain = on_drain, .on_gone = on_gone};

/* ---- from the request ---- */

static struct http_adapter *of_sink(struct response_sink *s)
{
    return CONTAINER_OF(s, struct http_adapter, client.sink);
}

static struct http_adapter *of_client(struct client *c)
{
    return CONTAINER_OF(c, struct http_adapter, client);
}

static enum sink_result head(struct response_sink *s, const struct response_head *h)
{
    struct http_adapter *a = of_sink(s);
    if (!a->x || http_response_begin(a->x, h->status, h->headers, h->header_count, h->length))
        return SINK_CLOSED;
    return SINK_OK;
}

static enum sink_result hold(struct http_adapter *a, struct slice data)
{
    return buf_append(&a->held, data) ? SINK_CLOSED : SINK_FULL;
}

/* A failed write may have ended the exchange, the request and with them `a`. */
static enum sink_result data(struct response_sink *s, struct slice piece)
{
    struct http_adapter *a = of_sink(s);
    if (!a->x)
        return SINK_CLOSED;
    if (a->held.len)
        return hold(a, piece);
    enum err e = http_response_write(a->x, piece);
    if (e == ERR_TOO_BIG)
        return hold(a, piece);
    if (e)
        return SINK_CLOSED;
    return http_response_pending(a->x) > LIMIT_STREAM_HIGH ? SINK_FULL : SINK_OK;
}

static enum sink_result end(struct response_sink *s)
{
    struct http_adapter *a = of_sink(s);
    a->rq = NULL;
    if (!a->x)
        release(a);
    else if (a->held.len)
        a->ending = true;
    else
        http_response_end(a->x);
    return SINK_OK;
}

static void abort_response(struct response_sink *s)
{
    struct http_adapter *a = of_sink(s);
    a->rq = NULL;
    if (a->x)
        http_response_abort(a->x);
    else
        release(a);
}

static const struct response_ops sink_ops = {
    .head = head, .data = data, .end = end, .abort = abort_response};

void http_adapter_send(struct http_adapter *a, unsigned status, const struct http_header *headers,
                       size_t n, struct slice body)
{
    bool gone = false;
    a->rq = NULL;
    if (!a->x) {
        release(a);
        return;
    }
    a->gone = &gone;
    enum err e = http_response(a->x, status, headers, n, body);
    if (gone)
        return;
    a->gone = NULL;
    if (e)
        http_response_abort(a->x);
}

static void whole(struct client *c, const struct response_head *h, struct slice body)
{
    http_adapter_send(of_client(c), h->status, h->headers, h->header_count, body);
}

static void read_body(struct client *c, uint64_t max)
{
    struct http_adapter *a = of_client(c);
    if (a->x)
        http_exchange_read(a->x, max);
}

static void pause_body(struct client *c)
{
    struct http_adapter *a = of_client(c);
    if (a->x)
        http_exchange_pause(a->x);
}

static void resume_body(struct client *c)
{
    struct http_adapter *a = of_client(c);
    if (a->x)
        http_exchange_resume(a->x);
}

static const struct client_ops client_ops = {
    .whole = whole, .read_body = read_body, .pause_body = pause_body, .resume_body = resume_body};

struct http_adapter *http_adapter_new(struct http_adapters *home, struct http_exchange *x)
{
    struct list *it = list_take_first(&home->spare);
    struct http_adapter *a = it ? LIST_ITEM(it, struct http_adapter, link) : mem_zalloc(sizeof(*a));
    if (!a)
        return NULL;
    if (it)
        home->spare_count--;
    else
        buf_init(&a->held, LIMIT_RESPONSE_HELD);
    a->home = home;
    a->x = x;
    a->rq = NULL;
    a->gone = NULL;
    a->ending = false;
    a->client = (struct client){.sink = {.ops = &sink_ops}, .ops = &client_ops};
    list_init(&a->link);
    http_exchange_bind(x, &exchange_events, a);
    return a;
}
