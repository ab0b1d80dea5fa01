/*
 * A call's life: its connection, its deadlines, its one end.
 *
 * The owner may close the call inside any callback; nothing but `released` and `depth` may be
 * looked at afterwards, and the memory goes only at the end of the turn.
 */
#include "common/net/http_call.h"

#include "common/base/limits.h"

#define US_PER_MS 1000u

#define TO(state) (1u << HTTP_CALL_##state)
static const unsigned moves[] = {
    [HTTP_CALL_RESOLVING] = TO(CONNECTING) | TO(ENDED),
    [HTTP_CALL_CONNECTING] = TO(SENT) | TO(ENDED),
    [HTTP_CALL_SENT] = TO(RESOLVING) | TO(HEAD) | TO(ENDED),
    [HTTP_CALL_HEAD] = TO(BODY) | TO(ENDED),
    [HTTP_CALL_BODY] = TO(ENDED),
};
#undef TO

void http_call_move(struct http_call *k, enum http_call_state to)
{
    MUST((size_t)k->state < ARRAY_LEN(moves) && moves[k->state] & 1u << to);
    k->state = to;
    if (to != HTTP_CALL_ENDED && k->events.on_state)
        k->events.on_state(k->arg, to);
}

enum http_call_state http_call_state(const struct http_call *k)
{
    return k->state;
}

static void advance(struct http_call *k, struct slice *bytes)
{
    bool moved = true;
    while (moved && !k->released) {
        switch (k->state) {
        case HTTP_CALL_RESOLVING:
        case HTTP_CALL_CONNECTING:
            moved = false;
            break;
        case HTTP_CALL_SENT:
        case HTTP_CALL_HEAD:
            moved = http_call_read_head(k, bytes);
            break;
        case HTTP_CALL_BODY:
            moved = http_call_read_body(k, bytes);
            break;
        case HTTP_CALL_ENDED:
            *bytes = slice_from(*bytes, bytes->len);
            moved = false;
            break;
        }
    }
}

static void throttle(struct http_call *k)
{
    bool stall = k->paused && k->rest.len >= LIMIT_STREAM_LOW;
    if (k->released || k->state == HTTP_CALL_ENDED || stall == k->stalled || !k->conn)
        return;
    k->stalled = stall;
    if (stall)
        stream_pause(k->conn->stream);
    else
        stream_resume(k->conn->stream);
}

static void settle(struct http_call *k, struct slice fresh)
{
    k->depth++;
    if (k->rest.len == 0) {
        advance(k, &fresh);
        if (!k->released && fresh.len && buf_append(&k->rest, fresh) != ERR_OK)
            http_call_fail(k, ERR_NOMEM);
    } else if (buf_append(&k->rest, fresh) != ERR_OK) {
        http_call_fail(k, ERR_TOO_BIG);
    } else {
        struct slice bytes = buf_slice(&k->rest);
        advance(k, &bytes);
        if (!k->released)
            buf_eat(&k->rest, k->rest.len - bytes.len);
    }
    k->depth--;
    throttle(k);
}

void http_call_kick(struct http_call *k)
{
    if (k->depth == 0)
        loop_soon(k->client->loop, &k->soon);
}

void http_call_fail_soon(struct http_call *k, enum err why)
{
    k->failing = why;
    loop_soon(k->client->loop, &k->soon);
}

void http_call_watch(struct http_call *k, unsigned ms)
{
    uint64_t now = loop_now_us(k->client->loop);
    uint64_t left = k->ends_us > now ? (k->ends_us - now) / US_PER_MS : 0;
    timer_start(&k->timer, left < ms ? left : ms);
}

void http_call_outlast(struct http_call *k)
{
    k->ends_us = loop_now_us(k->client->loop) + (uint64_t)LIMIT_CALL_MS * US_PER_MS;
    http_call_watch(k, k->state == HTTP_CALL_BODY ? k->gap_ms : k->first_byte_ms);
}

/* ---- ends ---- */

static enum http_call_phase phase_of(const struct http_call *k)
{
    if (k->state == HTTP_CALL_BODY)
        return HTTP_PHASE_BODY;
    if (k->state == HTTP_CALL_RESOLVING)
        return HTTP_PHASE_RESOLVE;
    if (k->state == HTTP_CALL_CONNECTING || (!k->touched && !k->reused))
        return HTTP_PHASE_CONNECT;
    return http_call_is_sent(k) ? HTTP_PHASE_FIRST_BYTE : HTTP_PHASE_SEND;
}

void http_call_leave(struct http_call *k)
{
    http_call_move(k, HTTP_CALL_ENDED);
    k->failing = ERR_OK;
    memset(k->body, 0, sizeof(k->body));
    timer_cancel(&k->timer);
    list_remove(&k->link);
}

void http_call_fail(struct http_call *k, enum err why)
{
    if (k->state == HTTP_CALL_ENDED || k->released)
        return;
    enum http_call_phase phase = phase_of(k);
    http_call_leave(k);
    pool_drop(&k->conn);
    k->events.on_error(k->arg, why, phase);
}

/* Kept only where both sides agree on where the answer ended, and the request with it. */
static bool is_reusable(const struct http_call *k)
{
    return k->head.keep_alive && !k->eof && k->walk.kind != HTTP1_BODY_TO_CLOSE &&
           http_call_is_sent(k) && stream_is_open(k->conn->stream);
}

void http_call_finish(struct http_call *k)
{
    bool keep = is_reusable(k);
    http_call_leave(k);
    if (keep) {
        if (k->stalled)
            stream_resume(k->conn->stream);
        pool_give(&k->conn);
    } else {
        pool_drop(&k->conn);
    }
    k->events.on_end(k->arg);
}

enum err http_call_dial(struct http_call *k)
{
    const struct stream_target target = {
        .resolver = k->client->resolver,
        .host = pool_conn_host(k->conn),
        .port = k->url.port,
        .tls = k->tls,
        .rule = &k->rule,
        .connect_ms = k->connect_ms,
    };
    k->reused = false;
    http_call_watch(k, UINT32_MAX); /* the stream keeps connect_ms; here only the whole call's */
    return stream_connect(k->client->loop, &target, &http_call_stream_events, k, &k->conn->stream);
}

/* A kept connection died, and not one byte of a response had come: the server closed it while the
 * request was on its way, and did not read it. What was streamed is no longer here to be sent. */
static bool may_retry(const struct http_call *k)
{
    bool unread = k->state == HTTP_CALL_SENT && k->rest.len == 0 && k->interims == 0;
    return k->reused && !k->retried && unread && !(k->streamed && k->touched);
}

static enum err retry(struct http_call *k)
{
    struct pool_conn *fresh;
    struct url url = k->url;
    url.host = pool_conn_host(k->conn);
    enum err e = pool_conn_new(k->client->pool, &url, k->tls, &fresh);
    if (e)
        return e;
    pool_drop(&k->conn);
    k->conn = fresh;
    k->retried = true;
    k->stalled = k->touched = k->eof = false;
    http_call_move(k, HTTP_CALL_RESOLVING);
    return http_call_dial(k);
}

/* Its connection is gone. */
static void lost(struct http_call *k, enum err why)
{
    if (k->state == HTTP_CALL_ENDED || k->released)
        return;
    if (may_retry(k)) {
        why = retry(k);
        if (!why)
            return;
    }
    http_call_fail(k, why);
}

/* ---- deadlines ---- */

/* Not the upstream's silence: the owner reads no further, or has not sent all of its body. */
static bool is_owners_turn(const struct http_call *k)
{
    return http_call_is_dialling(k) || (k->state == HTTP_CALL_BODY && k->paused) ||
           (http_call_is_waiting(k) && !k->request_ended);
}

void http_call_on_timer(struct timer *t)
{
    struct http_call *k = CONTAINER_OF(t, struct http_call, timer);
    size_t pending = http_call_is_dialling(k) ? 0 : stream_pending(k->conn->stream);
    size_t seen = k->pending_seen;
    bool over = loop_now_us(k->client->loop) >= k->ends_us;
    k->pending_seen = pending;
    if (over || (pending && pending == seen))
        http_call_fail(k, ERR_TIMEOUT);
    else if (pending)
        http_call_watch(k, k->gap_ms); /* slow, but taking it */
    else if (is_owners_turn(k))
        http_call_watch(k, k->gap_ms);
    else if (seen && http_call_is_waiting(k))
        http_call_watch(k, k->first_byte_ms); /* all is sent since */
    else
        http_call_fail(k, ERR_TIMEOUT);
}

/* ---- events ---- */

/* Filled again since: there is a next time. */
static void tell_drain(struct http_call *k)
{
    if (!k->wants_drain || http_call_is_dialling(k) || http_call_pending(k) > LIMIT_STREAM_LOW)
        return;
    k->wants_drain = false;
    if (k->events.on_drain)
        k->events.on_drain(k->arg);
}

void http_call_on_soon(struct loop_task *t)
{
    struct http_call *k = CONTAINER_OF(t, struct http_call, soon);
    if (k->failing) {
        http_call_fail(k, k->failing);
        return;
    }
    http_call_flush(k);
    settle(k, SLICE_NONE);
    if (!k->released && k->state != HTTP_CALL_ENDED)
        tell_drain(k);
}

static void on_resolved(void *arg)
{
    http_call_move(arg, HTTP_CALL_CONNECTING);
}

static void on_open(void *arg)
{
    struct http_call *k = arg;
    http_call_move(k, HTTP_CALL_SENT);
    if (http_call_send(k) != ERR_OK)
        http_call_kick(k); /* reading tells why */
}

static void on_data(void *arg, struct slice data)
{
    settle(arg, data);
}

/* The last bytes may still wait behind a pause: then the end waits with them. */
static void on_eof(void *arg)
{
    struct http_call *k = arg;
    k->eof = true;
    if (k->state == HTTP_CALL_BODY)
        settle(k, SLICE_NONE);
    else
        lost(k, ERR_CLOSED);
}

static void on_close(void *arg, enum err why)
{
    struct http_call *k = arg;
    if (http_call_is_dialling(k) || !k->paused || k->rest.len == 0) {
        lost(k, why ? why : ERR_CLOSED);
        return;
    }
    k->eof = true; /* told when the rest is read; it may be whole */
    k->lost = why ? why : ERR_CLOSED;
}

static void on_drain(void *arg)
{
    struct http_call *k = arg;
    if (k->state == HTTP_CALL_ENDED)
        return;
    http_call_flush(k);
    if (http_call_is_sent(k) && http_call_is_waiting(k))
        http_call_watch(k, k->first_byte_ms);
    tell_drain(k);
}

const struct stream_events http_call_stream_events = {
    .on_resolved = on_resolved,
    .on_open = on_open,
    .on_data = on_data,
    .on_eof = on_eof,
    .on_drain = on_drain,
    .on_close = on_close,
};
