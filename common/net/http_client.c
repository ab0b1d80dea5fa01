/* The client: starts calls, keeps the memory of ended ones for reuse, and ends all of them in
 * http_client_free. */
#include "common/net/http_client.h"

#include "common/base/limits.h"
#include "common/base/mem.h"
#include "common/net/http_client_private.h"

#define US_PER_MS 1000u

enum err http_client_new(struct loop *l, struct resolver *r, struct tls_context *tls,
                         struct http_client **ret)
{
    struct http_client *c = mem_zalloc(sizeof *c);
    if (!c)
        return ERR_NOMEM;
    enum err e = pool_new(l, &c->pool);
    if (e) {
        mem_free(c);
        return e;
    }
    c->loop = l;
    c->resolver = r;
    c->tls = tls ? tls_hold(tls) : NULL;
    list_init(&c->running);
    list_init(&c->spare);
    *ret = c;
    return ERR_OK;
}

static void free_call(struct http_call *k)
{
    buf_fini(&k->out);
    buf_fini(&k->rest);
    mem_free(k);
}

static void free_client(struct http_client *c)
{
    struct list *link;
    while ((link = list_take_first(&c->spare)))
        free_call(LIST_ITEM(link, struct http_call, link));
    tls_drop(c->tls);
    mem_free(c);
}

void http_client_free(struct http_client *c)
{
    if (!c)
        return;
    while (!list_empty(&c->running))
        http_call_fail(LIST_ITEM(c->running.next, struct http_call, link), ERR_CANCELLED);
    pool_free(c->pool);
    c->freed = true;
    if (c->call_count == 0)
        free_client(c);
}

size_t http_client_idle(const struct http_client *c)
{
    return pool_idle(c->pool);
}

struct loop *http_client_loop(const struct http_client *c)
{
    return c->loop;
}

/* Last in, first out: the one whose memory is still in the cache. */
static struct http_call *take_spare(struct http_client *c)
{
    if (!list_empty(&c->spare)) {
        c->spare_count--;
        struct list *first = list_take_first(&c->spare);
        return LIST_ITEM(first, struct http_call, link);
    }
    struct http_call *k = mem_zalloc(sizeof *k);
    if (!k)
        return NULL;
    k->client = c;
    list_init(&k->link);
    buf_init(&k->out, LIMIT_STREAM_OUT + LIMIT_HTTP_HEAD);
    buf_init(&k->rest, LIMIT_HTTP_REST);
    loop_task_init(&k->soon, http_call_on_soon);
    timer_init(&k->timer, c->loop, http_call_on_timer);
    return k;
}

static void empty(struct buf *b)
{
    if (b->cap > LIMIT_HTTP_COALESCE + 1024) /* kept for the next call, unless it is large */
        buf_fini(b);
    else
        buf_clear(b);
}

static void give_spare(struct http_client *c, struct http_call *k)
{
    tls_drop(k->tls);
    k->tls = NULL;
    if (c->freed || c->spare_count >= LIMIT_HTTP_SPARE) {
        free_call(k);
        return;
    }
    empty(&k->out);
    empty(&k->rest);
    c->spare_count++;
    list_push_first(&c->spare, &k->link);
}

static unsigned or_default(unsigned ms, unsigned usual)
{
    return ms ? ms : usual;
}

static void reset(struct http_call *k, const struct http_call_spec *spec,
                  const struct http_call_events *events, void *arg)
{
    k->events = *events;
    k->arg = arg;
    k->state = HTTP_CALL_RESOLVING;
    k->failing = k->lost = ERR_OK;
    k->conn = NULL;
    k->url = spec->url;
    k->url.host = k->url.path = k->url.query = SLICE_NONE; /* lent: not ours to keep */
    k->rule = spec->rule;
    k->proxy = spec->proxy;
    k->connect_ms = or_default(spec->connect_ms, LIMIT_CONNECT_MS);
    k->first_byte_ms = or_default(spec->first_byte_ms, LIMIT_FIRST_BYTE_MS);
    k->gap_ms = or_default(spec->gap_ms, LIMIT_GAP_MS);
    k->ends_us = loop_now_us(k->client->loop) +
                 (uint64_t)or_default(spec->total_ms, LIMIT_CALL_MS) * US_PER_MS;
    k->pending_seen = k->scanned = 0;
    k->interims = k->depth = 0;
    k->wants_drain = k->touched = k->reused = k->retried = false;
    k->released = k->paused = k->stalled = k->eof = false;
}

static enum err pick_tls(struct http_call *k, const struct http_call_spec *spec)
{
    if (!spec->url.tls)
        return ERR_OK;
    struct tls_context *tls = spec->tls ? spec->tls : k->client->tls;
    if (!tls)
        return ERR_INVALID; /* https, and nothing to verify the upstream by */
    k->tls = tls_hold(tls);
    return ERR_OK;
}

static uint64_t proxy_id(const struct http_call *k)
{
    return k->proxy ? k->proxy->id : 0;
}

static enum err connect_fresh(struct http_call *k, const struct http_call_spec *spec)
{
    enum err e = pool_conn_new(k->client->pool, &spec->url, k->tls, proxy_id(k), &k->conn);
    return e ? e : http_call_dial(k);
}

static enum err connect_call(struct http_call *k, const struct http_call_spec *spec)
{
    k->conn = pool_take(k->client->pool, &spec->url, k->tls, proxy_id(k), &k->rule);
    if (!k->conn)
        return connect_fresh(k, spec);
    k->reused = true;
    k->state = HTTP_CALL_SENT;
    stream_adopt(k->conn->stream, &http_call_stream_events, k);
    enum err e = http_call_send(k);
    if (e == ERR_CLOSED) { /* closed already, and nothing was sent */
        pool_drop(&k->conn);
        k->reused = false;
        k->state = HTTP_CALL_RESOLVING;
        return connect_fresh(k, spec);
    }
    return e;
}

enum err http_call_start(struct http_client *c, const struct http_call_spec *spec,
                         const struct http_call_events *events, void *arg, struct http_call **ret)
{
    struct http_call *k = take_spare(c);
    if (!k)
        return ERR_NOMEM;
    reset(k, spec, events, arg);
    enum err e = pick_tls(k, spec);
    if (!e)
        e = http_call_compose(k, spec);
    if (!e)
        e = connect_call(k, spec);
    bool told_here = e == ERR_NOMEM || e == ERR_INVALID || e == ERR_EXHAUSTED || e == ERR_TOO_BIG;
    if (e && told_here) {
        timer_cancel(&k->timer);
        loop_task_cancel(&k->soon);
        pool_drop(&k->conn);
        give_spare(c, k);
        return e;
    }
    c->call_count++;
    list_push(&c->running, &k->link);
    if (e)
        http_call_fail_soon(k, e);
    *ret = k;
    return ERR_OK;
}

static void recycle(void *arg)
{
    struct http_call *k = arg;
    struct http_client *c = k->client;
    c->call_count--;
    give_spare(c, k);
    if (c->freed && c->call_count == 0)
        free_client(c);
}

/* The memory goes at the end of the turn: the owner may be inside one of the call's own events. */
void http_call_close(struct http_call **at)
{
    struct http_call *k = *at;
    *at = NULL;
    if (!k)
        return;
    k->released = true;
    loop_task_cancel(&k->soon);
    if (k->state != HTTP_CALL_ENDED)
        http_call_leave(k);
    pool_drop(&k->conn);
    loop_retire(k->client->loop, recycle, k);
}
